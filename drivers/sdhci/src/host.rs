// SPDX-License-Identifier: BSD-2-Clause
//! The controller: reset, clock, power, commands.

use crate::registers::{Capabilities, Present, Register, Registers, Status, clock, control, mode};

/// Longest wait for the controller: reset, clock, a response. The specification's longest is 100 ms (reset).
const PATIENCE_US: u64 = 150_000;

/// Frequency while a card is identified, Hz (Physical Layer 4.2.1: at most 400 kHz).
const SLOW_HZ: u64 = 400_000;
/// Default speed (Physical Layer 6.6.6).
const DEFAULT_HZ: u64 = 25_000_000;
/// High speed (Physical Layer 6.6.7).
const HIGH_HZ: u64 = 50_000_000;
/// Words of the status that a card sends when its functions are switched (Physical Layer 4.3.10.4: 512 bits).
const SWITCH_WORDS: usize = 16;

/// Why the controller did not do what it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// It does not come out of reset.
    #[error("the controller does not come out of reset")]
    Reset,
    /// Its clock does not become stable.
    #[error("the controller's clock does not become stable")]
    Clock,
    /// It cannot do DMA, and there is no engine beside it.
    #[error("the controller cannot do DMA (capabilities {0:#x}), and no engine does it for it")]
    NoDma(u32),
    /// It does not take a command.
    #[error("the controller does not take CMD{0}")]
    Inhibited(u8),
    /// Nobody answered.
    #[error("no answer to CMD{0}")]
    NoAnswer(u8),
    /// The answer was damaged, or another error.
    #[error("CMD{0} failed with errors {1:#x}")]
    Command(u8, u32),
}

/// What kind of answer a command gets (Physical Layer 4.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// None.
    None,
    /// R1, R5, R6, R7: 48 bits, checked.
    Short,
    /// R1b: the same, and the card may be busy.
    Busy,
    /// R2: 136 bits.
    Long,
    /// R3: 48 bits without check sum and index.
    Unchecked,
}

impl Answer {
    /// Bits of the command register (2.2.6).
    const fn bits(self) -> u32 {
        const CRC_CHECK: u32 = 1 << 3;
        const INDEX_CHECK: u32 = 1 << 4;
        match self {
            Self::None => 0,
            Self::Long => 1 | CRC_CHECK,
            Self::Unchecked => 2,
            Self::Short => 2 | CRC_CHECK | INDEX_CHECK,
            Self::Busy => 3 | CRC_CHECK | INDEX_CHECK,
        }
    }
}

/// A command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command {
    /// Its number.
    pub index: u8,
    /// Its argument.
    pub argument: u32,
    /// Its answer.
    pub answer: Answer,
}

impl Command {
    /// A command with an ordinary answer.
    pub const fn new(index: u8, argument: u32) -> Self {
        Self { index, argument, answer: Answer::Short }
    }

    /// The same with another kind of answer.
    pub const fn answered(self, answer: Answer) -> Self {
        Self { answer, ..self }
    }

    /// The word that issues it; `mode` is that of its transfer, if it has one.
    const fn word(self, mode: Option<u32>) -> u32 {
        const DATA: u32 = 1 << 5;
        let (data, mode) = match mode {
            Some(mode) => (DATA, mode),
            None => (0, 0),
        };
        ((self.index as u32) << 8 | data | self.answer.bits()) << 16 | mode
    }
}

/// A controller.
#[derive(Debug)]
pub struct Host<R> {
    pub registers: R,
    /// Whether it does DMA itself.
    pub adma: bool,
}

impl<R: Registers> Host<R> {
    /// Takes a controller over: whatever it was doing ends.
    pub const fn new(registers: R) -> Self {
        Self { registers, adma: false }
    }

    /// Resets it, and gives the card power and a slow clock. `engine`: whether somebody else can move data.
    pub fn reset(&mut self, engine: bool) -> Result<(), HostError> {
        self.registers.write(Register::SignalEnable, 0);
        self.registers.write(Register::Clock, clock::RESET_ALL);
        if !self.wait(|r| r.read(Register::Clock) & clock::RESET_ALL == 0) {
            return Err(HostError::Reset);
        }
        let capabilities = self.registers.read(Register::Capabilities);
        self.adma = Capabilities::from_bits_retain(capabilities).contains(Capabilities::ADMA2);
        if !self.adma && !engine {
            return Err(HostError::NoDma(capabilities));
        }
        self.registers.write(Register::Status, u32::MAX);
        self.registers.write(Register::StatusEnable, u32::MAX);
        self.set_control(0);
        self.set_clock(SLOW_HZ)
    }

    /// Four data lines and default speed, for a card that has been told.
    pub fn go_fast(&mut self) -> Result<(), HostError> {
        self.set_control(control::FOUR_BITS);
        self.set_clock(DEFAULT_HZ)
    }

    /// Whether it has high speed.
    pub fn has_high_speed(&mut self) -> bool {
        let capabilities = self.registers.read(Register::Capabilities);
        Capabilities::from_bits_retain(capabilities).contains(Capabilities::HIGH_SPEED)
    }

    /// Four data lines and high speed, for a card that has been switched to it.
    pub fn go_faster(&mut self) -> Result<(), HostError> {
        self.set_control(control::FOUR_BITS | control::HIGH_SPEED);
        self.set_clock(HIGH_HZ)
    }

    fn set_control(&mut self, mode: u32) {
        let dma = if self.adma { control::ADMA2 } else { 0 };
        self.registers.write(Register::Control, control::POWER_3V3 | dma | mode);
    }

    /// The fastest clock that is not faster than `limit`.
    fn set_clock(&mut self, limit: u64) -> Result<(), HostError> {
        let version = self.registers.read(Register::Version) >> 16 & 0xff;
        let capabilities = self.registers.read(Register::Capabilities);
        let megahertz = capabilities >> 8 & if version >= 2 { 0xff } else { 0x3f };
        // A controller that does not say: as fast as one can be, so that the card's clock is not too fast.
        let base = if megahertz == 0 { 255 } else { u64::from(megahertz) } * 1_000_000;
        let (half, most) = (base.div_ceil(2 * limit), if version >= 2 { 0x3ff } else { 0x80 });
        let divisor = if base <= limit {
            0
        } else if version >= 2 {
            half.min(most)
        } else {
            half.next_power_of_two().min(most)
        } as u32;
        let word = clock::LONGEST_TIMEOUT | (divisor & 0xff) << 8 | (divisor >> 8 & 3) << 6;
        self.registers.write(Register::Clock, word);
        self.registers.write(Register::Clock, word | clock::INTERNAL);
        if !self.wait(|r| r.read(Register::Clock) & clock::STABLE != 0) {
            return Err(HostError::Clock);
        }
        self.registers.write(Register::Clock, word | clock::INTERNAL | clock::CARD);
        Ok(())
    }

    /// Whether the switch of the slot allows writing.
    pub fn write_enabled(&mut self) -> bool {
        self.present().contains(Present::WRITE_ENABLED)
    }

    fn present(&mut self) -> Present {
        Present::from_bits_retain(self.registers.read(Register::Present))
    }

    /// Issues a command without data and waits for its end. Gives the response, as in the registers.
    pub fn command(&mut self, command: Command) -> Result<[u32; 4], HostError> {
        let lines = match command.answer {
            Answer::Busy => Present::COMMAND_INHIBIT | Present::DATA_INHIBIT,
            _ => Present::COMMAND_INHIBIT,
        };
        let free = |r: &mut R| !Present::from_bits_retain(r.read(Register::Present)).intersects(lines);
        if !self.wait(free) {
            return Err(HostError::Inhibited(command.index));
        }
        self.registers.write(Register::Status, u32::MAX);
        self.registers.write(Register::Argument, command.argument);
        self.registers.write(Register::Command, command.word(None));
        let done = match command.answer {
            Answer::Busy => Status::TRANSFER_COMPLETE | Status::ERRORS,
            _ => Status::COMMAND_COMPLETE | Status::ERRORS,
        };
        let ended = self.wait(|r| Status::from_bits_retain(r.read(Register::Status)).intersects(done));
        let status = self.registers.read(Register::Status);
        self.registers.write(Register::Status, status);
        let errors = status & Status::ERRORS.bits();
        if !ended || errors != 0 {
            self.reset_lines();
            let silent = !ended || Status::from_bits_retain(status).contains(Status::COMMAND_TIMEOUT);
            return Err(match silent {
                true => HostError::NoAnswer(command.index),
                false => HostError::Command(command.index, errors),
            });
        }
        use Register::{Response0, Response1, Response2, Response3};
        Ok([Response0, Response1, Response2, Response3].map(|register| self.registers.read(register)))
    }

    /// Starts a transfer of `blocks` blocks of 512 bytes. Its end, or its failure, is an interrupt.
    pub fn start(&mut self, command: Command, blocks: u16, mode: u32) -> Result<(), HostError> {
        self.begin(command, blocks, ring::blk::SECTOR, mode)
    }

    fn begin(&mut self, command: Command, blocks: u16, size: u32, mode: u32) -> Result<(), HostError> {
        let busy = Present::COMMAND_INHIBIT | Present::DATA_INHIBIT;
        let free = |r: &mut R| !Present::from_bits_retain(r.read(Register::Present)).intersects(busy);
        if !self.wait(free) {
            return Err(HostError::Inhibited(command.index));
        }
        self.registers.write(Register::Status, u32::MAX);
        self.registers.write(Register::Block, u32::from(blocks) << 16 | size);
        self.registers.write(Register::Argument, command.argument);
        self.registers.write(Register::Command, command.word(Some(mode)));
        Ok(())
    }

    /// Issues a command whose data is the 64 bytes of a switch status, and reads them from the data port.
    pub fn switch(&mut self, command: Command) -> Result<[u32; SWITCH_WORDS], HostError> {
        self.begin(command, 1, 4 * SWITCH_WORDS as u32, mode::READ)?;
        let mut words = [0; SWITCH_WORDS];
        let sent = self.until(command.index, Status::READ_READY).and_then(|()| {
            words.fill_with(|| self.registers.read(Register::Data));
            self.until(command.index, Status::TRANSFER_COMPLETE)
        });
        if sent.is_err() {
            self.reset_lines();
        }
        sent.map(|()| words)
    }

    /// Waits for a status that may be an error.
    fn until(&mut self, index: u8, wanted: Status) -> Result<(), HostError> {
        let done = wanted | Status::ERRORS;
        let ended = self.wait(|r| Status::from_bits_retain(r.read(Register::Status)).intersects(done));
        let status = self.registers.read(Register::Status);
        let errors = status & Status::ERRORS.bits();
        match (ended, errors) {
            (false, _) => Err(HostError::NoAnswer(index)),
            (true, 0) => Ok(()),
            _ => Err(HostError::Command(index, errors)),
        }
    }

    /// Ends whatever goes on on the lines.
    pub fn reset_lines(&mut self) {
        let lines = clock::RESET_COMMAND | clock::RESET_DATA;
        let word = self.registers.read(Register::Clock);
        self.registers.write(Register::Clock, word | lines);
        // A controller that stays in reset refuses the next command.
        self.wait(|r| r.read(Register::Clock) & lines == 0);
        self.registers.write(Register::Status, u32::MAX);
    }

    /// Waits until something holds, for a bounded time. Gives whether it does.
    fn wait(&mut self, holds: impl Fn(&mut R) -> bool) -> bool {
        let start = self.registers.now_us();
        loop {
            if holds(&mut self.registers) {
                return true;
            }
            if self.registers.now_us().wrapping_sub(start) > PATIENCE_US {
                return false;
            }
        }
    }

    /// Lets time pass.
    pub fn pause(&mut self, us: u64) {
        let start = self.registers.now_us();
        while self.registers.now_us().wrapping_sub(start) < us {}
    }
}
