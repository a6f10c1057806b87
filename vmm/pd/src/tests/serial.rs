// SPDX-License-Identifier: BSD-2-Clause
//! The devices on byte rings: entropy and the virtio console.

use super::fake::*;
use super::virtio::*;
use crate::device::{ConsoleRings, EntropyRing};
use crate::host::Memory;
use crate::virtio::{Links, Slot};
use ring::memory::LocalMemory;
use ring::serial::{Consumer, Producer};
use vmm_virtio::mmio::registers;
use vmm_virtio::mock::Buffer;

type Ring = &'static LocalMemory<4096>;

fn started(links: Links<FakeHost>) -> TestGuest {
    let mut guest = connected(1, links);
    guest.start(Memory::Zeroed);
    cpu(&guest, 0).registers[0] = PC;
    guest
}

#[test]
fn entropy_is_what_the_driver_gives_and_nothing_else() {
    let bytes: Ring = leak(LocalMemory::new());
    let mut driver = Producer::new(bytes);
    let ring = EntropyRing::new(Consumer::new(bytes));
    let mut guest = started(Links { entropy: Some(ring), ..Links::none() });
    let mut queue = bring_up(&mut guest, Slot::Entropy, 1).remove(0);
    let ram = guest.host().memory.0;
    queue.want_interrupt(ram);
    queue.add(ram, &[Buffer::writable(BUFFERS, 32)]);
    kick(&mut guest, Slot::Entropy, &mut queue);
    assert_eq!(queue.take(ram), None, "there is none");
    driver.write(b"noise");
    guest.virtio_event(Slot::Entropy);
    assert_eq!(queue.take(ram).map(|used| used.1), Some(5));
    assert_eq!(&ram.peek::<5>(BUFFERS), b"noise");
    assert_eq!(interrupts(&guest, Slot::Entropy), 1);
}

#[test]
fn without_a_source_there_is_no_device_until_there_is_one_before_the_guest_has_looked() {
    let bytes: Ring = leak(LocalMemory::new());
    Producer::new(bytes).close();
    let ring = EntropyRing::new(Consumer::new(bytes));
    let mut guest = started(Links { entropy: Some(ring), ..Links::none() });
    assert_eq!(read(&mut guest, Slot::Entropy, registers::MAGIC), registers::MAGIC_VALUE);
    assert_eq!(read(&mut guest, Slot::Entropy, registers::DEVICE_ID), 0);
    // The driver's next life has found a device.
    let mut driver = Producer::begin(bytes, true);
    driver.write(b"noise");
    assert_eq!(read(&mut guest, Slot::Entropy, registers::DEVICE_ID), 4);
}

/// A guest with a virtio console, and the other sides of its rings.
fn with_console() -> (TestGuest, Consumer<Ring>, Producer<Ring>) {
    let (output, input): (Ring, Ring) = (leak(LocalMemory::new()), leak(LocalMemory::new()));
    let rings = ConsoleRings::new(Producer::new(output), Consumer::new(input));
    let guest = started(Links { console: Some(rings), ..Links::none() });
    (guest, Consumer::new(output), Producer::new(input))
}

#[test]
fn console_output_waits_for_room_and_is_complete() {
    let (mut guest, mut screen, _) = with_console();
    let mut queues = bring_up(&mut guest, Slot::Console, 2);
    let ram = guest.host().memory.0;
    let text: Vec<u8> = (0..10_000u32).map(|at| (at % 251) as u8).collect();
    ram.poke(BUFFERS, &text);
    queues[1].add(ram, &[Buffer::readable(BUFFERS, 10_000)]);
    kick(&mut guest, Slot::Console, &mut queues[1]);
    assert!(guest.host().notified.contains(&Slot::Console));
    let mut shown: Vec<u8> = Vec::new();
    for _ in 0..4 {
        let mut piece = vec![0; 4096];
        let count = screen.read(&mut piece);
        shown.extend(&piece[..count]);
        guest.virtio_event(Slot::Console);
    }
    assert_eq!(shown, text);
    assert!(queues[1].take(ram).is_some());
}

#[test]
fn console_input_reaches_the_guest() {
    let (mut guest, _, mut keys) = with_console();
    let mut queues = bring_up(&mut guest, Slot::Console, 2);
    let ram = guest.host().memory.0;
    queues[0].add(ram, &[Buffer::writable(BUFFERS, 64)]);
    kick(&mut guest, Slot::Console, &mut queues[0]);
    keys.write(b"ls\n");
    guest.virtio_event(Slot::Console);
    assert_eq!(queues[0].take(ram).map(|used| used.1), Some(3));
    assert_eq!(&ram.peek::<3>(BUFFERS), b"ls\n");
}

#[test]
fn emergency_output_needs_no_driver() {
    let (mut guest, mut screen, _) = with_console();
    write(&mut guest, Slot::Console, registers::CONFIG + 8, b'!'.into());
    let mut byte = [0];
    assert_eq!((screen.read(&mut byte), byte), (1, [b'!']));
}
