// SPDX-License-Identifier: BSD-2-Clause
//! What no driver may do.

use super::{BASE, BUFFERS, pair, pair_with};
use crate::Abuse;
use crate::memory::GuestMemory;
use crate::mock::driver::{Buffer, flag};
use crate::mock::{Ram, driver};
use crate::queue::{Chain, MAX_SIZE, Queue};

#[test]
fn queue_that_is_not_in_memory_is_refused() {
    let end = BASE + 0x4_0000;
    let outside = |address, length| Err(Abuse::OutsideMemory { address, length });
    for (part, address, expected) in [
        (0, BASE + 8, Err(Abuse::Alignment(BASE + 8))),
        (1, BASE + 1, Err(Abuse::Alignment(BASE + 1))),
        (2, BASE + 2, Err(Abuse::Alignment(BASE + 2))),
        (0, end - 16, outside(end - 16, 128)),
        (1, end - 20, outside(end - 20, 22)),
        (2, end - 64, outside(end - 64, 70)),
        (0, BASE - 16, outside(BASE - 16, 128)),
        (0, 0u64.wrapping_sub(16), outside(0u64.wrapping_sub(16), 128)),
        (2, 0, outside(0, 70)),
        (1, end - 22, Ok(())),
        (2, end - 72, Ok(())),
    ] {
        let mut pair = pair(8);
        let mut queue = Queue::new(MAX_SIZE);
        queue.size = 8;
        (queue.descriptors, queue.driver, queue.device) =
            (pair.queue.descriptors, pair.queue.driver, pair.queue.device);
        *[&mut queue.descriptors, &mut queue.driver, &mut queue.device][part] = address;
        assert_eq!(queue.enable(&pair.ram, true, true), expected, "part {part} at {address:#x}");
        assert_eq!(queue.is_ready(), expected.is_ok());
        pair.chain = Chain::new();
    }
}

#[test]
fn size_is_a_power_of_two_up_to_the_maximum() {
    for (size, good) in
        [(0, false), (1, true), (3, false), (8, true), (255, false), (256, true), (512, false)]
    {
        let ram = Ram::new(BASE, 0x4_0000);
        let mut queue = Queue::new(MAX_SIZE);
        queue.size = size;
        (queue.descriptors, queue.driver, queue.device) = (BASE, BASE + 0x2000, BASE + 0x3000);
        let expected = if good { Ok(()) } else { Err(Abuse::QueueSize(size)) };
        assert_eq!(queue.enable(&ram, true, true), expected);
    }
}

#[test]
fn available_index_may_be_ahead_by_the_queue_and_no_more() {
    for (ahead, good) in [(8u16, true), (9, false), (0x8000, false), (0xffff, false)] {
        let mut pair = pair(8);
        for head in 0..8 {
            pair.driver.describe(&pair.ram, head, BUFFERS, 1, 0, 0);
            pair.driver.offer(&pair.ram, head);
        }
        pair.ram.poke(pair.driver.available + 2, &ahead.to_le_bytes());
        let expected =
            if good { Ok(true) } else { Err(Abuse::AvailableIndex { found: ahead, taken: 0, size: 8 }) };
        assert_eq!(pair.pop(), expected);
    }
}

#[test]
fn available_index_that_goes_back_is_refused() {
    let mut pair = pair(8);
    for _ in 0..2 {
        pair.driver.add(&pair.ram, &[Buffer::writable(BUFFERS, 1)]);
    }
    pair.driver.show(&pair.ram);
    assert_eq!((pair.pop(), pair.pop()), (Ok(true), Ok(true)));
    pair.ram.poke(pair.driver.available + 2, &1u16.to_le_bytes());
    assert_eq!(pair.pop(), Err(Abuse::AvailableIndex { found: 1, taken: 2, size: 8 }));
}

#[test]
fn head_and_next_have_to_be_in_the_table() {
    let mut pair = pair(8);
    pair.offer(8);
    assert_eq!(pair.pop(), Err(Abuse::DescriptorIndex { index: 8, entries: 8 }));
    let mut pair = self::pair(8);
    pair.driver.describe(&pair.ram, 0, BUFFERS, 1, flag::NEXT, 0xffff);
    pair.offer(0);
    assert_eq!(pair.pop(), Err(Abuse::DescriptorIndex { index: 0xffff, entries: 8 }));
    let mut pair = self::pair(8);
    pair.ram.poke(BUFFERS, &driver::descriptor(BUFFERS, 1, flag::NEXT, 1));
    pair.driver.describe(&pair.ram, 0, BUFFERS, 16, flag::INDIRECT, 0);
    pair.offer(0);
    assert_eq!(pair.pop(), Err(Abuse::DescriptorIndex { index: 1, entries: 1 }));
}

#[test]
fn loop_ends() {
    for length in [1, 2, 8] {
        let mut pair = pair(8);
        for index in 0..length {
            pair.driver.describe(&pair.ram, index, BUFFERS, 1, flag::NEXT, (index + 1) % length);
        }
        pair.offer(0);
        assert_eq!(pair.pop(), Err(Abuse::Endless(0)));
    }
    // The same inside a table.
    let mut pair = pair(8);
    pair.ram.poke(BUFFERS, &driver::descriptor(BUFFERS, 1, flag::NEXT, 0));
    pair.driver.describe(&pair.ram, 3, BUFFERS, 16 * 200, flag::INDIRECT, 0);
    pair.offer(3);
    let before = pair.ram.accesses();
    assert_eq!(pair.pop(), Err(Abuse::Endless(3)));
    assert!(pair.ram.accesses() - before < 210);
}

#[test]
fn bad_buffers_are_refused() {
    let end = BASE + 0x4_0000;
    let outside = |address: u64, length: u32| Abuse::OutsideMemory { address, length: length.into() };
    for (address, length, abuse) in [
        (BUFFERS, 0, Abuse::Empty(0)),
        (end - 1, 2, outside(end - 1, 2)),
        (end, 1, outside(end, 1)),
        (BASE - 1, 1, outside(BASE - 1, 1)),
        (BASE - 1, 2, outside(BASE - 1, 2)),
        (0, 1, outside(0, 1)),
        (u64::MAX, 1, outside(u64::MAX, 1)),
        (u64::MAX, 2, outside(u64::MAX, 2)),
        (u64::MAX - 0xfff, u32::MAX, outside(u64::MAX - 0xfff, u32::MAX)),
        (BUFFERS, u32::MAX, outside(BUFFERS, u32::MAX)),
    ] {
        for write in [0, flag::WRITE] {
            let mut pair = pair(8);
            pair.driver.describe(&pair.ram, 0, address, length, write, 0);
            pair.offer(0);
            assert_eq!(pair.pop(), Err(abuse), "{length} bytes at {address:#x}");
        }
    }
    // The last byte is inside.
    let mut pair = pair(8);
    pair.driver.describe(&pair.ram, 0, end - 1, 1, 0, 0);
    pair.offer(0);
    assert_eq!(pair.pop(), Ok(true));
}

/// Memory that is everywhere: for lengths that no machine has.
struct Everywhere(Ram);

impl GuestMemory for Everywhere {
    fn contains(&self, _: u64, _: u64) -> bool {
        true
    }
    fn load16(&self, address: u64) -> Option<u16> {
        self.0.load16(address)
    }
    fn store16(&self, address: u64, value: u16) -> Option<()> {
        self.0.store16(address, value)
    }
    fn store64(&self, address: u64, value: u64) -> Option<()> {
        self.0.store64(address, value)
    }
    fn load_pair(&self, address: u64) -> Option<[u64; 2]> {
        self.0.load_pair(address)
    }
    fn read(&self, address: u64, to: &mut [u8]) -> Option<()> {
        self.0.read(address, to)
    }
    fn write(&self, address: u64, from: &[u8]) -> Option<()> {
        self.0.write(address, from)
    }
    fn acquire(&self) {}
    fn release(&self) {}
    fn fence(&self) {}
}

#[test]
fn chain_of_more_than_4_gib_is_refused() {
    let mut pair = pair(8);
    pair.driver.add(&pair.ram, &[Buffer::readable(0, u32::MAX), Buffer::readable(0, 1)]);
    pair.driver.show(&pair.ram);
    let memory = Everywhere(pair.ram);
    assert!(matches!(pair.queue.pop(&memory, &mut pair.chain), Err(Abuse::Huge(_))));
}

#[test]
fn readable_behind_writable_is_refused() {
    let mut pair = pair(8);
    let head = pair.driver.add(&pair.ram, &[Buffer::writable(BUFFERS, 1), Buffer::readable(BUFFERS, 1)]);
    pair.driver.show(&pair.ram);
    assert_eq!(pair.pop(), Err(Abuse::Order(head)));
}

#[test]
fn bad_indirect_descriptors_are_refused() {
    let cases = [
        // Not a whole number of descriptors, or none.
        (BUFFERS, 0, flag::INDIRECT, Abuse::Indirect(0)),
        (BUFFERS, 15, flag::INDIRECT, Abuse::Indirect(0)),
        (BUFFERS, 24, flag::INDIRECT, Abuse::Indirect(0)),
        // Continued.
        (BUFFERS, 16, flag::INDIRECT | flag::NEXT, Abuse::Indirect(0)),
        // Longer than anything that can be asked.
        (BUFFERS, 16 * 257, flag::INDIRECT, Abuse::TooLong(0)),
        (BUFFERS, u32::MAX - 15, flag::INDIRECT, Abuse::TooLong(0)),
        // Straddles the end.
        (
            BASE + 0x4_0000 - 16,
            32,
            flag::INDIRECT,
            Abuse::OutsideMemory { address: BASE + 0x4_0000 - 16, length: 32 },
        ),
    ];
    for (address, length, flags, abuse) in cases {
        let mut pair = pair(8);
        pair.driver.describe(&pair.ram, 0, address, length, flags, 1);
        pair.offer(0);
        assert_eq!(pair.pop(), Err(abuse), "{length} at {address:#x}");
    }
    // Nested.
    let mut nested = pair(8);
    nested.ram.poke(BUFFERS, &driver::descriptor(BUFFERS, 16, flag::INDIRECT, 0));
    nested.driver.describe(&nested.ram, 0, BUFFERS, 16, flag::INDIRECT, 0);
    nested.offer(0);
    assert_eq!(nested.pop(), Err(Abuse::Indirect(0)));
    // Not negotiated.
    let mut without = pair_with(8, false, true);
    without.driver.describe(&without.ram, 0, BUFFERS, 16, flag::INDIRECT, 0);
    without.offer(0);
    assert_eq!(without.pop(), Err(Abuse::Indirect(0)));
}
