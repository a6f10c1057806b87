// SPDX-License-Identifier: BSD-2-Clause
//! The abstract executable specification of the kernel.
//!
//! Written to be read next to the seL4 reference manual: plain maps, sets and lists; no memory layout, no pointers,
//! no `unsafe`. [`State`] is everything the kernel knows. [`State::event`] is one kernel entry: what happened
//! ([`Event`]), at what time, and the state afterwards is what the implementation has to show too. It shares the
//! numbers of the interface (`kernel-abi`) with the implementation and nothing else; `platform/kernel/refine` drives
//! both side by side.
//!
//! An object is named by where its memory starts ([`Obj`]), because that is observable (`Page_GetAddress`, BootInfo)
//! and makes names unique; the specification never looks behind the name.
//!
//! | manual | here |
//! |---|---|
//! | 2 Kernel services and objects | [`state`], [`retype`] (untyped memory), [`syscall`] |
//! | 3 Capability spaces | [`cap`], [`cspace`] (lookup), [`cdt`] (derivation), [`cnode`], [`delete`] |
//! | 4 Message passing | [`message`], [`endpoint`], [`reply`] |
//! | 5 Notifications | [`notification`] |
//! | 6 Threads and execution | [`tcb`], [`sched`] (the scheduler), [`refill`] (budgets), [`sched_context`], [`domain`], [`fault`], [`hardware_debug`], [`vcpu`] |
//! | 7 Address spaces | [`vspace`] |
//! | 8 Hardware I/O | [`irq`] |
//! | 9 System bootstrapping | [`boot`]: the pieces of an initial state |
//!
//! Every function says under "Changes" what it may change; whatever is not listed stays as it is.
//!
//! # Decisions where the manual is silent or contradicts itself
//!
//! * Arguments are checked in the order of each function's body; the first failed check is the answer.
//! * Taking a reply object out of the middle of a call chain cuts the chain there: what is below loses its claim
//!   on the scheduling context. (Manual 6.1.6 says a chain "will remain"; seL4 cuts it.)
//! * A thread whose reply object is used for a second receive while a caller waits behind it: that caller's wait
//!   is cancelled.
//! * Deleting the last capability of a CNode or thread found *inside* a dying container does not empty it: the
//!   capability moves into the found container's first slot (manual 3.4, footnote). See [`delete`].
//! * Deleting a reply object, or suspending a thread in a call chain, never hands out a scheduling context twice: from
//!   the top of the chain it goes back to the caller, from elsewhere it stays where it is.
//! * `TCB_ReadRegisters` shows the program counter of the instruction that last entered the kernel; registers written or
//!   copied into a thread never carry a processor mode it may not have (seL4 does not check copies).
//! * A badged or SGI capability is nobody's descendant but that of what it was minted or issued from, also when another
//!   one says the same.
//! * Cache maintenance is for ordinary memory only.
//! * A turn of a domain ends at a timer interrupt only. `SchedContext_YieldTo` a thread of another domain puts it first in
//!   its queue, as if it had a lower priority.
//! * A single step is an instruction between two kernel entries; a system call is none. An answer without words to a step
//!   fault leaves the number of steps as it was.
//! * A thread that is moved to another domain is queued there in front, and the best thread is chosen at once.
//! * A thread that waits in YieldTo is answered whether it called or sent.
//! * Endpoint and notification queues are ordered by priority, first come first served within one.
//! * Revocation and deletion are one step here. The implementation may be preempted in between and be restarted;
//!   refinement runs it to its end.
#![forbid(unsafe_code)]

pub mod boot;
pub mod cap;
pub mod cdt;
pub mod cnode;
pub mod cspace;
pub mod delete;
pub mod domain;
pub mod endpoint;
pub mod error;
pub mod fault;
pub mod hardware_debug;
pub mod irq;
pub mod message;
pub mod notification;
pub mod refill;
pub mod reply;
pub mod retype;
pub mod sched;
pub mod sched_context;
pub mod state;
pub mod syscall;
pub mod tcb;
pub mod vcpu;
pub mod vspace;

pub use cap::{Cap, FrameRights};
pub use error::{Error, Lookup};
pub use state::{Config, Holder, Obj, Slot, State, ThreadState};
pub use syscall::Event;
