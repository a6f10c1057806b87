// SPDX-License-Identifier: BSD-2-Clause
//! Copying, 128 bytes at a time: prefilled memory is most of what the initialiser has to touch.

use core::arch::asm;

/// Bytes of one round.
const CHUNK: usize = 128;

/// Copies `source` to `target`.
///
/// # Safety
/// `target` is mapped and writable for `source.len()` bytes, nothing else uses it, and it does not overlap `source`.
pub unsafe fn copy(source: &[u8], target: *mut u8) {
    let rounds = source.len() / CHUNK;
    if rounds > 0 {
        // SAFETY: `rounds` whole chunks lie inside both; the instructions have no alignment requirement.
        unsafe {
            asm!(
                "2:",
                "ldp q0, q1, [{from}]",
                "ldp q2, q3, [{from}, #32]",
                "ldp q4, q5, [{from}, #64]",
                "ldp q6, q7, [{from}, #96]",
                "add {from}, {from}, #128",
                "stp q0, q1, [{to}]",
                "stp q2, q3, [{to}, #32]",
                "stp q4, q5, [{to}, #64]",
                "stp q6, q7, [{to}, #96]",
                "add {to}, {to}, #128",
                "subs {rounds}, {rounds}, #1",
                "b.ne 2b",
                from = inout(reg) source.as_ptr() => _,
                to = inout(reg) target => _,
                rounds = inout(reg) rounds => _,
                out("v0") _, out("v1") _, out("v2") _, out("v3") _,
                out("v4") _, out("v5") _, out("v6") _, out("v7") _,
                options(nostack),
            );
        }
    }
    let done = rounds * CHUNK;
    let rest = source.get(done..).unwrap_or_default();
    // SAFETY: what is left of both; they do not overlap.
    unsafe { core::ptr::copy_nonoverlapping(rest.as_ptr(), target.wrapping_add(done), rest.len()) };
}
