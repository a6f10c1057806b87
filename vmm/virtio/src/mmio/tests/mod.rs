// SPDX-License-Identifier: BSD-2-Clause
//! Registers, negotiation and the life of a device, with a source of entropy and a disk behind them.

mod life;
mod page;

use super::registers;
use super::{Mmio, Written};
use crate::block::{Block, Info};
use crate::entropy::Entropy;
use crate::mock::driver::{Buffer, bring_up, write};
use crate::mock::{Disk, DriverQueue, Ram};

const BASE: u64 = 0x4000_0000;

fn ram() -> Ram {
    Ram::new(BASE, 0x4_0000)
}

fn source() -> Mmio<Entropy> {
    Mmio::new(Entropy)
}

/// A disk with a request at the back end.
fn busy_disk(ram: &Ram) -> (Mmio<Block>, Disk, DriverQueue) {
    let mut device = Mmio::new(Block::new(Info::new(64)));
    let mut disk = Disk::new(64, false);
    let mut queue = bring_up(&mut device, ram, u64::MAX, 8).remove(0);
    ram.poke(BASE + 0x1_0000, &crate::mock::hostile::block_header(0, 0));
    let buffers = [
        Buffer::readable(BASE + 0x1_0000, 16),
        Buffer::writable(BASE + 0x1_1000, 512),
        Buffer::writable(BASE + 0x1_0100, 1),
    ];
    queue.add(ram, &buffers);
    queue.show(ram);
    assert_eq!(write(&mut device, ram, registers::QUEUE_NOTIFY, 0), Written::Kick(0));
    let _ = device.run(ram, &mut disk);
    assert_eq!(disk.pending.len(), 1);
    (device, disk, queue)
}
