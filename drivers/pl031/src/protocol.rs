// SPDX-License-Identifier: BSD-2-Clause
//! What clients ask the clock's driver, by protected call.

/// Label: the time. Answer: message register 0, seconds since 1970-01-01 00:00 UTC. The counter has 32 bits, so it
/// starts again from 0 in 2106.
pub const GET_TIME: u64 = 0;

/// Label of an answer: done.
pub const OK: u64 = 0;
/// Label of an answer: not a request.
pub const BAD_REQUEST: u64 = 1;
