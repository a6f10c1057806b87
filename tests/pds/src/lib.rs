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

/// For invocations that the runtime has no methods for: it keeps the IPC buffer to itself. This one, which the kernel does not
/// see, lends its methods; of their words up to four go in registers, and others have to be put in place by `set_mr`.
#[cfg(feature = "pd")]
pub const METHODS: sel4_microkit::sel4_sys::seL4_IPCBuffer = sel4_microkit::sel4_sys::seL4_IPCBuffer {
    tag: 0,
    msg: [0; 120],
    userData: 0,
    caps_or_badges: [0; 3],
    receiveCNode: 0,
    receiveIndex: 0,
    receiveDepth: 0,
};
