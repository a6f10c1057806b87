// SPDX-License-Identifier: BSD-2-Clause
//! Whatever is merged is, cut again, what came in.

use proptest::prelude::*;
use smoltcp::wire::{Ipv4Packet, TcpControl, TcpPacket};

use crate::headers::Mac;
use crate::packets::{Tcp, address, network_headers, udp};
use crate::segment::Version;
use crate::tests::{Network, OUTSIDE, PLAIN, Packet, mac};
use ring::net::{Abilities, Gso, Offload, OffloadFlags};

/// Payload of a full segment.
const FULL: usize = 200;

/// A connection's packets from outside to client 0.
#[derive(Debug, Clone)]
struct Sender {
    version: Version,
    sequence: i32,
    acknowledged: i32,
    window: u16,
    identification: u16,
    time: Option<u32>,
    port: u16,
    byte: u8,
}

impl Sender {
    fn new(version: Version) -> Self {
        Self {
            version,
            // All of them pass their ends.
            sequence: -300,
            acknowledged: i32::MAX - 300,
            window: 1000,
            identification: 0xfff8,
            time: None,
            port: 5001,
            byte: 0,
        }
    }

    fn packet(&mut self, length: usize, push: bool) -> Vec<u8> {
        let payload: Vec<u8> = (0..length).map(|at| self.byte.wrapping_add(at as u8)).collect();
        self.byte = self.byte.wrapping_add(17);
        let control = if push { TcpControl::Psh } else { TcpControl::None };
        let mut tcp = Tcp::new(self.version, OUTSIDE, mac(0), payload);
        (tcp.sequence, tcp.acknowledged, tcp.control) = (self.sequence, self.acknowledged, control);
        (tcp.window, tcp.port, tcp.timestamp, tcp.time) =
            (self.window, self.port, self.time.is_some(), self.time.unwrap_or(0));
        self.sequence = self.sequence.wrapping_add(length as i32);
        let mut bytes = tcp.bytes(false);
        number(&mut bytes, self.identification);
        if self.time.is_some() {
            // As stacks do: in front of the timestamps, not behind.
            let tcp = network_headers(self.version);
            bytes[tcp + 20..tcp + 32].rotate_right(2);
            bytes[tcp + 20..tcp + 22].fill(1);
            let (source, destination) = (address(self.version, 15), address(self.version, 2));
            TcpPacket::new_unchecked(&mut bytes[tcp..]).fill_checksum(&source, &destination);
        }
        self.identification = self.identification.wrapping_add(1);
        bytes
    }
}

/// Numbers an IPv4 packet.
fn number(bytes: &mut [u8], identification: u16) {
    if bytes[12..14] == [8, 0] {
        let mut packet = Ipv4Packet::new_unchecked(&mut bytes[14..]);
        packet.set_ident(identification);
        packet.fill_checksum();
    }
}

/// What the wire would carry: what virtio 1.2, section 5.1.6, says of the segments of a large packet.
fn cut(packet: &Packet) -> Vec<Vec<u8>> {
    if packet.offload.gso == Gso::NONE {
        return vec![packet.bytes.clone()];
    }
    let version = if packet.offload.gso == Gso::TCP4 { Version::V4 } else { Version::V6 };
    let tcp = network_headers(version);
    assert_eq!(packet.offload.flags, OffloadFlags::NEEDS_CSUM);
    assert_eq!((usize::from(packet.offload.csum_start), packet.offload.csum_offset), (tcp, 16));
    let head = TcpPacket::new_checked(&packet.bytes[tcp..]).unwrap();
    let (headers, sequence, push) = (tcp + usize::from(head.header_len()), head.seq_number(), head.psh());
    let payload = &packet.bytes[headers..];
    let pieces: Vec<&[u8]> = payload.chunks(packet.offload.gso_size.into()).collect();
    assert!(pieces.len() > 1);
    let mut all = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        let mut bytes = packet.bytes[..headers].to_vec();
        bytes.extend_from_slice(piece);
        let length = bytes.len() - 14;
        if version == Version::V4 {
            let mut ip = Ipv4Packet::new_unchecked(&mut bytes[14..]);
            assert!(Ipv4Packet::new_unchecked(&packet.bytes[14..]).verify_checksum());
            ip.set_total_len(length as u16);
            let first = ip.ident();
            number(&mut bytes, first.wrapping_add(index as u16));
        } else {
            bytes[18..20].copy_from_slice(&(length as u16 - 40).to_be_bytes());
        }
        let mut segment = TcpPacket::new_unchecked(&mut bytes[tcp..]);
        segment.set_seq_number(sequence + index * usize::from(packet.offload.gso_size));
        segment.set_psh(push && index + 1 == pieces.len());
        segment.fill_checksum(&address(version, 15), &address(version, 2));
        all.push(bytes);
    }
    all
}

/// Lets packets arrive together; what client 0 gets.
fn arrive(net: &mut Network, packets: &[Vec<u8>]) -> Vec<Packet> {
    for packet in packets {
        assert!(net.wire.receive(packet, PLAIN));
    }
    net.run();
    let received = net.guests[0].receive();
    net.supply(usize::MAX);
    net.run();
    received
}

#[test]
fn segments_in_order_become_one_packet() {
    for version in [Version::V4, Version::V6] {
        let mut net = Network::new(&[""], "");
        let mut sender = Sender::new(version);
        let packets: Vec<_> = (0..40).map(|index| sender.packet(1400, index == 39)).collect();
        let received = arrive(&mut net, &packets);
        let [large] = &received[..] else { panic!("{} packets", received.len()) };
        assert_eq!(cut(large), packets);
        net.wire.poll();
        assert_eq!(net.wire.empty.len(), 160, "all buffers are the driver's again");
    }
}

#[test]
fn large_packet_is_no_longer_than_ip_can_say() {
    let mut net = Network::new(&[""], "");
    let mut sender = Sender::new(Version::V4);
    let packets: Vec<_> = (0..50).map(|_| sender.packet(1460, false)).collect();
    let received = arrive(&mut net, &packets);
    let lengths: Vec<usize> = received.iter().map(|packet| packet.bytes.len()).collect();
    assert_eq!(lengths, [54 + 44 * 1460, 54 + 6 * 1460]);
    assert_eq!(received.iter().flat_map(cut).collect::<Vec<_>>(), packets);
}

#[test]
fn lone_packet_is_as_it_was_and_known_to_be_right() {
    let mut net = Network::new(&[""], "");
    let packet = Sender::new(Version::V4).packet(100, false);
    let offload = Offload { flags: OffloadFlags::DATA_VALID, ..PLAIN };
    assert_eq!(arrive(&mut net, std::slice::from_ref(&packet)), [Packet { bytes: packet.clone(), offload }]);
}

#[test]
fn acknowledgement_gives_way_to_a_later_one() {
    for time in [None, Some(u32::MAX - 1)] {
        let mut net = Network::new(&[""], "");
        let mut sender = Sender::new(Version::V4);
        sender.time = time;
        let mut packets = Vec::new();
        for _ in 0..5 {
            sender.acknowledged = sender.acknowledged.wrapping_add(1000);
            sender.time = sender.time.map(|time| time.wrapping_add(1));
            let mut packet = sender.packet(0, false);
            packet.resize(packet.len().max(60), 0);
            packets.push(packet);
        }
        // The same again is a sign of a loss: all of those arrive.
        packets.push(sender.packet(0, false));
        packets.push(sender.packet(0, false));
        let received: Vec<_> = arrive(&mut net, &packets).into_iter().map(|packet| packet.bytes).collect();
        assert_eq!(received, packets[4..]);
    }
}

#[test]
fn client_that_takes_no_large_packets_gets_what_came() {
    for (options, accepted) in [("no-offload", Abilities::all()), ("", Abilities::RX_CSUM)] {
        let mut net = Network::new(&[options], "");
        net.guests[0].accepted = accepted;
        net.guests[0].link.set_accepted(accepted);
        let mut sender = Sender::new(Version::V4);
        let mut packets: Vec<_> = (0..4).map(|_| sender.packet(FULL, false)).collect();
        for _ in 0..3 {
            sender.acknowledged += 10;
            packets.push(sender.packet(0, false));
        }
        let received: Vec<_> = arrive(&mut net, &packets).into_iter().map(|packet| packet.bytes).collect();
        assert_eq!(received, packets);
    }
}

/// What may come next.
#[derive(Debug, Clone)]
enum Step {
    Data {
        length: usize,
        push: bool,
    },
    Acknowledge {
        more: i32,
    },
    Again,
    Gap {
        bytes: i32,
    },
    Window,
    Number,
    Time,
    OtherPort,
    /// The next packet has this bit turned over.
    Broken {
        bit: usize,
    },
    /// The next packet has this byte changed, and right checksums.
    Odd {
        byte: usize,
        value: u8,
    },
    Other,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (prop_oneof![6 => Just(FULL), 1 => 1..=FULL + 1], prop::bool::weighted(0.1))
            .prop_map(|(length, push)| Step::Data { length, push }),
        6 => prop_oneof![Just(0), Just(1448), Just(-1), any::<i32>()].prop_map(|more| Step::Acknowledge { more }),
        1 => Just(Step::Again),
        1 => (-400i32..400).prop_map(|bytes| Step::Gap { bytes }),
        1 => Just(Step::Window),
        1 => Just(Step::Number),
        1 => Just(Step::Time),
        1 => Just(Step::OtherPort),
        2 => any::<usize>().prop_map(|bit| Step::Broken { bit }),
        2 => (0usize..80, any::<u8>()).prop_map(|(byte, value)| Step::Odd { byte, value }),
        1 => Just(Step::Other),
    ]
}

/// What only acknowledges: connection and number.
fn acknowledgement(packet: &[u8], version: Version) -> Option<(&[u8], u32)> {
    let tcp = network_headers(version);
    let segment = TcpPacket::new_checked(packet.get(tcp..)?).ok()?;
    let end = match version {
        Version::V4 => 14 + usize::from(u16::from_be_bytes([packet[16], packet[17]])),
        Version::V6 => 54 + usize::from(u16::from_be_bytes([packet[18], packet[19]])),
    };
    let plain = packet[tcp + 13] == 0x10 && end == tcp + usize::from(segment.header_len());
    plain.then(|| (&packet[tcp..tcp + 4], segment.ack_number().0 as u32))
}

/// The packets of these steps.
fn packets(version: Version, steps: &[Step]) -> Vec<Vec<u8>> {
    let mut sender = Sender::new(version);
    let mut all: Vec<Vec<u8>> = Vec::new();
    let (mut broken, mut odd) = (None, None);
    for step in steps {
        let packet = match *step {
            Step::Data { length, push } => sender.packet(length, push),
            Step::Acknowledge { more } => {
                sender.acknowledged = sender.acknowledged.wrapping_add(more);
                sender.packet(0, false)
            }
            Step::Again => all.last().cloned().unwrap_or_else(|| sender.packet(FULL, false)),
            Step::Other => udp(version, OUTSIDE, mac(0), &[9; 30], false),
            Step::Gap { bytes } => {
                sender.sequence = sender.sequence.wrapping_add(bytes);
                continue;
            }
            Step::Window => {
                sender.window ^= 1;
                continue;
            }
            Step::Number => {
                sender.identification = sender.identification.wrapping_add(3);
                continue;
            }
            Step::Time => {
                sender.time = Some(sender.time.unwrap_or(u32::MAX).wrapping_add(1));
                continue;
            }
            Step::OtherPort => {
                sender.port ^= 1;
                continue;
            }
            Step::Broken { bit } => {
                broken = Some(bit);
                continue;
            }
            Step::Odd { byte, value } => {
                odd = Some((byte, value));
                continue;
            }
        };
        let mut packet = packet;
        if let Some((byte, value)) = odd.take()
            && byte >= 14
            && byte < packet.len()
        {
            packet[byte] = value;
            let tcp = network_headers(version);
            if version == Version::V4 && packet[14] == 0x45 {
                Ipv4Packet::new_unchecked(&mut packet[14..]).fill_checksum();
            }
            let addresses = match version {
                Version::V4 => [&packet[26..30], &packet[30..34]].map(|octets| {
                    smoltcp::wire::Ipv4Address::new(octets[0], octets[1], octets[2], octets[3]).into()
                }),
                Version::V6 => [&packet[22..38], &packet[38..54]].map(|octets| {
                    smoltcp::wire::Ipv6Address::from(<[u8; 16]>::try_from(octets).unwrap()).into()
                }),
            };
            if TcpPacket::new_checked(&packet[tcp..]).is_ok() {
                TcpPacket::new_unchecked(&mut packet[tcp..]).fill_checksum(&addresses[0], &addresses[1]);
            }
        }
        if let Some(bit) = broken.take() {
            // The addresses of stations stay as they are: the packet must arrive.
            let bit = 14 * 8 + bit % ((packet.len() - 14) * 8);
            packet[bit / 8] ^= 1 << (bit % 8);
        }
        all.push(packet);
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever comes in arrives in order and byte by byte, once large packets are cut; only an acknowledgement may be
    /// missing, if the next packet that arrives is one of the same connection with a later number.
    #[test]
    fn what_is_merged_and_cut_is_what_came_in(
        six in any::<bool>(),
        steps in prop::collection::vec(step(), 1..100),
    ) {
        let version = if six { Version::V6 } else { Version::V4 };
        let sent = packets(version, &steps);
        let mut net = Network::new(&[""], "");
        let received = arrive(&mut net, &sent);
        let mut arrived = received.iter().flat_map(cut).peekable();
        let mut missing: Vec<&[u8]> = Vec::new();
        for packet in &sent {
            if arrived.peek() != Some(packet) {
                prop_assert!(acknowledgement(packet, version).is_some(), "lost: {packet:x?}");
                missing.push(packet);
                continue;
            }
            arrived.next();
            // Each gives way to the next one.
            missing.push(packet);
            for pair in missing.windows(2) {
                let said = |packet| acknowledgement(packet, version);
                let (Some((old, from)), Some((new, to))) = (said(pair[0]), said(pair[1])) else {
                    panic!("superseded by what?")
                };
                prop_assert_eq!(old, new);
                prop_assert!((1..1 << 31).contains(&to.wrapping_sub(from)), "{} after {}", to, from);
            }
            missing.clear();
        }
        prop_assert!(missing.is_empty());
        prop_assert_eq!(arrived.next(), None);
    }

    /// The head of a packet may be anything.
    #[test]
    fn any_head_is_read(head in prop::collection::vec(any::<u8>(), 0..super::HEAD), length in 0usize..3000, six: bool) {
        let mut head = head;
        if head.len() > 34 {
            // Deep enough to matter.
            let kind: [u8; 3] = if six { [0x86, 0xdd, 0x60] } else { [8, 0, 0x45] };
            head[12..15].copy_from_slice(&kind);
            head[if six { 20 } else { 23 }] = 6;
            if !six {
                Ipv4Packet::new_unchecked(&mut head[14..]).fill_checksum();
            }
        }
        if let Some(segment) = super::Segment::of(&head, length) {
            prop_assert!(segment.layout.headers + segment.payload <= length);
            prop_assert!(segment.layout.headers <= head.len());
        }
    }
}

#[test]
fn packets_for_several_are_not_merged() {
    let mut net = Network::new(&["", ""], "");
    let mut sender = Sender::new(Version::V4);
    let mut packets: Vec<_> = (0..3).map(|_| sender.packet(FULL, false)).collect();
    for packet in &mut packets {
        packet[..6].copy_from_slice(&Mac::BROADCAST.0);
    }
    let received: Vec<_> = arrive(&mut net, &packets).into_iter().map(|packet| packet.bytes).collect();
    assert_eq!(received, packets);
    assert_eq!(net.guests[1].receive().len(), 3);
}
