// SPDX-License-Identifier: BSD-2-Clause
//! Packets for tests, made and judged by another implementation (smoltcp's).

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, IpAddress, IpProtocol, Ipv4Address,
    Ipv4Packet, Ipv4Repr, Ipv6Address, Ipv6Packet, Ipv6Repr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber,
    TcpTimestampRepr, UdpPacket, UdpRepr,
};

use crate::headers::Mac;
use crate::segment::Version;

/// Address of station `number` over either version.
pub fn address(version: Version, number: u8) -> IpAddress {
    match version {
        Version::V4 => Ipv4Address::new(10, 0, 2, number).into(),
        Version::V6 => Ipv6Address::new(0xfec0, 0, 0, 0, 0, 0, 0, number.into()).into(),
    }
}

/// A TCP packet; its checksum complete, or partial as a guest leaves it.
#[derive(Debug, Clone)]
pub struct Tcp {
    pub version: Version,
    pub source: Mac,
    pub destination: Mac,
    pub sequence: i32,
    pub acknowledged: i32,
    pub window: u16,
    pub port: u16,
    pub time: u32,
    pub control: TcpControl,
    pub timestamp: bool,
    pub payload: Vec<u8>,
}

/// Length of a packet's headers before TCP's.
pub fn network_headers(version: Version) -> usize {
    14 + match version {
        Version::V4 => 20,
        Version::V6 => 40,
    }
}

fn ethernet(source: Mac, destination: Mac, version: Version, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; 14 + length];
    let repr = EthernetRepr {
        src_addr: EthernetAddress(source.0),
        dst_addr: EthernetAddress(destination.0),
        ethertype: match version {
            Version::V4 => EthernetProtocol::Ipv4,
            Version::V6 => EthernetProtocol::Ipv6,
        },
    };
    repr.emit(&mut EthernetFrame::new_unchecked(&mut bytes[..]));
    bytes
}

fn network(bytes: &mut [u8], version: Version, protocol: IpProtocol, payload: usize) {
    match (address(version, 15), address(version, 2)) {
        (IpAddress::Ipv4(src_addr), IpAddress::Ipv4(dst_addr)) => {
            let repr =
                Ipv4Repr { src_addr, dst_addr, next_header: protocol, payload_len: payload, hop_limit: 64 };
            let mut packet = Ipv4Packet::new_unchecked(bytes);
            repr.emit(&mut packet, &ChecksumCapabilities::default());
            packet.set_ident(0xfffe);
            packet.fill_checksum();
        }
        (IpAddress::Ipv6(src_addr), IpAddress::Ipv6(dst_addr)) => {
            let repr =
                Ipv6Repr { src_addr, dst_addr, next_header: protocol, payload_len: payload, hop_limit: 64 };
            repr.emit(&mut Ipv6Packet::new_unchecked(bytes));
        }
        _ => unreachable!("one version"),
    }
}

/// The sum of the pseudo header, as a guest puts it into the field.
fn pseudo_header(version: Version, protocol: u8, length: usize) -> [u8; 2] {
    let mut bytes = Vec::new();
    for number in [15, 2] {
        match address(version, number) {
            IpAddress::Ipv4(address) => bytes.extend(address.octets()),
            IpAddress::Ipv6(address) => bytes.extend(address.octets()),
        }
    }
    bytes.extend((length as u32).to_be_bytes());
    bytes.extend([0, 0, 0, protocol]);
    let mut sum: u32 = bytes.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (sum as u16).to_be_bytes()
}

impl Tcp {
    /// A plain packet with data.
    pub fn new(version: Version, source: Mac, destination: Mac, payload: Vec<u8>) -> Self {
        let (sequence, control) = (0x7fff_f000, TcpControl::Psh);
        Self {
            version,
            source,
            destination,
            sequence,
            acknowledged: 77,
            window: 1000,
            port: 5001,
            time: 1,
            control,
            timestamp: true,
            payload,
        }
    }

    fn repr(&self) -> TcpRepr<'_> {
        TcpRepr {
            src_port: self.port,
            dst_port: 80,
            control: self.control,
            seq_number: TcpSeqNumber(self.sequence),
            ack_number: Some(TcpSeqNumber(self.acknowledged)),
            window_len: self.window,
            window_scale: None,
            max_seg_size: None,
            sack_permitted: false,
            sack_ranges: [None; 3],
            timestamp: self.timestamp.then(|| TcpTimestampRepr::new(self.time, 2)),
            payload: &self.payload,
        }
    }

    /// Its bytes.
    pub fn bytes(&self, partial: bool) -> Vec<u8> {
        let repr = self.repr();
        let at = network_headers(self.version);
        let length = repr.buffer_len();
        let mut bytes = ethernet(self.source, self.destination, self.version, at - 14 + length);
        network(&mut bytes[14..], self.version, IpProtocol::Tcp, length);
        let (source, destination) = (address(self.version, 15), address(self.version, 2));
        let mut packet = TcpPacket::new_unchecked(&mut bytes[at..]);
        repr.emit(&mut packet, &source, &destination, &ChecksumCapabilities::default());
        if partial {
            bytes[at + 16..at + 18].copy_from_slice(&pseudo_header(self.version, 6, length));
        }
        bytes
    }
}

/// A UDP packet; its checksum complete or partial.
pub fn udp(version: Version, source: Mac, destination: Mac, payload: &[u8], partial: bool) -> Vec<u8> {
    let at = network_headers(version);
    let length = 8 + payload.len();
    let mut bytes = ethernet(source, destination, version, at - 14 + length);
    network(&mut bytes[14..], version, IpProtocol::Udp, length);
    let repr = UdpRepr { src_port: 5001, dst_port: 7 };
    repr.emit(
        &mut UdpPacket::new_unchecked(&mut bytes[at..]),
        &address(version, 15),
        &address(version, 2),
        payload.len(),
        |place| place.copy_from_slice(payload),
        &ChecksumCapabilities::default(),
    );
    if partial {
        bytes[at + 6..at + 8].copy_from_slice(&pseudo_header(version, 17, length));
    }
    bytes
}

/// Checks all checksums and lengths of an IP packet over Ethernet, and gives its transport part.
///
/// # Panics
/// When one is wrong.
pub fn check(bytes: &[u8]) -> (IpProtocol, Vec<u8>) {
    let frame = EthernetFrame::new_checked(bytes).unwrap();
    let (source, destination, protocol, payload): (IpAddress, IpAddress, _, _) = match frame.ethertype() {
        EthernetProtocol::Ipv4 => {
            let packet = Ipv4Packet::new_checked(frame.payload()).unwrap();
            assert!(packet.verify_checksum(), "IPv4 header checksum");
            assert_eq!(usize::from(packet.total_len()), frame.payload().len());
            let payload = packet.payload().to_vec();
            (packet.src_addr().into(), packet.dst_addr().into(), packet.next_header(), payload)
        }
        EthernetProtocol::Ipv6 => {
            let packet = Ipv6Packet::new_checked(frame.payload()).unwrap();
            assert_eq!(packet.total_len(), frame.payload().len());
            let payload = packet.payload().to_vec();
            (packet.src_addr().into(), packet.dst_addr().into(), packet.next_header(), payload)
        }
        other => panic!("{other}"),
    };
    match protocol {
        IpProtocol::Tcp => {
            let packet = TcpPacket::new_checked(&payload[..]).unwrap();
            assert!(packet.verify_checksum(&source, &destination), "TCP checksum");
        }
        IpProtocol::Udp => {
            let packet = UdpPacket::new_checked(&payload[..]).unwrap();
            assert!(packet.verify_checksum(&source, &destination), "UDP checksum");
            assert_ne!(packet.checksum(), 0, "there is a checksum");
        }
        other => panic!("{other}"),
    }
    (protocol, payload)
}
