// SPDX-License-Identifier: BSD-2-Clause
//! HVC and SMC with every general-purpose register under control.

use core::arch::global_asm;

/// Registers x0 to x30 of a call, and how far SP was off after it.
#[repr(C)]
#[derive(Clone)]
pub struct Registers {
    /// x0 to x30.
    pub x: [u64; 31],
    /// SP after the call minus SP before it.
    pub sp_error: u64,
}

/// The instruction that makes the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduit {
    /// `smc #0`
    Smc,
    /// `hvc #0`
    Hvc,
    /// `smc #0xbeef`: not a call of the calling convention.
    OddSmc,
    /// `hvc #1`: not a call of the calling convention.
    OddHvc,
}

// The instruction after the call matters: if it were skipped, x0 would be what TPIDR_EL0 held before.
global_asm!(
    r#"
    .macro  conduit name, instruction, immediate
    .global \name
\name:
    stp     x29, x30, [sp, #-112]!
    stp     x19, x20, [sp, #16]
    stp     x21, x22, [sp, #32]
    stp     x23, x24, [sp, #48]
    stp     x25, x26, [sp, #64]
    stp     x27, x28, [sp, #80]
    str     x0, [sp, #96]
    adrp    x1, saved_sp
    add     x1, x1, :lo12:saved_sp
    mov     x2, sp
    str     x2, [x1]
    movn    x2, #0x5afe
    msr     tpidr_el0, x2
    mov     x30, x0
    ldp     x0, x1, [x30]
    ldp     x2, x3, [x30, #16]
    ldp     x4, x5, [x30, #32]
    ldp     x6, x7, [x30, #48]
    ldp     x8, x9, [x30, #64]
    ldp     x10, x11, [x30, #80]
    ldp     x12, x13, [x30, #96]
    ldp     x14, x15, [x30, #112]
    ldp     x16, x17, [x30, #128]
    ldp     x18, x19, [x30, #144]
    ldp     x20, x21, [x30, #160]
    ldp     x22, x23, [x30, #176]
    ldp     x24, x25, [x30, #192]
    ldp     x26, x27, [x30, #208]
    ldp     x28, x29, [x30, #224]
    ldr     x30, [x30, #240]
    \instruction #\immediate
    msr     tpidr_el0, x0
    adrp    x0, saved_sp
    ldr     x0, [x0, :lo12:saved_sp]
    sub     x0, sp, x0
    sub     sp, sp, x0
    stp     x0, x1, [sp, #-16]!     // error of SP, x1
    ldr     x0, [sp, #112]          // the caller's array
    str     x1, [x0, #8]
    ldr     x1, [sp], #16
    str     x1, [x0, #248]
    mrs     x1, tpidr_el0
    str     x1, [x0]
    stp     x2, x3, [x0, #16]
    stp     x4, x5, [x0, #32]
    stp     x6, x7, [x0, #48]
    stp     x8, x9, [x0, #64]
    stp     x10, x11, [x0, #80]
    stp     x12, x13, [x0, #96]
    stp     x14, x15, [x0, #112]
    stp     x16, x17, [x0, #128]
    stp     x18, x19, [x0, #144]
    stp     x20, x21, [x0, #160]
    stp     x22, x23, [x0, #176]
    stp     x24, x25, [x0, #192]
    stp     x26, x27, [x0, #208]
    stp     x28, x29, [x0, #224]
    str     x30, [x0, #240]
    ldp     x27, x28, [sp, #80]
    ldp     x25, x26, [sp, #64]
    ldp     x23, x24, [sp, #48]
    ldp     x21, x22, [sp, #32]
    ldp     x19, x20, [sp, #16]
    ldp     x29, x30, [sp], #112
    ret
    .endm

    .text
    conduit call_smc, smc, 0
    conduit call_hvc, hvc, 0
    conduit call_odd_smc, smc, 0xbeef
    conduit call_odd_hvc, hvc, 1

    .section .bss
    .balign 8
saved_sp:
    .skip   8
    "#
);

unsafe extern "C" {
    fn call_smc(registers: *mut Registers);
    fn call_hvc(registers: *mut Registers);
    fn call_odd_smc(registers: *mut Registers);
    fn call_odd_hvc(registers: *mut Registers);
}

impl Conduit {
    /// Calls with `registers` and returns those after it. For one vCPU at a time: SP is kept in a static.
    pub fn call(self, registers: &Registers) -> Registers {
        let mut after = registers.clone();
        // SAFETY: the assembly keeps the callee-saved registers and SP, and writes only the array it is given. The
        // functions that are called are none that touch this guest's memory.
        unsafe {
            match self {
                Self::Smc => call_smc(&raw mut after),
                Self::Hvc => call_hvc(&raw mut after),
                Self::OddSmc => call_odd_smc(&raw mut after),
                Self::OddHvc => call_odd_hvc(&raw mut after),
            }
        }
        after
    }

    /// Calls `function` with up to three arguments and patterns in all other registers; returns x0.
    pub fn function(self, function: u64, arguments: [u64; 3]) -> u64 {
        let mut registers = Registers::pattern(0x1111_1111_1111_1111);
        registers.x[..4].copy_from_slice(&[function, arguments[0], arguments[1], arguments[2]]);
        self.call(&registers).x[0]
    }
}

impl Registers {
    /// A different value in each register, derived from `seed`.
    pub fn pattern(seed: u64) -> Self {
        let mut registers = Self { x: [0; 31], sp_error: 0 };
        for (i, x) in (1u64..).zip(registers.x.iter_mut()) {
            *x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(i as u32) ^ (i << 56 | i);
        }
        registers
    }

    /// The first register from x`first` up that differs in `other`; 31 is SP.
    pub fn first_difference(&self, other: &Self, first: usize) -> Option<usize> {
        let differs = (first..31).find(|&i| self.x[i] != other.x[i]);
        differs.or((other.sp_error != 0).then_some(31))
    }
}
