// SPDX-License-Identifier: BSD-2-Clause
//! PL011 UART (Arm DDI 0183), with the identification of QEMU's (r1p1: FIFOs of 16).
//!
//! Output goes to a [`Transmit`] sink as the guest writes it, so the transmit FIFO only fills when the sink is full;
//! then the guest sees TXFF, and [`Pl011::drain`] carries on when there is room again. Input is offered with
//! [`Pl011::receive`] and stays with the caller until the guest has shown that it listens ([`Pl011::listens`]):
//! what is typed while an operating system boots is not thrown away by its driver's start-up.
//!
//! Baud rate, line control beyond the FIFO enable, modem signals and DMA have registers but no effect.

pub mod regs;
#[cfg(test)]
mod tests;

use crate::fifo::{DEPTH, Fifo};
use crate::primecell::identification;
use regs::{Control, Flags, Interrupts, LineControl};
use serde::{Deserialize, Serialize};

/// Where output goes.
pub trait Transmit {
    /// Takes a byte, or returns false when there is no room now.
    fn put(&mut self, byte: u8) -> bool;
}

/// After so many reads of the flag register without a data access the guest is polling for input. Long enough that
/// drivers that check for room before each character never reach it.
const POLLING: u8 = 16;

/// The UART's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pl011 {
    transmit: Fifo,
    receive: Fifo,
    low_power: u8,
    baud_integer: u16,
    baud_fraction: u8,
    line: u8,
    control: u16,
    levels: u8,
    mask: u16,
    raw: u16,
    dma: u8,
    flag_reads: u8,
}

impl Default for Pl011 {
    fn default() -> Self {
        Self::new()
    }
}

impl Pl011 {
    /// As after reset.
    pub const fn new() -> Self {
        Self {
            transmit: Fifo::new(),
            receive: Fifo::new(),
            low_power: 0,
            baud_integer: 0,
            baud_fraction: 0,
            line: 0,
            control: Control::TXE | Control::RXE,
            levels: 0x12,
            mask: 0,
            raw: 0,
            dma: 0,
            flag_reads: 0,
        }
    }

    /// Reads the register at byte offset `offset` (a multiple of four; others and unknown ones read as zero).
    #[inline]
    pub fn read(&mut self, offset: u64) -> u32 {
        match offset {
            regs::FR => self.read_flags().into(),
            regs::DR => self.read_data(),
            regs::ILPR => self.low_power.into(),
            regs::IBRD => self.baud_integer.into(),
            regs::FBRD => self.baud_fraction.into(),
            regs::LCR_H => self.line.into(),
            regs::CR => self.control.into(),
            regs::IFLS => self.levels.into(),
            regs::IMSC => self.mask.into(),
            regs::RIS => self.raw.into(),
            regs::MIS => (self.raw & self.mask).into(),
            regs::DMACR => self.dma.into(),
            // RSR: there are no line errors.
            _ => identification(&regs::ID, offset),
        }
    }

    /// Writes the register at byte offset `offset`; unknown and read-only ones ignore it.
    #[inline]
    pub fn write(&mut self, offset: u64, value: u32, sink: &mut impl Transmit) {
        match offset {
            regs::DR => self.write_data(value as u8, sink),
            regs::ILPR => self.low_power = value as u8,
            regs::IBRD => self.baud_integer = value as u16,
            regs::FBRD => self.baud_fraction = value as u8 & 0x3f,
            regs::LCR_H => self.set_line(value as u8),
            regs::CR => self.control = value as u16 & Control::DEFINED,
            regs::IFLS => self.levels = value as u8 & 0x3f,
            regs::IMSC => self.mask = value as u16 & Interrupts::ALL,
            regs::ICR => self.raw &= !(value as u16 & Interrupts::ALL),
            regs::DMACR => self.dma = value as u8 & 0x7,
            // ECR clears errors, of which there are none.
            _ => {}
        }
    }

    /// Level of the interrupt.
    #[inline]
    pub const fn asserted(&self) -> bool {
        self.raw & self.mask != 0
    }

    /// Whether the guest is ready for input: the receiver is on and its interrupt unmasked, or the guest polls.
    pub const fn listens(&self) -> bool {
        const ON: u16 = Control::UARTEN | Control::RXE;
        let waits = self.control & ON == ON && self.mask & (Interrupts::RX | Interrupts::RT) != 0;
        waits || self.flag_reads >= POLLING
    }

    /// Bytes of input that fit now; zero while the guest does not listen.
    pub fn room(&self) -> usize {
        if self.listens() { self.depth().saturating_sub(self.receive.len()) } else { 0 }
    }

    /// Takes input, as much as there is [`Pl011::room`] for, and returns how many bytes that was.
    pub fn receive(&mut self, input: &[u8]) -> usize {
        let taken = input.len().min(self.room());
        for &byte in input.iter().take(taken) {
            self.push_received(byte);
        }
        if !self.receive.is_empty() {
            // Nothing follows at once: the receive time-out of a real line has passed.
            self.raw |= Interrupts::RT;
        }
        taken
    }

    /// Output that waits in the FIFO for room in the sink.
    pub const fn pending_output(&self) -> usize {
        self.transmit.len()
    }

    /// Moves waiting output to the sink, as much as it takes.
    pub fn drain(&mut self, sink: &mut impl Transmit) {
        let before = self.transmit.len();
        while let Some(byte) = self.transmit.front() {
            if !sink.put(byte) {
                break;
            }
            self.transmit.pop();
        }
        if before > self.transmit.len() && self.transmit.len() <= self.transmit_level() {
            self.raw |= Interrupts::TX;
        }
    }

    /// Reads the flag register: [`read`](Self::read) at [`regs::FR`]. The interrupt's level stays what it was.
    #[inline(always)]
    pub fn read_flags(&mut self) -> u16 {
        self.flag_reads = self.flag_reads.saturating_add(1);
        let mut flags = Flags::CTS | Flags::DSR | Flags::DCD;
        if self.receive.is_empty() {
            flags |= Flags::RXFE;
        } else if self.receive.len() >= self.depth() {
            flags |= Flags::RXFF;
        }
        if self.transmit.is_empty() {
            flags |= Flags::TXFE;
        } else {
            flags |= Flags::BUSY;
            if self.transmit.len() >= self.depth() {
                flags |= Flags::TXFF;
            }
        }
        flags
    }

    fn read_data(&mut self) -> u32 {
        let byte = self.receive.pop();
        if self.receive.len() < self.receive_level() {
            self.raw &= !Interrupts::RX;
        }
        if self.receive.is_empty() {
            self.raw &= !Interrupts::RT;
        }
        byte.unwrap_or(0).into()
    }

    /// Output is accepted with the UART disabled too, as QEMU does, for guests that expect firmware to have set it up.
    fn write_data(&mut self, byte: u8, sink: &mut impl Transmit) {
        self.flag_reads = 0;
        if self.control & Control::LBE != 0 {
            if self.receive.len() < self.depth() {
                self.push_received(byte);
            } else {
                self.raw |= Interrupts::OE;
            }
        } else if !self.transmit.is_empty() || !sink.put(byte) {
            // A guest that writes to a full FIFO loses what it writes.
            if self.transmit.len() < self.depth() {
                self.transmit.push(byte);
            }
            if self.transmit.len() > self.transmit_level() {
                self.raw &= !Interrupts::TX;
                return;
            }
        }
        self.raw |= Interrupts::TX;
    }

    fn push_received(&mut self, byte: u8) {
        self.receive.push(byte);
        if self.receive.len() >= self.receive_level() {
            self.raw |= Interrupts::RX;
        }
    }

    fn set_line(&mut self, value: u8) {
        if (self.line ^ value) & LineControl::FEN != 0 {
            self.receive.clear();
        }
        self.line = value;
    }

    /// Entries of a FIFO: one while FIFOs are disabled.
    const fn depth(&self) -> usize {
        if self.line & LineControl::FEN != 0 { DEPTH } else { 1 }
    }

    /// The receive interrupt is raised at this many entries.
    const fn receive_level(&self) -> usize {
        if self.depth() == 1 { 1 } else { level(self.levels >> 3) }
    }

    /// The transmit interrupt is raised when the FIFO has emptied to this many entries.
    const fn transmit_level(&self) -> usize {
        if self.depth() == 1 { 0 } else { level(self.levels) }
    }
}

/// Entries for a field of IFLS: 1/8, 1/4, 1/2, 3/4 or 7/8 of the FIFO; reserved values as 7/8.
const fn level(field: u8) -> usize {
    match field & 7 {
        0 => DEPTH / 8,
        1 => DEPTH / 4,
        2 => DEPTH / 2,
        3 => DEPTH / 4 * 3,
        _ => DEPTH / 8 * 7,
    }
}
