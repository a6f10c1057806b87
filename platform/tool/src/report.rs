// SPDX-License-Identifier: BSD-2-Clause
//! What was built, for people: the report file with the sections of the reference tool.

use std::fmt::{self, Write as _};

use system_spec::format::Content;
use system_spec::record::{CapTo, ObjectId, Slot, Thread};

use crate::layout::rights;
use crate::model::{Kind, Model, Objects};
use crate::place::Placement;

/// Where the initial task is.
#[derive(Clone, Copy, Debug)]
pub struct InitialTask {
    /// Physical address of its start.
    pub paddr: u64,
    /// Virtual address of its start.
    pub vaddr: u64,
    /// Bytes.
    pub size: u64,
    /// Bytes of the description.
    pub spec_size: u64,
}

/// The report's text.
#[must_use]
pub fn text(model: &Model, placement: &Placement, task: InitialTask) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = Report { model, placement, task, out: &mut text }.write();
    text
}

struct Report<'a> {
    model: &'a Model,
    placement: &'a Placement,
    task: InitialTask,
    out: &'a mut String,
}

impl Report<'_> {
    fn write(&mut self) -> fmt::Result {
        self.initial_task()?;
        self.irqs()?;
        self.tcbs()?;
        self.cnodes()?;
        writeln!(self.out, "\n# Architecture Specific Details")?;
        if self.model.content.slots.iter().any(|slot| slot.cap == CapTo::Smc) {
            writeln!(self.out, "ARM SMC access is granted to userspace.")?;
        }
        self.objects()
    }

    fn initial_task(&mut self) -> fmt::Result {
        let InitialTask { paddr, vaddr, size, spec_size } = self.task;
        writeln!(self.out, "# Initial Task Details")?;
        writeln!(self.out, "\t* Physical: [{paddr:#x}..{:#x})", paddr + size)?;
        writeln!(self.out, "\t* Virtual: [{vaddr:#x}..{:#x})", vaddr + size)?;
        writeln!(self.out, "\t* Specification: {spec_size} bytes")?;
        writeln!(self.out, "\t* Pages handed over with their content: {}", self.model.image_page_count())
    }

    fn irqs(&mut self) -> fmt::Result {
        writeln!(self.out, "\n# IRQ Details")?;
        for (index, irq) in self.model.content.irqs.iter().enumerate() {
            writeln!(self.out, "\t- IRQ: '{}'", irq_name(index))?;
            writeln!(self.out, "\t\t* Number: {}", irq.number)?;
            writeln!(self.out, "\t\t* Trigger: {}", if irq.edge { "edge" } else { "level" })?;
            writeln!(self.out, "\t\t* CPU: {}", irq.core)?;
            writeln!(self.out, "\t\t* Notification: '{}'", self.model.name_of(irq.notification))?;
            writeln!(self.out, "\t\t* Badge: {:#x}\n", irq.badge)?;
        }
        Ok(())
    }

    fn tcbs(&mut self) -> fmt::Result {
        writeln!(self.out, "\n# TCB Details")?;
        let Content { threads, scheds, .. } = &self.model.content;
        for thread in threads {
            let core = scheds.iter().find(|sched| sched.object == thread.sched_context);
            writeln!(self.out, "\t- TCB: '{}'", self.model.name_of(thread.tcb))?;
            writeln!(self.out, "\t\t* IP: {:#x}", thread.pc)?;
            writeln!(self.out, "\t\t* SP: {:#x}", thread.sp)?;
            writeln!(self.out, "\t\t* IPC Buffer: {:#x}", thread.ipc_buffer_vaddr)?;
            writeln!(self.out, "\t\t* Priority: {}", thread.priority)?;
            writeln!(self.out, "\t\t* CPU Affinity: {}", core.map_or(0, |sched| sched.core))?;
            if let Some(sched) = core {
                writeln!(self.out, "\t\t* Budget: {} us of {} us", sched.budget_us, sched.period_us)?;
            }
            writeln!(self.out, "\t\t* Bound Objects:")?;
            for (what, object) in bound_objects(thread) {
                writeln!(self.out, "\t\t\t-> {what}: '{}'", self.model.name_of(object))?;
            }
            writeln!(self.out)?;
        }
        Ok(())
    }

    fn cnodes(&mut self) -> fmt::Result {
        writeln!(self.out, "\n# CNode Details")?;
        for objects in self.model.objects.iter().filter(|objects| matches!(objects.kind, Kind::CNode { .. }))
        {
            writeln!(self.out, "\t- CNode: '{}'", objects.name)?;
            for slot in slots_of(self.model, objects.first) {
                writeln!(self.out, "\t\t* Slot: {}", slot.index)?;
                writeln!(self.out, "\t\t\t-> Object: '{}'", cap_name(self.model, slot.cap))?;
                writeln!(self.out, "\t\t\t-> Rights: {}", rights_name(slot.rights))?;
                if slot.data != 0 {
                    let what = if is_cnode(self.model, slot.cap) { "Guard" } else { "Badge" };
                    writeln!(self.out, "\t\t\t-> {what}: {:#x}", slot.data)?;
                }
            }
            writeln!(self.out)?;
        }
        Ok(())
    }

    fn objects(&mut self) -> fmt::Result {
        writeln!(self.out, "\n# Kernel Objects Details: ID, Type, Name, Physical Address")?;
        for Objects { name, kind, count, first, .. } in &self.model.objects {
            for id in *first..first + count {
                let number = if *count > 1 { format!("[{}]", id - first) } else { String::new() };
                let paddr = self.placement.paddr(id).unwrap_or(0);
                writeln!(self.out, "\t{id} - {}: '{name}{number}' @ {paddr:#014x}", kind.name())?;
            }
        }
        Ok(())
    }
}

fn irq_name(index: usize) -> String {
    format!("irq_{index}")
}

fn cap_name(model: &Model, cap: CapTo) -> String {
    match cap {
        CapTo::Object(object) => model.name_of(object),
        CapTo::Irq(index) => irq_name(index as usize),
        CapTo::Smc => "arm_smc".to_owned(),
    }
}

fn is_cnode(model: &Model, cap: CapTo) -> bool {
    let CapTo::Object(object) = cap else { return false };
    model.objects_of(object).is_some_and(|objects| matches!(objects.kind, Kind::CNode { .. }))
}

fn rights_name(word: u8) -> String {
    if word == rights::ALL {
        return "all".to_owned();
    }
    let letters = [(2, "Read"), (1, "Write"), (4, "Grant"), (8, "Grant Reply")];
    let set: Vec<&str> =
        letters.into_iter().filter(|(bit, _)| word & bit != 0).map(|(_, name)| name).collect();
    set.join(", ")
}

/// Capabilities of a CNode by slot.
fn slots_of(model: &Model, cnode: ObjectId) -> Vec<Slot> {
    let mut slots: Vec<Slot> =
        model.content.slots.iter().filter(|slot| slot.cnode == cnode).copied().collect();
    slots.sort_unstable_by_key(|slot| slot.index);
    slots
}

fn bound_objects(thread: &Thread) -> impl Iterator<Item = (&'static str, ObjectId)> {
    [
        ("CSpace", Some(thread.cspace)),
        ("VSpace", Some(thread.vspace)),
        ("IPC Buffer", Some(thread.ipc_buffer)),
        ("Fault Endpoint", thread.fault_handler.map(|handler| handler.endpoint)),
        ("Scheduling Context", Some(thread.sched_context)),
        ("Notification", thread.notification),
        ("VCpu", thread.vcpu),
    ]
    .into_iter()
    .filter_map(|(what, object)| Some((what, object?)))
}
