// SPDX-License-Identifier: BSD-2-Clause
//! The other cores of a board whose firmware keeps them in a loop (a spin table): each looks at a word of its own and
//! goes where that says. They are sent to a loop that sleeps, in memory that the kernel does not hand out: the one that
//! they come from may be handed out, and a core that spins takes power, or the emulator's time.

use core::arch::{asm, global_asm};

use crate::board::{PARKED_AT, SPIN_TABLE};
use crate::copy;

global_asm!(include_str!("park.s"));

unsafe extern "C" {
    static parked: u8;
    static parked_end: u8;
}

/// Bytes of a cache line; the smallest of the supported cores.
const LINE: usize = 64;

/// Sends them there. Translation and caches are off.
pub fn park() {
    if SPIN_TABLE.is_empty() {
        return;
    }
    let (code, end) = (&raw const parked as usize, &raw const parked_end as usize);
    let target = PARKED_AT as usize;
    // SAFETY: the page is the board's for this, in RAM, and the loader is elsewhere.
    unsafe {
        copy::copy(code, target, end - code);
        copy::clean(target, end - code);
    }
    copy::synchronise_instructions();
    for word in SPIN_TABLE {
        // SAFETY: the words are the board's for this. The cores read them with caches off or on: what is written here
        // goes to memory, and no line is left that could hide or overwrite it.
        unsafe {
            (word as *mut u64).write_volatile(PARKED_AT);
            asm!("dc civac, {0}", in(reg) word as usize & !(LINE - 1), options(nostack));
        }
    }
    // SAFETY: a barrier, and an event for cores that sleep until one comes.
    unsafe { asm!("dsb sy", "sev", options(nostack)) };
}
