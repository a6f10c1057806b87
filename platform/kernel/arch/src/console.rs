// SPDX-License-Identifier: BSD-2-Clause
//! Debug output on the board's PL011 (Arm DDI 0183), polled. Only in configuration `debug`; panics print here.

use core::fmt;

use crate::memory::Registers;
use crate::paging;

const UARTDR: u64 = 0x000;
const UARTFR: u64 = 0x018;
/// UARTFR: the transmit FIFO is full.
const TXFF: u32 = 1 << 5;

/// Where debug output goes.
#[derive(Clone, Copy, Debug)]
pub struct Console;

/// Prints one byte, newline as carriage return and newline.
pub fn put(byte: u8) {
    if !cfg!(feature = "debug") {
        return;
    }
    // SAFETY: `paging::init` maps the console's page at this address in configuration `debug`, before any output.
    let registers = unsafe { Registers::new(paging::CONSOLE) };
    let send = |byte: u8| {
        while registers.read(UARTFR) & TXFF != 0 {}
        registers.write(UARTDR, u32::from(byte));
    };
    if byte == b'\n' {
        send(b'\r');
    }
    send(byte);
}

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(put);
        Ok(())
    }
}

/// Prints a line in configuration `debug`, nothing otherwise.
macro_rules! debug_println {
    ($($arg:tt)*) => {
        if cfg!(feature = "debug") {
            use core::fmt::Write as _;
            let _ = writeln!($crate::console::Console, $($arg)*);
        }
    };
}

pub(crate) use debug_println;
