// SPDX-License-Identifier: BSD-2-Clause
//! Wide copies and cache maintenance. Bytes copied at boot are counted in instructions, so they go 128 at a time.

use core::arch::asm;

/// Bytes of one round of the copy loop.
const CHUNK: usize = 128;
/// Cache line assumed for maintenance; the smallest of the supported cores.
const LINE: usize = 64;

/// Copies `size` bytes; the ranges may overlap.
///
/// # Safety
/// Both ranges are mapped memory, nothing else uses the target.
pub unsafe fn copy(source: usize, target: usize, size: usize) {
    if source == target || size == 0 {
        return;
    }
    if target > source && target - source < size {
        // SAFETY: as the caller says; downwards, because the target overlaps the source's end.
        unsafe { core::ptr::copy(source as *const u8, target as *mut u8, size) };
        return;
    }
    let chunks = size / CHUNK;
    if chunks > 0 {
        // SAFETY: `chunks` whole chunks lie in both ranges; upwards, so an overlap below the source is fine.
        unsafe {
            asm!(
                "2:",
                "ldp q0, q1, [{s}]",
                "ldp q2, q3, [{s}, #32]",
                "ldp q4, q5, [{s}, #64]",
                "ldp q6, q7, [{s}, #96]",
                "add {s}, {s}, #128",
                "stp q0, q1, [{t}]",
                "stp q2, q3, [{t}, #32]",
                "stp q4, q5, [{t}, #64]",
                "stp q6, q7, [{t}, #96]",
                "add {t}, {t}, #128",
                "subs {n}, {n}, #1",
                "b.ne 2b",
                s = inout(reg) source => _, t = inout(reg) target => _, n = inout(reg) chunks => _,
                out("v0") _, out("v1") _, out("v2") _, out("v3") _,
                out("v4") _, out("v5") _, out("v6") _, out("v7") _,
                options(nostack),
            );
        }
    }
    let done = chunks * CHUNK;
    // SAFETY: the rest of both ranges.
    unsafe { core::ptr::copy((source + done) as *const u8, (target + done) as *mut u8, size - done) };
}

/// Makes `size` bytes at `start` visible to instruction fetch and to observers without caches.
///
/// # Safety
/// The range is mapped memory.
pub unsafe fn clean(start: usize, size: usize) {
    const ROUND: usize = 8 * LINE;
    let mut line = start & !(LINE - 1);
    let end = start + size;
    while line + ROUND <= end {
        // SAFETY: cleaning a cache line changes no memory.
        unsafe {
            asm!(
                "dc cvac, {0}", "add {0}, {0}, #64", "dc cvac, {0}", "add {0}, {0}, #64",
                "dc cvac, {0}", "add {0}, {0}, #64", "dc cvac, {0}", "add {0}, {0}, #64",
                "dc cvac, {0}", "add {0}, {0}, #64", "dc cvac, {0}", "add {0}, {0}, #64",
                "dc cvac, {0}", "add {0}, {0}, #64", "dc cvac, {0}", "add {0}, {0}, #64",
                inout(reg) line, options(nostack),
            );
        }
    }
    while line < end {
        // SAFETY: as above.
        unsafe { asm!("dc cvac, {0}", in(reg) line, options(nostack)) };
        line += LINE;
    }
}

/// Completes the cleaning and drops what instruction caches hold.
pub fn synchronise_instructions() {
    // SAFETY: barriers and instruction cache invalidation change no memory.
    unsafe { asm!("dsb sy", "ic iallu", "dsb sy", "isb", options(nostack)) };
}
