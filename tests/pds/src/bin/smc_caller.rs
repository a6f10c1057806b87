// SPDX-License-Identifier: BSD-2-Clause
//! Asks the firmware for its PSCI version (Arm DEN 0022, PSCI_VERSION).
#![no_std]
#![no_main]

use core::fmt::Write;

use sel4_microkit::{Handler, NullHandler, SmcContext, memory_region_symbol, protection_domain, smc_call};
use test_pds::Uart;

const PSCI_VERSION: u64 = 0x8400_0000;

#[protection_domain]
fn init() -> impl Handler {
    // SAFETY: the system description maps a PL011 there, for this PD alone.
    let mut uart = unsafe { Uart::new(memory_region_symbol!(uart: *mut u8)) };
    let version = smc_call(&SmcContext { x0: PSCI_VERSION, ..Default::default() }).x0;
    // The console cannot fail.
    let _ = writeln!(uart, "TEST psci version {}.{}\r", version >> 16, version & 0xffff);
    NullHandler::new()
}
