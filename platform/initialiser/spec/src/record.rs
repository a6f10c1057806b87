// SPDX-License-Identifier: BSD-2-Clause
//! The records of a system description.
//!
//! Objects are numbered from 0 in the order of the [`Group`]s; a group is a run of equal objects, because a system has
//! few kinds of objects and thousands of frames. The initialiser puts the capability of object n into its slot
//! `first empty slot + n`, those of the interrupt handlers behind them.

use serde::{Deserialize, Serialize};

/// Number of an object.
pub type ObjectId = u32;

/// In place of an address space: the initialiser's own.
pub const OWN_VSPACE: ObjectId = u32::MAX;

/// A run of equal objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The kernel's object type number.
    pub object_type: u8,
    /// The `size_bits` argument of `Untyped_Retype`: slots of a CNode, bytes of a scheduling context, otherwise 0.
    pub user_size: u8,
    /// log2 of one object's bytes.
    pub size_bits: u8,
    /// How many.
    pub count: u32,
    /// Physical address of the first; the others follow without gaps. `None` leaves it to the allocator.
    pub paddr: Option<u64>,
}

/// Where a thread runs and who hears of what an interrupt does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Irq {
    /// Interrupt number as the kernel counts it.
    pub number: u32,
    /// Edge-triggered, otherwise level-sensitive.
    pub edge: bool,
    /// Core that takes it.
    pub core: u8,
    /// Notification it signals.
    pub notification: ObjectId,
    /// Badge of that signal.
    pub badge: u64,
}

/// A page table in an address space. Tables of upper levels come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// The page table.
    pub object: ObjectId,
    /// The address space, or [`OWN_VSPACE`].
    pub vspace: ObjectId,
    /// Any address it serves.
    pub vaddr: u64,
}

/// What has to happen to a frame's cache lines before it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CacheCare {
    /// Nothing: it is read through the caches.
    None,
    /// Instruction fetches have to see it.
    Unify,
    /// Somebody reads it past the caches: a guest that starts with its MMU off, or an uncached mapping.
    Clean,
}

/// Where the bytes of a [`Fill`] come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// From this offset of the data that comes with the description.
    Data(u64),
    /// From the boot information chunk with this id, behind its header. A chunk that is absent leaves zeros.
    BootInfo(u32),
}

/// Initial content of consecutive frames. Everything not filled is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    /// First frame of the run.
    pub frame: ObjectId,
    /// log2 of the frame size.
    pub frame_bits: u8,
    /// Where in the run to begin, bytes.
    pub offset: u64,
    /// Bytes; for boot information the most that fits.
    pub len: u64,
    /// What to write.
    pub source: Source,
    /// What to do afterwards.
    pub cache: CacheCare,
}

/// Where frames come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Frame {
    /// Objects, from this one on.
    Object(ObjectId),
    /// Pages of the initialiser's own image, counted from the start of the data that comes with the description: they
    /// are handed over with their content, nothing is copied.
    Image(u32),
}

/// Consecutive frames mapped at consecutive addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// The address space.
    pub vspace: ObjectId,
    /// First frame.
    pub frame: Frame,
    /// log2 of the frame size.
    pub frame_bits: u8,
    /// How many frames.
    pub count: u32,
    /// Address of the first.
    pub vaddr: u64,
    /// May be written; everything mapped may be read.
    pub write: bool,
    /// May be executed.
    pub execute: bool,
    /// Cached normal memory, otherwise device memory.
    pub cached: bool,
    /// The frames are mapped elsewhere too: map copies of their capabilities. Pages of the image always are.
    pub copy: bool,
    /// What to do once they are mapped, for content that came with the image.
    pub cache: CacheCare,
}

/// Parameters of a scheduling context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sched {
    /// The scheduling context.
    pub object: ObjectId,
    /// Core.
    pub core: u8,
    /// Microseconds.
    pub budget_us: u64,
    /// Microseconds.
    pub period_us: u64,
    /// Reported in time-out faults.
    pub badge: u64,
}

/// What a capability in a CNode is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CapTo {
    /// An object.
    Object(ObjectId),
    /// The handler of the interrupt with this index among the [`Irq`]s.
    Irq(u32),
    /// Secure monitor calls.
    Smc,
}

/// One capability in one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// The CNode.
    pub cnode: ObjectId,
    /// log2 of its slots.
    pub radix: u8,
    /// Slot.
    pub index: u32,
    /// What it is to.
    pub cap: CapTo,
    /// seL4's rights word.
    pub rights: u8,
    /// Badge, or guard word of a CNode; 0 for neither.
    pub data: u64,
}

/// Where a thread's faults go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultHandler {
    /// Endpoint.
    pub endpoint: ObjectId,
    /// Badge.
    pub badge: u64,
}

/// A thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    /// Its TCB.
    pub tcb: ObjectId,
    /// Root CNode.
    pub cspace: ObjectId,
    /// Guard word of the root CNode.
    pub cspace_data: u64,
    /// Address space.
    pub vspace: ObjectId,
    /// Frame of the IPC buffer.
    pub ipc_buffer: ObjectId,
    /// Its address.
    pub ipc_buffer_vaddr: u64,
    /// Scheduling context.
    pub sched_context: ObjectId,
    /// Priority and maximum controlled priority.
    pub priority: u8,
    /// Fault endpoint; nobody is told otherwise.
    pub fault_handler: Option<FaultHandler>,
    /// Notification to bind.
    pub notification: Option<ObjectId>,
    /// Virtual CPU to bind.
    pub vcpu: Option<ObjectId>,
    /// Scheduling domain; `None` leaves it in the first.
    pub domain: Option<u8>,
    /// May use the floating-point unit.
    pub fpu: bool,
    /// Start address.
    pub pc: u64,
    /// Stack pointer.
    pub sp: u64,
    /// Starts when everything is ready; otherwise somebody resumes it later.
    pub resume: bool,
}

/// One entry of the domain schedule, in the order to write them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DomainStep {
    /// Write an entry of the kernel's table; a duration of 0 ends the schedule.
    Entry {
        /// Index in the table.
        index: u32,
        /// Domain.
        domain: u8,
        /// Timer ticks.
        ticks: u64,
    },
    /// Begin at this index.
    Start(u32),
}
