// SPDX-License-Identifier: BSD-2-Clause
//! A driver: brings a device up as section 3.1.1 says, fills queues and takes what was used.

use super::Ram;
use crate::mmio::registers::{self, Status};
use crate::mmio::{Mmio, Written};
use crate::model::Model;

/// Descriptor flags.
pub mod flag {
    /// Another descriptor follows.
    pub const NEXT: u16 = 1;
    /// For the device to write.
    pub const WRITE: u16 = 2;
    /// Names a table.
    pub const INDIRECT: u16 = 4;
}

/// Bytes of guest memory for one queue's three parts, and where they start in it.
pub const QUEUE_BYTES: u64 = 0x4000;
const AVAILABLE: u64 = 0x2000;
const USED: u64 = 0x3000;

/// A buffer in a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Guest physical address.
    pub address: u64,
    /// Bytes.
    pub length: u32,
    /// For the device to write.
    pub write: bool,
}

impl Buffer {
    /// For the device to read.
    pub const fn readable(address: u64, length: u32) -> Self {
        Self { address, length, write: false }
    }

    /// For the device to write.
    pub const fn writable(address: u64, length: u32) -> Self {
        Self { address, length, write: true }
    }
}

/// The driver's side of a queue.
#[derive(Clone, Debug)]
pub struct DriverQueue {
    /// Its number.
    pub index: u16,
    /// Entries.
    pub size: u16,
    /// Descriptor table.
    pub descriptors: u64,
    /// Available ring.
    pub available: u64,
    /// Used ring.
    pub used: u64,
    event_index: bool,
    free: Vec<u16>,
    chains: Vec<Vec<u16>>,
    /// Chains added.
    pub added: u16,
    /// Chains that the device was shown.
    shown: u16,
    /// Used entries that were taken.
    pub taken: u16,
}

impl DriverQueue {
    /// A queue of `size` entries in [`QUEUE_BYTES`] bytes from `base`.
    #[must_use]
    pub fn new(index: u16, size: u16, base: u64, event_index: bool) -> Self {
        Self {
            index,
            size,
            descriptors: base,
            available: base + AVAILABLE,
            used: base + USED,
            event_index,
            free: (0..size).rev().collect(),
            chains: vec![Vec::new(); size.into()],
            added: 0,
            shown: 0,
            taken: 0,
        }
    }

    /// Descriptors that are not in use.
    pub const fn free(&self) -> usize {
        self.free.len()
    }

    /// Writes a descriptor.
    pub fn describe(&self, ram: &Ram, index: u16, address: u64, length: u32, flags: u16, next: u16) {
        ram.poke(self.descriptors + 16 * u64::from(index), &descriptor(address, length, flags, next));
    }

    /// Makes a chain of `buffers` available, without showing it yet, and returns its head.
    ///
    /// # Panics
    /// There are too few free descriptors.
    pub fn add(&mut self, ram: &Ram, buffers: &[Buffer]) -> u16 {
        let chain: Vec<u16> = buffers.iter().map(|_| self.free.pop().expect("a free descriptor")).collect();
        for (at, (buffer, &index)) in buffers.iter().zip(&chain).enumerate() {
            let next = chain.get(at + 1).copied();
            let flags = if buffer.write { flag::WRITE } else { 0 } | next.map_or(0, |_| flag::NEXT);
            self.describe(ram, index, buffer.address, buffer.length, flags, next.unwrap_or(0));
        }
        self.make_available(ram, chain)
    }

    /// The same with the descriptors in a table at `table`.
    ///
    /// # Panics
    /// There is no free descriptor.
    pub fn add_indirect(&mut self, ram: &Ram, table: u64, buffers: &[Buffer]) -> u16 {
        for (buffer, at) in buffers.iter().zip(0u16..) {
            let last = usize::from(at) + 1 == buffers.len();
            let flags = if buffer.write { flag::WRITE } else { 0 } | if last { 0 } else { flag::NEXT };
            let bytes = descriptor(buffer.address, buffer.length, flags, at + 1);
            ram.poke(table.wrapping_add(16 * u64::from(at)), &bytes);
        }
        let index = self.free.pop().expect("a free descriptor");
        self.describe(ram, index, table, 16 * buffers.len() as u32, flag::INDIRECT, 0);
        self.make_available(ram, vec![index])
    }

    fn make_available(&mut self, ram: &Ram, chain: Vec<u16>) -> u16 {
        let head = *chain.first().expect("a chain of at least one descriptor");
        self.chains[usize::from(head)] = chain;
        self.offer(ram, head);
        head
    }

    /// Puts a head into the available ring, whatever it is.
    pub fn offer(&mut self, ram: &Ram, head: u16) {
        let slot = u64::from(self.added % self.size);
        ram.poke(self.available + 4 + 2 * slot, &head.to_le_bytes());
        self.added = self.added.wrapping_add(1);
    }

    /// Shows the device what was added; true when it wants a kick.
    pub fn show(&mut self, ram: &Ram) -> bool {
        let old = std::mem::replace(&mut self.shown, self.added);
        ram.poke(self.available + 2, &self.added.to_le_bytes());
        if self.event_index {
            let event = ram.peek16(self.used + 4 + 8 * u64::from(self.size));
            // vring_need_event of section 2.7.10.
            self.added.wrapping_sub(event).wrapping_sub(1) < self.added.wrapping_sub(old)
        } else {
            ram.peek16(self.used) & 1 == 0 && old != self.added
        }
    }

    /// Takes the next used entry: head and length.
    ///
    /// # Panics
    /// The device used a chain that it was not given.
    pub fn take(&mut self, ram: &Ram) -> Option<(u16, u32)> {
        if ram.peek16(self.used + 2) == self.taken {
            return None;
        }
        let slot = u64::from(self.taken % self.size);
        let [a, b, c, d, length @ ..] = ram.peek::<8>(self.used + 4 + 8 * slot);
        let head = u16::try_from(u32::from_le_bytes([a, b, c, d])).expect("a descriptor index");
        self.taken = self.taken.wrapping_add(1);
        let chain = std::mem::take(&mut self.chains[usize::from(head)]);
        assert!(!chain.is_empty(), "chain {head} was not with the device");
        self.free.extend(chain);
        Some((head, u32::from_le_bytes(length)))
    }

    /// Asks for an interrupt at the next used entry, as after having taken all.
    pub fn want_interrupt(&self, ram: &Ram) {
        self.want_interrupt_at(ram, self.taken);
    }

    /// Asks for an interrupt when the entry with this index is used.
    pub fn want_interrupt_at(&self, ram: &Ram, event: u16) {
        ram.poke(self.available + 4 + 2 * u64::from(self.size), &event.to_le_bytes());
    }
}

/// A descriptor's bytes.
#[must_use]
pub fn descriptor(address: u64, length: u32, flags: u16, next: u16) -> Vec<u8> {
    let mut bytes = address.to_le_bytes().to_vec();
    bytes.extend(length.to_le_bytes());
    bytes.extend(flags.to_le_bytes());
    bytes.extend(next.to_le_bytes());
    bytes
}

/// Writes a register.
pub fn write<D: Model>(device: &mut Mmio<D>, ram: &Ram, register: u64, value: u32) -> Written {
    device.write(register, 4, value.into(), ram)
}

/// Reads a register.
pub fn read<D: Model>(device: &Mmio<D>, register: u64) -> u32 {
    device.read(register, 4) as u32
}

/// All features that the device offers.
pub fn offered<D: Model>(device: &mut Mmio<D>, ram: &Ram) -> u64 {
    let mut features = 0;
    for select in [1, 0] {
        let _ = write(device, ram, registers::DEVICE_FEATURES_SEL, select);
        features = features << 32 | u64::from(read(device, registers::DEVICE_FEATURES));
    }
    features
}

/// Accepts features; true when the device agrees.
pub fn negotiate<D: Model>(device: &mut Mmio<D>, ram: &Ram, features: u64) -> bool {
    let mut set = |register, value| {
        let _ = write(device, ram, register, value);
    };
    set(registers::STATUS, 0);
    set(registers::STATUS, Status::ACKNOWLEDGE);
    set(registers::STATUS, Status::ACKNOWLEDGE | Status::DRIVER);
    for (select, value) in [(0, features as u32), (1, (features >> 32) as u32)] {
        set(registers::DRIVER_FEATURES_SEL, select);
        set(registers::DRIVER_FEATURES, value);
    }
    set(registers::STATUS, Status::ACKNOWLEDGE | Status::DRIVER | Status::FEATURES_OK);
    read(device, registers::STATUS) & Status::FEATURES_OK != 0
}

/// Sets up a queue.
pub fn set_up<D: Model>(device: &mut Mmio<D>, ram: &Ram, queue: &DriverQueue) {
    let halves = |address: u64| [address as u32, (address >> 32) as u32];
    let (descriptors, available, used) =
        (halves(queue.descriptors), halves(queue.available), halves(queue.used));
    for (register, value) in [
        (registers::QUEUE_SEL, queue.index.into()),
        (registers::QUEUE_NUM, queue.size.into()),
        (registers::QUEUE_DESC_LOW, descriptors[0]),
        (registers::QUEUE_DESC_HIGH, descriptors[1]),
        (registers::QUEUE_DRIVER_LOW, available[0]),
        (registers::QUEUE_DRIVER_HIGH, available[1]),
        (registers::QUEUE_DEVICE_LOW, used[0]),
        (registers::QUEUE_DEVICE_HIGH, used[1]),
        (registers::QUEUE_READY, 1),
    ] {
        let _ = write(device, ram, register, value);
    }
}

/// Brings the device up with the given features of those it offers, and all its queues, of at most `size` entries, at the
/// start of memory.
///
/// # Panics
/// The device does not come up.
pub fn bring_up<D: Model>(device: &mut Mmio<D>, ram: &Ram, features: u64, size: u16) -> Vec<DriverQueue> {
    let features = offered(device, ram) & features;
    assert!(negotiate(device, ram, features), "features {features:#x}");
    let event_index = features & registers::Feature::EVENT_INDEX != 0;
    let queues: Vec<DriverQueue> = (0..D::QUEUES as u16)
        .map(|index| {
            let base = ram.base() + QUEUE_BYTES * u64::from(index);
            DriverQueue::new(index, size.min(D::QUEUE_SIZE), base, event_index)
        })
        .collect();
    for queue in &queues {
        ram.poke(queue.descriptors, &[0; QUEUE_BYTES as usize]);
        set_up(device, ram, queue);
        assert_eq!(read(device, registers::QUEUE_READY), 1);
    }
    let _ = write(device, ram, registers::STATUS, Status::OF_DRIVER & !Status::FAILED);
    assert!(device.is_live());
    queues
}
