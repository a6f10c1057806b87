// SPDX-License-Identifier: BSD-2-Clause
//! Everything the kernel knows: objects, capabilities, the derivation tree, queues and time.

use crate::cap::Cap;
use crate::cdt::Tree;
use crate::domain::Schedule;
use crate::fault::Fault;
use crate::hardware_debug::Breakpoint;
use crate::refill::Refill;
use crate::vspace::Entry;
use kernel_abi::object::AddressSpace;
use std::collections::{BTreeMap, BTreeSet};

/// An object's name: the physical address of its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Obj(pub u64);

/// Something with capability slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// A CNode with its radix.
    CNode(Obj, u64),
    /// A thread: slots [`tcb_slot`].
    Tcb(Obj),
    /// The kernel's table of interrupts: slot n holds the notification of interrupt n.
    Irq,
}

impl Holder {
    /// Number of slots.
    pub fn slots(self) -> u64 {
        match self {
            Self::CNode(_, radix) => 1 << radix,
            Self::Tcb(_) => tcb_slot::COUNT,
            Self::Irq => u64::MAX,
        }
    }
}

/// A capability slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// Whose.
    pub holder: Holder,
    /// Which.
    pub index: u64,
}

/// The slots of a thread.
pub mod tcb_slot {
    /// Root of its CSpace.
    pub const CSPACE: u64 = 0;
    /// Its address space.
    pub const VSPACE: u64 = 1;
    /// Frame with its IPC buffer.
    pub const BUFFER: u64 = 2;
    /// Endpoint for faults.
    pub const FAULT: u64 = 3;
    /// Endpoint for time-outs.
    pub const TIMEOUT: u64 = 4;
    /// How many there are.
    pub const COUNT: u64 = 5;
}

/// The machine and the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Labels of the hardware debug interface.
    pub hw_debug: bool,
    /// The system calls of configuration `benchmark`.
    pub benchmark: bool,
    /// The kernel extension.
    pub extension: bool,
    /// log2 of a TCB.
    pub tcb_bits: u64,
    /// Timer ticks in a microsecond.
    pub ticks_per_us: u64,
    /// Least budget in ticks: twice the kernel's worst-case execution time.
    pub min_budget: u64,
    /// Longest period, in microseconds.
    pub max_period_us: u64,
    /// Greatest interrupt number.
    pub max_irq: u64,
    /// Interrupts that the kernel keeps for itself.
    pub kernel_irqs: BTreeSet<u64>,
    /// Interrupts that are private to a virtual CPU.
    pub virtual_ppis: BTreeSet<u64>,
    /// List registers of a virtual CPU.
    pub list_registers: u64,
    /// Shape of an address space.
    pub address_space: AddressSpace,
    /// Highest physical address plus one.
    pub memory: (u64, u64),
}

impl Config {
    /// Budget from here on is not used up any more, so that no time overflows. In ticks.
    pub(crate) fn end_of_time(&self) -> u64 {
        u64::MAX - 5 * self.max_period_us * self.ticks_per_us
    }
}

/// What a thread is doing (manual 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThreadState {
    /// Not started, or suspended.
    Inactive,
    /// Could run.
    Running,
    /// Could run, and then starts at its fault IP: what it was doing is tried again.
    Restart,
    /// Waits for a message.
    BlockedOnReceive {
        /// Where.
        endpoint: Obj,
        /// Reply object it brought.
        reply: Option<Obj>,
    },
    /// Waits to hand over its message.
    BlockedOnSend {
        /// Where.
        endpoint: Obj,
        /// Badge of its capability.
        badge: u64,
        /// Whether its capability has Grant.
        can_grant: bool,
        /// Whether its capability has GrantReply.
        can_grant_reply: bool,
        /// Whether it wants a reply.
        is_call: bool,
    },
    /// Waits for the reply through a reply object.
    BlockedOnReply {
        /// Which.
        reply: Obj,
    },
    /// Waits for a signal.
    BlockedOnNotification {
        /// Where.
        notification: Obj,
    },
}

impl ThreadState {
    /// Whether nothing but time keeps it from running.
    pub fn is_runnable(self) -> bool {
        matches!(self, Self::Running | Self::Restart)
    }
    /// Whether it waits for somebody.
    pub fn is_blocked(self) -> bool {
        !self.is_runnable() && self != Self::Inactive
    }
}

/// A thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tcb {
    /// What it is doing.
    pub state: ThreadState,
    /// Fault that it waits with.
    pub fault: Option<Fault>,
    /// Registers in the order of `kernel_abi::context::stored`; PC is where it goes on.
    pub regs: [u64; kernel_abi::context::WORDS],
    /// Where it starts again when restarted: the instruction that entered the kernel.
    pub fault_ip: u64,
    /// Priority.
    pub priority: u64,
    /// Greatest priority that it may set.
    pub mcp: u64,
    /// Scheduling context it runs on.
    pub sched_context: Option<Obj>,
    /// Scheduling context it yielded to and whose consumed time it waits for.
    pub yield_to: Option<Obj>,
    /// Bound notification.
    pub notification: Option<Obj>,
    /// Address of the IPC buffer.
    pub buffer: u64,
    /// Bound virtual CPU.
    pub vcpu: Option<Obj>,
    /// Feature flags.
    pub flags: u64,
    /// Domain.
    pub domain: u64,
    /// Breakpoints and watchpoints that are set, by number.
    pub breakpoints: BTreeMap<u64, Breakpoint>,
    /// Instructions between two step faults; 0: none.
    pub steps: u64,
    /// Instructions until the next step fault.
    pub steps_left: u64,
}

/// An endpoint: who waits, all of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Endpoint {
    /// Waiting threads, first served first.
    pub queue: Vec<Obj>,
    /// Whether they send (else receive). Means nothing when nobody waits.
    pub sending: bool,
}

/// A notification.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Notification {
    /// Badges signalled and not yet received. `None`: not signalled (a signal with badge 0 is one).
    pub signalled: Option<u64>,
    /// Waiting threads, first served first.
    pub queue: Vec<Obj>,
    /// Bound thread.
    pub tcb: Option<Obj>,
    /// Bound scheduling context.
    pub sched_context: Option<Obj>,
}

/// A scheduling context.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SchedContext {
    /// Times at which budget comes, soonest first; empty while not configured.
    pub refills: Vec<Refill>,
    /// Most refills; 0 while not configured.
    pub max_refills: usize,
    /// Period in ticks; 0 for round-robin (budget equal to period).
    pub period: u64,
    /// Ticks consumed since last asked.
    pub consumed: u64,
    /// Badge for time-out faults.
    pub badge: u64,
    /// Sporadic instead of constant bandwidth.
    pub sporadic: bool,
    /// Thread that runs on it.
    pub tcb: Option<Obj>,
    /// Bound notification.
    pub notification: Option<Obj>,
    /// Reply objects along which it was donated; the last is the newest.
    pub replies: Vec<Obj>,
    /// Thread that yielded to it and waits.
    pub yield_from: Option<Obj>,
}

/// A virtual CPU.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Vcpu {
    /// Bound thread.
    pub tcb: Option<Obj>,
    /// Registers written, by index, and what follows them in its state.
    pub registers: BTreeMap<u64, u64>,
    /// Interrupts in its list registers, by their index, as words of the kernel extension.
    pub list_registers: BTreeMap<u64, u64>,
}

/// What the scheduler was asked for since the entry began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Go on with the current thread.
    Resume,
    /// Choose.
    Choose,
    /// Switch to this thread if it may run.
    SwitchTo(Obj),
}

/// The kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Configuration.
    pub config: Config,
    /// Full slots.
    pub caps: BTreeMap<Slot, Cap>,
    /// Derivation tree over the full slots.
    pub tree: Tree,
    /// Threads.
    pub tcbs: BTreeMap<Obj, Tcb>,
    /// Endpoints.
    pub endpoints: BTreeMap<Obj, Endpoint>,
    /// Notifications.
    pub notifications: BTreeMap<Obj, Notification>,
    /// Reply objects, each with the thread that waits behind it (for a message to come with it, or for its reply).
    pub replies: BTreeMap<Obj, Option<Obj>>,
    /// Scheduling contexts.
    pub sched_contexts: BTreeMap<Obj, SchedContext>,
    /// Translation tables, VSpace roots included: entries by index.
    pub tables: BTreeMap<Obj, BTreeMap<u64, Entry>>,
    /// ASID pools by their first ASID.
    pub asid_pools: BTreeMap<u64, Obj>,
    /// Address spaces by ASID.
    pub asids: BTreeMap<u64, Obj>,
    /// Virtual CPUs.
    pub vcpus: BTreeMap<Obj, Vcpu>,
    /// Interrupts with a handler capability.
    pub irqs_issued: BTreeSet<u64>,
    /// Interrupts that are not masked.
    pub irqs_enabled: BTreeSet<u64>,
    /// Words of memory that are not zero, by physical address: IPC buffers and what users wrote.
    pub memory: BTreeMap<u64, u64>,
    /// Running thread; `None`: idle.
    pub current: Option<Obj>,
    /// Scheduling context that time is charged to; `None`: idle.
    pub current_sc: Option<Obj>,
    /// Threads that could run, by domain and priority; the running one is not among them.
    pub ready: BTreeMap<(u64, u64), Vec<Obj>>,
    /// Turns of the domains.
    pub domains: Schedule,
    /// Threads that wait for budget, soonest first.
    pub release: Vec<Obj>,
    /// What the scheduler was asked for.
    pub action: Action,
    /// Time of this kernel entry.
    pub now: u64,
    /// Time used since it was last charged.
    pub uncharged: u64,
    /// Whether time has to be charged before the entry ends, because a decision was based on `now`.
    pub charge: bool,
}

impl State {
    /// A kernel without objects; the boot protocol (here: a test) fills it.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            caps: BTreeMap::new(),
            tree: Tree::default(),
            tcbs: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            notifications: BTreeMap::new(),
            replies: BTreeMap::new(),
            sched_contexts: BTreeMap::new(),
            tables: BTreeMap::new(),
            asid_pools: BTreeMap::new(),
            asids: BTreeMap::new(),
            vcpus: BTreeMap::new(),
            irqs_issued: BTreeSet::new(),
            irqs_enabled: BTreeSet::new(),
            memory: BTreeMap::new(),
            current: None,
            current_sc: None,
            ready: BTreeMap::new(),
            domains: Schedule::new(0),
            release: Vec::new(),
            action: Action::Resume,
            now: 0,
            uncharged: 0,
            charge: false,
        }
    }

    /// The capability in a slot.
    pub fn cap(&self, slot: Slot) -> Option<Cap> {
        self.caps.get(&slot).copied()
    }

    /// A slot of a thread.
    pub fn tcb_cap(&self, tcb: Obj, index: u64) -> Option<Cap> {
        self.cap(Slot { holder: Holder::Tcb(tcb), index })
    }

    /// The thread `tcb`.
    ///
    /// # Panics
    /// When there is none: names only come from capabilities and queues of living objects.
    pub fn tcb(&self, tcb: Obj) -> &Tcb {
        self.tcbs.get(&tcb).expect("thread exists")
    }

    /// The thread `tcb`, to change.
    ///
    /// # Panics
    /// As [`State::tcb`].
    pub fn tcb_mut(&mut self, tcb: Obj) -> &mut Tcb {
        self.tcbs.get_mut(&tcb).expect("thread exists")
    }

    /// The scheduling context `sc`.
    ///
    /// # Panics
    /// As [`State::tcb`].
    pub fn sc(&self, sc: Obj) -> &SchedContext {
        self.sched_contexts.get(&sc).expect("scheduling context exists")
    }

    /// The scheduling context `sc`, to change.
    ///
    /// # Panics
    /// As [`State::tcb`].
    pub fn sc_mut(&mut self, sc: Obj) -> &mut SchedContext {
        self.sched_contexts.get_mut(&sc).expect("scheduling context exists")
    }

    /// The notification `notification`, to change.
    ///
    /// # Panics
    /// As [`State::tcb`].
    pub fn ntfn_mut(&mut self, notification: Obj) -> &mut Notification {
        self.notifications.get_mut(&notification).expect("notification exists")
    }

    /// Places `tcb` in a queue of waiting threads: behind all of at least its priority (manual is silent).
    pub(crate) fn queue_position(&self, queue: &[Obj], tcb: Obj) -> usize {
        let priority = self.tcb(tcb).priority;
        queue.iter().position(|&t| self.tcb(t).priority < priority).unwrap_or(queue.len())
    }
}
