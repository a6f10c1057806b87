// SPDX-License-Identifier: BSD-2-Clause
//! A small driver for each kind of device: what is needed to break it, and to see that it works.

use crate::cpu::{self, load16, load32, store16, store32, store64};
use crate::exception::probe;
use crate::timer;

/// Registers (section 4.2.2).
pub mod register {
    pub const MAGIC: u64 = 0x000;
    pub const VERSION: u64 = 0x004;
    pub const DEVICE_ID: u64 = 0x008;
    pub const DEVICE_FEATURES: u64 = 0x010;
    pub const DEVICE_FEATURES_SEL: u64 = 0x014;
    pub const DRIVER_FEATURES: u64 = 0x020;
    pub const DRIVER_FEATURES_SEL: u64 = 0x024;
    pub const QUEUE_SEL: u64 = 0x030;
    pub const QUEUE_NUM: u64 = 0x038;
    pub const QUEUE_READY: u64 = 0x044;
    pub const QUEUE_NOTIFY: u64 = 0x050;
    pub const INTERRUPT_STATUS: u64 = 0x060;
    pub const INTERRUPT_ACK: u64 = 0x064;
    pub const STATUS: u64 = 0x070;
    pub const QUEUE_DESC: u64 = 0x080;
    pub const QUEUE_DRIVER: u64 = 0x090;
    pub const QUEUE_DEVICE: u64 = 0x0a0;
    pub const QUEUE_RESET: u64 = 0x0c0;
}

const MAGIC: u64 = 0x7472_6976;
/// ACKNOWLEDGE, DRIVER, FEATURES_OK; DRIVER_OK is bit 2.
const AGREED: u64 = 1 | 2 | 8;
pub const DRIVER_OK: u64 = 4;
pub const NEEDS_RESET: u64 = 64;
/// VIRTIO_F_INDIRECT_DESC and VIRTIO_NET_F_MRG_RXBUF are fine with this driver; no event index.
const LOW_FEATURES: u64 = 1 << 28;
/// VIRTIO_F_VERSION_1 and VIRTIO_F_RING_RESET.
const HIGH_FEATURES: u64 = 1 | 1 << 8;

/// Entries of every queue here.
pub const SIZE: u64 = 8;
/// Milliseconds until a device has answered for sure, however busy its neighbours are.
const PATIENCE: u64 = 20_000;

/// Descriptor flags.
pub const NEXT: u64 = 1;
pub const WRITE: u64 = 2;
pub const INDIRECT: u64 = 4;

/// What the device is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Net,
    Block,
    Console,
    Entropy,
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Net => "net",
            Self::Block => "block",
            Self::Console => "console",
            Self::Entropy => "entropy",
        }
    }

    const fn queues(self) -> u64 {
        match self {
            Self::Net | Self::Console => 2,
            Self::Block | Self::Entropy => 1,
        }
    }

    /// The queue that a request goes to.
    pub const fn work_queue(self) -> u64 {
        self.queues() - 1
    }
}

/// A device, with memory for its queues and buffers.
pub struct Device {
    pub kind: Kind,
    pub base: u64,
    pub memory: u64,
    pub memory_end: u64,
}

impl Device {
    /// The device of the slot at `base`, if there is one that this driver knows.
    pub fn find(base: u64, memory: u64, memory_end: u64) -> Option<Self> {
        let (magic, fault) = probe(|| load32(base + register::MAGIC, 0));
        if fault.is_some() || magic != MAGIC || load32(base + register::VERSION, 0) != 2 {
            return None;
        }
        let kind = match load32(base + register::DEVICE_ID, 0) {
            1 => Kind::Net,
            2 => Kind::Block,
            3 => Kind::Console,
            4 => Kind::Entropy,
            _ => return None,
        };
        Some(Self { kind, base, memory, memory_end })
    }

    pub fn read(&self, register: u64) -> u64 {
        load32(self.base + register, 0)
    }

    pub fn write(&self, register: u64, value: u64) {
        cpu::barrier();
        store32(self.base + register, value & 0xffff_ffff);
    }

    /// Resets the device; false when it does not become reset.
    pub fn reset(&self) -> bool {
        self.write(register::STATUS, 0);
        self.wait(|| self.read(register::STATUS) == 0)
    }

    /// Resets it and agrees on features; not ready yet.
    pub fn agree(&self) -> bool {
        if !self.reset() {
            return false;
        }
        self.write(register::STATUS, 1);
        self.write(register::STATUS, 1 | 2);
        for (select, wanted) in [(0, LOW_FEATURES), (1, HIGH_FEATURES)] {
            self.write(register::DEVICE_FEATURES_SEL, select);
            self.write(register::DRIVER_FEATURES_SEL, select);
            self.write(register::DRIVER_FEATURES, self.read(register::DEVICE_FEATURES) & wanted);
        }
        self.write(register::STATUS, AGREED);
        self.read(register::STATUS) == AGREED
    }

    /// Brings it up with all queues empty.
    pub fn bring_up(&self) -> bool {
        if !self.agree() {
            return false;
        }
        for queue in 0..self.kind.queues() {
            self.set_up(queue);
        }
        self.write(register::STATUS, AGREED | DRIVER_OK);
        self.read(register::STATUS) == AGREED | DRIVER_OK
    }

    /// Clears a queue's memory and hands it to the device.
    pub fn set_up(&self, queue: u64) {
        let base = self.queue(queue);
        for at in (base..base + 0x4000).step_by(8) {
            store64(at, 0);
        }
        self.set_up_at(queue, base, base + 0x2000, base + 0x3000);
    }

    pub fn set_up_at(&self, queue: u64, descriptors: u64, available: u64, used: u64) {
        self.write(register::QUEUE_SEL, queue);
        self.write(register::QUEUE_NUM, SIZE);
        for (register, address) in [
            (register::QUEUE_DESC, descriptors),
            (register::QUEUE_DRIVER, available),
            (register::QUEUE_DEVICE, used),
        ] {
            self.write(register, address);
            self.write(register + 4, address >> 32);
        }
        self.write(register::QUEUE_READY, 1);
    }

    /// Address of a queue's memory: descriptors, 0x2000 on the available ring, 0x3000 on the used ring.
    pub const fn queue(&self, queue: u64) -> u64 {
        self.memory + 0x4000 * queue
    }

    /// Address of buffers.
    pub const fn buffers(&self) -> u64 {
        self.memory + 0x1_0000
    }

    pub fn describe(&self, queue: u64, index: u64, address: u64, length: u64, flags: u64, next: u64) {
        describe_at(self.queue(queue) + 16 * index, address, length, flags, next);
    }

    /// Puts a head into entry `at` of the available ring.
    pub fn offer(&self, queue: u64, at: u64, head: u64) {
        store16(self.queue(queue) + 0x2004 + 2 * (at % SIZE), head);
    }

    /// Sets the available index and kicks.
    pub fn show(&self, queue: u64, index: u64) {
        cpu::barrier();
        store16(self.queue(queue) + 0x2002, index & 0xffff);
        self.write(register::QUEUE_NOTIFY, queue);
    }

    /// The device's used index.
    pub fn used(&self, queue: u64) -> u64 {
        cpu::barrier();
        load16(self.queue(queue) + 0x3002, 0)
    }

    /// Describes a request of this kind of device, from descriptor 0 on.
    pub fn describe_request(&self) {
        let (queue, buffers) = (self.kind.work_queue(), self.buffers());
        match self.kind {
            Kind::Block => {
                // Reads sector 0.
                store64(buffers, 0);
                store64(buffers + 8, 0);
                self.describe(queue, 0, buffers, 16, NEXT, 1);
                self.describe(queue, 1, buffers + 0x1000, 512, NEXT | WRITE, 2);
                self.describe(queue, 2, buffers + 0x100, 1, WRITE, 0);
            }
            Kind::Net => {
                // Broadcast of a type that nobody knows, behind a header that says nothing.
                for at in (0..72).step_by(8) {
                    store64(buffers + at, 0);
                }
                store32(buffers + 12, 0xffff_ffff);
                store16(buffers + 16, 0xffff);
                store16(buffers + 24, 0xb588);
                self.describe(queue, 0, buffers, 12 + 60, 0, 0);
            }
            Kind::Console => {
                store64(buffers, u64::from_le_bytes(*b"virtio!\n"));
                self.describe(queue, 0, buffers, 8, 0, 0);
            }
            Kind::Entropy => self.describe(queue, 0, buffers, 32, WRITE, 0),
        }
    }

    /// Whether it does what it is for, from a reset on.
    pub fn works(&self) -> bool {
        if !self.bring_up() {
            return false;
        }
        let queue = self.kind.work_queue();
        self.describe_request();
        self.offer(queue, 0, 0);
        self.show(queue, 1);
        let used = self.wait(|| self.used(queue) == 1);
        used && self.read(register::STATUS) == AGREED | DRIVER_OK
            && (self.kind != Kind::Block || cpu::load8(self.buffers() + 0x100, 0xff) == 0)
    }

    /// Whether it has said that it needs a reset, and told the driver so.
    pub fn is_stopped(&self) -> bool {
        self.read(register::STATUS) & NEEDS_RESET != 0 && self.read(register::INTERRUPT_STATUS) & 2 != 0
    }

    /// Waits until something holds.
    pub fn wait(&self, holds: impl Fn() -> bool) -> bool {
        for _ in 0..PATIENCE {
            if holds() {
                return true;
            }
            timer::spin(1);
        }
        holds()
    }
}

/// Writes a descriptor.
pub fn describe_at(place: u64, address: u64, length: u64, flags: u64, next: u64) {
    store64(place, address);
    store32(place + 8, length);
    store16(place + 12, flags);
    store16(place + 14, next);
}
