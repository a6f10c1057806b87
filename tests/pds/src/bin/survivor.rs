// SPDX-License-Identifier: BSD-2-Clause
//! Says that it is alive. With the lowest priority in the system it does so after everybody else has stopped.
#![no_std]
#![no_main]

use core::fmt::Write;

use sel4_microkit::{Handler, NullHandler, memory_region_symbol, protection_domain};
use test_pds::Uart;

#[protection_domain]
fn init() -> impl Handler {
    // SAFETY: the system description maps a PL011 there; others that print have stopped by then.
    let mut uart = unsafe { Uart::new(memory_region_symbol!(uart: *mut u8)) };
    // The console cannot fail.
    let _ = writeln!(uart, "TEST survivor alive\r");
    NullHandler::new()
}
