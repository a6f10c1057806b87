// SPDX-License-Identifier: BSD-2-Clause
//! What `phoenix` can be asked to do, by protected call.

/// Tell: message register 0 starts, 1 the counter in `.data` (7 at first), 2 the counter in `.bss`; both count first.
pub const STATE: u64 = 0;
/// Access address 8.
pub const CRASH: u64 = 1;
/// Panic.
pub const PANIC: u64 = 2;
/// Loop for ever.
pub const HANG: u64 = 3;
/// Write over the copy of `.data`, then crash.
pub const DAMAGE: u64 = 4;
