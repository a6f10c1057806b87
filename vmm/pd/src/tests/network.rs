// SPDX-License-Identifier: BSD-2-Clause
//! The guest's network interface on a link whose other side is a test.

use super::fake::*;
use super::virtio::*;
use crate::device::NetLink;
use crate::host::Memory;
use crate::virtio::{Links, Slot};
use heapless::Vec as Bounded;
use ring::link::State;
use ring::net::{
    Abilities, BUFFER_SIZE, Buffer, Client, Gso, Info, MAX_BUFFERS, Offload, OffloadFlags, Server,
};
use ring::pages::LocalPages;
use vmm_virtio::mmio::registers;
use vmm_virtio::mock::{Buffer as Place, DriverQueue};

const NET: Slot = Slot::Net;
const REGION: usize = 1 << 19;
type Pages = &'static LocalPages<LINK_WORDS>;

/// A switch with one client.
struct Switch {
    pages: Pages,
    server: Server<Pages>,
    transmit: FakeData,
    receive: FakeData,
}

impl Switch {
    fn look(&mut self) {
        if self.server.poll() == State::PeerRestarted {
            self.server.accept();
            self.server.poll();
        }
        let _ = self.server.commit();
        self.server.wait();
    }

    fn describe(&mut self) {
        let abilities = Abilities::LINK_UP
            | Abilities::TX_CSUM
            | Abilities::TX_TSO4
            | Abilities::TX_CHAIN
            | Abilities::RX_CSUM
            | Abilities::RX_TSO4
            | Abilities::RX_CHAIN;
        let mac = [0x52, 0x54, 0, 0, 1, 0];
        self.server.publish_info(&Info { mac, mtu: 1500, speed: 0, abilities });
    }

    /// The next packet, whose buffers go back when `sent`.
    fn packet(&mut self, sent: bool) -> Option<(Vec<u8>, Offload)> {
        let mut buffers = Bounded::<Buffer, MAX_BUFFERS>::new();
        let offload = self.server.packet(&mut buffers)?;
        let mut bytes = Vec::new();
        for buffer in &buffers {
            let at = buffer.offset as usize;
            bytes.extend(&self.transmit.0.borrow()[at..at + usize::from(buffer.length)]);
            if sent {
                self.server.give_back(*buffer).expect("a place");
            }
        }
        let _ = self.server.commit();
        Some((bytes, offload))
    }

    fn deliver(&mut self, packet: &[u8], offload: &Offload) {
        let buffers: Vec<Buffer> = packet
            .chunks(BUFFER_SIZE)
            .map(|piece| {
                let buffer = self.server.buffer().expect("an empty buffer");
                let at = buffer.offset as usize;
                self.receive.0.borrow_mut()[at..at + piece.len()].copy_from_slice(piece);
                Buffer { offset: buffer.offset, length: piece.len() as u16 }
            })
            .collect();
        self.server.deliver(&buffers, offload).expect("a place");
        let _ = self.server.commit();
    }
}

/// A started guest with a network, and its receive and transmit queues.
fn with_network() -> (TestGuest, Switch, DriverQueue, DriverQueue) {
    let pages: Pages = leak(LocalPages::new());
    let (transmit, receive) = (FakeData::new(REGION), FakeData::new(REGION));
    let size = REGION as u64;
    let link = NetLink::new(Client::new(pages).expect("fits"), (transmit, size), (receive, size));
    let mut guest = connected(1, Links { net: Some(link), ..Links::none() });
    guest.start(Memory::Zeroed);
    cpu(&guest, 0).registers[0] = PC;
    let mut switch = Switch { pages, server: Server::new(pages).expect("fits"), transmit, receive };
    switch.describe();
    guest.virtio_event(NET);
    switch.look();
    let mut queues = bring_up(&mut guest, NET, 2).into_iter();
    let (receive, transmit) = (queues.next().expect("receive"), queues.next().expect("transmit"));
    switch.look();
    (guest, switch, receive, transmit)
}

/// Bytes that tell places apart.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| ((at * 31) >> 4) as u8).collect()
}

/// Sends `packet` behind a header, from an odd address in two pieces.
fn send(guest: &mut TestGuest, queue: &mut DriverQueue, header: [u8; 12], packet: &[u8]) {
    let ram = guest.host().memory.0;
    ram.poke(BUFFERS, &header);
    ram.poke(BUFFERS + 65, packet);
    let first = (packet.len() / 3) as u32;
    let rest = packet.len() as u32 - first;
    queue.add(
        ram,
        &[
            Place::readable(BUFFERS, 12),
            Place::readable(BUFFERS + 65, first),
            Place::readable(BUFFERS + 65 + u64::from(first), rest),
        ],
    );
    kick(guest, NET, queue);
    assert!(queue.take(guest.host().memory.0).is_some(), "copied, so done at once");
}

#[test]
fn switch_says_what_the_interface_is() {
    let (mut guest, ..) = with_network();
    assert_eq!(read(&mut guest, NET, registers::CONFIG), u32::from_le_bytes([0x52, 0x54, 0, 0]));
}

#[test]
fn packets_arrive_whole_with_what_is_said_beside_them() {
    let (mut guest, mut switch, _, mut queue) = with_network();
    let small = pattern(61);
    send(&mut guest, &mut queue, [0; 12], &small);
    assert_eq!(switch.packet(true), Some((small, Offload::default())));
    let large = pattern(40_001);
    // NEEDS_CSUM, GSO_TCPV4, header 54, segments of 1448, checksum from 34 at 16.
    send(&mut guest, &mut queue, [1, 1, 54, 0, 0xa8, 5, 34, 0, 16, 0, 0, 0], &large);
    let (bytes, offload) = switch.packet(true).expect("a packet");
    assert_eq!(bytes, large);
    let flags = OffloadFlags::NEEDS_CSUM;
    assert_eq!(offload, Offload { flags, gso: Gso::TCP4, gso_size: 1448, csum_start: 34, csum_offset: 16 });
}

/// A guest that has sent two packets in a row.
fn sending() -> (TestGuest, Switch, DriverQueue) {
    let (mut guest, mut switch, _, mut queue) = with_network();
    for _ in 0..2 {
        send(&mut guest, &mut queue, [0; 12], &pattern(64));
        assert!(switch.packet(true).is_some(), "at once");
    }
    (guest, switch, queue)
}

/// Adds a packet; whether the guest is to kick for it.
fn add(guest: &mut TestGuest, queue: &mut DriverQueue) -> bool {
    let ram = guest.host().memory.0;
    queue.add(ram, &[Place::readable(BUFFERS, 12), Place::readable(BUFFERS + 65, 64)]);
    queue.show(ram)
}

fn sent(switch: &mut Switch) -> usize {
    std::iter::from_fn(|| switch.packet(true)).count()
}

#[test]
fn busy_sender_is_looked_after_and_need_not_kick() {
    let (mut guest, mut switch, mut queue) = sending();
    let ram = guest.host().memory.0;
    // Time and again, as long as there is something.
    for _ in 0..3 {
        let until = guest.host().timeouts.last().copied().flatten().expect("a time-out");
        for _ in 0..3 {
            assert!(!add(&mut guest, &mut queue));
        }
        assert_eq!(sent(&mut switch), 0);
        guest.host_mut().now = until;
        guest.timeout();
        assert_eq!(sent(&mut switch), 3);
        assert_eq!(std::iter::from_fn(|| queue.take(ram)).count(), 3);
    }
    // A moment without a packet ends it.
    guest.host_mut().now = guest.host().timeouts.last().copied().flatten().expect("a time-out");
    guest.timeout();
    assert_eq!(guest.late_until, None);
    assert!(add(&mut guest, &mut queue));
}

#[test]
fn what_a_sender_did_not_kick_for_goes_on_when_it_waits() {
    let (mut guest, mut switch, mut queue) = sending();
    assert!(!add(&mut guest, &mut queue));
    assert_eq!(interrupts(&guest, NET), 0);
    let wfi = crate::Exit::Trapped(0x07e0_0000);
    assert_eq!(take(&mut guest, 0, wfi), crate::Reply::Resume, "the interrupt of the first was late");
    assert_eq!(interrupts(&guest, NET), 1);
    assert_eq!(sent(&mut switch), 1);
    assert!(add(&mut guest, &mut queue), "one that waits kicks");
}

#[test]
fn sender_that_fills_its_queue_kicks() {
    let (mut guest, mut switch, mut queue) = sending();
    let kicks = (0..5).filter(|_| add(&mut guest, &mut queue)).count();
    assert_eq!(kicks, 1, "with more than a quarter of the queue");
    assert_eq!(write(&mut guest, NET, registers::QUEUE_NOTIFY, queue.index.into()), crate::Reply::Resume);
    assert_eq!(sent(&mut switch), 5);
}

#[test]
fn received_packets_interrupt_a_busy_guest_together() {
    let (mut guest, mut switch, mut queue, _) = with_network();
    let ram = guest.host().memory.0;
    for number in 0..8 {
        queue.add(ram, &[Place::writable(BUFFERS + 0x1000 * number, 1536)]);
    }
    queue.want_interrupt(ram);
    kick(&mut guest, NET, &mut queue);
    for number in 1..4u8 {
        switch.deliver(&[number; 60], &Offload::default());
        guest.virtio_event(NET);
        switch.look();
    }
    assert_eq!(interrupts(&guest, NET), 0, "not yet");
    guest.host_mut().now = guest.late_until.expect("soon");
    guest.timeout();
    assert_eq!(interrupts(&guest, NET), 1);
    assert_eq!(std::iter::from_fn(|| queue.take(ram)).count(), 3);
}

#[test]
fn sender_waits_for_buffers_and_goes_on() {
    let (mut guest, mut switch, _, mut queue) = with_network();
    let large = pattern(60_000);
    let header = [1, 1, 54, 0, 0xa8, 5, 34, 0, 16, 0, 0, 0];
    let ram = guest.host().memory.0;
    ram.poke(BUFFERS, &header);
    ram.poke(BUFFERS + 65, &large);
    for _ in 0..16 / 2 {
        queue.add(ram, &[Place::readable(BUFFERS, 12), Place::readable(BUFFERS + 65, 60_000)]);
    }
    for _ in 0..8 {
        kick(&mut guest, NET, &mut queue);
    }
    let mut taken = 0;
    // Each round some go on, as buffers come back.
    for _ in 0..8 {
        while switch.packet(true).is_some() {
            taken += 1;
        }
        guest.virtio_event(NET);
    }
    assert_eq!(taken, 8);
    assert_eq!(std::iter::from_fn(|| queue.take(ram)).count(), 8);
}

#[test]
fn received_packet_is_spread_over_the_guests_buffers() {
    let (mut guest, mut switch, mut queue, _) = with_network();
    let ram = guest.host().memory.0;
    queue.want_interrupt(ram);
    let packet = pattern(5_000);
    let offload = Offload { flags: OffloadFlags::DATA_VALID, ..Offload::default() };
    switch.deliver(&packet, &offload);
    guest.virtio_event(NET);
    assert_eq!(interrupts(&guest, NET), 0, "there is no buffer");
    for number in 0..4 {
        queue.add(ram, &[Place::writable(BUFFERS + 0x1000 * number, 1536)]);
    }
    kick(&mut guest, NET, &mut queue);
    assert_eq!(interrupts(&guest, NET), 1);
    let mut bytes = Vec::new();
    for number in 0..4 {
        let (_, length) = queue.take(ram).expect("used");
        bytes.extend(ram.peek_vec(BUFFERS + 0x1000 * number, length as usize));
    }
    assert_eq!((bytes[0], bytes[10], bytes[11]), (2, 4, 0), "DATA_VALID, in four buffers");
    assert_eq!(bytes[12..], packet);
}

#[test]
fn buffers_go_round_for_ever() {
    let (mut guest, mut switch, mut queue, _) = with_network();
    let ram = guest.host().memory.0;
    for round in 0..1000u32 {
        queue.add(ram, &[Place::writable(BUFFERS, 2048)]);
        kick(&mut guest, NET, &mut queue);
        switch.deliver(&round.to_le_bytes().repeat(16), &Offload::default());
        guest.virtio_event(NET);
        switch.look();
        assert!(queue.take(ram).is_some(), "round {round}");
        assert_eq!(ram.peek::<4>(BUFFERS + 12), round.to_le_bytes());
    }
}

#[test]
fn interface_works_on_after_its_switch_restarted() {
    let (mut guest, mut switch, _, mut queue) = with_network();
    send(&mut guest, &mut queue, [0; 12], &pattern(100));
    // Not given back: lost with the switch.
    assert!(switch.packet(false).is_some());
    switch.server = Server::new(switch.pages).expect("fits");
    switch.describe();
    guest.virtio_event(NET);
    switch.look();
    send(&mut guest, &mut queue, [0; 12], &pattern(90));
    assert_eq!(switch.packet(true).map(|packet| packet.0), Some(pattern(90)));
}

#[test]
fn switch_that_gives_back_what_it_never_got_changes_nothing() {
    let (mut guest, mut switch, mut queue, mut sending) = with_network();
    let ram = guest.host().memory.0;
    queue.add(ram, &[Place::writable(BUFFERS, 2048)]);
    kick(&mut guest, NET, &mut queue);
    let real = switch.server.buffer().expect("an empty buffer");
    for offset in [1 << 40, REGION as u64 - 1, real.offset + 2047] {
        let lie = [Buffer { offset, length: 64 }];
        let _ = switch.server.deliver(&lie, &Offload::default());
        let _ = switch.server.buffer();
    }
    let _ = switch.server.commit();
    guest.virtio_event(NET);
    assert_eq!(queue.take(ram), None, "no packet");
    send(&mut guest, &mut sending, [0; 12], &pattern(80));
    assert!(switch.packet(true).is_some());
}
