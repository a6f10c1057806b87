// SPDX-License-Identifier: BSD-2-Clause
//! What the switch reads of a packet: Ethernet (IEEE 802.3, 802.1Q), ARP (RFC 826), IPv4 (RFC 791), IPv6 (RFC 8200), TCP
//! (RFC 9293) and UDP headers. The bytes are a private copy of the beginning of a packet that a guest made up.

/// An Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// All stations.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// Whether this names a group of stations.
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// Whether one station may have this address.
    pub const fn is_station(self) -> bool {
        !self.is_group()
            && u64::from_be_bytes([0, 0, self.0[0], self.0[1], self.0[2], self.0[3], self.0[4], self.0[5]])
                != 0
    }
}

impl core::fmt::Display for Mac {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// Size of an Ethernet header without tags.
pub const ETHERNET: usize = 14;
/// Size of an 802.1Q tag.
pub const VLAN_TAG: usize = 4;
/// VLAN tags that are looked behind.
const MAX_TAGS: usize = 2;
/// IPv6 extension headers that are looked behind.
const MAX_EXTENSIONS: usize = 4;
/// Longest headers that anything here needs to see: tags, IPv4 with options or IPv6 with some extensions, TCP with options.
pub const MAX_HEADERS: usize = 192;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV6: u16 = 0x86dd;
/// 802.1Q and 802.1ad tags.
const ETHERTYPE_TAGS: [u16; 2] = [0x8100, 0x88a8];

/// Protocol number of TCP.
pub const TCP: u8 = 6;
/// Protocol number of UDP.
pub const UDP: u8 = 17;

/// Offset of the checksum in a TCP header.
pub const TCP_CHECKSUM: usize = 16;
/// Offset of the checksum in a UDP header.
pub const UDP_CHECKSUM: usize = 6;

/// The network layer of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Internet protocol, version 4.
    Ipv4 {
        /// Where the header begins.
        at: usize,
        /// What the header says about the length of header and payload, in bytes.
        length: usize,
        /// The source address.
        source: [u8; 4],
    },
    /// Internet protocol, version 6.
    Ipv6 {
        /// Where the header begins.
        at: usize,
        /// What the header says about the length of header and payload, in bytes.
        length: usize,
        /// The source address.
        source: [u8; 16],
        /// What is behind the header could not be seen, for too many extensions or too long ones.
        obscured: bool,
    },
    /// Address resolution for IPv4 over Ethernet.
    Arp {
        /// The sender's claimed Ethernet address.
        sender_mac: Mac,
        /// The sender's claimed IPv4 address.
        sender: [u8; 4],
    },
    /// Something else.
    Other,
    /// Says to be one of the above, and is broken.
    Malformed,
}

/// The transport layer of a packet that is not a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transport {
    /// Protocol number.
    pub protocol: u8,
    /// Where the header begins.
    pub at: usize,
}

/// The headers of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headers {
    /// Whom it is for.
    pub destination: Mac,
    /// Who says to have sent it.
    pub source: Mac,
    /// The network layer.
    pub network: Network,
    /// The transport layer, if it could be found.
    pub transport: Option<Transport>,
}

/// `N` bytes at `offset`.
#[inline]
pub fn bytes<const N: usize>(packet: &[u8], offset: usize) -> Option<[u8; N]> {
    packet.get(offset..)?.first_chunk().copied()
}

/// The big-endian word at `offset`.
#[inline]
pub fn word(packet: &[u8], offset: usize) -> Option<u16> {
    bytes(packet, offset).map(u16::from_be_bytes)
}

impl Headers {
    /// The headers of a packet that begins with `packet`; `None` when there is not even an Ethernet header.
    #[inline]
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let destination = Mac(bytes(packet, 0)?);
        let source = Mac(bytes(packet, 6)?);
        let mut at = ETHERNET;
        let mut ethertype = word(packet, at - 2)?;
        for _ in 0..MAX_TAGS {
            if !ETHERTYPE_TAGS.contains(&ethertype) {
                break;
            }
            at += VLAN_TAG;
            let Some(inner) = word(packet, at - 2) else {
                return Some(Self { destination, source, network: Network::Malformed, transport: None });
            };
            ethertype = inner;
        }
        let (network, transport) = match ethertype {
            ETHERTYPE_IPV4 => ipv4(packet, at).unwrap_or((Network::Malformed, None)),
            ETHERTYPE_IPV6 => ipv6(packet, at).unwrap_or((Network::Malformed, None)),
            ETHERTYPE_ARP => (arp(packet, at).unwrap_or(Network::Malformed), None),
            // Too many tags hide what is inside.
            tag if ETHERTYPE_TAGS.contains(&tag) => (Network::Malformed, None),
            _ => (Network::Other, None),
        };
        Some(Self { destination, source, network, transport })
    }
}

fn ipv4(packet: &[u8], at: usize) -> Option<(Network, Option<Transport>)> {
    let [version, _, length @ .., _, _, fragment_high, fragment_low, _, protocol] = bytes::<10>(packet, at)?;
    let header = usize::from(version & 0xf) * 4;
    let length = usize::from(u16::from_be_bytes(length));
    if version >> 4 != 4 || header < 20 || length < header {
        return None;
    }
    let source = bytes(packet, at + 12)?;
    // More fragments follow, or this is not the first.
    let fragment = (u16::from_be_bytes([fragment_high, fragment_low])) & 0x3fff != 0;
    let transport = (!fragment).then_some(Transport { protocol, at: at + header });
    Some((Network::Ipv4 { at, length, source }, transport))
}

fn ipv6(packet: &[u8], at: usize) -> Option<(Network, Option<Transport>)> {
    /// Hop-by-hop options, routing, destination options: all begin with the next header and a length in 8 bytes.
    const EXTENSIONS: [u8; 3] = [0, 43, 60];
    /// No transport header of a whole packet follows: fragment, encryption, authentication, none.
    const OPAQUE: [u8; 4] = [44, 50, 51, 59];
    let fixed: [u8; 40] = bytes(packet, at)?;
    if fixed[0] >> 4 != 6 {
        return None;
    }
    let length = 40 + usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
    let source = bytes(packet, at + 8)?;
    let network = |obscured| Network::Ipv6 { at, length, source, obscured };
    let (mut next, mut place) = (fixed[6], at + 40);
    for _ in 0..MAX_EXTENSIONS {
        if !EXTENSIONS.contains(&next) {
            break;
        }
        let Some([following, eights]) = bytes(packet, place) else { return Some((network(true), None)) };
        place += (usize::from(eights) + 1) * 8;
        next = following;
    }
    let obscured = EXTENSIONS.contains(&next);
    let hidden = obscured || OPAQUE.contains(&next);
    Some((network(obscured), (!hidden).then_some(Transport { protocol: next, at: place })))
}

fn arp(packet: &[u8], at: usize) -> Option<Network> {
    // Hardware Ethernet, protocol IPv4, their sizes.
    const IPV4_OVER_ETHERNET: [u8; 6] = [0, 1, 8, 0, 6, 4];
    if bytes(packet, at)? != IPV4_OVER_ETHERNET {
        return None;
    }
    Some(Network::Arp { sender_mac: Mac(bytes(packet, at + 8)?), sender: bytes(packet, at + 14)? })
}
