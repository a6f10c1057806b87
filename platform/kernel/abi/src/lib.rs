// SPDX-License-Identifier: BSD-2-Clause
//! The numbers of the kernel's system-call interface, in one place.
//!
//! The kernel decodes by them, the SDK's generated JSON files are written from them, and nothing else may repeat
//! them: user code takes its numbers from the generated files. The interface is seL4 16's for AArch64 with MCS and
//! hypervisor support (seL4 reference manual, `libsel4` interface XML).
#![no_std]
#![forbid(unsafe_code)]

pub mod bootinfo;
pub mod context;
pub mod debug;
pub mod extension;
pub mod fault;
pub mod ipc;
pub mod label;
pub mod object;
pub mod syscall;
pub mod vcpu;

pub use ipc::{CapRights, MessageInfo};
pub use label::Invocation;
pub use object::ObjectType;
pub use syscall::Syscall;

/// Number of thread priorities; 255 is the highest.
pub const NUM_PRIORITIES: usize = 256;
/// Number of scheduling domains.
pub const NUM_DOMAINS: usize = 16;
/// Entries of the domain schedule.
pub const NUM_DOMAIN_SCHEDULES: usize = 100;
/// Longest turn of a domain, in ticks.
pub const MAX_DOMAIN_DURATION: u64 = (1 << 56) - 1;
/// Most objects that one `Untyped_Retype` may create.
pub const RETYPE_FAN_OUT_LIMIT: u64 = 256;
/// Units of work between two looks for a waiting interrupt in a long operation. A unit is at most some 3,000 instructions,
/// the end of an ASID pool or of a virtual CPU.
pub const WORK_UNITS_PER_PREEMPTION: u32 = 3;
/// log2 of the root task's CNode slots.
pub const ROOT_CNODE_SIZE_BITS: u64 = 17;
/// Time slice of the root task, in milliseconds.
pub const BOOT_THREAD_TIME_SLICE_MS: u64 = 5;

/// Error codes: the label of an invocation's reply (`seL4_Error`).
pub mod error {
    /// Success.
    pub const NONE: u64 = 0;
    /// MR0: number of the argument.
    pub const INVALID_ARGUMENT: u64 = 1;
    /// MR0: number of the capability.
    pub const INVALID_CAPABILITY: u64 = 2;
    /// The operation is not allowed on this object now.
    pub const ILLEGAL_OPERATION: u64 = 3;
    /// MR0, MR1: least and greatest value.
    pub const RANGE_ERROR: u64 = 4;
    /// An address is not aligned.
    pub const ALIGNMENT_ERROR: u64 = 5;
    /// MR0: 1 when the lookup was of a source; MR1..: lookup failure description.
    pub const FAILED_LOOKUP: u64 = 6;
    /// Too few message words or capabilities.
    pub const TRUNCATED_MESSAGE: u64 = 7;
    /// Something must be deleted first.
    pub const DELETE_FIRST: u64 = 8;
    /// Something must be revoked first.
    pub const REVOKE_FIRST: u64 = 9;
    /// MR0: bytes left in the untyped.
    pub const NOT_ENOUGH_MEMORY: u64 = 10;
}
