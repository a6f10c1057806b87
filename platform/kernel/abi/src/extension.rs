// SPDX-License-Identifier: BSD-2-Clause
//! The kernel extension (`docs/kernel-extension.md`): what seL4's interface does not have.
//!
//! A thread with the flag [`EXITS`] tells its handler of memory faults and of trapped events of its virtual CPU by one
//! message of label [`VCPU_EXIT`], with what an emulator needs, and takes registers from the answer. Invocations of a
//! virtual CPU ([`vcpu`]) reach what its hardware holds besides.

/// Version of the extension; a kernel without it has none.
pub const VERSION: u64 = 2;

/// Invocations of a virtual CPU, by labels that no other invocation has, and a list register's contents as a word.
pub mod vcpu {
    /// `(interrupt)`: as `ARMVCPUInjectIRQ`, with the [source](SOURCE_SHIFT) of a software-generated interrupt.
    pub const INJECT: u64 = 0x100;
    /// `(index, withdraw) -> interrupt`: what the list register holds. With `withdraw` not 0, an interrupt that is pending
    /// and not active is taken out, and its end is not told.
    pub const LIST_REGISTER: u64 = 0x101;
    /// `(first, count) -> words`: that many words of the state, from that one on.
    pub const READ_STATE: u64 = 0x102;
    /// `(first, words...)`: writes them.
    pub const WRITE_STATE: u64 = 0x103;

    /// Shift of a list register's number, bits of the number, as in `ARMVCPUInjectIRQ`.
    pub const INDEX_SHIFT: u64 = 32;
    /// The interrupt is pending (of what a list register holds).
    pub const PENDING: u64 = 1 << 40;
    /// The guest handles the interrupt.
    pub const ACTIVE: u64 = 1 << 41;
    /// Shift of the number, 0 to 7, of the CPU that sent a software-generated interrupt; 0 for any other interrupt.
    pub const SOURCE_SHIFT: u64 = 48;
    /// Bits of the source.
    pub const SOURCE_MASK: u64 = 7;
    /// The first interrupt that is not software-generated.
    pub const FIRST_WITH_ONE_SOURCE: u64 = 16;

    /// Words of the state: the registers of `seL4_VCPUReg` in that order, then these.
    pub const STATE_WORDS: u64 = FLAGS + 1;
    /// CSSELR_EL1.
    pub const CSSELR: u64 = 24;
    /// Three words of the virtual interrupt interface, as its hardware has them (GICv2: GICH_VMCR, GICH_APR, 0; GICv3:
    /// ICH_VMCR_EL2, ICH_AP0R0_EL2, ICH_AP1R0_EL2).
    pub const INTERFACE: u64 = 25;
    /// Bit 0: the virtual timer has been told and is masked until it is acknowledged.
    pub const FLAGS: u64 = 28;
}

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
