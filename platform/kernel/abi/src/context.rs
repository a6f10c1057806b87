// SPDX-License-Identifier: BSD-2-Clause
//! Order of the registers in a user context (`seL4_UserContext`, 36 words).

/// Words of a user context.
pub const WORDS: usize = 36;
/// Words of the frame registers, the part that `TCB_CopyRegisters` calls the frame.
pub const FRAME_WORDS: usize = 17;
/// Words of the integer registers.
pub const INTEGER_WORDS: usize = 17;

/// A register as the kernel stores it in a thread: x0..x30, sp, pc, spsr, tpidr_el0, tpidrro_el0.
pub mod stored {
    /// x0 to x30 are 0 to 30.
    pub const X0: usize = 0;
    /// Link register.
    pub const LR: usize = 30;
    /// SP_EL0.
    pub const SP: usize = 31;
    /// ELR: the next instruction; at a system call the instruction after `svc`.
    pub const PC: usize = 32;
    /// SPSR.
    pub const SPSR: usize = 33;
    /// TPIDR_EL0.
    pub const TPIDR: usize = 34;
    /// TPIDRRO_EL0.
    pub const TPIDRRO: usize = 35;
}

/// For each word of a user context, the stored register it stands for.
pub const ORDER: [usize; WORDS] = [
    stored::PC,
    stored::SP,
    stored::SPSR,
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    16,
    17,
    18,
    29,
    30, // frame
    9,
    10,
    11,
    12,
    13,
    14,
    15,
    19,
    20,
    21,
    22,
    23,
    24,
    25,
    26,
    27,
    28, // integer
    stored::TPIDR,
    stored::TPIDRRO,
];
