// SPDX-License-Identifier: BSD-2-Clause
//! Output through the PL011 at 0x0900_0000 (DDI 0183).

use crate::cpu;
use core::fmt;

/// Address of the PL011.
pub const BASE: u64 = 0x0900_0000;
/// UARTFR.
pub const FLAGS: u64 = BASE + 0x18;

const DATA: u64 = BASE;
const CONTROL: u64 = BASE + 0x30;
const ENABLE: u64 = 0x301;
const TRANSMIT_FULL: u64 = 1 << 5;
/// A UART that stays full this long is broken; go on without it.
const MOST_POLLS: u32 = 1_000_000;

/// The UART as a target of `write!`.
pub struct Console;

/// Enables the transmitter.
pub fn init() {
    cpu::store32(CONTROL, ENABLE);
}

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            let mut polls = 0;
            while cpu::load32(FLAGS, 0) & TRANSMIT_FULL != 0 && polls < MOST_POLLS {
                polls += 1;
            }
            cpu::store32(DATA, byte.into());
        }
        Ok(())
    }
}

/// Prints one line.
#[macro_export]
macro_rules! println {
    ($($argument:tt)*) => {{
        let _ = core::fmt::Write::write_fmt(&mut $crate::console::Console, format_args!($($argument)*));
        let _ = core::fmt::Write::write_str(&mut $crate::console::Console, "\n");
    }};
}
