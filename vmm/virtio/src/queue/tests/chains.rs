// SPDX-License-Identifier: BSD-2-Clause
//! Chains, and indices that go round (sections 2.7.4 to 2.7.8).

use super::{BUFFERS, pair};
use crate::memory::Segment;
use crate::mock::driver;
use crate::mock::driver::{Buffer, flag};

#[test]
fn chain_arrives_as_the_driver_made_it() {
    let mut pair = pair(8);
    let buffers = [
        Buffer::readable(BUFFERS, 16),
        Buffer::readable(BUFFERS + 0x1000, 4096),
        Buffer::writable(BUFFERS + 0x100, 1),
    ];
    let head = pair.driver.add(&pair.ram, &buffers);
    assert_eq!(pair.pop(), Ok(false), "not shown yet");
    pair.driver.show(&pair.ram);
    assert_eq!(pair.pop(), Ok(true));
    assert_eq!(pair.chain.head(), head);
    let segment = |address, length| Segment { address, length };
    assert_eq!(pair.chain.readable(), [segment(BUFFERS, 16), segment(BUFFERS + 0x1000, 4096)]);
    assert_eq!(pair.chain.writable(), [segment(BUFFERS + 0x100, 1)]);
    assert_eq!((pair.chain.readable_bytes(), pair.chain.writable_bytes()), (4112, 1));
    assert_eq!(pair.pop(), Ok(false));
}

#[test]
fn framing_does_not_matter() {
    // Section 2.7.4.1: header, data and status cut anywhere.
    let mut pair = pair(16);
    let bytes: Vec<u8> = (0..40).collect();
    pair.ram.poke(BUFFERS, &bytes);
    let buffers: Vec<Buffer> = [3, 1, 20, 16]
        .iter()
        .scan(0, |at, &length| {
            *at += length;
            Some(Buffer::readable(BUFFERS + u64::from(*at - length), length))
        })
        .chain([Buffer::writable(BUFFERS + 100, 2), Buffer::writable(BUFFERS + 200, 1)])
        .collect();
    pair.driver.add(&pair.ram, &buffers);
    pair.driver.show(&pair.ram);
    assert_eq!(pair.pop(), Ok(true));
    let (mut first, mut second) = ([0; 16], [0; 24]);
    assert!(pair.chain.read_front(&pair.ram, &mut first));
    assert_eq!(first[..], bytes[..16]);
    assert!(!pair.chain.read_front(&pair.ram, &mut [0; 25]));
    assert!(pair.chain.read_front(&pair.ram, &mut second));
    assert_eq!(second[..], bytes[16..]);
    assert_eq!(pair.chain.readable(), []);
    assert_eq!(pair.chain.writable_at(2), Some(BUFFERS + 200));
    assert_eq!(pair.chain.writable_at(3), None);
    assert_eq!(pair.chain.take_last(), Some(BUFFERS + 200));
    assert!(!pair.chain.write_front(&pair.ram, &[1; 3]));
    assert!(pair.chain.write_front(&pair.ram, &[7, 8]));
    assert_eq!(pair.ram.peek(BUFFERS + 100), [7, 8, 0]);
    assert_eq!(pair.chain.take_last(), None);
}

#[test]
fn indirect_table_may_follow_direct_descriptors() {
    // Section 2.7.5.3.2: "zero or more normal chained descriptors followed by a single descriptor with INDIRECT".
    let mut pair = pair(8);
    let table = BUFFERS + 0x800;
    pair.ram.poke(table, &driver::descriptor(BUFFERS + 64, 32, flag::NEXT, 1));
    pair.ram.poke(table + 16, &driver::descriptor(BUFFERS + 128, 4, flag::WRITE, 0));
    pair.driver.describe(&pair.ram, 5, BUFFERS, 16, flag::NEXT, 2);
    pair.driver.describe(&pair.ram, 2, table, 32, flag::INDIRECT, 0);
    pair.offer(5);
    assert_eq!(pair.pop(), Ok(true));
    assert_eq!((pair.chain.head(), pair.chain.readable_bytes(), pair.chain.writable_bytes()), (5, 48, 4));
}

#[test]
fn indices_go_round_and_round() {
    let mut pair = pair(4);
    pair.queue.start_at(0xfff0);
    pair.driver.added = 0xfff0;
    pair.driver.taken = 0xfff0;
    pair.ram.poke(pair.driver.available + 2, &0xfff0u16.to_le_bytes());
    pair.ram.poke(pair.driver.used + 2, &0xfff0u16.to_le_bytes());
    for round in 0..64u32 {
        let head = pair.driver.add(&pair.ram, &[Buffer::writable(BUFFERS, 64)]);
        pair.driver.show(&pair.ram);
        assert_eq!(pair.pop(), Ok(true));
        pair.queue.push_used(&pair.ram, head, round).unwrap();
        assert_eq!(pair.driver.take(&pair.ram), None, "not published yet");
        pair.queue.publish(&pair.ram).unwrap();
        assert_eq!(pair.driver.take(&pair.ram), Some((head, round)));
    }
}

#[test]
fn undone_chains_come_again() {
    let mut pair = pair(8);
    let heads: Vec<u16> =
        (0..3).map(|at| pair.driver.add(&pair.ram, &[Buffer::writable(BUFFERS + at, 1)])).collect();
    pair.driver.show(&pair.ram);
    for _ in 0..2 {
        for &head in &heads {
            assert_eq!(pair.pop(), Ok(true));
            assert_eq!(pair.chain.head(), head);
            pair.queue.push_used(&pair.ram, head, 0).unwrap();
        }
        pair.queue.undo(3, 3);
    }
    pair.queue.publish(&pair.ram).unwrap();
    assert_eq!(pair.driver.take(&pair.ram), None);
    assert_eq!(pair.queue.waiting(), 3);
}

#[test]
fn whole_queue_in_one_chain_is_no_loop() {
    let mut pair = pair(8);
    let buffers: Vec<Buffer> = (0..8).map(|at| Buffer::writable(BUFFERS + at, 1)).collect();
    pair.driver.add(&pair.ram, &buffers);
    pair.driver.show(&pair.ram);
    assert_eq!(pair.pop(), Ok(true));
    assert_eq!(pair.chain.writable_bytes(), 8);
}

#[test]
fn used_ring_is_never_read() {
    // Section 2.7.8: only the device writes it. A driver that does so confuses itself.
    let mut pair = pair(4);
    for round in 0..16 {
        let head = pair.driver.add(&pair.ram, &[Buffer::writable(BUFFERS, 1)]);
        pair.driver.show(&pair.ram);
        assert_eq!(pair.pop(), Ok(true));
        pair.ram.poke(pair.driver.used, &[0xa5; 4 + 8 * 4 + 2]);
        pair.queue.push_used(&pair.ram, head, 1).unwrap();
        pair.queue.publish(&pair.ram).unwrap();
        assert_eq!(pair.ram.peek16(pair.driver.used + 2), round + 1);
        let _ = pair.driver.take(&pair.ram);
    }
}
