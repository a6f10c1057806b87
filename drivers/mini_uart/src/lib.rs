// SPDX-License-Identifier: BSD-2-Clause
//! The Raspberry Pi's mini UART (BCM2711 ARM Peripherals, 2.2), for boards whose PL011 is taken (by Bluetooth, say).
//!
//! What goes on between rings and FIFOs is the same as for a PL011, so this is an adapter: [`MiniUart`] offers what
//! `pl011-driver` asks of a UART. The baud rate stays as the firmware left it.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

use pl011_driver::registers::{Control, Flags, Interrupts, LineControl, Registers};

/// The registers that are used, by byte offset (table in 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(usize)]
pub enum Register {
    /// AUX_ENABLES.
    Enables = 0x04,
    /// AUX_MU_IO: data.
    Data = 0x40,
    /// AUX_MU_IER: interrupts. The document has bits 0 and 1 the wrong way round: receive is bit 0, as in a 16550.
    Interrupts = 0x44,
    /// AUX_MU_IIR: writing ones to bits 1 and 2 clears the FIFOs.
    Fifo = 0x48,
    /// AUX_MU_LCR: 3 for eight bits.
    Line = 0x4c,
    /// AUX_MU_CNTL: bit 0 receiver, bit 1 transmitter.
    Control = 0x60,
    /// AUX_MU_STAT.
    Status = 0x64,
}

/// AUX_MU_STAT: a byte has been received.
const RECEIVED: u32 = 1 << 0;
/// AUX_MU_STAT: there is space for a byte.
const SPACE: u32 = 1 << 1;
/// AUX_MU_STAT: nothing is being transmitted.
const DONE: u32 = 1 << 9;

/// AUX_MU_IER.
const RECEIVE_INTERRUPT: u32 = 1 << 0;
const TRANSMIT_INTERRUPT: u32 = 1 << 1;

/// The registers.
pub trait Words {
    /// Reads one.
    fn read(&self, register: Register) -> u32;
    /// Reads one that changes by it.
    fn take(&mut self, register: Register) -> u32;
    /// Writes one.
    fn write(&mut self, register: Register, value: u32);
}

/// The mini UART as a driver of PL011s sees it.
#[derive(Debug)]
pub struct MiniUart<W>(W);

impl<W: Words> MiniUart<W> {
    /// A mini UART, switched on. It shares its enable register with two SPI masters, which are left as they are.
    pub fn new(mut words: W) -> Self {
        let enables = words.read(Register::Enables);
        words.write(Register::Enables, enables | 1);
        Self(words)
    }
}

impl<W: Words> Registers for MiniUart<W> {
    fn read_data(&mut self) -> u32 {
        // It tells of no errors.
        self.0.take(Register::Data) & 0xff
    }

    fn write_data(&mut self, byte: u8) {
        self.0.write(Register::Data, byte.into());
    }

    fn flags(&self) -> Flags {
        let status = self.0.read(Register::Status);
        let mut flags = Flags::empty();
        flags.set(Flags::RXFE, status & RECEIVED == 0);
        flags.set(Flags::TXFF, status & SPACE == 0);
        flags.set(Flags::BUSY, status & DONE == 0);
        flags
    }

    fn set_line_control(&mut self, _value: LineControl) {
        self.0.write(Register::Line, 3);
    }

    fn set_control(&mut self, value: Control) {
        let on = value.contains(Control::UART_ENABLE);
        let bit = |control, bit: u32| if on && value.contains(control) { bit } else { 0 };
        self.0.write(Register::Control, bit(Control::RX_ENABLE, 1) | bit(Control::TX_ENABLE, 2));
    }

    fn set_levels(&mut self, _value: u32) {
        // It interrupts for every byte, and when nothing is left to transmit.
    }

    fn set_interrupt_mask(&mut self, value: Interrupts) {
        let bit = |interrupt, bit: u32| if value.intersects(interrupt) { bit } else { 0 };
        let receive = bit(Interrupts::RX | Interrupts::RECEIVE_TIMEOUT, RECEIVE_INTERRUPT);
        self.0.write(Register::Interrupts, receive | bit(Interrupts::TX, TRANSMIT_INTERRUPT));
    }

    fn clear_interrupts(&mut self, _value: Interrupts) {
        // They last as long as their reason.
    }
}

#[cfg(test)]
mod tests;
