// SPDX-License-Identifier: BSD-2-Clause
//! A source of entropy with a driver.

use super::Entropy;
use crate::mmio::Mmio;
use crate::mock::driver::{Buffer, bring_up};
use crate::mock::{DriverQueue, Noise, Ram};
use crate::model::Progress;

const BASE: u64 = 0x4000_0000;
const ROOM: u64 = BASE + 0x1_0000;

fn bench() -> (Ram, Mmio<Entropy>, DriverQueue) {
    let ram = Ram::new(BASE, 0x4_0000);
    let mut device = Mmio::new(Entropy);
    let queue = bring_up(&mut device, &ram, u64::MAX, 8).remove(0);
    queue.want_interrupt(&ram);
    (ram, device, queue)
}

#[test]
fn guest_gets_what_the_source_has() {
    let (ram, mut device, mut queue) = bench();
    let mut source = Noise((1..=100).collect());
    for (at, length) in [(0, 16), (100, 64), (200, 1000)] {
        queue.add(&ram, &[Buffer::writable(ROOM + at, length)]);
    }
    queue.show(&ram);
    assert_eq!(device.run(&ram, &mut source), Progress::Done);
    let lengths: Vec<u32> = std::iter::from_fn(|| queue.take(&ram)).map(|(_, length)| length).collect();
    assert_eq!(lengths, [16, 64, 20]);
    assert_eq!(ram.peek_vec(ROOM, 16), (1..=16).collect::<Vec<u8>>());
    assert_eq!(ram.peek_vec(ROOM + 200, 21), [(81..=100).collect::<Vec<u8>>(), vec![0]].concat());
    assert!(device.asserted());
}

#[test]
fn guest_waits_for_a_source_that_has_nothing() {
    let (ram, mut device, mut queue) = bench();
    let mut source = Noise::default();
    queue.add(&ram, &[Buffer::writable(ROOM, 32)]);
    queue.show(&ram);
    let _ = device.run(&ram, &mut source);
    assert_eq!((queue.take(&ram), device.asserted()), (None, false));
    assert_eq!(ram.peek(ROOM), [0; 32], "nothing is made up");
    source.0.extend([9; 8]);
    let _ = device.run(&ram, &mut source);
    assert_eq!(queue.take(&ram).map(|(_, length)| length), Some(8));
}

#[test]
fn readable_buffer_stops_the_device() {
    // Section 5.4.6.1: one or more device-writable buffers.
    let (ram, mut device, mut queue) = bench();
    queue.add(&ram, &[Buffer::readable(ROOM, 32)]);
    queue.show(&ram);
    let _ = device.run(&ram, &mut Noise([1; 64].into()));
    assert!(device.needs_reset());
}
