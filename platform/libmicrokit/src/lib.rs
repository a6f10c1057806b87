// SPDX-License-Identifier: BSD-2-Clause
//! `libmicrokit.a`: what a protection domain written in C is linked with. `include/microkit.h` is the interface.
//!
//! A program brings `init` and `notified`, and `protected` and `fault` where it needs them; [`start`] calls `init`,
//! [`events`] the others. [`variables`] are the symbols that the microkit tool writes and that the header's inline
//! functions read, [`debug`] is the debug console.
#![no_std]

mod debug;
mod events;
mod start;
mod variables;

use core::panic::PanicInfo;

/// Nothing in this library panics; the core library wants to know all the same.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    crash(0)
}

/// Ends this PD by a memory fault at `reason`, which its fault handler reports.
fn crash(reason: usize) -> ! {
    loop {
        // SAFETY: the store has no effect on this program: nothing is mapped at the first page, so it faults.
        unsafe { core::arch::asm!("str wzr, [{0}]", in(reg) reason, options(nostack)) };
    }
}
