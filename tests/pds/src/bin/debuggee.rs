// SPDX-License-Identifier: BSD-2-Clause
//! Tells its debugger where to look, by a `brk` with addresses in x0 and x1, and then goes there.
#![no_std]
#![no_main]

use core::arch::{asm, global_asm};
use core::sync::atomic::{AtomicU64, Ordering};

use sel4_microkit::{Handler, NullHandler, protection_domain};
use test_pds as _;

static WATCHED: AtomicU64 = AtomicU64::new(0);

// Eight instructions, the last of them the return.
global_asm!(
    ".global straight",
    "straight:",
    "add x0, x0, #1",
    "add x0, x0, #1",
    "add x0, x0, #1",
    "add x0, x0, #1",
    "add x0, x0, #1",
    "add x0, x0, #1",
    "add x0, x0, #1",
    "ret",
);

unsafe extern "C" {
    fn straight(start: u64) -> u64;
}

#[protection_domain]
fn init() -> impl Handler {
    // SAFETY: the debugger lets it go on behind the instruction.
    unsafe { asm!("brk #1", in("x0") straight as *const () as u64, in("x1") WATCHED.as_ptr()) };
    // SAFETY: seven additions and a return.
    let sum = unsafe { straight(35) };
    WATCHED.store(sum, Ordering::Relaxed);
    // SAFETY: as above.
    unsafe { asm!("brk #2", in("x0") WATCHED.load(Ordering::Relaxed)) };
    NullHandler::new()
}
