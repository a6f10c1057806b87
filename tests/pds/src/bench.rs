// SPDX-License-Identifier: BSD-2-Clause
//! Counting: the physical counter, which PDs may read. Under QEMU's `-icount shift=0` with a 62.5 MHz counter a tick is
//! 16 instructions, so that a difference over many rounds counts instructions.

use core::fmt::Write;

use crate::Uart;

/// Rounds before measuring.
pub const WARM_UP: u32 = 1_000;
/// Rounds measured.
pub const ROUNDS: u32 = 10_000;

/// The physical counter.
pub fn ticks() -> u64 {
    let value;
    // SAFETY: reads a counter.
    unsafe {
        core::arch::asm!("mrs {}, cntpct_el0", out(reg) value, options(nomem, nostack, preserves_flags))
    };
    value
}

/// Counts rounds of an event-driven test: tell it each round, it tells when the test is over and prints the result.
pub struct Stopwatch {
    rounds: u32,
    start: u64,
}

impl Stopwatch {
    /// A stopwatch before the first round.
    pub const fn new() -> Self {
        Self { rounds: 0, start: 0 }
    }

    /// Counts one round; the ticks that [`ROUNDS`] rounds took once they are over.
    #[inline(always)]
    pub fn round(&mut self) -> Option<u64> {
        self.rounds += 1;
        if self.rounds == WARM_UP {
            self.start = ticks();
        }
        (self.rounds == WARM_UP + ROUNDS).then(|| ticks() - self.start)
    }

    /// Prints a result in the form the harness reads: `BENCH name rounds ticks`.
    pub fn report(uart: &mut Uart, name: &str, rounds: u32, ticks: u64) {
        // The console cannot fail.
        let _ = writeln!(uart, "BENCH {name} {rounds} {ticks}\r");
    }
}

impl Default for Stopwatch {
    fn default() -> Self {
        Self::new()
    }
}
