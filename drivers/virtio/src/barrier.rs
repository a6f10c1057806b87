// SPDX-License-Identifier: BSD-2-Clause
//! What orders a driver's accesses to memory shared with a device. All of it is here: on a board whose devices do
//! not see the processor's caches such memory has to be mapped past them (`${BOARD_DMA_CACHED}` in `system.xml`).
//!
//! The barriers are for the outer shareable domain, since a device that does DMA is not a processor. The processor's
//! memory is mapped as normal memory.

#[cfg(not(target_arch = "aarch64"))]
use core::sync::atomic::{Ordering, fence};

macro_rules! barrier {
    ($(#[$attribute:meta])* $name:ident, $instruction:literal) => {
        $(#[$attribute])*
        #[inline(always)]
        #[allow(unsafe_code, reason = "a barrier is an instruction")]
        pub fn $name() {
            #[cfg(target_arch = "aarch64")]
            // SAFETY: a memory barrier changes no register and no memory. Without `nomem` the compiler orders accesses
            // around it, too.
            unsafe {
                core::arch::asm!($instruction, options(nostack, preserves_flags));
            }
            #[cfg(not(target_arch = "aarch64"))]
            fence(Ordering::SeqCst);
        }
    };
}

barrier! {
    /// Between writing memory and making it known to the device, by an index or a register.
    before_publish, "dmb oshst"
}

barrier! {
    /// Between reading an index the device wrote and reading what lies below it.
    after_index, "dmb oshld"
}

barrier! {
    /// Between writing an index and reading whether the device wants to know, and the other way round.
    full, "dmb osh"
}
