// SPDX-License-Identifier: BSD-2-Clause
//! A host controller with a card in its slot, and a DMA engine beside it.

use std::cell::{RefCell, RefMut};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use ring::mortal::before_store;
use virtio_driver::mock::Memory;

use crate::registers::{Engine, Present, Register, Registers, Status, clock, mode};

const BLOCK: usize = 512;

/// What a real EMMC2 says (ADMA2, 100 MHz), and what QEMU's does (no DMA, 52 MHz).
pub const REAL: u32 = 0x45ee_6432;
pub const WITHOUT_DMA: u32 = 0x0521_34b4;

/// What a card does when it is to go to high speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// It goes.
    Works,
    /// It says that it has no such command.
    Absent,
    /// It says that it stays as it is.
    Refuses,
    /// It sends nothing, which the controller notices.
    Fails,
    /// It sends nothing, which the controller does not notice.
    Stops,
}

/// A card.
#[derive(Debug, Clone)]
pub struct CardModel {
    pub data: Vec<u8>,
    pub serial: u32,
    pub protected: bool,
    /// A card of high capacity, which is addressed by sector.
    pub large: bool,
    /// How often it is asked before it is ready.
    pub patience: u32,
    pub selected: bool,
    pub switch: Switch,
}

impl CardModel {
    pub fn new(serial: u32) -> Self {
        // The smallest of high capacity: 512 KiB.
        let data = vec![0; 512 << 10];
        Self {
            data,
            serial,
            protected: false,
            large: true,
            patience: 3,
            selected: false,
            switch: Switch::Works,
        }
    }

    /// The description's registers: without the lowest eight bits.
    fn description(&self) -> [u32; 4] {
        let blocks = self.data.len() as u128 / BLOCK as u128;
        let version = if self.large {
            1 << 126 | ((blocks >> 10) - 1) << 48
        } else {
            // Blocks of 512 bytes, multiplied by 4.
            9 << 80 | (blocks / 4 - 1) << 62
        };
        let classes = u128::from(self.switch != Switch::Absent) << 94;
        split(version | classes | u128::from(self.protected) << 12)
    }
}

fn split(word: u128) -> [u32; 4] {
    [8, 40, 72, 104].map(|shift| (word >> shift) as u32)
}

/// A transfer that has been started.
#[derive(Debug, Clone, Copy)]
struct Transfer {
    read: bool,
    start: usize,
    length: usize,
}

/// The hardware.
#[derive(Debug)]
pub struct Model {
    registers: BTreeMap<Register, u32>,
    pub status: u32,
    time: u64,
    pub capabilities: u32,
    pub card: Option<CardModel>,
    pub switch_allows_writing: bool,
    pub memory: Memory,
    transfer: Option<Transfer>,
    /// What is still to be read from the data port.
    port: VecDeque<u32>,
    /// Errors that the next transfers end with.
    pub errors: Vec<u32>,
    /// The numbers of the commands that the card has got.
    pub commands: Vec<u8>,
    application: bool,
    pub engine_started: u32,
}

/// The hardware, shared by test and driver.
#[derive(Debug, Clone)]
pub struct Shared(Rc<RefCell<Model>>);

impl Shared {
    pub fn new(capabilities: u32, card: Option<CardModel>, memory: Memory) -> Self {
        Self(Rc::new(RefCell::new(Model {
            registers: BTreeMap::new(),
            status: 0,
            time: 0,
            capabilities,
            card,
            switch_allows_writing: true,
            memory,
            transfer: None,
            port: VecDeque::new(),
            errors: vec![],
            commands: vec![],
            application: false,
            engine_started: 0,
        })))
    }

    pub fn state(&self) -> RefMut<'_, Model> {
        self.0.borrow_mut()
    }
}

impl Model {
    fn register(&self, register: Register) -> u32 {
        self.registers.get(&register).copied().unwrap_or(0)
    }

    /// Whether it interrupts.
    pub fn interrupts(&self) -> bool {
        self.status & self.register(Register::SignalEnable) != 0
    }

    pub fn raise(&mut self, status: Status) {
        self.status |= status.bits() & self.register(Register::StatusEnable);
        if status.intersects(Status::ERRORS) {
            self.status |= Status::ERROR.bits();
        }
    }

    /// Takes the card out.
    pub fn remove(&mut self) -> CardModel {
        self.transfer = None;
        self.raise(Status::REMOVED);
        let mut card = self.card.take().expect("a card");
        (card.selected, card.patience) = (false, 3);
        card
    }

    pub fn insert(&mut self, card: CardModel) {
        self.card = Some(card);
        self.raise(Status::INSERTED);
    }

    fn command(&mut self, word: u32) {
        let (index, argument) = ((word >> 24 & 0x3f) as u8, self.register(Register::Argument));
        let application = std::mem::take(&mut self.application);
        let clock_on = self.register(Register::Clock) & clock::CARD != 0;
        let Some(card) = self.card.as_mut().filter(|_| clock_on) else {
            // CMD0 has no answer that could be missed.
            let silence = if index == 0 { Status::COMMAND_COMPLETE } else { Status::COMMAND_TIMEOUT };
            return self.raise(silence);
        };
        self.commands.push(index);
        let ready = if card.patience == 0 { 1 << 31 | u32::from(card.large) << 30 } else { 0 };
        let answer = match (index, application) {
            (0, _) => {
                card.selected = false;
                [0; 4]
            }
            (2, _) => split(u128::from(card.serial) << 24),
            (3, _) => [0xaaaa_0500, 0, 0, 0],
            (8, _) => [argument & 0xfff, 0, 0, 0],
            (9, _) => card.description(),
            (7, _) => {
                card.selected = true;
                [0x700, 0, 0, 0]
            }
            (13, _) => [if card.selected { 0x900 } else { 0x700 }, 0, 0, 0],
            (41, true) => {
                card.patience = card.patience.saturating_sub(1);
                [ready | 0xff_8000, 0, 0, 0]
            }
            (55, _) => {
                self.application = true;
                [0x120, 0, 0, 0]
            }
            _ => [0x900, 0, 0, 0],
        };
        use Register::{Response0, Response1, Response2, Response3};
        self.registers.extend([Response0, Response1, Response2, Response3].into_iter().zip(answer));
        self.raise(Status::COMMAND_COMPLETE);
        if word >> 16 & 3 == 3 {
            self.raise(Status::TRANSFER_COMPLETE);
        }
        if word & 1 << 21 != 0 {
            self.begin(index, argument, word);
        }
    }

    fn begin(&mut self, index: u8, argument: u32, word: u32) {
        let card = self.card.as_ref().expect("it has answered");
        assert!(card.selected, "a transfer of a card that is not selected");
        if index == 6 {
            assert_eq!((self.register(Register::Block), argument), (1 << 16 | 64, 0x80ff_fff1));
            assert_eq!(word & 0x3f, mode::READ, "one block, by the data port");
            let mut status = [0; 16];
            match card.switch {
                Switch::Works => status[4] = 1,
                Switch::Refuses => status[4] = 0xf,
                Switch::Fails => return self.raise(Status::from_bits_retain(1 << 20)),
                Switch::Stops => return,
                Switch::Absent => panic!("the card has no such command"),
            }
            self.port = status.into();
            return self.raise(Status::READ_READY);
        }
        let unit = if card.large { BLOCK } else { 1 };
        let blocks = (self.register(Register::Block) >> 16) as usize;
        assert_eq!(self.register(Register::Block) & 0xfff, 512);
        let read = word & mode::READ != 0;
        assert_eq!(read, matches!(index, 17 | 18));
        assert_eq!(word & mode::MULTIPLE != 0, matches!(index, 18 | 25));
        assert_eq!(word & mode::MULTIPLE != 0, word & mode::AUTO_STOP != 0, "several blocks are stopped");
        assert_ne!(word & mode::COUNT, 0);
        let transfer = Transfer { read, start: argument as usize * unit, length: blocks * BLOCK };
        assert!(transfer.start + transfer.length <= card.data.len(), "{transfer:?}");
        self.transfer = Some(transfer);
        if word & mode::DMA == 0 {
            self.raise(if read { Status::READ_READY } else { Status::WRITE_READY });
        } else {
            assert_eq!(self.register(Register::Control) & 0x18, 0x10, "ADMA2");
        }
    }

    /// Does the transfer that waits, if one does.
    pub fn work(&mut self) {
        let Some(transfer) = self.transfer.take() else { return };
        if let Some(errors) = self.errors.pop() {
            return self.raise(Status::from_bits_retain(errors));
        }
        let mut list = u64::from(self.register(Register::AdmaAddress));
        let mut pieces = vec![];
        loop {
            let word = self.memory.read_u64(list);
            assert_eq!(word & 0x3d, 0x21, "a valid descriptor of memory");
            pieces.push((word >> 32, (word >> 16 & 0xffff) as usize));
            list += 8;
            if word & 2 != 0 {
                break;
            }
        }
        self.move_data(transfer, &pieces);
    }

    fn move_data(&mut self, transfer: Transfer, pieces: &[(u64, usize)]) {
        assert_eq!(pieces.iter().map(|piece| piece.1).sum::<usize>(), transfer.length);
        let card = self.card.as_mut().expect("there is one");
        let mut at = transfer.start;
        for &(address, length) in pieces {
            let place = &mut card.data[at..at + length];
            if transfer.read {
                self.memory.write(address, place);
            } else {
                place.copy_from_slice(&self.memory.read(address, length));
            }
            at += length;
        }
        self.raise(Status::TRANSFER_COMPLETE);
    }
}

impl Registers for Shared {
    fn read(&mut self, register: Register) -> u32 {
        let mut model = self.state();
        match register {
            Register::Data => {
                let word = model.port.pop_front().expect("a word to be read");
                if model.port.is_empty() {
                    model.raise(Status::TRANSFER_COMPLETE);
                }
                word
            }
            Register::Status => model.status,
            Register::Capabilities => model.capabilities,
            Register::Version => 2 << 16,
            Register::Present if model.switch_allows_writing => Present::WRITE_ENABLED.bits(),
            Register::Present => 0,
            _ => model.register(register),
        }
    }

    fn write(&mut self, register: Register, value: u32) {
        before_store();
        let mut model = self.state();
        match register {
            Register::Status => model.status &= !value,
            Register::Clock => {
                if value & clock::RESET_ALL != 0 {
                    model.registers.clear();
                    model.status = 0;
                }
                if value & (clock::RESET_DATA | clock::RESET_ALL) != 0 {
                    model.transfer = None;
                }
                // Resets take no time; neither does the clock.
                let stable = if value & clock::INTERNAL != 0 { clock::STABLE } else { 0 };
                model.registers.insert(register, value & 0xff_ffff | stable);
            }
            Register::Command => model.command(value),
            _ => {
                model.registers.insert(register, value);
            }
        }
    }

    fn now_us(&mut self) -> u64 {
        let mut model = self.state();
        model.time += 10;
        model.time
    }
}

impl Engine for Shared {
    fn start(&mut self, control_block: u64) {
        const MEMORY: u64 = 0xc000_0000;
        before_store();
        let mut model = self.state();
        model.engine_started += 1;
        let Some(transfer) = model.transfer.take() else { return };
        let (mut block, mut pieces) = (control_block, vec![]);
        while block != 0 {
            assert!(block >= MEMORY && block.is_multiple_of(32));
            let word = |index: u64| model.memory.read_u32(block - MEMORY + 4 * index);
            let (information, source, target, length) = (word(0), word(1), word(2), word(3));
            let (port, memory) = if transfer.read { (source, target) } else { (target, source) };
            assert_eq!(information & 0x110, if transfer.read { 0x10 } else { 0x100 });
            assert_eq!(port, super::PORT);
            pieces.push((u64::from(memory) - MEMORY, length as usize));
            block = word(5).into();
        }
        model.move_data(transfer, &pieces);
    }

    fn stop(&mut self) {
        before_store();
    }
}
