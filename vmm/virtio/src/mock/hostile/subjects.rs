// SPDX-License-Identifier: BSD-2-Clause
//! The devices with their back ends, and what can happen behind them.

use super::Subject;
use super::input::Input;
use crate::block::{Block, Info, Outcome};
use crate::console::Console;
use crate::entropy::Entropy;
use crate::mmio::Mmio;
use crate::mock::{Disk, Network, Noise, Ram, Terminal};
use crate::net::{self, Net, Offload, Segmentation};
use crate::queue::MAX_SIZE;

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
            6 => self.say(1 << 63 | u64::from(input.half()), Outcome::Done),
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
        self.patience = input.byte().into();
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
