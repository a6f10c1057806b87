// SPDX-License-Identifier: BSD-2-Clause
//! The system that sequences start from: booted with an initial thread, which then makes everything else by system
//! calls (each of them compared like any other step).

use crate::hardware::Hardware;
use crate::pair::{Pair, Step};
use kernel_abi::object::AddressSpace;
use kernel_abi::{Invocation, MessageInfo, ObjectType, Syscall, ipc};
use kernel_core::budget::Refill;
use kernel_core::cap::{Cap as CoreCap, FrameRights, FrameSize};
use kernel_core::kernel::IrqState;
use kernel_core::layout::{SchedContext, Slot as CoreSlot, State as CoreState, Tcb, TcbSlot};
use kernel_core::sim::{self, SimMachine};
use kernel_core::{Kernel, PhysAddr};
use kernel_spec::cap::{Cap, FrameRights as SpecRights};
use kernel_spec::state::tcb_slot;
use kernel_spec::{Config, Event, Holder, Obj, Slot, State};
use std::collections::BTreeSet;

/// First address of the simulated memory.
pub const BASE: u64 = 0x4000_0000;
/// Its size.
pub const BYTES: u64 = 4 << 20;
/// Address of the initial CNode.
pub const ROOT: u64 = BASE + 0x10_0000;
/// log2 of its slots.
pub const RADIX: u64 = 7;
/// The initial thread.
pub const TCB: u64 = BASE + 0x12_0000;
const SC: u64 = BASE + 0x12_1000;
const BUFFER: u64 = BASE + 0x12_5000;
/// Device memory.
pub const DEVICE: u64 = 0x1000_0000;

/// Slots of the initial CNode.
pub mod slot {
    #![allow(missing_docs, reason = "named after what is in them")]
    pub const TCB: u64 = 1;
    pub const CNODE: u64 = 2;
    pub const VSPACE: u64 = 3;
    pub const IRQ_CONTROL: u64 = 4;
    pub const ASID_CONTROL: u64 = 5;
    pub const ASID_POOL: u64 = 6;
    pub const DOMAIN: u64 = 7;
    pub const SCHED_CONTROL: u64 = 8;
    pub const SC: u64 = 9;
    pub const BUFFER: u64 = 10;
    pub const SMC: u64 = 11;
    /// 2 MiB.
    pub const UNTYPED: u64 = 12;
    /// 64 KiB.
    pub const SMALL_UNTYPED: u64 = 13;
    /// 4 KiB.
    pub const PAGE_UNTYPED: u64 = 14;
    /// 64 KiB of device memory.
    pub const DEVICE_UNTYPED: u64 = 15;
    pub const FIRST_FREE: u64 = 16;
}

/// The machine, as both sides see it, with address spaces of a shape.
pub fn config(address_space: AddressSpace) -> Config {
    Config {
        hw_debug: sim::HW_DEBUG,
        benchmark: true,
        extension: true,
        tcb_bits: kernel_abi::object::TCB_BITS_HW_DEBUG,
        ticks_per_us: sim::TICKS_PER_US,
        min_budget: 20 * sim::TICKS_PER_US,
        max_period_us: 60 * 60 * 1_000_000,
        max_irq: sim::MAX_IRQ,
        kernel_irqs: BTreeSet::new(),
        virtual_ppis: BTreeSet::from([27]),
        list_registers: sim::LIST_REGISTERS,
        address_space,
        memory: (BASE, BASE + BYTES),
    }
}

fn boot_caps() -> Vec<(u64, Cap, CoreCap)> {
    let untyped = |at: u64, bits: u64, device| {
        (
            Cap::Untyped { base: Obj(at), bits, device, used: 0 },
            CoreCap::Untyped { at: PhysAddr(at), bits: bits as u8, device, used: 0, zeroing: false },
        )
    };
    let tcb = Tcb::at(PhysAddr(TCB)).expect("not 0");
    let sc = SchedContext::at(PhysAddr(SC)).expect("not 0");
    let first = CoreSlot::at(PhysAddr(ROOT)).expect("not 0");
    let (radix, guard_bits) = (RADIX, 64 - RADIX);
    [
        (slot::TCB, (Cap::Tcb { obj: Obj(TCB) }, CoreCap::Thread { at: tcb })),
        (
            slot::CNODE,
            (
                Cap::CNode { obj: Obj(ROOT), radix, guard: 0, guard_bits },
                CoreCap::CNode { at: first, radix: radix as u8, guard: 0, guard_size: guard_bits as u8 },
            ),
        ),
        (slot::IRQ_CONTROL, (Cap::IrqControl, CoreCap::IrqControl)),
        (slot::ASID_CONTROL, (Cap::AsidControl, CoreCap::AsidControl)),
        (slot::DOMAIN, (Cap::Domain, CoreCap::Domain)),
        (slot::SCHED_CONTROL, (Cap::SchedControl, CoreCap::SchedControl { core: 0 })),
        (slot::SC, (Cap::SchedContext { obj: Obj(SC), bits: 8 }, CoreCap::SchedContext { at: sc, bits: 8 })),
        (
            slot::BUFFER,
            (
                Cap::Frame {
                    obj: Obj(BUFFER),
                    bits: 12,
                    rights: SpecRights { read: true, write: true },
                    device: false,
                    mapping: None,
                },
                CoreCap::Frame {
                    at: PhysAddr(BUFFER),
                    size: FrameSize::Small,
                    rights: FrameRights { read: true, write: true },
                    device: false,
                    mapping: None,
                },
            ),
        ),
        (slot::SMC, (Cap::Smc { badge: 0 }, CoreCap::Smc { badge: 0 })),
        (slot::UNTYPED, untyped(BASE + 0x20_0000, 21, false)),
        (slot::SMALL_UNTYPED, untyped(BASE + 0x14_0000, 16, false)),
        (slot::PAGE_UNTYPED, untyped(BASE + 0x13_0000, 12, false)),
        (slot::DEVICE_UNTYPED, untyped(DEVICE, 16, true)),
    ]
    .into_iter()
    .map(|(slot, (a, b))| (slot, a, b))
    .collect()
}

fn boot_core(address_space: AddressSpace) -> Kernel<SimMachine> {
    let mut k = SimMachine::kernel(BASE, BYTES);
    k.m.address_space = address_space;
    let at = |index: u64| CoreSlot::at(PhysAddr(ROOT + 32 * index)).expect("not 0");
    for (slot, _, cap) in boot_caps() {
        k.insert_root(cap, at(slot));
    }
    let tcb = Tcb::at(PhysAddr(TCB)).expect("not 0");
    let sc = SchedContext::at(PhysAddr(SC)).expect("not 0");
    k.init_thread(tcb);
    for (from, to) in [(slot::CNODE, TcbSlot::CSpace), (slot::BUFFER, TcbSlot::IpcBuffer)] {
        let cap = at(from).cap(&k.m);
        k.insert_derived(cap, at(from), tcb.slot(to));
    }
    tcb.set_priority(&mut k.m, 255);
    tcb.set_max_priority(&mut k.m, 255);
    tcb.set_ipc_buffer(&mut k.m, 0x1000);
    tcb.set_sched_context(&mut k.m, Some(sc));
    tcb.set_state(&mut k.m, CoreState::Running);
    sc.set_tcb(&mut k.m, Some(tcb));
    let slice = 1000 * sim::TICKS_PER_US;
    sc.set_up(&mut k.m, slice, 0, 2, Refill { time: 0, amount: slice });
    k.current = tcb;
    k.current_sc = sc;
    k.m.deadline = 1000 * sim::TICKS_PER_US;
    k.reprogram = false;
    k.loaded = Some(tcb);
    // Belongs to the virtual CPUs, not to users.
    k.irq_state[27] = IrqState::Reserved;
    k
}

fn boot_spec(address_space: AddressSpace) -> State {
    let mut s = State::new(config(address_space));
    let at = |index| Slot { holder: Holder::CNode(Obj(ROOT), RADIX), index };
    for (slot, cap, _) in boot_caps() {
        s.boot_capability(at(slot), cap);
    }
    let slots = [(tcb_slot::CSPACE, at(slot::CNODE)), (tcb_slot::BUFFER, at(slot::BUFFER))];
    s.boot_thread(Obj(TCB), Obj(SC), 255, 1000 * sim::TICKS_PER_US, 0x1000, &slots);
    s
}

/// Just booted.
pub fn booted() -> Pair {
    booted_with(AddressSpace::BITS_40)
}

/// Just booted, on a machine with address spaces of another shape.
pub fn booted_with(shape: AddressSpace) -> Pair {
    Pair {
        spec: boot_spec(shape),
        core: boot_core(shape),
        root: (Obj(ROOT), RADIX),
        hardware: Hardware::default(),
    }
}

/// An invocation by Call.
pub fn invoke(cap: u64, what: Invocation, words: &[u64], caps: &[u64]) -> Step {
    let label = what.label(sim::HW_DEBUG).unwrap_or(0);
    invoke_label(cap, label, words, caps)
}

/// An invocation by Call, with any label.
pub fn invoke_label(cap: u64, label: u64, words: &[u64], caps: &[u64]) -> Step {
    let mut regs = [0; 9];
    regs[0] = cap;
    regs[1] = MessageInfo::new(label, 0, caps.len() as u64, words.len() as u64).0;
    for (reg, &word) in regs[2..6].iter_mut().zip(words) {
        *reg = word;
    }
    let mut step = Step::syscall(Syscall::Call, regs);
    step.buffer.extend((0..).zip(words).map(|(i, &w)| (ipc::IPC_BUFFER_MSG + 8 * i, w)).skip(4));
    step.buffer.extend((0..).zip(caps).map(|(i, &c)| (ipc::IPC_BUFFER_CAPS + 8 * i, c)));
    step
}

/// A receive.
pub fn receive(from: u64, reply: u64) -> Step {
    let mut regs = [0; 9];
    (regs[0], regs[6]) = (from, reply);
    Step::syscall(Syscall::Recv, regs)
}

/// What a busy system is made of.
pub mod busy {
    #![allow(missing_docs, reason = "named after what is in them")]
    /// Threads 1 to 4, in consecutive slots; thread 0 is the initial one.
    pub const TCB: u64 = 16;
    pub const SC: u64 = 20;
    pub const BUFFER: u64 = 24;
    pub const ENDPOINT: u64 = 28;
    pub const NOTIFICATION: u64 = 31;
    pub const REPLY: u64 = 34;
    pub const BADGED_ENDPOINT: u64 = 38;
    pub const BADGED_NOTIFICATION: u64 = 41;
    pub const FRAME: u64 = 44;
    pub const TABLE: u64 = 46;
    pub const VCPU: u64 = 49;
    pub const IRQ: u64 = 50;
    pub const CNODE: u64 = 51;
    pub const FAULT_HANDLER: u64 = 53;
    pub const UNTYPED: u64 = 54;
    pub const SPARE_SC: u64 = 55;
    pub const PAGE: u64 = 57;
    pub const FIRST_FREE: u64 = 58;
    pub const READ_ONLY_FRAME: u64 = 126;
    pub const DEVICE_FRAME: u64 = 127;
}

/// Steps that make the busy system: four more threads of priorities 254, 253, 252 and 254, the second and third passive
/// servers; with
/// budgets of all kinds, fault and time-out handlers, endpoints, notifications, reply objects, tables, frames, a
/// virtual CPU, an interrupt, CNodes, and a schedule of two domains that is not started.
pub fn busy_script() -> Vec<Step> {
    busy_script_for(AddressSpace::BITS_40)
}

fn busy_script_for(shape: AddressSpace) -> Vec<Step> {
    use Invocation::*;
    use busy as b;
    use slot as s;
    let retype = |kind: ObjectType, bits: u64, at: u64, count: u64| {
        invoke(s::UNTYPED, UntypedRetype, &[kind as u64, bits, 0, 0, at, count], &[s::CNODE])
    };
    let mint = |from: u64, to: u64, rights: u64, badge: u64| {
        invoke(s::CNODE, CNodeMint, &[to, 64, from, 64, rights, badge], &[s::CNODE])
    };
    let mut steps = vec![
        invoke(s::ASID_CONTROL, ArmAsidControlMakePool, &[s::ASID_POOL, 64], &[s::PAGE_UNTYPED, s::CNODE]),
        retype(ObjectType::VSpace, 0, s::VSPACE, 1),
        invoke(s::ASID_POOL, ArmAsidPoolAssign, &[], &[s::VSPACE]),
        invoke(s::TCB, TcbConfigure, &[0, 0, 0x1000], &[s::CNODE, s::VSPACE, s::BUFFER]),
        retype(ObjectType::Tcb, 0, b::TCB, 4),
        retype(ObjectType::SchedContext, 8, b::SC, 4),
        retype(ObjectType::SmallPage, 0, b::BUFFER, 4),
        retype(ObjectType::Endpoint, 0, b::ENDPOINT, 3),
        retype(ObjectType::Notification, 0, b::NOTIFICATION, 3),
        retype(ObjectType::Reply, 0, b::REPLY, 4),
        retype(ObjectType::SmallPage, 0, b::FRAME, 2),
        retype(ObjectType::PageTable, 0, b::TABLE, 3),
        retype(ObjectType::Vcpu, 0, b::VCPU, 1),
        retype(ObjectType::CNode, 2, b::CNODE, 2),
        retype(ObjectType::Untyped, 13, b::UNTYPED, 1),
        retype(ObjectType::SchedContext, 7, b::SPARE_SC, 2),
        retype(ObjectType::Untyped, 12, b::PAGE, 1),
        invoke(
            s::DEVICE_UNTYPED,
            UntypedRetype,
            &[ObjectType::SmallPage as u64, 0, 0, 0, b::DEVICE_FRAME, 1],
            &[s::CNODE],
        ),
        mint(b::FRAME + 1, b::READ_ONLY_FRAME, 2, 0),
        invoke(s::IRQ_CONTROL, IrqIssueIrqHandler, &[33, b::IRQ, 64], &[s::CNODE]),
        invoke(b::IRQ, IrqSetIrqHandler, &[], &[b::NOTIFICATION]),
        mint(b::ENDPOINT, b::BADGED_ENDPOINT, 15, 5),
        mint(b::ENDPOINT + 1, b::BADGED_ENDPOINT + 1, 9, 6),
        mint(b::ENDPOINT, b::BADGED_ENDPOINT + 2, 15, 7),
        mint(b::NOTIFICATION, b::BADGED_NOTIFICATION, 3, 1),
        mint(b::NOTIFICATION + 1, b::BADGED_NOTIFICATION + 1, 1, 2),
        mint(b::NOTIFICATION + 2, b::BADGED_NOTIFICATION + 2, 3, 4),
        mint(b::ENDPOINT + 2, b::FAULT_HANDLER, 15, 99),
    ];
    // One table for each level below the root.
    let tables = 0..shape.table_levels;
    steps.extend(tables.map(|i| invoke(b::TABLE + i, ArmPageTableMap, &[0x20_0000, 0], &[s::VSPACE])));
    steps.extend([
        invoke(b::FRAME, ArmPageMap, &[0x20_0000, 3, 1], &[s::VSPACE]),
        invoke(s::TCB, TcbBindNotification, &[], &[b::NOTIFICATION + 2]),
        invoke(b::VCPU, ArmVcpuSetTcb, &[], &[b::TCB + 3]),
        invoke(s::DOMAIN, DomainScheduleConfigure, &[1, 1, 3000], &[]),
        invoke(s::DOMAIN, DomainScheduleConfigure, &[2, 0, 5000], &[]),
    ]);
    // Budget, period, extra refills, flags of the threads' scheduling contexts.
    let times = [(1000, 10_000, 2, 0), (500, 500, 0, 0), (300, 2000, 1, 1), (100, 400, 4, 1)];
    for (i, (budget, period, extra, flags)) in (0..).zip(times) {
        let (tcb, sc, buffer) = (b::TCB + i, b::SC + i, b::BUFFER + i);
        let words = [budget, period, extra, 100 + i, flags];
        steps.push(invoke(s::SCHED_CONTROL, SchedControlConfigureFlags, &words, &[sc]));
        let address = 0x10_0000 + 0x1000 * i;
        steps.push(invoke(tcb, TcbConfigure, &[0, 0, address], &[s::CNODE, s::VSPACE, buffer]));
        let priority = [254, 253, 252, 254][i as usize];
        let handler = if i == 1 { 0 } else { b::FAULT_HANDLER };
        steps.push(invoke(
            tcb,
            TcbSetSchedParams,
            &[if i == 0 { 254 } else { 250 + i }, priority],
            &[s::TCB, sc, handler],
        ));
        if i == 3 {
            steps.push(invoke(tcb, TcbSetTimeoutEndpoint, &[], &[b::FAULT_HANDLER]));
        }
        let resume = u64::from(i == 1 || i == 2);
        steps.push(invoke(tcb, TcbWriteRegisters, &[resume, 3, 0x1000 * (i + 1), 0x8000, 0], &[]));
    }
    // The second and third run, and wait as servers; then they lose their contexts.
    steps.push(invoke(s::TCB, TcbSetPriority, &[250], &[s::TCB]));
    steps.push(receive(b::ENDPOINT + 1, b::REPLY + 1));
    steps.push(receive(b::ENDPOINT, b::REPLY));
    for i in [1, 2] {
        steps.push(invoke(b::SC + i, SchedContextUnbindObject, &[], &[b::TCB + i]));
    }
    for i in [0, 3] {
        steps.push(invoke(b::TCB + i, TcbResume, &[], &[]));
    }
    steps
}

/// A busy system.
///
/// # Panics
/// When an invocation on the way is refused.
pub fn busy_system() -> Pair {
    busy_system_with(AddressSpace::BITS_40)
}

/// A busy system with address spaces of another shape.
///
/// # Panics
/// When an invocation on the way is refused.
pub fn busy_system_with(shape: AddressSpace) -> Pair {
    let mut pair = booted_with(shape);
    for (number, step) in busy_script_for(shape).iter().enumerate() {
        let caller = pair.spec.current;
        pair.enter(step);
        assert!(succeeded(&pair, caller, step), "step {number} was refused: {step:x?}");
    }
    pair
}

/// Whether a step was no invocation, or one that was answered with success; the caller may not have its answer yet.
pub fn succeeded(pair: &Pair, caller: Option<Obj>, step: &Step) -> bool {
    let is_call = step.event == Event::Syscall(Syscall::Call as i64);
    caller.is_none_or(|c| !is_call || pair.spec.tcb(c).regs[1] >> 12 == 0)
}
