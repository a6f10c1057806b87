// SPDX-License-Identifier: BSD-2-Clause
//! The mini UART driver PD: [`pl011_driver::pd`] with a mini UART.
//!
//! Symbols: `uart` (registers), and those of that module.
#![no_std]
#![no_main]

use mini_uart_driver::{MiniUart, Register, Words};
use pl011_driver::pd::UartDriver;
use safe_mmio::fields::ReadPureWrite;
use safe_mmio::{UniqueMmioPointer, field, field_shared};
use sel4_microkit::{Handler, memory_region_symbol, protection_domain};

/// The registers of AUX as they lie in memory. Reading data takes a byte out of the FIFO; the fields say "pure" all the same,
/// as one of them needs it and all are one array: nothing reads data but `take`.
#[repr(C)]
struct Layout {
    words: [ReadPureWrite<u32>; 26],
}

struct Mmio(UniqueMmioPointer<'static, Layout>);

impl Words for Mmio {
    fn read(&self, register: Register) -> u32 {
        field_shared!(self.0, words).get(register as usize / 4).map_or(0, |word| word.read())
    }

    fn take(&mut self, register: Register) -> u32 {
        self.read(register)
    }

    fn write(&mut self, register: Register, value: u32) {
        if let Some(mut word) = field!(self.0, words).get(register as usize / 4) {
            word.write(value);
        }
    }
}

#[protection_domain]
fn init() -> impl Handler {
    // SAFETY: `uart` is where the system description maps the registers, as device memory, for this PD alone.
    let registers = unsafe { UniqueMmioPointer::new(memory_region_symbol!(uart: *mut Layout)) };
    UartDriver::start(MiniUart::new(Mmio(registers)))
}
