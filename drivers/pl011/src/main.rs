// SPDX-License-Identifier: BSD-2-Clause
//! The PL011 driver PD: [`pl011_driver::pd`] with a PL011.
//!
//! Symbols: `uart` (registers), and those of that module.
#![no_std]
#![no_main]

use pl011_driver::pd::UartDriver;
use pl011_driver::registers::{Layout, Mmio};
use safe_mmio::UniqueMmioPointer;
use sel4_microkit::{Handler, memory_region_symbol, protection_domain};

#[protection_domain]
fn init() -> impl Handler {
    // SAFETY: `uart` is where the system description maps the registers, as device memory, for this PD alone.
    let registers = unsafe { UniqueMmioPointer::new(memory_region_symbol!(uart: *mut Layout)) };
    UartDriver::start(Mmio(registers))
}
