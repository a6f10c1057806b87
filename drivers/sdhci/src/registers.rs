// SPDX-License-Identifier: BSD-2-Clause
//! Registers of a standard SD host controller (SD Host Controller Simplified Specification 3.00, chapter 2).
//!
//! All are accessed as the 32-bit words that they lie in: what the Raspberry Pi's controllers demand, and every other one
//! allows.

use bitflags::bitflags;

/// A word of registers, by its byte offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(usize)]
pub enum Register {
    /// Block size (15:0) and count (31:16), 2.2.2 and 2.2.3.
    Block = 0x04,
    /// Argument of a command, 2.2.4.
    Argument = 0x08,
    /// Transfer mode (15:0) and command (31:16), 2.2.5 and 2.2.6. Writing it starts the command.
    Command = 0x0c,
    /// Response, bits 31:0, 2.2.7.
    Response0 = 0x10,
    /// Response, bits 63:32.
    Response1 = 0x14,
    /// Response, bits 95:64.
    Response2 = 0x18,
    /// Response, bits 127:96.
    Response3 = 0x1c,
    /// Data port, 2.2.8.
    Data = 0x20,
    /// Present state, 2.2.9.
    Present = 0x24,
    /// Host control (7:0) and power control (15:8), 2.2.10 and 2.2.11.
    Control = 0x28,
    /// Clock control (15:0), time-out control (23:16), software reset (31:24), 2.2.14 to 2.2.16.
    Clock = 0x2c,
    /// Interrupt status, normal (15:0) and error (31:16), 2.2.17 and 2.2.18. Ones clear.
    Status = 0x30,
    /// Which of them are recorded, 2.2.19 and 2.2.20.
    StatusEnable = 0x34,
    /// Which of them interrupt, 2.2.21 and 2.2.22.
    SignalEnable = 0x38,
    /// Capabilities, 2.2.26.
    Capabilities = 0x40,
    /// ADMA system address, 2.2.30.
    AdmaAddress = 0x58,
    /// Slot interrupt status (15:0) and version (31:16), 2.2.32 and 2.2.33.
    Version = 0xfc,
}

bitflags! {
    /// [`Register::Present`].
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Present: u32 {
        /// No command can be issued.
        const COMMAND_INHIBIT = 1 << 0;
        /// No command that uses the data lines can be issued.
        const DATA_INHIBIT = 1 << 1;
        /// The write protect switch allows writing.
        const WRITE_ENABLED = 1 << 19;
        const _ = !0;
    }

    /// [`Register::Status`] and the two that enable it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Status: u32 {
        /// A command has been answered.
        const COMMAND_COMPLETE = 1 << 0;
        /// A transfer, or the busy time of a command, is over.
        const TRANSFER_COMPLETE = 1 << 1;
        /// The data port has space for a block.
        const WRITE_READY = 1 << 4;
        /// The data port has a block.
        const READ_READY = 1 << 5;
        /// A card was inserted.
        const INSERTED = 1 << 6;
        /// The card was removed.
        const REMOVED = 1 << 7;
        /// One of the errors above bit 15.
        const ERROR = 1 << 15;
        /// A command was not answered.
        const COMMAND_TIMEOUT = 1 << 16;
        /// All errors.
        const ERRORS = 0xffff_0000;
        const _ = !0;
    }

    /// [`Register::Capabilities`].
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Capabilities: u32 {
        /// Does ADMA2.
        const ADMA2 = 1 << 19;
        /// Has high speed.
        const HIGH_SPEED = 1 << 21;
        const _ = !0;
    }
}

/// Fields of [`Register::Control`].
pub mod control {
    /// Four data lines.
    pub const FOUR_BITS: u32 = 1 << 1;
    /// High speed.
    pub const HIGH_SPEED: u32 = 1 << 2;
    /// DMA is ADMA2 with 32-bit addresses.
    pub const ADMA2: u32 = 2 << 3;
    /// 3.3 V, on.
    pub const POWER_3V3: u32 = 0x0f << 8;
}

/// Fields of [`Register::Clock`].
pub mod clock {
    /// The internal clock is on.
    pub const INTERNAL: u32 = 1 << 0;
    /// It is stable.
    pub const STABLE: u32 = 1 << 1;
    /// The card has it.
    pub const CARD: u32 = 1 << 2;
    /// The longest time-out for data.
    pub const LONGEST_TIMEOUT: u32 = 0xe << 16;
    /// Resets everything.
    pub const RESET_ALL: u32 = 1 << 24;
    /// Resets the command line.
    pub const RESET_COMMAND: u32 = 1 << 25;
    /// Resets the data lines.
    pub const RESET_DATA: u32 = 1 << 26;
}

/// Transfer mode, the low half of [`Register::Command`].
pub mod mode {
    /// By the controller's DMA.
    pub const DMA: u32 = 1 << 0;
    /// Counts blocks.
    pub const COUNT: u32 = 1 << 1;
    /// Stops the card by CMD12 at the end.
    pub const AUTO_STOP: u32 = 1 << 2;
    /// From the card.
    pub const READ: u32 = 1 << 4;
    /// Several blocks.
    pub const MULTIPLE: u32 = 1 << 5;
}

/// What the driver does with the controller.
pub trait Registers {
    /// Reads a word of registers.
    fn read(&mut self, register: Register) -> u32;
    /// Writes a word of registers.
    fn write(&mut self, register: Register, value: u32);
    /// Microseconds since some moment.
    fn now_us(&mut self) -> u64;
}

/// A DMA engine beside the controller, which moves data between memory and the controller's data port.
pub trait Engine {
    /// Starts at a chain of control blocks.
    fn start(&mut self, control_block: u64);
    /// Stops.
    fn stop(&mut self);
}

/// No engine.
impl Engine for () {
    fn start(&mut self, _control_block: u64) {}
    fn stop(&mut self) {}
}
