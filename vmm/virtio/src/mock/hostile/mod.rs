// SPDX-License-Identifier: BSD-2-Clause
//! A driver that does anything, told by bytes: what property tests and fuzz targets run.
//!
//! The bytes are read as steps: sane ones (bring the device up, add a chain, run), so that the others (wild registers,
//! wild memory, odd chains) reach every state. After each step, what must hold whatever a driver does is checked:
//! a call does a bounded number of accesses to guest memory, a device that is not live writes none of it, and a reset
//! is not over while the back end uses guest memory.

mod input;
mod queue;
mod subjects;

use super::driver::{self, Buffer, DriverQueue, QUEUE_BYTES, flag};
use super::{Disk, Network, Noise, Ram, Terminal};
use crate::mmio::{Mmio, Written, registers};
use crate::model::Model;
use crate::queue::MAX_SIZE;
use input::Input;
pub use queue::queue;

/// Guest memory of these tests: small, so that wild addresses meet something now and then.
const BASE: u64 = 0x4000_0000;
const SIZE: usize = 0x2_0000;
/// Behind the queues.
const BUFFERS: u64 = 4 * QUEUE_BYTES;
/// Accesses to guest memory in one call: every chain of a full queue at its full length, twice, and the rings.
const MOST_ACCESSES: u64 = 3 * MAX_SIZE as u64 * (MAX_SIZE as u64 + 8);
/// Steps of one run.
const MOST_STEPS: usize = 400;

/// A device with its back end.
trait Subject {
    type Device: Model + Clone + PartialEq + std::fmt::Debug;
    fn device(input: &mut Input<'_>) -> (Mmio<Self::Device>, Self);
    fn run(&mut self, device: &mut Mmio<Self::Device>, ram: &Ram);
    fn event(&mut self, device: &mut Mmio<Self::Device>, ram: &Ram, input: &mut Input<'_>);
    fn uses_memory(&self) -> bool {
        false
    }
}

struct World<S: Subject> {
    ram: Ram,
    device: Mmio<S::Device>,
    subject: S,
    queues: Vec<DriverQueue>,
}

impl<S: Subject> World<S> {
    fn go(data: &[u8]) {
        let mut input = Input(data);
        let (device, subject) = S::device(&mut input);
        let mut world = Self { ram: Ram::new(BASE, SIZE), device, subject, queues: Vec::new() };
        for _ in 0..MOST_STEPS {
            if input.is_empty() {
                break;
            }
            world.step(&mut input);
        }
        world.end();
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.byte() % 12 {
            0 => self.write_register(input),
            1 => {
                let offset = if input.byte() & 1 == 0 { input.half() % 0x200 } else { input.half() };
                let _ = self.device.read(offset.into(), input.pick(&[1, 2, 4, 8]));
            }
            2 => self.bring_up(input),
            3 => self.poke(input),
            4..=6 => self.add(input),
            7 | 8 => self.run(),
            9 | 10 => self.subject.event(&mut self.device, &self.ram, input),
            _ => {
                self.reset();
            }
        }
    }

    fn write_register(&mut self, input: &mut Input<'_>) {
        let known = 4 * u64::from(input.byte() % 0x41);
        let offset = if input.byte().is_multiple_of(4) { input.half().into() } else { known };
        let width = input.pick(&[4, 4, 4, 4, 1, 2, 8]);
        let before = self.ram.written();
        let written = self.device.write(offset, width, input.value().into(), &self.ram);
        assert_eq!(self.ram.written(), before, "a register wrote guest memory");
        match written {
            Written::Kick(queue) => {
                assert!(self.device.is_live() && usize::from(queue) < S::Device::QUEUES);
                self.run();
            }
            Written::Again => assert!(self.subject.uses_memory() || !self.device.model().is_idle()),
            Written::Done => self.check_reset(),
        }
    }

    fn bring_up(&mut self, input: &mut Input<'_>) {
        if !self.reset() {
            return;
        }
        let mut features = driver::offered(&mut self.device, &self.ram);
        // Without the device's own features, of the common ones any.
        match input.byte() % 4 {
            0 => features &= registers::Feature::VERSION_1,
            1 => features &= !registers::Feature::EVENT_INDEX,
            2 => features &= !(registers::Feature::INDIRECT | u64::from(input.half()) << 16),
            _ => {}
        }
        let size = 1 << (input.byte() % 9);
        self.queues = driver::bring_up(&mut self.device, &self.ram, features, size);
    }

    /// Reset by the VMM; true when done.
    fn reset(&mut self) -> bool {
        let done = self.device.reset();
        self.check_reset();
        if done {
            self.queues.clear();
        }
        done
    }

    fn check_reset(&self) {
        if driver::read(&self.device, registers::STATUS) == 0 {
            assert!(!self.subject.uses_memory(), "reset while the back end uses guest memory");
            assert!(!self.device.asserted(), "interrupt after reset");
        }
    }

    /// Anything anywhere, the parts of the queues more often.
    fn poke(&mut self, input: &mut Input<'_>) {
        let queue = u64::from(input.byte() % 4) * QUEUE_BYTES + BASE;
        let at = u64::from(input.byte());
        let address = match input.byte() % 8 {
            0 => queue + 0x2000,
            1 => queue + 0x2002,
            2 => queue + 0x2004 + 2 * at,
            3 => queue + 0x3000 + 2 * at,
            4..=6 => queue + 16 * at + u64::from(input.byte() % 16),
            _ => BASE + u64::from(input.half()),
        };
        let count = input.pick(&[1, 2, 4, 8]);
        let bytes: Vec<u8> = (0..count).map(|_| input.byte()).collect();
        self.ram.poke(address, &bytes);
    }

    /// A chain of some buffers, well-formed or nearly so, direct or indirect.
    fn add(&mut self, input: &mut Input<'_>) {
        let which = input.below(self.queues.len());
        let style = input.byte();
        let count = 1 + input.below(6);
        let mut buffers: Vec<Buffer> = (0..count)
            .map(|_| Buffer {
                address: input.address(),
                length: input.length(),
                write: input.byte() & 1 != 0,
            })
            .collect();
        if style & 1 != 0 {
            buffers.sort_by_key(|buffer| buffer.write);
        }
        if style & 2 != 0 {
            self.header(&mut buffers, input);
        }
        let (ram, Some(queue)) = (&self.ram, self.queues.get_mut(which)) else { return };
        if style & 4 != 0 && queue.free() > 0 {
            let table = input.address();
            queue.add_indirect(ram, table, &buffers);
        } else if queue.free() >= buffers.len() {
            let head = queue.add(ram, &buffers);
            if style & 8 != 0 {
                let (address, length, next) = (input.address(), input.length(), input.half());
                let flags = input.pick(&[0, flag::NEXT, flag::WRITE, flag::NEXT | flag::WRITE, 4, 5, 6, 7]);
                queue.describe(ram, head, address, length, flags, next % 300);
            }
        } else {
            queue.offer(ram, input.half());
        }
        if style & 16 == 0 {
            queue.show(ram);
        }
    }

    /// Makes the first buffer a header of the kind that block and network devices read, and the last a status.
    fn header(&self, buffers: &mut [Buffer], input: &mut Input<'_>) {
        let (Some(first), true) = (buffers.first_mut(), input.byte() & 3 != 0) else { return };
        let place = BASE + BUFFERS + u64::from(input.byte()) * 16;
        let mut header = [0; 16];
        header[0] = input.pick(&[0, 1, 4, 8, 11, 13, 0, 1, 2]);
        header[1] = if S::Device::ID == 1 { input.byte() } else { 0 };
        header[2..10].copy_from_slice(&u64::from(input.half()).to_le_bytes());
        header.rotate_right(if S::Device::ID == 2 { 0 } else { 1 });
        if S::Device::ID == 2 {
            header[8..].copy_from_slice(&u64::from(input.byte()).to_le_bytes());
        }
        self.ram.poke(place, &header);
        *first = Buffer::readable(place, if S::Device::ID == 2 { 16 } else { 12 + first.length % 2000 });
    }

    fn run(&mut self) {
        let (live, accesses, written) = (self.device.is_live(), self.ram.accesses(), self.ram.written());
        self.subject.run(&mut self.device, &self.ram);
        let used = self.ram.accesses() - accesses;
        assert!(used <= MOST_ACCESSES, "{used} accesses in one call");
        assert!(live || self.ram.written() == written, "written while not live");
        assert!(!(live && self.device.needs_reset()) || self.device.asserted(), "stopped without a word");
    }

    /// Whatever happened, the guest can reset the device and use it again.
    fn end(&mut self) {
        for _ in 0..2 * usize::from(MAX_SIZE) {
            if self.reset() {
                break;
            }
            // The back end completes everything sooner or later.
            self.subject.event(&mut self.device, &self.ram, &mut Input(&[0]));
            self.run();
        }
        assert!(self.reset(), "never idle");
        self.queues = driver::bring_up(&mut self.device, &self.ram, u64::MAX, 8);
        self.run();
        assert!(self.device.is_live());
    }
}

/// A disk and its driver.
pub fn block(data: &[u8]) {
    World::<Disk>::go(data);
}

/// A network interface and its driver.
pub fn net(data: &[u8]) {
    World::<Network>::go(data);
}

/// A console and its driver.
pub fn console(data: &[u8]) {
    World::<Terminal>::go(data);
}

/// A source of entropy and its driver.
pub fn entropy(data: &[u8]) {
    World::<Noise>::go(data);
}

/// The driver's view of a request, for tests of whole devices: header, data, status.
#[must_use]
pub fn block_header(kind: u32, sector: u64) -> [u8; 16] {
    let mut header = [0; 16];
    header[..4].copy_from_slice(&kind.to_le_bytes());
    header[8..].copy_from_slice(&sector.to_le_bytes());
    header
}
