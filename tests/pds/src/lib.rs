// SPDX-License-Identifier: BSD-2-Clause
//! What the test PDs share: a polled console that works in every configuration, and a counter for measuring.
//!
//! The test harness reads the console; lines it looks for begin with `TEST` or `BENCH`.
#![no_std]

#[cfg(feature = "pd")]
mod bench;
#[cfg(feature = "pd")]
pub mod phoenix;
#[cfg(feature = "pd")]
mod uart;

#[cfg(feature = "pd")]
pub use bench::{ROUNDS, Stopwatch, WARM_UP, ticks};
#[cfg(feature = "pd")]
pub use uart::Uart;
