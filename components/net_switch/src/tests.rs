// SPDX-License-Identifier: BSD-2-Clause
//! Behaviour of the switch with clients and a driver at the other ends of its links.

use std::collections::VecDeque;

use heapless::Vec as FixedVec;
use proptest::prelude::*;
use ring::link::State;
use ring::net::{
    Abilities, BUFFER_SIZE, Buffer, Client as ClientEnd, Gso, Info, Offload, OffloadFlags, Server,
};
use ring::pages::LocalPages;
use smoltcp::wire::{IpProtocol, TcpPacket};

use crate::counters::Loss;
use crate::headers::Mac;
use crate::packets::{Tcp, check, network_headers, udp};
use crate::policy::Policy;
use crate::region::Region;
use crate::region::tests::region;
use crate::segment::Version;
use crate::table::Port;
use crate::{Client, DmaRegion, Switch, Uplink};

type Pages = &'static LocalPages<4096>;

const RX_BUS: u64 = 0x8000_0000;
const TX_BUS: u64 = 0x9000_0000;
/// Buffers of each region.
const BUFFERS: usize = 160;
/// A station outside.
const OUTSIDE: Mac = Mac([0x52, 0x55, 10, 0, 2, 2]);

fn pages() -> Pages {
    Box::leak(Box::new(LocalPages::new()))
}

fn mac(number: u8) -> Mac {
    Policy::of(Port::Client(number)).mac
}

/// A client as a VMM is one.
struct Guest {
    link: ClientEnd<Pages>,
    pages: Pages,
    tx: Region,
    rx: Region,
    free: VecDeque<u64>,
    /// Empty buffers that are not supplied.
    empty: VecDeque<u64>,
    /// What its guest takes.
    accepted: Abilities,
}

/// What arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Packet {
    bytes: Vec<u8>,
    offload: Offload,
}

fn offsets() -> VecDeque<u64> {
    (0..BUFFERS as u64).map(|index| index * BUFFER_SIZE as u64).collect()
}

impl Guest {
    fn restart(&mut self) {
        self.link = ClientEnd::new(self.pages).unwrap();
        self.link.set_accepted(self.accepted);
        self.free = offsets();
        self.empty = offsets();
    }

    fn poll(&mut self) {
        if self.link.poll() == State::Fresh {
            self.free = offsets();
            self.empty = offsets();
        }
        while let Some(buffer) = self.link.transmitted() {
            assert!(!self.free.contains(&buffer.offset), "given back twice");
            self.free.push_back(buffer.offset);
        }
    }

    /// Supplies up to `count` empty buffers.
    fn supply(&mut self, count: usize) {
        self.poll();
        for _ in 0..count {
            let Some(offset) = self.empty.pop_front().filter(|_| self.link.is_up()) else { break };
            self.link.supply(Buffer { offset, length: BUFFER_SIZE as u16 }).unwrap();
        }
        let _ = self.link.commit();
    }

    /// Sends a packet; `false` when there are no buffers.
    fn send(&mut self, bytes: &[u8], offload: Offload) -> bool {
        self.poll();
        let count = bytes.len().div_ceil(BUFFER_SIZE);
        if self.free.len() < count || !self.link.is_up() {
            return false;
        }
        let mut buffers = Vec::new();
        for chunk in bytes.chunks(BUFFER_SIZE) {
            let offset = self.free.pop_front().unwrap();
            assert!(self.tx.write(offset as usize, chunk));
            buffers.push(Buffer { offset, length: chunk.len() as u16 });
        }
        let sent = self.link.transmit(&buffers, &offload).is_ok();
        let _ = self.link.commit();
        sent
    }

    /// All that has arrived; the buffers are not supplied again.
    fn receive(&mut self) -> Vec<Packet> {
        self.poll();
        let mut packets = Vec::new();
        let mut buffers = FixedVec::<Buffer, 40>::new();
        while let Some(offload) = self.link.receive(&mut buffers) {
            let mut bytes = Vec::new();
            for buffer in &buffers {
                assert!(!self.empty.contains(&buffer.offset), "delivered in a buffer that was not given");
                let mut piece = vec![0; buffer.length.into()];
                assert!(self.rx.read(buffer.offset as usize, &mut piece));
                bytes.extend(piece);
                self.empty.push_back(buffer.offset);
            }
            packets.push(Packet { bytes, offload });
        }
        let _ = self.link.commit();
        packets
    }
}

/// The driver and the wire.
struct Wire {
    link: Server<Pages>,
    pages: Pages,
    rx: Region,
    tx: Region,
    /// Buffers sent and not given back.
    sent: VecDeque<Buffer>,
    /// Empty buffers from the switch.
    empty: VecDeque<Buffer>,
}

impl Wire {
    fn restart(&mut self) {
        self.link = Server::new(self.pages).unwrap();
        self.sent.clear();
        self.empty.clear();
    }

    fn poll(&mut self) {
        if self.link.poll() == State::PeerRestarted {
            self.sent.clear();
            self.empty.clear();
            self.link.accept();
            self.link.poll();
        }
        while let Some(buffer) = self.link.buffer() {
            assert!(!self.empty.contains(&buffer), "given twice");
            self.empty.push_back(buffer);
        }
        let _ = self.link.commit();
    }

    /// All packets that the switch sends.
    fn take(&mut self) -> Vec<Packet> {
        self.poll();
        let mut packets = Vec::new();
        let mut buffers = FixedVec::<Buffer, 40>::new();
        while let Some(offload) = self.link.packet(&mut buffers) {
            let mut bytes = Vec::new();
            for buffer in &buffers {
                assert!(!self.sent.contains(buffer), "sent while the device has it");
                let mut piece = vec![0; buffer.length.into()];
                assert!(self.tx.read((buffer.offset - TX_BUS) as usize, &mut piece));
                bytes.extend(piece);
                self.sent.push_back(*buffer);
            }
            packets.push(Packet { bytes, offload });
        }
        let _ = self.link.commit();
        packets
    }

    /// The device has sent everything.
    fn complete(&mut self) {
        for buffer in self.sent.drain(..) {
            self.link.give_back(buffer).unwrap();
        }
        let _ = self.link.commit();
    }

    /// A packet arrives; `false` when there is no buffer for it.
    fn receive(&mut self, bytes: &[u8], offload: Offload) -> bool {
        self.poll();
        let Some(buffer) = self.empty.pop_front().filter(|_| self.link.is_up()) else { return false };
        assert!(self.rx.write((buffer.offset - RX_BUS) as usize, bytes));
        let buffer = Buffer { length: bytes.len() as u16, ..buffer };
        self.link.deliver(&[buffer], &offload).unwrap();
        let _ = self.link.commit();
        true
    }
}

struct Network {
    switch: Switch<Pages>,
    guests: Vec<Guest>,
    wire: Wire,
}

impl Network {
    /// A switch with these clients, configured so, and an uplink that is.
    fn new(clients: &[&str], uplink: &str) -> Self {
        let size = BUFFERS * BUFFER_SIZE;
        let (rx, tx, link) = (region(size), region(size), pages());
        let end = ClientEnd::new(link).unwrap();
        let policy = Policy::parse(Port::Uplink, uplink).unwrap();
        let rx_dma = DmaRegion { region: rx, bus: RX_BUS };
        let tx_dma = DmaRegion { region: tx, bus: TX_BUS };
        let mut switch = Switch::new(Some(Uplink::new(end, rx_dma, tx_dma, policy).unwrap()));
        let server = Server::new(link).unwrap();
        let wire = Wire { link: server, pages: link, rx, tx, sent: VecDeque::new(), empty: VecDeque::new() };
        let mut guests = Vec::new();
        for (number, options) in clients.iter().enumerate() {
            let (tx, rx, pages) = (region(size), region(size), pages());
            let policy = Policy::parse(Port::Client(number as u8), options).unwrap();
            let port = Client::new(number as u8, Server::new(pages).unwrap(), tx, rx, policy);
            switch.add_client(port).unwrap();
            let link = ClientEnd::new(pages).unwrap();
            let (free, empty) = (VecDeque::new(), VecDeque::new());
            let mut guest = Guest { link, pages, tx, rx, free, empty, accepted: Abilities::all() };
            guest.restart();
            guests.push(guest);
        }
        let mut this = Self { switch, guests, wire };
        let abilities = Abilities::LINK_UP;
        this.wire.link.publish_info(&Info { mac: [2; 6], mtu: 1500, speed: 0, abilities });
        this.settle();
        this.supply(BUFFERS);
        this.run();
        this
    }

    /// Until all links are up.
    fn settle(&mut self) {
        for _ in 0..4 {
            self.run();
            self.wire.poll();
            for guest in &mut self.guests {
                guest.poll();
                let _ = guest.link.commit();
            }
        }
    }

    fn supply(&mut self, count: usize) {
        for guest in &mut self.guests {
            guest.supply(count);
        }
    }

    fn run(&mut self) {
        for _ in 0..100 {
            if !self.switch.service().again {
                return;
            }
        }
        panic!("the switch does not come to rest");
    }

    fn lost(&self, client: usize, loss: Loss) -> u64 {
        self.switch.clients()[client].counters().lost(loss)
    }
}

fn frame(source: Mac, destination: Mac, length: usize) -> Vec<u8> {
    udp(Version::V4, source, destination, &vec![7; length], false)
}

fn partial(version: Version, field: u8) -> Offload {
    let csum_start = network_headers(version) as u16;
    Offload { flags: OffloadFlags::NEEDS_CSUM, csum_start, csum_offset: field, ..Offload::default() }
}

fn large(version: Version, size: u16) -> Offload {
    let gso = if version == Version::V4 { Gso::TCP4 } else { Gso::TCP6 };
    Offload { gso, gso_size: size, ..partial(version, 16) }
}

const PLAIN: Offload =
    Offload { flags: OffloadFlags::empty(), gso: Gso::NONE, gso_size: 0, csum_start: 0, csum_offset: 0 };

fn plain(bytes: Vec<u8>) -> Vec<Packet> {
    vec![Packet { bytes, offload: PLAIN }]
}

#[test]
fn packets_reach_their_station_and_nobody_else() {
    let mut net = Network::new(&["", "", ""], "");
    let to_one = frame(mac(0), mac(1), 100);
    let outside = frame(mac(0), OUTSIDE, 100);
    assert!(net.guests[0].send(&to_one, PLAIN) && net.guests[0].send(&outside, PLAIN));
    net.run();
    assert_eq!(net.guests[1].receive(), plain(to_one));
    assert_eq!(net.guests[2].receive(), []);
    assert_eq!(net.guests[0].receive(), []);
    assert_eq!(net.wire.take(), plain(outside));
    let inside = frame(OUTSIDE, mac(2), 1400);
    assert!(net.wire.receive(&inside, PLAIN));
    net.run();
    assert_eq!(net.guests[2].receive(), plain(inside));
    assert_eq!((net.guests[0].receive(), net.guests[1].receive()), (vec![], vec![]));
}

#[test]
fn broadcasts_reach_all_others() {
    let mut net = Network::new(&["", "", "deny:client0"], "");
    let bytes = frame(mac(0), Mac::BROADCAST, 50);
    assert!(net.guests[0].send(&bytes, PLAIN));
    net.run();
    assert_eq!(net.guests[0].receive(), []);
    assert_eq!(net.guests[1].receive(), plain(bytes.clone()));
    assert_eq!(net.guests[2].receive(), [], "denied by the receiver");
    assert_eq!(net.wire.take(), plain(bytes));
    let bytes = frame(OUTSIDE, Mac([0x33, 0x33, 0, 0, 0, 1]), 50);
    assert!(net.wire.receive(&bytes, PLAIN));
    net.run();
    for guest in &mut net.guests {
        assert_eq!(guest.receive(), plain(bytes.clone()));
    }
    assert_eq!(net.wire.take(), []);
}

#[test]
fn who_is_denied_gets_nothing_in_either_direction() {
    let mut net = Network::new(&["allow:uplink", "", "deny:uplink"], "");
    for (from, to) in [(0, mac(1)), (1, mac(0)), (2, OUTSIDE)] {
        assert!(net.guests[from].send(&frame(mac(from as u8), to, 50), PLAIN));
        net.run();
        assert_eq!(net.lost(from, Loss::Denied), 1);
    }
    assert!(net.wire.receive(&frame(OUTSIDE, mac(2), 50), PLAIN));
    net.run();
    assert_eq!(net.switch.uplink().unwrap().counters().lost(Loss::Denied), 1);
    assert!(net.guests.iter_mut().all(|guest| guest.receive().is_empty()));
    assert_eq!(net.wire.take(), []);
}

#[test]
fn nobody_sends_as_somebody_else() {
    let mut net = Network::new(&["ipv4:10.0.2.15", "ipv4:10.0.2.99", "any-source"], "");
    // smoltcp's packets are from 10.0.2.15.
    assert!(net.guests[0].send(&frame(mac(0), OUTSIDE, 50), PLAIN));
    net.run();
    assert_eq!(net.wire.take().len(), 1);
    let mut arp = vec![0xff; 6];
    arp.extend(mac(0).0);
    arp.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    arp.extend(mac(1).0);
    arp.extend([10, 0, 2, 15, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2]);
    for (from, bytes) in [
        (0, frame(mac(1), OUTSIDE, 50)),
        (0, frame(OUTSIDE, mac(1), 50)),
        (0, frame(Mac::BROADCAST, mac(1), 50)),
        (0, arp),
        (1, frame(mac(1), OUTSIDE, 50)),
        (2, frame(mac(0), OUTSIDE, 50)),
        (2, frame(Mac([0; 6]), OUTSIDE, 50)),
    ] {
        let before = net.lost(from, Loss::Spoofed);
        assert!(net.guests[from].send(&bytes, PLAIN));
        net.run();
        assert_eq!(net.lost(from, Loss::Spoofed), before + 1, "{bytes:x?}");
    }
    // The uplink cannot take over a client's address either.
    assert!(net.wire.receive(&frame(mac(0), mac(1), 50), PLAIN));
    net.run();
    assert_eq!(net.switch.uplink().unwrap().counters().lost(Loss::Spoofed), 1);
    assert_eq!(net.wire.take(), []);
    assert!(net.guests.iter_mut().all(|guest| guest.receive().is_empty()));
}

#[test]
fn stations_behind_a_bridging_guest_are_learned() {
    let mut net = Network::new(&["", "any-source"], "no-flood");
    let behind = Mac([2, 9, 9, 9, 9, 9]);
    assert!(net.guests[0].send(&frame(mac(0), behind, 50), PLAIN));
    net.run();
    assert_eq!(net.lost(0, Loss::NoRoute), 1);
    let hello = frame(behind, mac(0), 50);
    let answer = frame(mac(0), behind, 60);
    assert!(net.guests[1].send(&hello, PLAIN));
    net.run();
    assert!(net.guests[0].send(&answer, PLAIN));
    net.run();
    assert_eq!(net.guests[0].receive(), plain(hello));
    assert_eq!(net.guests[1].receive(), plain(answer));
}

#[test]
fn bridge_control_packets_are_not_forwarded() {
    let mut net = Network::new(&["", ""], "");
    assert!(net.guests[0].send(&frame(mac(0), Mac([1, 0x80, 0xc2, 0, 0, 0]), 50), PLAIN));
    net.run();
    assert_eq!(net.guests[1].receive(), []);
    assert_eq!(net.wire.take(), []);
}

#[test]
fn large_packets_pass_whole_between_guests_and_in_segments_outside() {
    for version in [Version::V4, Version::V6] {
        let mut net = Network::new(&["", "", "no-offload"], "");
        let payload: Vec<u8> = (0..60_000u32).map(|index| (index >> 3) as u8).collect();
        let inside = Tcp::new(version, mac(0), mac(1), payload.clone());
        assert!(net.guests[0].send(&inside.bytes(true), large(version, 1400)));
        net.run();
        let expected = Packet { bytes: inside.bytes(true), offload: large(version, 1400) };
        assert_eq!(net.guests[1].receive(), [expected]);
        for to in [OUTSIDE, mac(2)] {
            let tcp = Tcp::new(version, mac(0), to, payload.clone());
            assert!(net.guests[0].send(&tcp.bytes(true), large(version, 1400)));
            net.run();
            let segments = if to == OUTSIDE { net.wire.take() } else { net.guests[2].receive() };
            assert_eq!(segments.len(), 60_000usize.div_ceil(1400));
            let mut stream = Vec::new();
            for segment in segments {
                assert_eq!(segment.offload, PLAIN);
                let (protocol, transport) = check(&segment.bytes);
                assert_eq!(protocol, IpProtocol::Tcp);
                stream.extend_from_slice(TcpPacket::new_checked(&transport[..]).unwrap().payload());
            }
            assert_eq!(stream, payload);
        }
    }
}

#[test]
fn guest_gets_only_what_it_takes() {
    let mut net = Network::new(&["", ""], "");
    let tcp = Tcp::new(Version::V4, mac(0), mac(1), vec![3; 4000]).bytes(true);
    for (accepted, packets) in [
        (Abilities::RX_CSUM | Abilities::RX_TSO4, 1),
        (Abilities::RX_CSUM | Abilities::RX_TSO6, 4),
        (Abilities::RX_TSO4, 4),
        (Abilities::empty(), 4),
    ] {
        net.guests[1].link.set_accepted(accepted);
        assert!(net.guests[0].send(&tcp, large(Version::V4, 1000)));
        net.run();
        let found = net.guests[1].receive();
        assert_eq!(found.len(), packets, "{accepted:?}");
        if packets > 1 {
            found.iter().for_each(|packet| drop(check(&packet.bytes)));
        }
    }
}

#[test]
fn checksums_are_completed_only_for_who_cannot() {
    let mut net = Network::new(&["", "", "no-offload"], "");
    for (to, completed) in [(mac(1), false), (mac(2), true), (OUTSIDE, true)] {
        let bytes = udp(Version::V4, mac(0), to, &[5; 301], true);
        assert!(net.guests[0].send(&bytes, partial(Version::V4, 6)));
        net.run();
        let found = match to {
            OUTSIDE => net.wire.take(),
            to if to == mac(1) => net.guests[1].receive(),
            _ => net.guests[2].receive(),
        };
        if completed {
            assert_eq!(found, plain(udp(Version::V4, mac(0), to, &[5; 301], false)));
        } else {
            assert_eq!(found, [Packet { bytes, offload: partial(Version::V4, 6) }]);
        }
    }
}

#[test]
fn validated_is_believed_from_the_driver_alone() {
    let mut net = Network::new(&["", ""], "");
    let valid = Offload { flags: OffloadFlags::DATA_VALID, ..PLAIN };
    let (inside, outside) = (frame(mac(0), mac(1), 50), frame(OUTSIDE, mac(1), 50));
    assert!(net.guests[0].send(&inside, valid) && net.wire.receive(&outside, valid));
    net.run();
    let found = net.guests[1].receive();
    assert!(found.contains(&Packet { bytes: inside, offload: PLAIN }));
    assert!(found.contains(&Packet { bytes: outside, offload: valid }));
}

#[test]
fn slow_client_loses_its_own_packets_only() {
    let mut net = Network::new(&["", "", ""], "");
    net.guests[1].restart();
    net.settle();
    let (slow, fast) = (frame(mac(0), mac(1), 500), frame(mac(0), mac(2), 500));
    for _ in 0..20 {
        assert!(net.guests[0].send(&slow, PLAIN) && net.guests[0].send(&fast, PLAIN));
        net.run();
    }
    assert_eq!(net.guests[2].receive().len(), 20);
    assert_eq!(net.lost(1, Loss::NoBuffers), 20);
    assert_eq!(net.guests[1].receive(), []);
    net.guests[1].supply(1);
    assert!(net.guests[0].send(&slow, PLAIN));
    net.run();
    assert_eq!(net.guests[1].receive(), plain(slow));
}

#[test]
fn full_uplink_holds_packets_back_and_loses_none() {
    let mut net = Network::new(&["", ""], "");
    let mut sent = [0; 2];
    for round in 0..1000 {
        let from = round % 2;
        let bytes = frame(mac(from as u8), OUTSIDE, round);
        sent[from] += usize::from(net.guests[from].send(&bytes, PLAIN));
        net.run();
    }
    // The wire's buffers are used up, and the guests' own are on their way.
    assert_eq!(sent, [BUFFERS + BUFFERS / 2; 2]);
    let between = frame(mac(0), mac(1), 3);
    assert!(!net.guests[0].send(&between, PLAIN));
    let mut arrived = Vec::new();
    for _ in 0..10 {
        arrived.extend(net.wire.take());
        net.wire.complete();
        net.run();
    }
    assert_eq!(arrived.len(), sent.iter().sum::<usize>());
    for from in 0..2 {
        // In order.
        let lengths: Vec<usize> = arrived
            .iter()
            .filter(|packet| packet.bytes[6..12] == mac(from as u8).0)
            .map(|packet| packet.bytes.len())
            .collect();
        assert!(lengths.is_sorted(), "{lengths:?}");
    }
    assert!(net.guests[0].send(&between, PLAIN));
    net.run();
    assert_eq!(net.guests[1].receive(), plain(between));
}

#[test]
fn client_that_waits_for_the_uplink_does_not_hold_up_others() {
    let mut net = Network::new(&["", "", ""], "");
    let outside = frame(mac(0), OUTSIDE, 3);
    while net.guests[0].send(&outside, PLAIN) {
        net.run();
    }
    let bytes = frame(mac(1), mac(2), 3);
    assert!(net.guests[1].send(&bytes, PLAIN));
    net.run();
    assert_eq!(net.guests[2].receive(), plain(bytes));
}

#[test]
fn large_packet_gets_its_turn_among_many_small_ones() {
    let mut net = Network::new(&["", ""], "");
    let tcp = Tcp::new(Version::V4, mac(0), OUTSIDE, vec![1; 60_000]);
    // Leaves less room than 42 segments need.
    for _ in 0..BUFFERS - 20 {
        assert!(net.guests[1].send(&frame(mac(1), OUTSIDE, 3), PLAIN));
    }
    net.run();
    assert!(net.guests[0].send(&tcp.bytes(true), large(Version::V4, 1440)));
    net.run();
    let mut passed = 0;
    for _ in 0..100 {
        while net.guests[1].send(&frame(mac(1), OUTSIDE, 3), PLAIN) {}
        net.run();
        passed += net.wire.take().iter().filter(|packet| packet.bytes.len() > 1000).count();
        // One buffer at a time.
        if let Some(buffer) = net.wire.sent.pop_front() {
            net.wire.link.give_back(buffer).unwrap();
            let _ = net.wire.link.commit();
        }
    }
    assert_eq!(passed, 42);
}

#[test]
fn driver_restart_loses_packets_and_no_buffers() {
    let mut net = Network::new(&["", ""], "");
    for _ in 0..3 {
        assert!(net.guests[0].send(&frame(mac(0), OUTSIDE, 10), PLAIN));
        net.run();
        assert_eq!(net.wire.take().len(), 1);
        net.wire.restart();
        // Down: lost, and nobody waits.
        net.run();
        assert!(net.guests[0].send(&frame(mac(0), OUTSIDE, 10), PLAIN));
        net.run();
        net.settle();
        assert_eq!(net.wire.empty.len(), BUFFERS, "all are given again");
        assert_eq!(net.switch.uplink().unwrap().outstanding().0 as usize, BUFFERS);
        net.wire.take();
        net.wire.complete();
    }
    assert!(net.wire.receive(&frame(OUTSIDE, mac(1), 10), PLAIN));
    net.run();
    assert_eq!(net.guests[1].receive().len(), 1);
}

#[test]
fn client_restart_begins_anew() {
    let mut net = Network::new(&["", ""], "");
    while net.guests[0].send(&frame(mac(0), OUTSIDE, 3), PLAIN) {
        net.run();
    }
    net.guests[0].restart();
    net.settle();
    net.supply(BUFFERS);
    // The old life's packet no longer waits, and nobody is first in line.
    assert!(net.guests[1].send(&frame(mac(1), mac(0), 3), PLAIN));
    net.wire.take();
    net.wire.complete();
    assert!(net.guests[1].send(&frame(mac(1), OUTSIDE, 3), PLAIN));
    net.run();
    assert_eq!(net.guests[0].receive().len(), 1);
    assert_eq!(net.wire.take().len(), 1);
}

#[test]
fn driver_that_makes_up_buffers_gets_no_packet_through() {
    let mut net = Network::new(&[""], "");
    net.wire.poll();
    let bytes = frame(OUTSIDE, mac(0), 10);
    let first = net.wire.empty.pop_front().unwrap();
    let length = bytes.len() as u16;
    let second = net.wire.empty.pop_front().unwrap();
    for buffer in [
        Buffer { length, ..first },
        Buffer { offset: 12, length },
        Buffer { offset: RX_BUS + (BUFFERS * BUFFER_SIZE) as u64, length },
        Buffer { offset: second.offset + 2000, length },
    ] {
        if let Some(offset) = buffer.offset.checked_sub(RX_BUS) {
            let _ = net.wire.rx.write(offset as usize, &bytes);
        }
        net.wire.link.deliver(&[buffer], &PLAIN).unwrap();
    }
    let _ = net.wire.link.commit();
    net.run();
    assert_eq!(net.guests[0].receive().len(), 1);
    assert_eq!(net.switch.uplink().unwrap().counters().lost(Loss::BadBuffer), 3);
    net.wire.poll();
    assert_eq!(net.wire.empty.len(), BUFFERS, "the two that it had are given again");
}

#[test]
fn client_with_bad_buffers_harms_itself_alone() {
    let mut net = Network::new(&["", "", ""], "");
    net.guests[1].restart();
    net.settle();
    let size = (BUFFERS * BUFFER_SIZE) as u64;
    for (offset, length) in [(size - 2047, 2048), (size, 0), (1 << 40, 2048), (0, 60)] {
        net.guests[1].link.supply(Buffer { offset, length }).unwrap();
    }
    let _ = net.guests[1].link.commit();
    let bytes = frame(mac(0), Mac::BROADCAST, 50);
    for _ in 0..4 {
        assert!(net.guests[0].send(&bytes, PLAIN));
        net.run();
    }
    assert_eq!(net.lost(1, Loss::BadBuffer), 4);
    assert_eq!(net.guests[2].receive().len(), 4);
}

#[test]
fn malformed_packets_are_lost_and_their_buffers_come_back() {
    let mut net = Network::new(&["", ""], "");
    let bytes = frame(mac(0), mac(1), 1400);
    for offload in [
        Offload { csum_start: 60_000, ..partial(Version::V4, 6) },
        Offload { gso: Gso::UDP, gso_size: 8, ..partial(Version::V4, 6) },
        Offload { gso: Gso::TCP4, gso_size: 1000, ..PLAIN },
        large(Version::V4, 1000),
        large(Version::V4, 0),
    ] {
        assert!(net.guests[0].send(&bytes, offload));
        net.run();
    }
    assert_eq!(net.lost(0, Loss::Malformed), 5);
    net.guests[0].poll();
    for (offset, length) in [((BUFFERS * BUFFER_SIZE) as u64, 60), (1 << 45, 60), (0, 13)] {
        net.guests[0].link.transmit(&[Buffer { offset, length }], &PLAIN).unwrap();
        let _ = net.guests[0].link.commit();
        net.run();
        assert_eq!(net.guests[0].link.transmitted(), Some(Buffer { offset, length }));
    }
    assert_eq!(net.lost(0, Loss::Malformed), 8);
    assert!(net.guests[0].send(&frame(mac(0), mac(1), 1600), PLAIN));
    net.run();
    assert_eq!(net.lost(0, Loss::Oversize), 1);
    net.guests[0].poll();
    assert_eq!(net.guests[0].free.len(), BUFFERS);
    assert_eq!(net.guests[1].receive(), []);
}

#[test]
fn clients_are_told_about_the_network() {
    let mut net = Network::new(&["mac:52:54:00:00:01:00", "allow:uplink", ""], "");
    let info = net.guests[0].link.info().unwrap();
    assert_eq!((info.mac, info.mtu), ([0x52, 0x54, 0, 0, 1, 0], 1500));
    assert!(info.abilities.contains(Abilities::LINK_UP | Abilities::TX_TSO4 | Abilities::RX_TSO6));
    net.wire.link.publish_info(&Info { mtu: 1400, ..Info::default() });
    let _ = net.wire.link.commit();
    net.run();
    let [first, second] = [0, 1].map(|guest: usize| net.guests[guest].link.info().unwrap());
    assert_eq!((first.mtu, second.mtu), (1400, 1400));
    assert!(first.abilities.contains(Abilities::LINK_UP), "others can be reached");
    assert!(!second.abilities.contains(Abilities::LINK_UP), "nobody can be reached");
}

#[test]
fn second_client_with_an_address_is_refused() {
    let mut net = Network::new(&["", "mac:02:62:68:00:00:08"], "");
    let policy = Policy::of(Port::Client(7));
    let client = Client::new(7, Server::new(pages()).unwrap(), region(2048), region(2048), policy);
    assert!(net.switch.add_client(client).is_err());
}

/// What may happen in a run.
#[derive(Debug, Clone)]
enum Step {
    Send { from: usize, to: usize, length: usize, kind: u8 },
    Arrive { to: usize, length: usize },
    Supply { guest: usize, count: usize },
    Receive { guest: usize },
    Wire { complete: bool },
    RestartGuest { guest: usize },
    RestartWire,
}

fn step() -> impl Strategy<Value = Step> {
    let guest = 0usize..3;
    prop_oneof![
        8 => (guest.clone(), 0usize..5, 1usize..20_000, 0u8..4)
            .prop_map(|(from, to, length, kind)| Step::Send { from, to, length, kind }),
        4 => (0usize..4, 1usize..1400).prop_map(|(to, length)| Step::Arrive { to, length }),
        4 => (guest.clone(), 0usize..64).prop_map(|(guest, count)| Step::Supply { guest, count }),
        4 => guest.clone().prop_map(|guest| Step::Receive { guest }),
        4 => any::<bool>().prop_map(|complete| Step::Wire { complete }),
        1 => guest.prop_map(|guest| Step::RestartGuest { guest }),
        1 => Just(Step::RestartWire),
    ]
}

fn station(number: usize) -> Mac {
    match number {
        0..3 => mac(number as u8),
        3 => Mac::BROADCAST,
        _ => OUTSIDE,
    }
}

/// Clients 0 and 2 may not talk.
fn may_talk(a: Mac, b: Mac) -> bool {
    (a, b) != (mac(0), mac(2)) && (a, b) != (mac(2), mac(0))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever happens: each packet that arrives was sent, unchanged, by somebody who may send it there; every buffer
    /// is somewhere once, and in the end where it belongs.
    #[test]
    fn nothing_leaks_and_nothing_is_made_up(steps in prop::collection::vec(step(), 1..120)) {
        let mut net = Network::new(&["deny:client2", "", ""], "");
        let mut number = 0u32;
        let arrived = |guest: usize, packets: Vec<Packet>| {
            for packet in packets {
                let destination = Mac(packet.bytes[..6].try_into().unwrap());
                let source = Mac(packet.bytes[6..12].try_into().unwrap());
                let here = station(if guest == 3 { 4 } else { guest });
                assert!(destination == here || destination == Mac::BROADCAST, "for {destination}, at {here}");
                assert!(source != here, "back to the sender");
                assert!(may_talk(source, here), "from {source} to {here}");
                if packet.offload.flags.is_empty() {
                    let (_, transport) = check(&packet.bytes);
                    let header = if packet.bytes[23] == 6 { TcpPacket::new_checked(&transport[..]).unwrap().header_len().into() } else { 8 };
                    let data = &transport[header..];
                    assert!(data.iter().all(|byte| *byte == data[0]), "bytes of one packet");
                    assert_eq!(data[0], source.0[5] ^ destination.0[5]);
                }
            }
        };
        for step in steps {
            match step {
                Step::Send { from, to, length, kind } => {
                    let (source, destination) = (station(from), station(to));
                    number += 1;
                    let byte = source.0[5] ^ destination.0[5];
                    let short = length % 1400 + 1;
                    let (bytes, offload) = match kind {
                        0 => (udp(Version::V4, source, destination, &vec![byte; short], false), PLAIN),
                        1 => (udp(Version::V4, source, destination, &vec![byte; short], true), partial(Version::V4, 6)),
                        2 => (Tcp::new(Version::V4, source, destination, vec![byte; length]).bytes(true), large(Version::V4, 1400)),
                        _ => (Tcp::new(Version::V4, source, destination, vec![byte; short]).bytes(true), partial(Version::V4, 16)),
                    };
                    net.guests[from].send(&bytes, offload);
                }
                Step::Arrive { to, length } => {
                    let destination = station(to);
                    let byte = OUTSIDE.0[5] ^ destination.0[5];
                    net.wire.receive(&udp(Version::V4, OUTSIDE, destination, &vec![byte; length], false), PLAIN);
                }
                Step::Supply { guest, count } => net.guests[guest].supply(count),
                Step::Receive { guest } => arrived(guest, net.guests[guest].receive()),
                Step::Wire { complete } => {
                    arrived(3, net.wire.take());
                    if complete {
                        net.wire.complete();
                    }
                }
                Step::RestartGuest { guest } => net.guests[guest].restart(),
                Step::RestartWire => net.wire.restart(),
            }
            net.run();
        }
        // Drained, everything is back.
        for _ in 0..20 {
            arrived(3, net.wire.take());
            net.wire.complete();
            net.settle();
        }
        for (guest, end) in net.guests.iter_mut().enumerate() {
            arrived(guest, end.receive());
            prop_assert_eq!(end.free.len(), BUFFERS);
        }
        prop_assert_eq!(net.switch.uplink().unwrap().outstanding().0 as usize, BUFFERS);
        prop_assert_eq!(net.wire.empty.len(), BUFFERS);
        let spoofed: u64 = (0..3).map(|client| net.lost(client, Loss::Spoofed) + net.lost(client, Loss::Malformed)).sum();
        prop_assert_eq!(spoofed, 0, "{} packets", number);
    }
}
