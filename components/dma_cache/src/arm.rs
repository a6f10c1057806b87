// SPDX-License-Identifier: BSD-2-Clause
//! The instructions on Arm.

use core::arch::asm;

/// Does `$instruction` to each cache line with a byte of the `$length` at `$start`.
macro_rules! each_line {
    ($instruction:literal, $start:expr, $length:expr) => {{
        let (start, end) = ($start.addr(), $start.addr().saturating_add($length));
        let line = line_size();
        let mut at = start & !(line - 1);
        while at < end {
            // SAFETY: changes no content of memory as this program sees it; a place that is not mapped is a fault.
            unsafe { asm!($instruction, in(reg) at, options(nostack, preserves_flags)) };
            at = at.saturating_add(line);
        }
        // SAFETY: a barrier.
        unsafe { asm!("dsb sy", options(nostack, preserves_flags)) };
    }};
}

/// Bytes of the smallest data cache line (`CTR_EL0.DminLine`).
fn line_size() -> usize {
    let ctr: usize;
    // SAFETY: reads a constant register.
    unsafe { asm!("mrs {}, ctr_el0", out(reg) ctr, options(nomem, nostack, preserves_flags)) };
    4 << (ctr >> 16 & 0xf)
}

/// What the processor has written can be read by devices.
pub fn clean(start: *const u8, length: usize) {
    each_line!("dc cvac, {}", start, length);
}

/// What devices have written can be read by the processor. Lines that it wrote itself are not lost but written back, over
/// what the device wrote: there must be none.
pub fn discard(start: *const u8, length: usize) {
    each_line!("dc civac, {}", start, length);
}
