// SPDX-License-Identifier: BSD-2-Clause
//! Registers of the PL011 (DDI 0183, chapter 3): byte offsets and fields.

/// Data.
pub const DR: u64 = 0x00;
/// Flags, read only.
pub const FR: u64 = 0x18;
/// IrDA low-power counter.
pub const ILPR: u64 = 0x20;
/// Integer baud rate divisor.
pub const IBRD: u64 = 0x24;
/// Fractional baud rate divisor.
pub const FBRD: u64 = 0x28;
/// Line control.
pub const LCR_H: u64 = 0x2c;
/// Control.
pub const CR: u64 = 0x30;
/// Interrupt FIFO levels.
pub const IFLS: u64 = 0x34;
/// Interrupt mask: ones let interrupts through.
pub const IMSC: u64 = 0x38;
/// Raw interrupt status, read only.
pub const RIS: u64 = 0x3c;
/// Masked interrupt status, read only.
pub const MIS: u64 = 0x40;
/// Interrupt clear, write only.
pub const ICR: u64 = 0x44;
/// DMA control.
pub const DMACR: u64 = 0x48;

/// PeriphID0 to 3, PCellID0 to 3: designer Arm, part 0x011, revision 1.
pub const ID: [u8; 8] = [0x11, 0x10, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1];

/// Fields of [`FR`].
pub struct Flags;

impl Flags {
    /// Clear to send: always.
    pub const CTS: u16 = 1 << 0;
    /// Data set ready: always.
    pub const DSR: u16 = 1 << 1;
    /// Data carrier detected: always.
    pub const DCD: u16 = 1 << 2;
    /// Output is on its way.
    pub const BUSY: u16 = 1 << 3;
    /// Receive FIFO empty.
    pub const RXFE: u16 = 1 << 4;
    /// Transmit FIFO full.
    pub const TXFF: u16 = 1 << 5;
    /// Receive FIFO full.
    pub const RXFF: u16 = 1 << 6;
    /// Transmit FIFO empty.
    pub const TXFE: u16 = 1 << 7;
}

/// Fields of [`LCR_H`].
pub struct LineControl;

impl LineControl {
    /// FIFOs enabled.
    pub const FEN: u8 = 1 << 4;
}

/// Fields of [`CR`].
pub struct Control;

impl Control {
    /// UART enabled.
    pub const UARTEN: u16 = 1 << 0;
    /// Loop back.
    pub const LBE: u16 = 1 << 7;
    /// Transmitter enabled.
    pub const TXE: u16 = 1 << 8;
    /// Receiver enabled.
    pub const RXE: u16 = 1 << 9;
    /// All bits but the reserved 6:3.
    pub const DEFINED: u16 = 0xff87;
}

/// Bits of [`IMSC`], [`RIS`], [`MIS`] and [`ICR`].
pub struct Interrupts;

impl Interrupts {
    /// Receive FIFO at its level.
    pub const RX: u16 = 1 << 4;
    /// Transmit FIFO at its level.
    pub const TX: u16 = 1 << 5;
    /// Receive time-out: input waits and no more came.
    pub const RT: u16 = 1 << 6;
    /// Overrun.
    pub const OE: u16 = 1 << 10;
    /// All defined bits.
    pub const ALL: u16 = 0x7ff;
}
