// SPDX-License-Identifier: BSD-2-Clause
//! The kernel extension (`docs/kernel-extension.md`): what seL4's interface does not have.
//!
//! A thread with the flag [`EXITS`] tells its handler of memory faults and of trapped events of its virtual CPU by one
//! message of label [`VCPU_EXIT`], with what an emulator needs, and takes registers from the answer.

/// Version of the extension; a kernel without it has none.
pub const VERSION: u64 = 1;

/// Thread flag (`TCB_SetFlags`): faults are told by [`VCPU_EXIT`]. The flags that the invocation returns say whether the
/// kernel knows it.
pub const EXITS: u64 = 1 << 63;

/// Label of the message. Its four words travel in registers: PC; address (0 for a trapped event); ESR_EL2 in bits 31:0
/// and SPSR in bits 63:32; the general register that [`register_of`] names (0 for none).
pub const VCPU_EXIT: u64 = 0x100;
/// Shift of SPSR in word 2.
pub const SPSR_SHIFT: u64 = 32;
/// Bits of ESR_EL2 in word 2.
pub const SYNDROME_MASK: u64 = 0xffff_ffff;

/// Words of an answer that sets the PC (word 0).
pub const ANSWER_PC: u64 = 1;
/// Words of an answer that also sets a general register: its number (word 1; 31 and above: none), its value (word 2).
pub const ANSWER_REGISTER: u64 = 3;

/// Number of the first index that is no general register.
pub const NO_REGISTER: u64 = 31;

/// ESR_EL2: exception classes of a trapped system register access and of a data abort from below.
const CLASS_SYSTEM_REGISTER: u64 = 0x18;
const CLASS_DATA_ABORT: u64 = 0x24;

/// The general register that the instruction behind a syndrome transfers: ISS.SRT of a data abort, ISS.Rt of a system
/// register access (Arm DDI 0487, D19.2.37); [`NO_REGISTER`] for any other, and for XZR.
#[inline(always)]
pub const fn register_of(syndrome: u64) -> u64 {
    match syndrome >> 26 & 0x3f {
        CLASS_DATA_ABORT => syndrome >> 16 & 31,
        CLASS_SYSTEM_REGISTER => syndrome >> 5 & 31,
        _ => NO_REGISTER,
    }
}
