// SPDX-License-Identifier: BSD-2-Clause
//! What an exit costs, seen from within: loads from the UART, counted by the virtual counter. On a machine whose time is
//! its instructions a tick is a fixed number of instructions, all of them: the guest's, the kernel's, the monitor's.

use crate::console::FLAGS;
use crate::{cpu, println, timer};

const WARM_UP: u32 = 1_000;
const ROUNDS: u32 = 10_000;

/// Prints `BENCH name rounds ticks` and `BENCH done`.
pub fn run() {
    let load = |rounds| {
        for _ in 0..rounds {
            cpu::load32(FLAGS, 0);
        }
    };
    load(WARM_UP);
    let start = timer::now();
    load(ROUNDS);
    let ticks = timer::now().wrapping_sub(start);
    println!("BENCH mmio_exit_value_extended {ROUNDS} {ticks}");
    println!("BENCH done");
}
