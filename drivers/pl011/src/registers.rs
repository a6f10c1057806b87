// SPDX-License-Identifier: BSD-2-Clause
//! The registers of a PL011 (Arm DDI 0183, chapter 3).

use bitflags::bitflags;
use safe_mmio::fields::{ReadPure, ReadPureWrite, ReadWrite, WriteOnly};
use safe_mmio::{UniqueMmioPointer, field, field_shared};

bitflags! {
    /// `UARTFR` (3.3.3).
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Flags: u32 {
        /// A byte is being transmitted.
        const BUSY = 1 << 3;
        /// The receive FIFO is empty.
        const RXFE = 1 << 4;
        /// The transmit FIFO is full.
        const TXFF = 1 << 5;
        const _ = !0;
    }

    /// `UARTIMSC`, `UARTMIS` and `UARTICR` (3.3.10, 3.3.12, 3.3.13).
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Interrupts: u32 {
        /// The receive FIFO has reached its level.
        const RX = 1 << 4;
        /// The transmit FIFO has drained to its level.
        const TX = 1 << 5;
        /// Bytes have been waiting in the receive FIFO.
        const RECEIVE_TIMEOUT = 1 << 6;
        /// Everything, the modem and error interrupts included.
        const ALL = 0x7ff;
        const _ = !0;
    }

    /// `UARTLCR_H` (3.3.7).
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct LineControl: u32 {
        /// FIFOs on.
        const FIFO_ENABLE = 1 << 4;
        /// 8 data bits.
        const WORD_8 = 3 << 5;
        const _ = !0;
    }

    /// `UARTCR` (3.3.8).
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Control: u32 {
        /// UART on.
        const UART_ENABLE = 1 << 0;
        /// Transmitter on.
        const TX_ENABLE = 1 << 8;
        /// Receiver on.
        const RX_ENABLE = 1 << 9;
        const _ = !0;
    }

    /// Error bits beside a received byte in `UARTDR` (3.3.1).
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct ReceiveErrors: u32 {
        /// Framing error.
        const FRAMING = 1 << 8;
        /// Parity error.
        const PARITY = 1 << 9;
        /// Break.
        const BREAK = 1 << 10;
        /// Bytes were lost before this one; this one is good.
        const OVERRUN = 1 << 11;
    }
}

/// What the driver does with the UART's registers.
pub trait Registers {
    /// Reads `UARTDR`: takes a byte, with its error bits, out of the receive FIFO.
    fn read_data(&mut self) -> u32;
    /// Writes `UARTDR`: puts a byte into the transmit FIFO.
    fn write_data(&mut self, byte: u8);
    /// Reads `UARTFR`.
    fn flags(&self) -> Flags;
    /// Writes `UARTLCR_H`.
    fn set_line_control(&mut self, value: LineControl);
    /// Writes `UARTCR`.
    fn set_control(&mut self, value: Control);
    /// Writes `UARTIFLS`: FIFO levels for interrupts (3.3.9).
    fn set_levels(&mut self, value: u32);
    /// Writes `UARTIMSC`: the interrupts that are delivered.
    fn set_interrupt_mask(&mut self, value: Interrupts);
    /// Writes `UARTICR`: clears these interrupts.
    fn clear_interrupts(&mut self, value: Interrupts);
}

/// The registers as they lie in memory, up to the last one used.
#[repr(C)]
pub struct Layout {
    dr: ReadWrite<u32>,
    rsr: ReadPureWrite<u32>,
    reserved_08: [u32; 4],
    fr: ReadPure<u32>,
    reserved_1c: u32,
    ilpr: ReadPureWrite<u32>,
    ibrd: ReadPureWrite<u32>,
    fbrd: ReadPureWrite<u32>,
    lcr_h: ReadPureWrite<u32>,
    cr: ReadPureWrite<u32>,
    ifls: ReadPureWrite<u32>,
    imsc: ReadPureWrite<u32>,
    ris: ReadPure<u32>,
    mis: ReadPure<u32>,
    icr: WriteOnly<u32>,
}

const _: () = {
    use core::mem::offset_of;
    assert!(offset_of!(Layout, fr) == 0x18, "DDI 0183, table 3-1");
    assert!(offset_of!(Layout, lcr_h) == 0x2c, "DDI 0183, table 3-1");
    assert!(offset_of!(Layout, icr) == 0x44, "DDI 0183, table 3-1");
};

/// The registers of a real UART.
#[derive(Debug)]
pub struct Mmio<'a>(pub UniqueMmioPointer<'a, Layout>);

impl Registers for Mmio<'_> {
    fn read_data(&mut self) -> u32 {
        field!(self.0, dr).read()
    }

    fn write_data(&mut self, byte: u8) {
        field!(self.0, dr).write(byte.into());
    }

    fn flags(&self) -> Flags {
        Flags::from_bits_retain(field_shared!(self.0, fr).read())
    }

    fn set_line_control(&mut self, value: LineControl) {
        field!(self.0, lcr_h).write(value.bits());
    }

    fn set_control(&mut self, value: Control) {
        field!(self.0, cr).write(value.bits());
    }

    fn set_levels(&mut self, value: u32) {
        field!(self.0, ifls).write(value);
    }

    fn set_interrupt_mask(&mut self, value: Interrupts) {
        field!(self.0, imsc).write(value.bits());
    }

    fn clear_interrupts(&mut self, value: Interrupts) {
        field!(self.0, icr).write(value.bits());
    }
}
