// SPDX-License-Identifier: BSD-2-Clause
//! A small system to test in: threads that share one CNode, and registers to make system calls with.

use crate::addr::PhysAddr;
use crate::budget::Refill;
use crate::cap::Cap;
use crate::cspace::slot_of;
use crate::kernel::{IrqState, Kernel};
use crate::layout::{Endpoint, Notification, Reply, SchedContext, Slot, State, Tcb, TcbSlot};
use crate::sim::{SimMachine, TICKS_PER_US};
use kernel_abi::context::stored;
use kernel_abi::{Invocation, MessageInfo, ObjectType, Syscall};

const BASE: u64 = 0x4000_0000;
const BYTES: u64 = 8 << 20;
const RADIX: u8 = 10;

/// Slots that are filled from the start.
pub(crate) const ROOT: u64 = 1;
pub(crate) const UNTYPED: u64 = 2;
pub(crate) const SCHED_CONTROL: u64 = 3;
pub(crate) const IRQ_CONTROL: u64 = 4;
pub(crate) const DOMAIN: u64 = 5;

/// The system.
pub(crate) struct World {
    pub(crate) kernel: Kernel<SimMachine>,
    first: Slot,
    next_slot: u64,
}

impl World {
    /// One running thread of priority 100, with the untyped and control capabilities.
    pub(crate) fn new() -> (Self, Tcb) {
        let mut kernel = SimMachine::kernel(BASE, BYTES);
        let first = Slot::at(PhysAddr(BASE + 0x10_0000)).unwrap();
        let mut world = Self { first, next_slot: 16, kernel };
        let root = world.root_cap();
        world.kernel.insert_root(root, slot_of(first, ROOT));
        let at = PhysAddr(BASE + 0x40_0000);
        let untyped = Cap::Untyped { at, bits: 22, device: false, used: 0, zeroing: false };
        world.kernel.insert_root(untyped, slot_of(first, UNTYPED));
        world.kernel.insert_root(Cap::SchedControl { core: 0 }, slot_of(first, SCHED_CONTROL));
        world.kernel.insert_root(Cap::IrqControl, slot_of(first, IRQ_CONTROL));
        world.kernel.insert_root(Cap::Domain, slot_of(first, DOMAIN));
        kernel = world.kernel;
        world = Self { first, next_slot: 16, kernel };
        let tcb = Tcb::at(PhysAddr(BASE + 0x20_0000)).unwrap();
        let sc = SchedContext::at(PhysAddr(BASE + 0x20_1000)).unwrap();
        world.kernel.init_thread(tcb);
        world.prepare(tcb, 100);
        world.give_time(tcb, sc, 1000, 1000);
        tcb.set_state(&mut world.kernel.m, State::Running);
        world.kernel.current = tcb;
        world.kernel.current_sc = sc;
        (world, tcb)
    }

    fn root_cap(&self) -> Cap {
        Cap::CNode { at: self.first, radix: RADIX, guard: 0, guard_size: 64 - RADIX }
    }

    fn prepare(&mut self, tcb: Tcb, priority: u64) {
        let root = self.root_cap();
        self.kernel.insert_derived(root, slot_of(self.first, ROOT), tcb.slot(TcbSlot::CSpace));
        tcb.set_priority(&mut self.kernel.m, priority);
        tcb.set_max_priority(&mut self.kernel.m, 255);
    }

    fn give_time(&mut self, tcb: Tcb, sc: SchedContext, budget_us: u64, period_us: u64) {
        let m = &mut self.kernel.m;
        let period = if budget_us == period_us { 0 } else { period_us * TICKS_PER_US };
        let budget = budget_us * TICKS_PER_US;
        sc.set_up(m, budget, period, 2, Refill { time: 0, amount: budget });
        sc.set_tcb(&mut self.kernel.m, Some(tcb));
        tcb.set_sched_context(&mut self.kernel.m, Some(sc));
    }

    /// A slot of the shared CNode.
    pub(crate) fn slot(&self, index: u64) -> Slot {
        slot_of(self.first, index)
    }

    /// The capability in a slot of the shared CNode.
    pub(crate) fn cap(&self, index: u64) -> Cap {
        self.slot(index).cap(&self.kernel.m)
    }

    /// An index that was not given out yet.
    pub(crate) fn free(&mut self) -> u64 {
        self.next_slot += 1;
        self.next_slot
    }

    /// Makes an object by `Untyped_Retype`; returns the slot index of its capability.
    pub(crate) fn make(&mut self, kind: ObjectType, size_bits: u64) -> u64 {
        let index = self.free();
        let (label, _) = self.invoke(
            UNTYPED,
            Invocation::UntypedRetype,
            &[kind as u64, size_bits, 0, 0, index, 1],
            &[ROOT],
        );
        assert_eq!(label, 0, "retype of {kind:?}");
        index
    }

    /// A thread of its own, not started; with a context when `budget_us` is not 0.
    pub(crate) fn thread(&mut self, priority: u64, budget_us: u64, period_us: u64) -> (u64, Tcb) {
        let index = self.make(ObjectType::Tcb, 0);
        let Cap::Thread { at } = self.cap(index) else { panic!("no thread") };
        self.prepare(at, priority);
        if budget_us != 0 {
            let sc = self.make(ObjectType::SchedContext, 8);
            let Cap::SchedContext { at: sc, .. } = self.cap(sc) else { panic!("no context") };
            self.give_time(at, sc, budget_us, period_us);
        }
        (index, at)
    }

    pub(crate) fn endpoint(&mut self) -> (u64, Endpoint) {
        let index = self.make(ObjectType::Endpoint, 0);
        let Cap::Endpoint { at, .. } = self.cap(index) else { panic!("no endpoint") };
        (index, at)
    }

    pub(crate) fn notification(&mut self) -> (u64, Notification) {
        let index = self.make(ObjectType::Notification, 0);
        let Cap::Notification { at, .. } = self.cap(index) else { panic!("no notification") };
        (index, at)
    }

    pub(crate) fn reply(&mut self) -> (u64, Reply) {
        let index = self.make(ObjectType::Reply, 0);
        let Cap::Reply { at, .. } = self.cap(index) else { panic!("no reply object") };
        (index, at)
    }

    /// Makes a system call as the current thread, with up to six argument registers x0.. and x6.
    pub(crate) fn syscall(&mut self, call: Syscall, x: &[u64], x6: u64) {
        let current = self.kernel.current;
        for (index, &value) in x.iter().enumerate() {
            current.set_reg(&mut self.kernel.m, index, value);
        }
        current.set_reg(&mut self.kernel.m, 6, x6);
        let pc = current.reg(&self.kernel.m, stored::PC) + 4;
        current.set_reg(&mut self.kernel.m, stored::PC, pc);
        self.kernel.handle_syscall(call as i64 as u64);
    }

    /// Gives a thread an IPC buffer; the same to all.
    pub(crate) fn give_buffer(&mut self, tcb: Tcb) -> PhysAddr {
        let buffer = PhysAddr(BASE + 0x30_0000);
        let frame = Cap::Frame {
            at: buffer,
            size: crate::cap::FrameSize::Small,
            rights: crate::cap::FrameRights { read: true, write: true },
            device: false,
            mapping: None,
        };
        tcb.slot(TcbSlot::IpcBuffer).set_cap(&mut self.kernel.m, frame);
        buffer
    }

    /// Invokes a capability by Call as the current thread, past the registers: arguments and capabilities are put
    /// into a buffer. Returns label and first word of the answer. Panics when the thread did not get one.
    pub(crate) fn invoke(&mut self, cap: u64, what: Invocation, words: &[u64], caps: &[u64]) -> (u64, u64) {
        let current = self.kernel.current;
        let buffer = self.give_buffer(current);
        for (index, &word) in (0..).zip(words) {
            self.kernel.set_message_word(current, Some(buffer), index, word);
        }
        for (index, &cap) in (0..).zip(caps) {
            self.kernel.m.store_word(buffer.add(kernel_abi::ipc::IPC_BUFFER_CAPS + 8 * index), cap);
        }
        let info = MessageInfo::new(
            what.label(crate::sim::HW_DEBUG).unwrap(),
            0,
            caps.len() as u64,
            words.len() as u64,
        );
        current.set_reg(&mut self.kernel.m, 0, cap);
        current.set_reg(&mut self.kernel.m, 1, info.0);
        self.kernel.handle_syscall(Syscall::Call as i64 as u64);
        let answer = MessageInfo(current.reg(&self.kernel.m, 1));
        let word = current.reg(&self.kernel.m, 2);
        current.slot(TcbSlot::IpcBuffer).set_cap(&mut self.kernel.m, Cap::Null);
        (answer.label(), word)
    }

    /// Lets `tcb` run next, as if it had been chosen, and the current thread wait.
    pub(crate) fn run(&mut self, tcb: Tcb) {
        let now = self.kernel.current;
        if now != tcb {
            if now != self.kernel.idle && now.state(&self.kernel.m).is_runnable() {
                self.kernel.enqueue_last(now);
            }
            self.kernel.dequeue(tcb);
            tcb.set_state(&mut self.kernel.m, State::Running);
            self.kernel.current = tcb;
            self.kernel.current_sc = tcb.sched_context(&self.kernel.m).expect("a thread with time");
        }
    }

    /// The derivation list is consistent: every link has its counterpart.
    pub(crate) fn check_links(&self) {
        for index in 0..1 << RADIX {
            let slot = self.slot(index);
            let m = &self.kernel.m;
            if let Some(next) = slot.next(m) {
                assert_eq!(next.prev(m), Some(slot), "behind slot {index}");
            }
            if let Some(prev) = slot.prev(m) {
                assert_eq!(prev.next(m), Some(slot), "before slot {index}");
            }
            assert!(
                !slot.is_empty(m) || slot.next(m).is_none() && slot.prev(m).is_none(),
                "empty slot {index}"
            );
        }
    }

    pub(crate) fn irq_state(&self, irq: usize) -> IrqState {
        self.kernel.irq_state[irq]
    }
}
