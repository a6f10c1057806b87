// SPDX-License-Identifier: BSD-2-Clause
//! Two guests of this kind show whether state leaks between them: one keeps writing a pattern, the other looks for it,
//! and for changes of its own values. Covers system registers, SIMD registers and the CPU interface.

use crate::exception::probe;
use crate::machine::Machine;
use crate::registers::{INTERFACE, INTERFACE_V3, READABLE, Register, TIMERS, WRITABLE};
use crate::report::check;
use crate::{println, read_register, timer, write_register};
use core::arch::global_asm;

/// What the writing guest writes. Bits 0 and 31 set: enables in timers, counters and breakpoints.
pub const FOREIGN: u64 = 0xb1ea_d1e5_8b0a_7e81;
/// What the reading guest writes.
const OWN: u64 = 0x4e15_2e1a_0475_0100;

global_asm!(
    r#"
    .arch   armv8-a
    .text
    // In: x0 value for both halves of all 32 SIMD registers and, cut to what they hold, FPCR and FPSR.
    .global fill_simd
fill_simd:
    .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    dup     v\n\().2d, x0
    .endr
    and     x1, x0, #0x0f
    msr     fpsr, x1
    and     x1, x0, #0x03c00000
    msr     fpcr, x1
    ret

    // In: x0 value. Out: x0 number of 64-bit halves that hold it, FPSR and FPCR counted too.
    .global count_simd
count_simd:
    mov     x1, xzr
    .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    mov     x2, v\n\().d[0]
    cmp     x2, x0
    cinc    x1, x1, eq
    mov     x2, v\n\().d[1]
    cmp     x2, x0
    cinc    x1, x1, eq
    .endr
    mrs     x2, fpsr
    and     x3, x0, #0x0f
    cmp     x2, x3
    cinc    x1, x1, eq
    mrs     x2, fpcr
    and     x3, x0, #0x03c00000
    cmp     x2, x3
    cinc    x1, x1, eq
    mov     x0, x1
    ret
    "#
);

unsafe extern "C" {
    fn fill_simd(value: u64);
    fn count_simd(value: u64) -> u64;
}

/// Halves of 32 registers, FPSR, FPCR.
const ALL_SIMD: u64 = 66;

/// Everything that is written; the first lists' indices are stable.
fn written() -> impl Iterator<Item = &'static Register> {
    WRITABLE.iter().chain(&TIMERS).chain(&INTERFACE).chain(&INTERFACE_V3)
}

const MOST_REGISTERS: usize = 128;

fn write_all(value: u64) {
    for register in written() {
        let _ = register.write(value);
    }
    // SAFETY: this program is compiled without floating point: nobody else uses these registers.
    unsafe { fill_simd(value) };
}

fn until(machine: &Machine, mut round: impl FnMut(u64)) {
    let start = timer::now();
    let ticks = timer::frequency().wrapping_mul(machine.number("seconds", 10));
    let mut rounds = 0;
    while timer::now().wrapping_sub(start) < ticks {
        round(rounds);
        rounds += 1;
        // Give the other guest its turn in the middle of this one's, too.
        timer::spin(1);
    }
    println!("# {rounds} rounds");
}

/// Leaves the pattern everywhere: [`read`] then has to find it.
pub fn leave() {
    write_all(FOREIGN);
}

/// Keeps the pattern everywhere.
pub fn write(machine: &Machine) {
    write_all(FOREIGN);
    println!("LEAK-WRITE running");
    let mut lost = 0u64;
    until(machine, |_| {
        // SAFETY: as above.
        if unsafe { count_simd(FOREIGN) } != ALL_SIMD {
            lost += 1;
        }
        write_all(FOREIGN);
    });
    check("leak.writer_keeps_its_simd_registers", lost == 0, format_args!("lost {lost} times"));
    write_all(0);
}

/// Looks for the pattern.
pub fn read(machine: &Machine) {
    let mut leaks = 0u32;
    let mut leak = |name: &str, value: u64| {
        leaks += 1;
        if leaks < 100 {
            println!("LEAK {name} {value:#x}");
        }
    };
    // First what was there before this guest wrote anything.
    // SAFETY: as above.
    let found = unsafe { count_simd(FOREIGN) };
    if found != 0 {
        leak("simd registers at start", found);
    }
    for register in written().chain(&READABLE) {
        if let Ok(value) = register.read()
            && is_foreign(value)
        {
            leak(register.name, value);
        }
    }
    println!("LEAK-READ running");
    // Then own values, which nobody else may change.
    write_all(OWN);
    let mut kept = [None; MOST_REGISTERS];
    for (slot, register) in kept.iter_mut().zip(written()) {
        *slot = register.read().ok().filter(|_| !register.moves);
    }
    until(machine, |_| {
        // SAFETY: as above.
        let found = unsafe { count_simd(OWN) };
        if found != ALL_SIMD {
            leak("simd registers changed", found);
        }
        for (slot, register) in kept.iter().zip(written()) {
            let value = register.read().ok();
            if let (Some(before), Some(value)) = (*slot, value)
                && value != before
            {
                leak(register.name, value);
            }
            if value.is_some_and(is_foreign) {
                leak(register.name, value.unwrap_or(0));
            }
        }
    });
    check("leak.nothing_of_the_other_guest", leaks == 0, format_args!("{leaks} leaks"));
    write_all(0);
    let counting = probe(|| read_register!("pmcr_el0")).0;
    println!("# pmcr {counting:#x}");
    write_register!("cntv_ctl_el0", 0);
}

/// A register rarely holds all of the pattern: half of it is proof enough.
const fn is_foreign(value: u64) -> bool {
    value >> 32 == FOREIGN >> 32 || value as u32 == FOREIGN as u32 || value == FOREIGN & !7
}
