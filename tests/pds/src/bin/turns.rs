// SPDX-License-Identifier: BSD-2-Clause
//! Looks at the clock all the time, and tells how long this PD could run without a break and how long the breaks were.
#![no_std]
#![no_main]

use core::arch::asm;
use core::fmt::Write;

use sel4_microkit::{NullHandler, memory_region_symbol, pd_name, protection_domain};
use test_pds::{Uart, ticks};

/// Breaks that are looked at, behind a first one: what was before is not all of a turn.
const BREAKS: usize = 4;
/// Microseconds without this PD that count as a break; interrupts take less.
const BREAK: u64 = 500;

/// The counter's frequency, in Hz.
fn frequency() -> u64 {
    let frequency;
    // SAFETY: reads a register that tells a constant (Arm ARM, CNTFRQ_EL0).
    unsafe { asm!("mrs {}, cntfrq_el0", out(reg) frequency, options(nomem, nostack, preserves_flags)) };
    frequency
}

#[protection_domain]
fn init() -> NullHandler {
    // SAFETY: the system description maps a PL011 there; both PDs write whole lines in turns of their own.
    let mut uart = unsafe { Uart::new(memory_region_symbol!(uart: *mut u8)) };
    let frequency = frequency();
    let microseconds = |ticks: u64| ticks * 1_000_000 / frequency;
    let (mut turns, mut breaks) = ([0; BREAKS], [0; BREAKS]);
    let mut last = ticks();
    let mut begin = None;
    let mut count = 0;
    while count < BREAKS {
        let now = ticks();
        if microseconds(now - last) > BREAK {
            if let Some(begin) = begin {
                turns[count] = microseconds(last - begin);
                breaks[count] = microseconds(now - last);
                count += 1;
            }
            begin = Some(now);
        }
        last = now;
    }
    // The console cannot fail.
    let _ = writeln!(uart, "TEST {} turns {turns:?} breaks {breaks:?}\r", pd_name().unwrap_or_default());
    NullHandler::new()
}
