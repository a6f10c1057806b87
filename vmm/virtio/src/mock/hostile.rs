// SPDX-License-Identifier: BSD-2-Clause
//! A driver that does anything, told by bytes: what property tests and fuzz targets run.
//!
//! The bytes are read as steps: sane ones (bring the device up, add a chain, run), so that the others (wild registers,
//! wild memory, odd chains) reach every state. After each step, what must hold whatever a driver does is checked:
//! a call does a bounded number of accesses to guest memory, a device that is not live writes none of it, and a reset
//! is not over while the back end uses guest memory.

use super::driver::{self, Buffer, DriverQueue, QUEUE_BYTES, flag};
use super::{Disk, Network, Noise, Ram, Terminal};
use crate::block::{self, Block, Info, Outcome};
use crate::console::Console;
use crate::entropy::Entropy;
use crate::memory::GuestMemory;
use crate::mmio::{Mmio, Written, registers};
use crate::model::Model;
use crate::net::{self, Net, Offload, Segmentation};
use crate::queue::{Chain, MAX_SIZE, Queue};

/// Guest memory of these tests: small, so that wild addresses meet something now and then.
const BASE: u64 = 0x4000_0000;
const SIZE: usize = 0x2_0000;
/// Behind the queues.
const BUFFERS: u64 = 4 * QUEUE_BYTES;
/// Accesses to guest memory in one call: every chain of a full queue at its full length, twice, and the rings.
const MOST_ACCESSES: u64 = 3 * MAX_SIZE as u64 * (MAX_SIZE as u64 + 8);
/// Steps of one run.
const MOST_STEPS: usize = 400;

/// Bytes that are numbers.
pub struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((&first, rest)) => {
                self.0 = rest;
                first
            }
            None => 0,
        }
    }

    fn half(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end.max(1)
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// Somewhere in memory, at its edges, or nowhere.
    fn address(&mut self) -> u64 {
        let offset = u64::from(self.half());
        let end = BASE + SIZE as u64;
        match self.byte() % 16 {
            0..=8 => BASE + BUFFERS + offset % (SIZE as u64 - BUFFERS),
            9 => BASE + offset,
            10 | 11 => end - (offset % 64),
            12 => end + offset % 64,
            13 => BASE - 1 - offset % 64,
            14 => u64::MAX - offset % 64,
            _ => offset << 48 | offset,
        }
    }

    fn length(&mut self) -> u32 {
        let small = u32::from(self.byte());
        match self.byte() % 8 {
            0..=2 => 512 * (1 + small % 16),
            3 => small,
            4 => 16,
            5 => 1,
            6 => 4096 + small,
            _ => u32::MAX - small,
        }
    }

    fn value(&mut self) -> u32 {
        match self.byte() % 6 {
            0 => self.byte().into(),
            1 => self.address() as u32,
            2 => (self.address() >> 32) as u32,
            3 => self.pick(&[0, 1, 3, 7, 11, 15, 64, 128, 255, 256, 257, u32::MAX]),
            4 => 1 << (self.byte() % 32),
            _ => u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()]),
        }
    }
}

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
        let offset = if input.byte() % 4 == 0 { input.half().into() } else { known };
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

impl Subject for Disk {
    type Device = Block;

    fn device(input: &mut Input<'_>) -> (Mmio<Block>, Self) {
        let kind = input.byte();
        let mut info = Info::new(64);
        info.read_only = kind & 1 != 0;
        info.flush = kind & 2 != 0;
        info.max_discard_sectors = if kind & 4 != 0 { 16 } else { 0 };
        info.max_write_zeroes_sectors = if kind & 8 != 0 { 16 } else { 0 };
        let mut disk = Self::new(64, kind & 16 != 0);
        disk.room = if kind & 32 != 0 { 3 } else { usize::MAX };
        (Mmio::new(Block::new(info)), disk)
    }

    fn run(&mut self, device: &mut Mmio<Block>, ram: &Ram) {
        let _ = device.run(ram, self);
        let known = usize::from(device.model().in_flight());
        assert!(
            known >= self.pending.len(),
            "{known} requests known, {} at the back end",
            self.pending.len()
        );
        assert!(known <= usize::from(MAX_SIZE));
    }

    fn event(&mut self, device: &mut Mmio<Block>, ram: &Ram, input: &mut Input<'_>) {
        self.outcome = Outcome::Done;
        match input.byte() % 8 {
            0..=2 => self.complete_all(ram),
            3 | 4 if !self.pending.is_empty() => self.complete(input.below(self.pending.len()), ram),
            5 if !self.pending.is_empty() => {
                self.outcome = input.pick(&[Outcome::Failed, Outcome::Unsupported]);
                self.complete(0, ram);
            }
            6 => self.say(u64::from(input.half()) << 32, Outcome::Done),
            7 => {
                self.crash();
                device.replay();
            }
            _ => self.room = input.pick(&[0, 1, usize::MAX]),
        }
    }

    fn uses_memory(&self) -> bool {
        !self.pending.is_empty()
    }
}

impl Subject for Network {
    type Device = Net;

    fn device(input: &mut Input<'_>) -> (Mmio<Net>, Self) {
        let offloads = if input.byte() & 1 == 0 { 0 } else { net::Feature::OFFLOADS };
        let info = net::Info { mac: [2, 0, 0, 0, 0, 1], mtu: 1500, link: true, offloads };
        (Mmio::new(Net::new(info)), Self::default())
    }

    fn run(&mut self, device: &mut Mmio<Net>, ram: &Ram) {
        let _ = device.run(ram, self);
        self.sent.clear();
    }

    fn event(&mut self, device: &mut Mmio<Net>, _ram: &Ram, input: &mut Input<'_>) {
        match input.byte() % 8 {
            0..=4 => {
                let offload = Offload {
                    needs_checksum: input.byte() & 1 != 0,
                    segmentation: input.pick(&[
                        Segmentation::None,
                        Segmentation::None,
                        Segmentation::Tcp4,
                        Segmentation::Tcp6,
                    ]),
                    ..Offload::default()
                };
                let length = input.pick(&[14, 60, 1514, 9000, 65550]);
                self.coming.push_back((offload, vec![0x5a; length]));
                self.coming.truncate(64);
            }
            5 => self.room = Some(input.byte().into()),
            6 => self.room = None,
            _ => device.replay(),
        }
        self.sending = input.byte().into();
    }
}

impl Subject for Terminal {
    type Device = Console;

    fn device(_input: &mut Input<'_>) -> (Mmio<Console>, Self) {
        (Mmio::new(Console::new(80, 25)), Self::default())
    }

    fn run(&mut self, device: &mut Mmio<Console>, ram: &Ram) {
        let _ = device.run(ram, self);
        self.output.clear();
    }

    fn event(&mut self, device: &mut Mmio<Console>, _ram: &Ram, input: &mut Input<'_>) {
        match input.byte() % 4 {
            0 => self.input.extend([0x41; 77]),
            1 => self.room = Some(input.byte().into()),
            2 => self.room = None,
            _ => device.resize(input.half(), input.half()),
        }
        self.input.truncate(4096);
    }
}

impl Subject for Noise {
    type Device = Entropy;

    fn device(_input: &mut Input<'_>) -> (Mmio<Entropy>, Self) {
        (Mmio::new(Entropy), Self::default())
    }

    fn run(&mut self, device: &mut Mmio<Entropy>, ram: &Ram) {
        let _ = device.run(ram, self);
    }

    fn event(&mut self, _device: &mut Mmio<Entropy>, _ram: &Ram, input: &mut Input<'_>) {
        self.0.extend(std::iter::repeat_n(0x77, input.byte().into()));
        self.0.truncate(1024);
    }
}

/// A queue alone, in memory that changes under it.
pub fn queue(data: &[u8]) {
    let mut input = Input(data);
    let ram = Ram::new(BASE, SIZE);
    let size = 1 << (input.byte() % 9);
    let layout = DriverQueue::new(0, size, BASE, true);
    let mut queue = Queue::new(MAX_SIZE);
    queue.size = size;
    (queue.descriptors, queue.driver, queue.device) = (layout.descriptors, layout.available, layout.used);
    let kind = input.byte();
    queue.enable(&ram, kind & 1 != 0, kind & 2 != 0).expect("a good queue");
    // Past all wrap-arounds.
    let start = input.half();
    queue.start_at(start);
    ram.poke(layout.available + 2, &start.to_le_bytes());
    let mut chain = Chain::new();
    let (mut taken, mut used) = (0u16, 0u16);
    for _ in 0..MOST_STEPS {
        if input.is_empty() {
            return;
        }
        let before = ram.accesses();
        match input.byte() % 8 {
            0 | 1 => {
                let (at, word) = (u64::from(input.byte()), input.half());
                let address = input.pick(&[2, 4 + 2 * at, 0]) + layout.available;
                ram.poke(address, &word.to_le_bytes());
            }
            2 => {
                let next = ram.peek16(layout.available + 2).wrapping_add(1 + u16::from(input.byte() % 4));
                ram.poke(layout.available + 2, &next.to_le_bytes());
            }
            3 | 4 => {
                let (index, next) = (input.byte().into(), input.byte().into());
                let flags =
                    input.pick(&[0, flag::NEXT, flag::NEXT | flag::WRITE, flag::WRITE, flag::INDIRECT]);
                let (address, length) = (input.address(), input.length());
                layout.describe(&ram, index, address, length, flags, next);
            }
            5 => match queue.pop(&ram, &mut chain) {
                Ok(true) => {
                    taken = taken.wrapping_add(1);
                    check(&ram, &mut chain, &mut input);
                }
                Ok(false) => {}
                // A device stops at once.
                Err(_) => return,
            },
            6 if taken != used => {
                queue.push_used(&ram, chain.head(), 0).expect("the ring is in memory");
                used = used.wrapping_add(1);
                queue.publish(&ram).expect("the ring is in memory");
            }
            _ => {
                let looked = queue.ask_for_kick(&ram, input.byte().into());
                if looked.is_err() || queue.interrupt_wanted(&ram).is_err() {
                    return;
                }
            }
        }
        let accesses = ram.accesses() - before;
        assert!(accesses <= u64::from(MAX_SIZE) + 8, "{accesses} accesses in one step");
    }
}

/// Whatever a chain says is in memory and adds up.
fn check(ram: &Ram, chain: &mut Chain, input: &mut Input<'_>) {
    let sum = |segments: &[crate::Segment]| segments.iter().map(|it| u64::from(it.length)).sum::<u64>();
    assert_eq!(sum(chain.readable()), chain.readable_bytes().into());
    assert_eq!(sum(chain.writable()), chain.writable_bytes().into());
    for segment in chain.readable().iter().chain(chain.writable()) {
        assert!(segment.length > 0 && ram.contains(segment.address, segment.length.into()));
    }
    let (readable, writable) = (chain.readable_bytes(), chain.writable_bytes());
    let mut bytes = vec![0; input.byte().into()];
    let fits = bytes.len() <= readable as usize;
    assert_eq!(chain.read_front(ram, &mut bytes), fits);
    assert_eq!(chain.readable_bytes(), if fits { readable - bytes.len() as u32 } else { readable });
    assert_eq!(chain.take_last().is_some(), writable > 0);
    let fits = bytes.len() as u32 <= chain.writable_bytes();
    assert_eq!(chain.write_front(ram, &bytes), fits);
    assert_eq!(sum(chain.writable()), chain.writable_bytes().into());
}

/// The driver's view of a request, for tests of whole devices: header, data, status.
#[must_use]
pub fn block_header(kind: u32, sector: u64) -> [u8; 16] {
    let mut header = [0; 16];
    header[..4].copy_from_slice(&kind.to_le_bytes());
    header[8..].copy_from_slice(&sector.to_le_bytes());
    header
}

const _: () = assert!(block::SECTOR == 512);
