// SPDX-License-Identifier: BSD-2-Clause
//! A disk with a driver and a back end, in both layouts.

mod abuse;
mod replay;
mod requests;
mod wakeups;

use super::{Block, Info};
use crate::mmio::registers;
use crate::mmio::{Mmio, Written};
use crate::mock::driver::{Buffer, bring_up, write};
use crate::mock::hostile::block_header;
use crate::mock::{Disk, DriverQueue, Ram};

const BASE: u64 = 0x4000_0000;
/// Headers and status bytes, 32 bytes a request.
const HEADERS: u64 = BASE + 0x1_0000;
/// Data.
const DATA: u64 = BASE + 0x2_0000;
const SECTORS: usize = 256;

mod kind {
    pub const IN: u32 = 0;
    pub const OUT: u32 = 1;
    pub const FLUSH: u32 = 4;
    pub const GET_ID: u32 = 8;
    pub const DISCARD: u32 = 11;
    pub const WRITE_ZEROES: u32 = 13;
}

/// A guest with a disk.
struct Bench {
    ram: Ram,
    device: Mmio<Block>,
    disk: Disk,
    queue: DriverQueue,
    /// Requests so far.
    count: u64,
    /// Exits by kicks.
    kicks: usize,
}

impl Bench {
    fn with(info: Info, features: u64, size: u16, bounce: bool) -> Self {
        let ram = Ram::new(BASE, 0x20_0000);
        let mut device = Mmio::new(Block::new(info));
        let queue = bring_up(&mut device, &ram, features, size).remove(0);
        queue.want_interrupt(&ram);
        Self { ram, device, disk: Disk::new(SECTORS, bounce), queue, count: 0, kicks: 0 }
    }

    /// One for each layout.
    fn both() -> [Self; 2] {
        [false, true].map(|bounce| Self::with(everything(), u64::MAX, 256, bounce))
    }

    fn direct() -> Self {
        Self::with(everything(), u64::MAX, 256, false)
    }

    /// Adds a request and returns its number; kicks if the device wants it.
    fn ask(&mut self, kind: u32, sector: u64, data: &[Buffer]) -> u64 {
        let number = self.add(kind, sector, data);
        self.show();
        number
    }

    fn add(&mut self, kind: u32, sector: u64, data: &[Buffer]) -> u64 {
        let number = self.count;
        self.count += 1;
        let place = HEADERS + 32 * (number % 512);
        self.ram.poke(place, &block_header(kind, sector));
        self.ram.poke(place + 16, &[0xff]);
        let mut buffers = vec![Buffer::readable(place, 16)];
        buffers.extend(data);
        buffers.push(Buffer::writable(place + 16, 1));
        self.queue.add(&self.ram, &buffers);
        number
    }

    fn show(&mut self) {
        if self.queue.show(&self.ram) {
            self.kicks += 1;
            if write(&mut self.device, &self.ram, registers::QUEUE_NOTIFY, 0) == Written::Kick(0) {
                self.run();
            }
        }
    }

    fn run(&mut self) {
        let _ = self.device.run(&self.ram, &mut self.disk);
    }

    /// Everything at the back end ends, until there is no more.
    fn settle(&mut self) {
        while !self.disk.pending.is_empty() {
            self.disk.complete_all(&self.ram);
            self.run();
        }
    }

    fn status(&self, number: u64) -> u8 {
        self.ram.peek::<1>(HEADERS + 32 * (number % 512) + 16)[0]
    }

    /// Length of the next used entry.
    fn used(&mut self) -> Option<u32> {
        self.queue.take(&self.ram).map(|(_, length)| length)
    }

    fn stopped(&self) -> bool {
        self.device.needs_reset()
    }

    /// Takes the interrupt, if there is one, and what was used, as a driver does.
    fn interrupt(&mut self) -> Option<usize> {
        if !self.device.asserted() {
            return None;
        }
        let _ = write(&mut self.device, &self.ram, registers::INTERRUPT_ACK, 3);
        let mut count = 0;
        while self.used().is_some() {
            count += 1;
        }
        self.queue.want_interrupt(&self.ram);
        Some(count)
    }
}

/// A disk that can do everything.
fn everything() -> Info {
    Info {
        flush: true,
        max_discard_sectors: 64,
        max_write_zeroes_sectors: 64,
        serial: *b"serial number\0\0\0\0\0\0\0",
        ..Info::new(SECTORS as u64)
    }
}
