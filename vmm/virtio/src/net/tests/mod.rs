// SPDX-License-Identifier: BSD-2-Clause
//! A network interface with a driver and a network.

mod packets;
mod setup;

use super::{Feature, Info, Net, RECEIVE, TRANSMIT};
use crate::mmio::{Mmio, Written, registers};
use crate::mock::driver::{Buffer, bring_up, write};
use crate::mock::{DriverQueue, Network, Ram};

const BASE: u64 = 0x4000_0000;
const DATA: u64 = BASE + 0x1_0000;
const ROOM: u64 = BASE + 0x10_0000;

/// A guest on a network.
struct Bench {
    ram: Ram,
    device: Mmio<Net>,
    network: Network,
    receive: DriverQueue,
    transmit: DriverQueue,
    kicks: usize,
}

const fn info(offloads: u64) -> Info {
    Info { mac: [0x52, 0x54, 0, 0, 1, 2], mtu: 1500, link: true, offloads }
}

impl Bench {
    fn with(info: Info, features: u64, size: u16) -> Self {
        let ram = Ram::new(BASE, 0x40_0000);
        let mut device = Mmio::new(Net::new(info));
        let mut queues = bring_up(&mut device, &ram, features, size);
        let transmit = queues.remove(TRANSMIT);
        let receive = queues.remove(RECEIVE);
        receive.want_interrupt(&ram);
        transmit.want_interrupt(&ram);
        Self { ram, device, network: Network::default(), receive, transmit, kicks: 0 }
    }

    fn new() -> Self {
        Self::with(info(Feature::OFFLOADS), u64::MAX, 256)
    }

    fn run(&mut self) {
        let _ = self.device.run(&self.ram, &mut self.network);
    }

    fn kick(&mut self, queue: usize) {
        self.kicks += 1;
        if write(&mut self.device, &self.ram, registers::QUEUE_NOTIFY, queue as u32)
            == Written::Kick(queue as u16)
        {
            self.run();
        }
    }

    /// Sends a frame behind a header, in one buffer.
    fn send(&mut self, header: [u8; 12], frame: &[u8]) {
        let place = DATA + u64::from(self.transmit.added % 16) * 0x4000;
        self.ram.poke(place, &header);
        self.ram.poke(place + 12, frame);
        self.transmit.add(&self.ram, &[Buffer::readable(place, 12 + frame.len() as u32)]);
        if self.transmit.show(&self.ram) {
            self.kick(TRANSMIT);
        }
    }

    /// Adds receive buffers of these lengths.
    fn fill(&mut self, lengths: &[u32]) {
        for &length in lengths {
            let place = ROOM + u64::from(self.receive.added % 64) * 0x2000;
            self.receive.add(&self.ram, &[Buffer::writable(place, length)]);
        }
        if self.receive.show(&self.ram) {
            self.kick(RECEIVE);
        }
    }

    /// What lies in receive buffer `number`.
    fn received(&self, number: u64, length: usize) -> Vec<u8> {
        self.ram.peek_vec(ROOM + number * 0x2000, length)
    }
}

/// A frame of `length` bytes.
fn frame(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 + at / 256) as u8).collect()
}

/// A header that says nothing.
const PLAIN: [u8; 12] = [0; 12];
