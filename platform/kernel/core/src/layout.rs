// SPDX-License-Identifier: BSD-2-Clause
//! Where the kernel's objects keep their fields: typed references to objects in physical memory.
//!
//! A reference such as [`Tcb`] is a non-zero physical address; a field is a word (or part of one) at a fixed offset.
//! References come only from capabilities, queues and fields that the kernel itself wrote.

use crate::addr::PhysAddr;
use crate::machine::Machine;
use core::num::NonZeroU64;

/// A value that fits into one word of an object.
pub trait Word: Copy {
    /// From the word.
    fn from_word(word: u64) -> Self;
    /// To the word.
    fn to_word(self) -> u64;
}

impl Word for u64 {
    #[inline(always)]
    fn from_word(word: u64) -> Self {
        word
    }
    #[inline(always)]
    fn to_word(self) -> u64 {
        self
    }
}

impl Word for bool {
    #[inline(always)]
    fn from_word(word: u64) -> Self {
        word != 0
    }
    #[inline(always)]
    fn to_word(self) -> u64 {
        self as u64
    }
}

macro_rules! objects {
    ($($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident / $set:ident: $ty:ty = $offset:expr,)* })*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(NonZeroU64);

        impl $name {
            /// The object at `at`; `None` for address 0, which is no object.
            #[inline(always)]
            pub const fn at(at: PhysAddr) -> Option<Self> {
                match NonZeroU64::new(at.0) { Some(n) => Some(Self(n)), None => None }
            }
            /// Its physical address.
            #[inline(always)]
            pub const fn addr(self) -> PhysAddr {
                PhysAddr(self.0.get())
            }
            $(
                $(#[$fdoc])*
                #[inline(always)]
                pub fn $field<M: Machine>(self, m: &M) -> $ty {
                    <$ty as Word>::from_word(m.load_at(self.addr(), $offset))
                }
                /// Writes the field.
                #[inline(always)]
                pub fn $set<M: Machine>(self, m: &mut M, value: $ty) {
                    m.store_at(self.addr(), $offset, Word::to_word(value));
                }
            )*
        }

        impl Word for Option<$name> {
            #[inline(always)]
            fn from_word(word: u64) -> Self {
                $name::at(PhysAddr(word))
            }
            #[inline(always)]
            fn to_word(self) -> u64 {
                match self { Some(o) => o.0.get(), None => 0 }
            }
        }
    )* };
}

objects! {
    /// A capability slot: two words of capability, then the derivation list's links ([`crate::cdt`]).
    Slot {
        /// First word of the capability.
        word0/set_word0: u64 = 0,
        /// Second word of the capability.
        word1/set_word1: u64 = 8,
        /// Link backwards and flags.
        mdb0/set_mdb0: u64 = 16,
        /// Link forwards.
        mdb1/set_mdb1: u64 = 24,
    }

    /// A thread. Starts with its own five capability slots ([`Tcb::slot`]); registers at [`Tcb::REGISTERS`];
    /// FPU registers at [`Tcb::FPU`].
    Tcb {
        /// Thread state ([`State`]).
        state_word/set_state_word: u64 = 544,
        /// Endpoint or notification that it is blocked on.
        blocked_on/set_blocked_on: u64 = 552,
        /// Badge of the capability with which it sends.
        blocked_badge/set_blocked_badge: u64 = 560,
        /// Rights and kind of a blocked send or receive ([`blocked`]).
        blocked_flags/set_blocked_flags: u64 = 568,
        /// Reply object given with a receive, or through which it waits for a reply.
        reply/set_reply: Option<Reply> = 576,
        /// Notification bound to it.
        bound_notification/set_bound_notification: Option<Notification> = 584,
        /// Scheduling context that it runs on.
        sched_context/set_sched_context: Option<SchedContext> = 592,
        /// Scheduling context that it yielded to.
        yield_to/set_yield_to: Option<SchedContext> = 600,
        /// Priority, 0 to 255.
        priority/set_priority: u64 = 608,
        /// Greatest priority that it may set on others.
        max_priority/set_max_priority: u64 = 616,
        /// Scheduling domain.
        domain/set_domain: u64 = 624,
        /// Thread flags (bit 0: FPU disabled).
        flags/set_flags: u64 = 632,
        /// Which queue it is in ([`queued`]).
        queued/set_queued: u64 = 640,
        /// Next in the ready queue.
        sched_next/set_sched_next: Option<Tcb> = 648,
        /// Previous in the ready queue.
        sched_prev/set_sched_prev: Option<Tcb> = 656,
        /// Next in an endpoint's or notification's queue.
        queue_next/set_queue_next: Option<Tcb> = 664,
        /// Previous in an endpoint's or notification's queue.
        queue_prev/set_queue_prev: Option<Tcb> = 672,
        /// User address of its IPC buffer.
        ipc_buffer/set_ipc_buffer: u64 = 680,
        /// Virtual CPU bound to it.
        vcpu/set_vcpu: Option<Vcpu> = 688,
        /// Fault that it waits with: label ([`kernel_abi::fault`]), 0 for none.
        fault_label/set_fault_label: u64 = 696,
        /// Word 0 of the fault.
        fault0/set_fault0: u64 = 704,
        /// Word 1 of the fault.
        fault1/set_fault1: u64 = 712,
        /// Word 2 of the fault.
        fault2/set_fault2: u64 = 720,
        /// Word 3 of the fault.
        fault3/set_fault3: u64 = 728,
        /// Word 4 of the fault.
        fault4/set_fault4: u64 = 736,
        /// Word 5 of the fault.
        fault5/set_fault5: u64 = 744,
        /// The stored PC is that of the instruction to run next after an interrupted system call.
        restart_pc/set_restart_pc: u64 = 752,
        /// While equal to [`Kernel::switch_key`](crate::Kernel::switch_key): the word behind it is right, and the
        /// thread has no virtual CPU; while its complement: the word is right, and the thread has one.
        switch_key/set_switch_key: u64 = 760,
        /// Its translation as the machine takes it ([`Machine::space_word`]).
        switch_space/set_switch_space: u64 = 768,
        /// Of the newest lender of a context: the context ([`crate::lending`]).
        lent/set_lent: Option<SchedContext> = 776,
        /// Of a lender: who had lent the same context before.
        older_lender/set_older_lender: Option<Tcb> = 784,
        /// Of a lender: who lent the same context next.
        newer_lender/set_newer_lender: Option<Tcb> = 792,
        /// Of the last thread of a priority in a queue: the last one of the next better priority ([`crate::waiting`]).
        better_rank/set_better_rank: Option<Tcb> = 800,
        /// Likewise of the next worse one.
        worse_rank/set_worse_rank: Option<Tcb> = 808,
        /// Among those that wait for time ([`crate::release`]): whose subtree it is.
        release_up/set_release_up: Option<Tcb> = 816,
        /// The subtree that reaches further.
        release_left/set_release_left: Option<Tcb> = 824,
        /// The other one.
        release_right/set_release_right: Option<Tcb> = 832,
        /// One more than the reach of the right subtree.
        release_reach/set_release_reach: u64 = 840,
        /// When it comes due, in ticks.
        release_time/set_release_time: u64 = 848,
        /// How many came before it.
        release_order/set_release_order: u64 = 856,
    }

    /// An endpoint: a queue of senders or of receivers.
    Endpoint {
        /// First thread in the queue, with [`queue_state`] in the low bits.
        head_word/set_head_word: u64 = 0,
        /// Last thread in the queue.
        tail/set_tail: Option<Tcb> = 8,
    }

    /// A notification.
    Notification {
        /// [`notification_state`].
        state_word/set_state_word: u64 = 0,
        /// Badges signalled and not yet received.
        badge/set_badge: u64 = 8,
        /// First waiting thread.
        head/set_head: Option<Tcb> = 16,
        /// Last waiting thread.
        tail/set_tail: Option<Tcb> = 24,
        /// Bound thread.
        bound_tcb/set_bound_tcb: Option<Tcb> = 32,
        /// Bound scheduling context.
        sched_context/set_sched_context: Option<SchedContext> = 40,
    }

    /// A reply object.
    Reply {
        /// The thread that has it: a receiver that has given it with its receive, or a caller that waits for an answer.
        tcb/set_tcb: Option<Tcb> = 0,
    }

    /// A scheduling context: a share of the CPU ([`crate::budget`]). Later refills follow at [`SchedContext::LATER`].
    SchedContext {
        /// Period in ticks; 0 means round robin.
        period/set_period: u64 = 0,
        /// Ticks consumed since last asked.
        consumed/set_consumed: u64 = 8,
        /// Budget in ticks.
        budget/set_budget: u64 = 16,
        /// Thread that runs on it.
        tcb/set_tcb: Option<Tcb> = 24,
        /// The newest of the callers that have lent it ([`crate::lending`]).
        newest_lender/set_newest_lender: Option<Tcb> = 32,
        /// Notification bound to it.
        notification/set_notification: Option<Notification> = 40,
        /// Badge, told in time-out faults.
        badge/set_badge: u64 = 48,
        /// Thread that yielded to it and waits for the consumed time.
        yield_from/set_yield_from: Option<Tcb> = 56,
        /// Most refills; 0 while it was never configured.
        max_refills/set_max_refills: u64 = 64,
        /// Where in the ring of the later refills the earliest is.
        later_start/set_later_start: u64 = 72,
        /// How many of them there are.
        later_count/set_later_count: u64 = 80,
        /// Sporadic replenishment instead of constant bandwidth.
        sporadic/set_sporadic: bool = 88,
        /// When the first refill may be used, in ticks.
        first_time/set_first_time: u64 = 96,
        /// How much it is, in ticks.
        first_amount/set_first_amount: u64 = 104,
    }

    /// A virtual CPU. The bound thread is its first word; the rest belongs to the machine.
    Vcpu {
        /// Bound thread.
        tcb/set_tcb: Option<Tcb> = 0,
    }
}

/// Slots at the start of a TCB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum TcbSlot {
    /// Root of the CSpace.
    CSpace = 0,
    /// Address space.
    VSpace = 1,
    /// Frame of the IPC buffer.
    IpcBuffer = 2,
    /// Endpoint for faults.
    FaultHandler = 3,
    /// Endpoint for time-outs.
    TimeoutHandler = 4,
}

impl TcbSlot {
    /// How many there are.
    pub const COUNT: u64 = 5;
}

impl Tcb {
    /// Byte offset of the stored registers, in the order of [`kernel_abi::context::stored`].
    pub const REGISTERS: u64 = 256;
    /// Byte offset of the FPU registers: q0 to q31, then FPSR and FPCR as words.
    pub const FPU: u64 = 1024;
    /// Byte offset of the thread's name (debug only).
    pub const NAME: u64 = 1600;
    /// Bytes of the name.
    pub const NAME_BYTES: u64 = 128;

    /// One of its own slots.
    #[inline(always)]
    pub fn slot(self, which: TcbSlot) -> Slot {
        Slot(self.0.saturating_add((which as u64) << kernel_abi::object::SLOT_BITS))
    }
    /// A stored register (index in [`kernel_abi::context::stored`]).
    #[inline(always)]
    pub fn reg<M: Machine>(self, m: &M, index: usize) -> u64 {
        m.load_at(self.addr(), Self::REGISTERS + 8 * index as u64)
    }
    /// Writes a stored register.
    #[inline(always)]
    pub fn set_reg<M: Machine>(self, m: &mut M, index: usize, value: u64) {
        m.store_at(self.addr(), Self::REGISTERS + 8 * index as u64, value);
    }
    /// Thread state.
    #[inline(always)]
    pub fn state<M: Machine>(self, m: &M) -> State {
        State::from_word(self.state_word(m))
    }
    /// Sets the thread state.
    #[inline(always)]
    pub fn set_state<M: Machine>(self, m: &mut M, state: State) {
        self.set_state_word(m, state as u64);
    }
}

/// What a thread is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u64)]
pub enum State {
    /// Not started, or suspended.
    Inactive = 0,
    /// Runs, or would if scheduled.
    Running = 1,
    /// Runs again from its restart PC when scheduled.
    Restart = 2,
    /// Waits in an endpoint for a message.
    BlockedOnReceive = 3,
    /// Waits in an endpoint to hand its message over.
    BlockedOnSend = 4,
    /// Waits for a reply.
    BlockedOnReply = 5,
    /// Waits for a signal.
    BlockedOnNotification = 6,
    /// The idle thread.
    Idle = 7,
}

impl State {
    #[inline(always)]
    fn from_word(word: u64) -> Self {
        match word {
            1 => Self::Running,
            2 => Self::Restart,
            3 => Self::BlockedOnReceive,
            4 => Self::BlockedOnSend,
            5 => Self::BlockedOnReply,
            6 => Self::BlockedOnNotification,
            7 => Self::Idle,
            _ => Self::Inactive,
        }
    }
    /// Running or Restart.
    #[inline(always)]
    pub fn is_runnable(self) -> bool {
        matches!(self, Self::Running | Self::Restart)
    }
}

/// Bits of [`Tcb::blocked_flags`].
pub mod blocked {
    /// The capability carries Grant.
    pub const CAN_GRANT: u64 = 1;
    /// The capability carries GrantReply.
    pub const CAN_GRANT_REPLY: u64 = 2;
    /// The send is a call (or a fault).
    pub const IS_CALL: u64 = 4;
}

/// Values of [`Tcb::queued`].
pub mod queued {
    /// In no scheduler queue.
    pub const NONE: u64 = 0;
    /// In a ready queue.
    pub const READY: u64 = 1;
    /// Among those that wait for time.
    pub const RELEASE: u64 = 2;
}

/// Low bits of [`Endpoint::head_word`]; a thread's address has them clear.
pub mod queue_state {
    /// Nobody waits.
    pub const IDLE: u64 = 0;
    /// Senders wait.
    pub const SEND: u64 = 1;
    /// Receivers wait.
    pub const RECEIVE: u64 = 2;
    /// All bits of the state.
    pub const MASK: u64 = 3;
}

/// Values of [`Notification::state_word`].
pub mod notification_state {
    /// No badge and nobody waits.
    pub const IDLE: u64 = 0;
    /// Threads wait.
    pub const WAITING: u64 = 1;
    /// A badge is there.
    pub const ACTIVE: u64 = 2;
}

impl SchedContext {
    /// Byte offset of the later refills, 16 bytes each: time, amount, both in ticks.
    pub const LATER: u64 = 112;
}
