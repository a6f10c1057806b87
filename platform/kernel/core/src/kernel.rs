// SPDX-License-Identifier: BSD-2-Clause
//! The kernel's own state: everything it knows besides the objects that users hold capabilities to.

use crate::addr::PhysAddr;
use crate::benchmark::Tracking;
use crate::budget::Refill;
use crate::cspace::Lookups;
use crate::domain::Domains;
use crate::endpoint::Cancelling;
use crate::layout::{SchedContext, Slot, State, Tcb};
use crate::machine::Machine;
use crate::sched::{Action, ReadyQueues};
use crate::vspace::AsidTable;

/// Interrupt numbers that the kernel keeps a state for.
pub const IRQ_TABLE_SIZE: usize = 1024;

/// Memory that the kernel needs for itself, given by the machine at boot. All zeroed, in memory that is never
/// handed out.
#[derive(Clone, Copy, Debug)]
pub struct KernelMemory {
    /// The idle thread: as large as a TCB, aligned to its size.
    pub idle_tcb: PhysAddr,
    /// The idle thread's scheduling context: 128 bytes.
    pub idle_sched_context: PhysAddr,
    /// One slot (32 bytes) for each interrupt 0..=MAX_IRQ: the notification it signals.
    pub irq_slots: PhysAddr,
    /// [`PARKED_BYTES`](crate::domain::PARKED_BYTES): ready queues of domains whose turn it is not.
    pub parked_queues: PhysAddr,
}

/// What a hardware interrupt is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IrqState {
    /// Nothing: masked.
    Inactive,
    /// A user's notification.
    Signal,
    /// The kernel itself.
    Reserved,
}

/// The kernel of one CPU.
#[derive(Clone, Debug)]
pub struct Kernel<M: Machine> {
    /// The machine.
    pub m: M,
    /// The thread that runs, or will when the kernel is left.
    pub current: Tcb,
    /// The scheduling context that is being charged.
    pub current_sc: SchedContext,
    /// The idle thread.
    pub idle: Tcb,
    /// Its scheduling context.
    pub idle_sc: SchedContext,
    /// What the scheduler has to do before the kernel is left.
    pub action: Action,
    /// Turns of the domains.
    pub domains: Domains,
    /// Runnable threads of the domain whose turn it is.
    pub ready: ReadyQueues,
    /// Of the threads that wait for their next refill, the one that comes due first.
    pub release_root: Option<Tcb>,
    /// How many have ever waited so.
    pub releases: u64,
    /// Time of the last [`Kernel::update_time`].
    pub now: u64,
    /// Ticks since then that are not yet charged to `current_sc`.
    pub consumed: u64,
    /// Whether the deadline has to be set anew before the kernel is left.
    pub reprogram: bool,
    /// Address space identifiers.
    pub asids: AsidTable,
    /// Before this time nothing comes due: the current context keeps its least budget, and nobody's waiting for time ends.
    /// Holds from the last setting of the deadline; 0 when there is no such time.
    pub quiet_before: u64,
    /// When the turn or somebody's waiting for time ends, whichever comes first, as of the last setting of the deadline.
    pub horizon: u64,
    /// Uses of the interrupts.
    pub irq_state: [IrqState; IRQ_TABLE_SIZE],
    /// First of the interrupts' slots.
    pub irq_slots: PhysAddr,
    /// Where the last `CancelBadgedSends` that was stopped goes on.
    pub cancelling: Option<Cancelling>,
    /// Units of work since the last look for waiting interrupts.
    pub work_units: u32,
    /// Thread whose registers and translation are in the hardware; `None`: the idle thread's.
    pub loaded: Option<Tcb>,
    /// What threads' [`switch_key`](Tcb::switch_key) is compared with. A new one makes every thread be looked at anew
    /// before it runs; 0 is nobody's.
    pub switch_key: u64,
    /// Lookups of the fast paths.
    pub lookups: Lookups,
    /// Utilisation, in configuration `benchmark`.
    pub(crate) tracking: Tracking,
    /// The first task's CNode, from which everything can be reached.
    #[cfg(any(test, feature = "sim", feature = "paranoid"))]
    pub root: Option<Slot>,
    /// How often each fast path was taken.
    #[cfg(any(test, feature = "sim"))]
    pub taken: [u64; crate::fastpath::Path::COUNT],
}

impl<M: Machine> Kernel<M> {
    /// A kernel that runs nothing yet. `None` when `memory` names address 0.
    pub fn new(m: M, memory: KernelMemory) -> Option<Self> {
        let now = m.now();
        let mut kernel = Self {
            m,
            current: Tcb::at(memory.idle_tcb)?,
            current_sc: SchedContext::at(memory.idle_sched_context)?,
            idle: Tcb::at(memory.idle_tcb)?,
            idle_sc: SchedContext::at(memory.idle_sched_context)?,
            action: Action::ResumeCurrent,
            domains: Domains::new(memory.parked_queues, now),
            ready: ReadyQueues::new(),
            release_root: None,
            releases: 0,
            now,
            consumed: 0,
            reprogram: true,
            quiet_before: 0,
            horizon: 0,
            asids: AsidTable::new(),
            irq_state: [IrqState::Inactive; IRQ_TABLE_SIZE],
            irq_slots: memory.irq_slots,
            cancelling: None,
            work_units: 0,
            loaded: None,
            switch_key: 1,
            lookups: Lookups::new(),
            tracking: Tracking::default(),
            #[cfg(any(test, feature = "sim", feature = "paranoid"))]
            root: None,
            #[cfg(any(test, feature = "sim"))]
            taken: [0; crate::fastpath::Path::COUNT],
        };
        kernel.init_idle();
        Some(kernel)
    }

    fn init_idle(&mut self) {
        let (idle, sc) = (self.idle, self.idle_sc);
        idle.set_state(&mut self.m, State::Idle);
        idle.set_sched_context(&mut self.m, Some(sc));
        sc.set_tcb(&mut self.m, Some(idle));
        // The idle thread is never charged: one refill that never ends.
        let first = Refill { time: 0, amount: u64::MAX };
        sc.set_up(&mut self.m, u64::MAX, 0, kernel_abi::object::MIN_REFILLS, first);
    }

    /// The slot that holds the notification of an interrupt.
    pub fn irq_slot(&self, irq: u64) -> Option<Slot> {
        if irq > M::MAX_IRQ {
            return None;
        }
        Slot::at(self.irq_slots.add(irq << kernel_abi::object::SLOT_BITS))
    }

    /// Counts a unit of work of a long operation; an interrupt that waits stops it now and then.
    pub fn preemption_point(&mut self) -> Result<(), crate::Stop> {
        self.work_units += 1;
        if self.work_units < kernel_abi::WORK_UNITS_PER_PREEMPTION {
            return Ok(());
        }
        self.preemption_check()
    }

    /// Looks whether a long operation has to stop: an interrupt waits, or the budget is used up.
    pub fn preemption_check(&mut self) -> Result<(), crate::Stop> {
        self.work_units = 0;
        if self.m.irq_pending() {
            return Err(crate::Stop::Preempted);
        }
        self.update_time();
        if self.current_has_time() { Ok(()) } else { Err(crate::Stop::Preempted) }
    }
}
