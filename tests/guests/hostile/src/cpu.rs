// SPDX-License-Identifier: BSD-2-Clause
//! Single instructions: system registers, loads and stores of exactly one kind, waits, barriers.

use core::arch::asm;

/// Reads a system register by its assembler name.
#[macro_export]
macro_rules! read_register {
    ($name:literal) => {{
        let value: u64;
        // SAFETY: reading a system register has no effect on memory; where it is not allowed, a probe catches it.
        unsafe { core::arch::asm!(concat!("mrs {}, ", $name), out(reg) value, options(nostack)) };
        value
    }};
}

/// Writes a system register by its assembler name.
#[macro_export]
macro_rules! write_register {
    ($name:literal, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: callers only write registers that this guest's own code does not rely on.
        unsafe { core::arch::asm!(concat!("msr ", $name, ", {}"), "isb", in(reg) value, options(nostack)) };
    }};
}

/// A function that loads with one given instruction; the destination keeps the second argument if the load faults.
macro_rules! load {
    ($name:ident, $instruction:literal) => {
        #[doc = concat!("`", $instruction, "` from `address`; returns `before` if it faults.")]
        #[inline(never)]
        pub fn $name(address: u64, before: u64) -> u64 {
            let mut value = before;
            // SAFETY: the address is a device's, nothing's, or this guest's own scratch memory; faults are probed.
            unsafe {
                asm!(concat!($instruction, ", [{a}]"), v = inout(reg) value, a = in(reg) address, options(nostack));
            }
            value
        }
    };
}

/// A function that stores with one given instruction.
macro_rules! store {
    ($name:ident, $instruction:literal) => {
        #[doc = concat!("`", $instruction, "` to `address`.")]
        #[inline(never)]
        pub fn $name(address: u64, value: u64) {
            // SAFETY: as for loads.
            unsafe { asm!(concat!($instruction, ", [{a}]"), v = in(reg) value, a = in(reg) address, options(nostack)) };
        }
    };
}

load!(load8, "ldrb {v:w}");
load!(load16, "ldrh {v:w}");
load!(load32, "ldr {v:w}");
load!(load64, "ldr {v}");
load!(load_signed8_to_32, "ldrsb {v:w}");
load!(load_signed8_to_64, "ldrsb {v}");
load!(load_signed16_to_64, "ldrsh {v}");
load!(load_signed32_to_64, "ldrsw {v}");
load!(load_acquire32, "ldar {v:w}");
load!(load_exclusive32, "ldxr {v:w}");
store!(store8, "strb {v:w}");
store!(store16, "strh {v:w}");
store!(store32, "str {v:w}");
store!(store64, "str {v}");
store!(store_release32, "stlr {v:w}");

/// The load function for a width of 1, 2, 4 or 8 bytes.
pub fn load(width: u64, address: u64) -> u64 {
    match width {
        1 => load8(address, 0),
        2 => load16(address, 0),
        4 => load32(address, 0),
        _ => load64(address, 0),
    }
}

/// The store function for a width of 1, 2, 4 or 8 bytes.
pub fn store(width: u64, address: u64, value: u64) {
    match width {
        1 => store8(address, value),
        2 => store16(address, value),
        4 => store32(address, value),
        _ => store64(address, value),
    }
}

/// Waits for an interrupt, pending also while masked.
pub fn wait_for_interrupt() {
    // SAFETY: only waits.
    unsafe { asm!("dsb sy", "wfi", "isb", options(nostack)) };
}

/// Lets interrupts in for a moment: until the next instruction that may see them, and some more.
pub fn allow_interrupts() {
    // SAFETY: the handler uses its own stack and saves all registers.
    unsafe { asm!("msr daifclr, #3", "isb", "nop", "nop", "msr daifset, #3", "isb", options(nostack)) };
}

/// Full barrier.
pub fn barrier() {
    // SAFETY: no effect but order.
    unsafe { asm!("dsb sy", "isb", options(nostack)) };
}

/// Calls `address` as a function without arguments.
#[inline(never)]
pub fn call(address: u64) {
    // SAFETY: nothing returns from there but the exception handler, to the link register.
    unsafe { asm!("blr {}", in(reg) address, clobber_abi("C")) };
}

/// This vCPU's affinity.
pub fn affinity() -> u64 {
    read_register!("mpidr_el1") & 0xff_00ff_ffff
}
