// SPDX-License-Identifier: BSD-2-Clause
//! Connects the objects: address spaces, CSpaces, interrupts, scheduling, threads.

use sel4_sys::seL4_RootCNodeCapSlots::{
    seL4_CapDomain, seL4_CapIRQControl, seL4_CapInitThreadASIDPool, seL4_CapInitThreadCNode,
    seL4_CapInitThreadTCB, seL4_CapInitThreadVSpace, seL4_CapNull, seL4_CapSMC,
};
use sel4_sys::seL4_TCBFlag::seL4_TCBFlag_fpuDisabled;
use sel4_sys::{config, object_bits, seL4_ARM_VMAttributes, seL4_CapRights, seL4_UserContext};
use system_spec::Spec;
use system_spec::record::{CapTo, DomainStep, Frame, OWN_VSPACE, Thread};

use crate::bootinfo::BootInfo;
use crate::create::Slots;
use crate::error::Failure;
use crate::kernel::{Kernel, OWN_DEPTH};

/// Makes interrupt handlers, each signalling its notification.
///
/// # Errors
/// When a record refers to nothing, or the kernel refuses (an interrupt number that it does not have).
pub fn irqs(spec: &Spec<'_>, slots: &mut Slots, kernel: &mut Kernel) -> Result<(), Failure> {
    for (index, irq) in (0..).zip(spec.irqs()) {
        let irq = irq?;
        let slot = slots.irq(index)?;
        let (number, edge, core) = (irq.number.into(), irq.edge.into(), irq.core.into());
        let (control, own) = (seL4_CapIRQControl, seL4_CapInitThreadCNode);
        kernel.invoke("making an interrupt handler", number, |buffer| {
            if config::MAX_NUM_NODES > 1 {
                buffer.seL4_IRQControl_GetTriggerCore(control, number, edge, own, slot, OWN_DEPTH, core)
            } else {
                buffer.seL4_IRQControl_GetTrigger(control, number, edge, own, slot, OWN_DEPTH)
            }
        })?;
        let notification = slots.take()?;
        let rights = seL4_CapRights::READ_WRITE;
        kernel.mint_own(notification, slots.object(irq.notification)?, rights, irq.badge)?;
        kernel.invoke("connecting an interrupt", number, |buffer| {
            buffer.seL4_IRQHandler_SetNotification(slot, notification)
        })?;
    }
    Ok(())
}

/// Gives every address space an ASID and its page tables.
///
/// # Errors
/// When a record refers to nothing, or the kernel refuses.
pub fn page_tables(spec: &Spec<'_>, slots: &Slots, kernel: &mut Kernel) -> Result<(), Failure> {
    let mut first = 0;
    for group in spec.groups() {
        let group = group?;
        if u64::from(group.object_type) == sel4_sys::seL4_ObjectType::seL4_ARM_VSpaceObject {
            for vspace in slots.run(first, group.count)? {
                kernel.invoke("assigning an ASID", vspace, |buffer| {
                    buffer.seL4_ARM_ASIDPool_Assign(seL4_CapInitThreadASIDPool, vspace)
                })?;
            }
        }
        first += group.count;
    }
    let attributes = seL4_ARM_VMAttributes::seL4_ARM_Default_VMAttributes;
    for table in spec.tables() {
        let table = table?;
        let object = slots.object(table.object)?;
        let vspace = match table.vspace {
            OWN_VSPACE => seL4_CapInitThreadVSpace,
            vspace => slots.object(vspace)?,
        };
        kernel.invoke("mapping a page table", table.vaddr, |buffer| {
            buffer.seL4_ARM_PageTable_Map(object, vspace, table.vaddr, attributes)
        })?;
    }
    Ok(())
}

/// Maps frames. `data_page` is the number of the image's page with which the data begins.
///
/// # Errors
/// When a record refers to nothing, slots run out, or the kernel refuses.
pub fn mappings(
    spec: &Spec<'_>,
    data_page: u64,
    bootinfo: &BootInfo,
    slots: &mut Slots,
    kernel: &mut Kernel,
) -> Result<(), Failure> {
    use seL4_ARM_VMAttributes::{seL4_ARM_Default_VMAttributes, seL4_ARM_ExecuteNever, seL4_ARM_None};
    for mapping in spec.mappings() {
        let mapping = mapping?;
        let vspace = slots.object(mapping.vspace)?;
        let rights = if mapping.write { seL4_CapRights::READ_WRITE } else { seL4_CapRights::READ };
        let memory = if mapping.cached { seL4_ARM_Default_VMAttributes } else { seL4_ARM_None };
        let attributes = if mapping.execute { memory } else { memory | seL4_ARM_ExecuteNever };
        let (originals, copy) = match mapping.frame {
            Frame::Object(first) => (slots.run(first, mapping.count)?, mapping.copy),
            Frame::Image(first) => {
                let first = data_page + u64::from(first);
                let last = first + u64::from(mapping.count.saturating_sub(1));
                match (bootinfo.image_frame(first), bootinfo.image_frame(last)) {
                    (Some(start), Some(last)) => (start..last + 1, true),
                    _ => return Err(Failure::Reference("a page of the image")),
                }
            }
        };
        let size = 1 << (mapping.frame_bits & 63);
        let mut vaddr = mapping.vaddr;
        for original in originals {
            let frame = if copy {
                let copy = slots.take()?;
                kernel.mint_own(copy, original, seL4_CapRights::ALL, 0)?;
                copy
            } else {
                original
            };
            kernel.invoke("mapping a frame", vaddr, |buffer| {
                buffer.seL4_ARM_Page_Map(frame, vspace, vaddr, rights, attributes)
            })?;
            kernel.care(mapping.cache, frame, 0, size)?;
            vaddr += size;
        }
    }
    Ok(())
}

/// Configures scheduling contexts and the domain schedule.
///
/// # Errors
/// When a record refers to nothing, or the kernel refuses.
pub fn scheduling(
    spec: &Spec<'_>,
    slots: &Slots,
    bootinfo: &BootInfo,
    kernel: &mut Kernel,
) -> Result<(), Failure> {
    for sched in spec.scheds() {
        let sched = sched?;
        let object = slots.object(sched.object)?;
        let control = bootinfo.sched_control(sched.core).ok_or(Failure::Reference("a core"))?;
        kernel.invoke("configuring a scheduling context", sched.badge, |buffer| {
            let (budget, period) = (sched.budget_us, sched.period_us);
            buffer.seL4_SchedControl_ConfigureFlags(control, object, budget, period, 0, sched.badge, 0)
        })?;
    }
    for step in spec.domains() {
        match step? {
            DomainStep::Entry { index, domain, ticks } => {
                kernel.invoke("writing the domain schedule", index.into(), |buffer| {
                    buffer.seL4_DomainSet_ScheduleConfigure(seL4_CapDomain, index.into(), domain, ticks)
                })?;
            }
            DomainStep::Start(index) => {
                kernel.invoke("starting the domain schedule", index.into(), |buffer| {
                    buffer.seL4_DomainSet_ScheduleSetStart(seL4_CapDomain, index.into())
                })?;
            }
        }
    }
    Ok(())
}

/// Fills CNodes.
///
/// # Errors
/// When a record refers to nothing, or the kernel refuses.
pub fn capabilities(spec: &Spec<'_>, slots: &Slots, kernel: &mut Kernel) -> Result<(), Failure> {
    for slot in spec.slots() {
        let slot = slot?;
        let cnode = slots.object(slot.cnode)?;
        let source = match slot.cap {
            CapTo::Object(object) => slots.object(object)?,
            CapTo::Irq(index) => slots.irq(index)?,
            CapTo::Smc => seL4_CapSMC,
        };
        let rights = seL4_CapRights(slot.rights.into());
        kernel.mint((cnode, slot.index.into(), slot.radix), source, rights, slot.data)?;
    }
    Ok(())
}

/// Configures threads; none runs yet.
///
/// # Errors
/// When a record refers to nothing, slots run out, or the kernel refuses.
pub fn threads(spec: &Spec<'_>, slots: &mut Slots, kernel: &mut Kernel) -> Result<(), Failure> {
    for thread in spec.threads() {
        configure(&thread?, slots, kernel)?;
    }
    Ok(())
}

fn configure(thread: &Thread, slots: &mut Slots, kernel: &mut Kernel) -> Result<(), Failure> {
    let tcb = slots.object(thread.tcb)?;
    let cspace = slots.object(thread.cspace)?;
    let vspace = slots.object(thread.vspace)?;
    let frame = slots.object(thread.ipc_buffer)?;
    let sched_context = slots.object(thread.sched_context)?;
    kernel.invoke("configuring a thread", tcb, |buffer| {
        let vaddr = thread.ipc_buffer_vaddr;
        buffer.seL4_TCB_Configure(tcb, cspace, thread.cspace_data, vspace, 0, vaddr, frame)
    })?;
    let fault_endpoint = match thread.fault_handler {
        Some(handler) => {
            let slot = slots.take()?;
            let rights = seL4_CapRights::new(false, true, true, true);
            kernel.mint_own(slot, slots.object(handler.endpoint)?, rights, handler.badge)?;
            slot
        }
        None => seL4_CapNull,
    };
    if let Some(vcpu) = thread.vcpu {
        let vcpu = slots.object(vcpu)?;
        kernel.invoke("binding a virtual CPU", tcb, |buffer| buffer.seL4_ARM_VCPU_SetTCB(vcpu, tcb))?;
    }
    kernel.invoke("scheduling a thread", tcb, |buffer| {
        let (authority, priority) = (seL4_CapInitThreadTCB, thread.priority.into());
        buffer.seL4_TCB_SetSchedParams(tcb, authority, priority, priority, sched_context, fault_endpoint)
    })?;
    if let Some(notification) = thread.notification {
        let notification = slots.object(notification)?;
        kernel.invoke("binding a notification", tcb, |buffer| {
            buffer.seL4_TCB_BindNotification(tcb, notification)
        })?;
    }
    if let Some(domain) = thread.domain {
        kernel.invoke("moving a thread to its domain", tcb, |buffer| {
            buffer.seL4_DomainSet_Set(seL4_CapDomain, domain, tcb)
        })?;
    }
    if !thread.fpu {
        kernel.invoke("taking the FPU from a thread", tcb, |buffer| {
            buffer.seL4_TCB_SetFlags(tcb, 0, seL4_TCBFlag_fpuDisabled).error
        })?;
    }
    if thread.resume {
        let registers = seL4_UserContext { pc: thread.pc, sp: thread.sp, ..Default::default() };
        kernel.invoke("setting a thread's registers", tcb, |buffer| {
            buffer.seL4_TCB_WriteRegisters(tcb, false, 0, 2, &registers)
        })?;
    }
    Ok(())
}

/// Starts the threads that start by themselves.
///
/// # Errors
/// When a record refers to nothing, or the kernel refuses.
pub fn resume(spec: &Spec<'_>, slots: &Slots, kernel: &mut Kernel) -> Result<(), Failure> {
    for thread in spec.threads() {
        let thread = thread?;
        if thread.resume {
            let tcb = slots.object(thread.tcb)?;
            kernel.invoke("starting a thread", tcb, |buffer| buffer.seL4_TCB_Resume(tcb))?;
        }
    }
    Ok(())
}

// Records hold frame sizes; the fill window and the loops above know two.
const _: () = assert!(object_bits::SMALL_PAGE == 12 && object_bits::LARGE_PAGE == 21);
