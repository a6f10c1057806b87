// SPDX-License-Identifier: BSD-2-Clause
//! Moving bytes and cache lines: all of this program's access to memory that others change meanwhile.
//!
//! A running vCPU, a device or another PD may write such memory at any moment. For Rust that would be a data race, so no
//! reference to it ever exists: these functions take raw pointers and access it in inline assembly, which the
//! compiler treats as an access by somebody else. Bytes that change during a copy arrive old or new, each a valid byte.

use core::arch::asm;

/// Bytes moved in one turn of the loops.
const BLOCK: usize = 64;
/// From this length on a copy uses vector registers: a quarter of the instructions, but their first use after the guest's
/// costs the kernel a switch of the floating-point unit, about half of what they save on a page.
const VECTOR: usize = 4096;
/// Blocks that a copy with vector registers moves in one turn.
const TURN: usize = 4;
/// Bytes of a cache line: the smallest of all processors with an AArch64 that this runs on (Cortex-A53, A57, A72, A76).
const LINE: usize = 64;

/// Copies `count` bytes from `from` to `to`, lowest address first.
///
/// # Safety
/// 1. `count` bytes are mapped at `from`, readable, and at `to`, writable, as normal memory.
/// 2. No reference to any of the bytes at `to` is live, and no unique one to those at `from`, except for the one that
///    its pointer was made of.
/// 3. The two do not overlap.
#[inline]
pub unsafe fn copy(to: *mut u8, from: *const u8, count: usize) {
    let blocks = count / BLOCK;
    // SAFETY: by the contract of this function; `blocks * BLOCK` is at most `count`, and the rest is behind it.
    unsafe {
        if count >= VECTOR {
            copy_vector(to, from, blocks);
            let (left, done) = (blocks % TURN, (blocks - blocks % TURN) * BLOCK);
            if left > 0 {
                copy_blocks(to.wrapping_add(done), from.wrapping_add(done), left);
            }
        } else if blocks > 0 {
            copy_blocks(to, from, blocks);
        }
        let done = blocks * BLOCK;
        copy_rest(to.wrapping_add(done), from.wrapping_add(done), count - done);
    }
}

/// # Safety
/// As [`copy`] for `blocks` blocks, at least one.
#[inline]
unsafe fn copy_blocks(to: *mut u8, from: *const u8, blocks: usize) {
    // SAFETY: only the bytes that the caller vouches for are accessed, and only operands and flags changed.
    unsafe {
        asm!(
            "2:",
            "ldp {a}, {b}, [{from}]",
            "ldp {c}, {d}, [{from}, #16]",
            "stp {a}, {b}, [{to}]",
            "ldp {a}, {b}, [{from}, #32]",
            "stp {c}, {d}, [{to}, #16]",
            "ldp {c}, {d}, [{from}, #48]",
            "add {from}, {from}, #64",
            "stp {a}, {b}, [{to}, #32]",
            "stp {c}, {d}, [{to}, #48]",
            "add {to}, {to}, #64",
            "subs {blocks}, {blocks}, #1",
            "b.ne 2b",
            a = out(reg) _, b = out(reg) _, c = out(reg) _, d = out(reg) _,
            from = inout(reg) from => _,
            to = inout(reg) to => _,
            blocks = inout(reg) blocks => _,
            options(nostack),
        );
    }
}

/// # Safety
/// As [`copy`] for `blocks` blocks; the last ones, fewer than [`TURN`], are left.
unsafe fn copy_vector(to: *mut u8, from: *const u8, blocks: usize) {
    // SAFETY: only the bytes that the caller vouches for are accessed, and only operands, flags and caller-saved vector
    // registers changed.
    unsafe {
        asm!(
            "2:",
            "ld1 {{v0.16b, v1.16b, v2.16b, v3.16b}}, [{from}], #64",
            "ld1 {{v4.16b, v5.16b, v6.16b, v7.16b}}, [{from}], #64",
            "ld1 {{v16.16b, v17.16b, v18.16b, v19.16b}}, [{from}], #64",
            "ld1 {{v20.16b, v21.16b, v22.16b, v23.16b}}, [{from}], #64",
            "st1 {{v0.16b, v1.16b, v2.16b, v3.16b}}, [{to}], #64",
            "st1 {{v4.16b, v5.16b, v6.16b, v7.16b}}, [{to}], #64",
            "st1 {{v16.16b, v17.16b, v18.16b, v19.16b}}, [{to}], #64",
            "st1 {{v20.16b, v21.16b, v22.16b, v23.16b}}, [{to}], #64",
            "subs {turns}, {turns}, #1",
            "b.ne 2b",
            from = inout(reg) from => _,
            to = inout(reg) to => _,
            turns = inout(reg) blocks / TURN => _,
            out("v0") _, out("v1") _, out("v2") _, out("v3") _,
            out("v4") _, out("v5") _, out("v6") _, out("v7") _,
            out("v16") _, out("v17") _, out("v18") _, out("v19") _,
            out("v20") _, out("v21") _, out("v22") _, out("v23") _,
            options(nostack),
        );
    }
}

/// # Safety
/// As [`copy`]; `count` is below [`BLOCK`].
#[inline]
unsafe fn copy_rest(to: *mut u8, from: *const u8, count: usize) {
    // SAFETY: only the bytes that the caller vouches for are accessed, and only operands and flags changed.
    unsafe {
        asm!(
            "cmp {count}, #8",
            "b.lo 3f",
            "2:",
            "ldr {word}, [{from}], #8",
            "str {word}, [{to}], #8",
            "sub {count}, {count}, #8",
            "cmp {count}, #8",
            "b.hs 2b",
            "3:",
            "tbz {count}, #2, 4f",
            "ldr {word:w}, [{from}], #4",
            "str {word:w}, [{to}], #4",
            "4:",
            "tbz {count}, #1, 5f",
            "ldrh {word:w}, [{from}], #2",
            "strh {word:w}, [{to}], #2",
            "5:",
            "tbz {count}, #0, 6f",
            "ldrb {word:w}, [{from}]",
            "strb {word:w}, [{to}]",
            "6:",
            word = out(reg) _,
            from = inout(reg) from => _,
            to = inout(reg) to => _,
            count = inout(reg) count => _,
            options(nostack),
        );
    }
}

/// Fills `count` bytes at `to` with zeroes.
///
/// # Safety
/// 1. `count` bytes are mapped at `to`, writable, as normal memory.
/// 2. No reference to any of them is live, except for the one that the pointer was made of.
pub unsafe fn zero(to: *mut u8, count: usize) {
    let blocks = count / BLOCK;
    if blocks > 0 {
        // SAFETY: only the bytes that the caller vouches for are accessed, and only operands and flags changed.
        unsafe {
            asm!(
                "2:",
                "stp xzr, xzr, [{to}]",
                "stp xzr, xzr, [{to}, #16]",
                "stp xzr, xzr, [{to}, #32]",
                "stp xzr, xzr, [{to}, #48]",
                "add {to}, {to}, #64",
                "subs {blocks}, {blocks}, #1",
                "b.ne 2b",
                to = inout(reg) to => _,
                blocks = inout(reg) blocks => _,
                options(nostack),
            );
        }
    }
    let rest = [0u8; BLOCK];
    let done = blocks * BLOCK;
    // SAFETY: less than a block remains, and `rest` is nobody else's.
    unsafe { copy_rest(to.wrapping_add(done), rest.as_ptr(), count - done) };
}

/// Writes the cache lines of `count` bytes at `start` back to memory and drops them: whoever reads past the caches, like a
/// guest before it turns its own on, finds there what was written.
///
/// User level may do this for memory it has mapped: both kernels that this program is for leave SCTLR_EL1.UCI set.
///
/// # Safety
/// `count` bytes are mapped at `start`, readable, as normal memory.
pub unsafe fn clean(start: *const u8, count: usize) {
    let Some((line, lines)) = lines(start, count) else { return };
    // SAFETY: cache maintenance changes no memory's contents; the lines are mapped, as the caller vouches.
    unsafe {
        asm!(
            "2:",
            "dc civac, {line}",
            "add {line}, {line}, #64",
            "subs {lines}, {lines}, #1",
            "b.ne 2b",
            "dsb sy",
            line = inout(reg) line => _,
            lines = inout(reg) lines => _,
            options(nostack),
        );
    }
}

/// Drops what instruction caches hold of `count` bytes at `start`; after [`clean`].
///
/// # Safety
/// As [`clean`].
pub unsafe fn forget_instructions(start: *const u8, count: usize) {
    let Some((line, lines)) = lines(start, count) else { return };
    // SAFETY: as in `clean`.
    unsafe {
        asm!(
            "2:",
            "ic ivau, {line}",
            "add {line}, {line}, #64",
            "subs {lines}, {lines}, #1",
            "b.ne 2b",
            "dsb ish",
            "isb",
            line = inout(reg) line => _,
            lines = inout(reg) lines => _,
            options(nostack),
        );
    }
}

/// First cache line of `count` bytes at `start`, and how many there are; `None` for no bytes.
fn lines(start: *const u8, count: usize) -> Option<(usize, usize)> {
    let first = start as usize & !(LINE - 1);
    (count > 0).then(|| (first, (start as usize - first + count).div_ceil(LINE)))
}
