// SPDX-License-Identifier: BSD-2-Clause
//! Fault labels and message formats (`seL4_Fault_tag`).

/// No fault.
pub const NULL: u64 = 0;
/// Capability lookup failed in a system call.
pub const CAP_FAULT: u64 = 1;
/// Number in x7 is no system call (or a guest's HVC).
pub const UNKNOWN_SYSCALL: u64 = 2;
/// Undefined instruction and the like.
pub const USER_EXCEPTION: u64 = 3;
/// Hardware debug event.
pub const DEBUG_EXCEPTION: u64 = 4;
/// Budget ran out and the thread has a time-out endpoint.
pub const TIMEOUT: u64 = 5;
/// Translation or permission fault.
pub const VM_FAULT: u64 = 6;
/// A list register ended.
pub const VGIC_MAINTENANCE: u64 = 7;
/// A trapped event of a virtual CPU.
pub const VCPU_FAULT: u64 = 8;
/// A private interrupt of a virtual CPU.
pub const VPPI_EVENT: u64 = 9;

/// Words of an unknown-syscall message: X0..X7, FaultIP, SP, LR, SPSR, Syscall.
pub const UNKNOWN_SYSCALL_LENGTH: u64 = 13;
/// Stored registers of the first twelve words, which a reply may write.
pub const UNKNOWN_SYSCALL_REGS: [usize; 12] = {
    use crate::context::stored::{LR, PC, SP, SPSR};
    [0, 1, 2, 3, 4, 5, 6, 7, PC, SP, LR, SPSR]
};
/// Words of a user-exception message: FaultIP, SP, SPSR, Number, Code.
pub const USER_EXCEPTION_LENGTH: u64 = 5;
/// Stored registers of the first three words, which a reply may write.
pub const USER_EXCEPTION_REGS: [usize; 3] = {
    use crate::context::stored::{PC, SP, SPSR};
    [PC, SP, SPSR]
};
/// Registers that a reply to a time-out fault may write, by their stored index: the frame and integer registers.
pub const TIMEOUT_REPLY_WORDS: usize = crate::context::FRAME_WORDS + crate::context::INTEGER_WORDS;

/// Lookup failure types (in a cap fault and in FailedLookup).
pub mod lookup {
    /// The root is not a CNode.
    pub const INVALID_ROOT: u64 = 1;
    /// The slot is empty.
    pub const MISSING_CAPABILITY: u64 = 2;
    /// Bits were left over.
    pub const DEPTH_MISMATCH: u64 = 3;
    /// A guard did not match.
    pub const GUARD_MISMATCH: u64 = 4;
}
