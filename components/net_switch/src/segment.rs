// SPDX-License-Identifier: BSD-2-Clause
//! TCP segmentation (what a device does for VIRTIO_NET_F_HOST_TSO4 and TSO6, virtio 1.2 section 5.1.6.2): one packet of up to
//! 64 KiB becomes many that the wire can carry.
//!
//! The headers of all segments are those of the packet but for a few words, so their sums are taken once, and a segment costs
//! some additions; its payload is summed by whoever copies it.

use crate::checksum::Sum;
use crate::frame::Reader;
use crate::headers::{Headers, MAX_HEADERS, Network, TCP, TCP_CHECKSUM, bytes, word};
use crate::region::Region;

/// Most segments of one packet: 64 KiB in segments of 536 bytes, the least that every host takes (RFC 9293, section 3.7.1).
pub const MAX_SEGMENTS: usize = 128;

/// TCP flags that only the last segment keeps: FIN, PSH.
const LAST_ONLY: u8 = 0x01 | 0x08;
/// TCP flag that only the first segment keeps: CWR (RFC 3168, section 6.1.2).
const FIRST_ONLY: u8 = 0x80;

/// Version of the network layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Where the headers of a TCP packet are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpLayout {
    /// Version of the network layer.
    pub version: Version,
    /// Where the network header begins.
    pub network: usize,
    /// Where the TCP header begins.
    pub tcp: usize,
    /// Length of all headers.
    pub headers: usize,
}

impl TcpLayout {
    /// The layout of the packet that begins with `head`, if that is a TCP packet with its headers in `head`.
    pub fn of(head: &[u8], headers: &Headers) -> Option<Self> {
        let (version, network) = match headers.network {
            Network::Ipv4 { at, .. } => (Version::V4, at),
            Network::Ipv6 { at, .. } => (Version::V6, at),
            _ => return None,
        };
        let transport = headers.transport.filter(|transport| transport.protocol == TCP)?;
        let length = usize::from(*head.get(transport.at + 12)? >> 4) * 4;
        let end = transport.at + length;
        (length >= 20 && end <= head.len()).then_some(Self {
            version,
            network,
            tcp: transport.at,
            headers: end,
        })
    }
}

/// Whether a packet of `length` bytes may be cut into segments with `segment_size` bytes of payload: something is to be cut,
/// and it becomes no more than `MAX_SEGMENTS`.
pub const fn is_reasonable(layout: TcpLayout, length: usize, segment_size: usize) -> bool {
    length > layout.headers
        && segment_size > 0
        && (length - layout.headers).div_ceil(segment_size) <= MAX_SEGMENTS
}

/// A packet on its way to become segments.
#[derive(Debug)]
pub struct Segments {
    head: [u8; MAX_HEADERS],
    layout: TcpLayout,
    payload: usize,
    segment_size: usize,
    sequence: u32,
    identification: u16,
    flags: u8,
    /// The network header without length, identification and checksum.
    network_sum: Sum,
    /// Pseudo header and TCP header without lengths, sequence number, flags and checksum.
    tcp_sum: Sum,
}

impl Segments {
    /// Prepares a packet of `length` bytes that begins with `head`, whose TCP checksum field holds the partial checksum of
    /// its pseudo header, for segments with `segment_size` bytes of payload. `None` when that is not reasonable.
    pub fn new(head: &[u8], layout: TcpLayout, length: usize, segment_size: usize) -> Option<Self> {
        if !is_reasonable(layout, length, segment_size) {
            return None;
        }
        let payload = length - layout.headers;
        let mut copy = [0; MAX_HEADERS];
        copy.get_mut(..layout.headers)?.copy_from_slice(head.get(..layout.headers)?);
        let (network, tcp) = (layout.network, layout.tcp);
        let sequence = u32::from_be_bytes(bytes(head, tcp + 4)?);
        let flags = *head.get(tcp + 13)?;
        let whole = u16::try_from(length.checked_sub(tcp)?).ok()?;
        let tcp_sum = Sum::of(head.get(tcp..layout.headers)?)
            .minus(bytes(head, tcp + 4)?)
            .minus(bytes(head, tcp + 6)?)
            .minus([0, flags])
            .minus(whole.to_be_bytes());
        let (mut network_sum, mut identification) = (Sum::ZERO, 0);
        if layout.version == Version::V4 {
            identification = word(head, network + 4)?;
            network_sum = Sum::of(head.get(network..network + usize::from(*head.get(network)? & 0xf) * 4)?)
                .minus(bytes(head, network + 2)?)
                .minus(bytes(head, network + 4)?)
                .minus(bytes(head, network + 10)?);
        }
        Some(Self {
            head: copy,
            layout,
            payload,
            segment_size,
            sequence,
            identification,
            flags,
            network_sum,
            tcp_sum,
        })
    }

    /// Number of segments.
    pub const fn count(&self) -> usize {
        self.payload.div_ceil(self.segment_size)
    }

    /// Length of the headers of each segment, which is also where the payload begins in the packet.
    pub const fn headers(&self) -> usize {
        self.layout.headers
    }

    /// Length of the longest segment, with its headers.
    pub const fn longest(&self) -> usize {
        let payload = if self.payload < self.segment_size { self.payload } else { self.segment_size };
        self.layout.headers + payload
    }

    /// Where in the packet's payload segment `index` begins, and its length; `None` behind the last one.
    #[inline]
    pub const fn payload(&self, index: usize) -> Option<(usize, usize)> {
        if index >= self.count() {
            return None;
        }
        // No overflow: the packet is shorter than 64 KiB.
        let start = index * self.segment_size;
        let rest = self.payload - start;
        Some((start, if rest < self.segment_size { rest } else { self.segment_size }))
    }

    /// The headers of segment `index`, whose payload has the sum `sum`; empty behind the last one.
    #[inline]
    pub fn seal(&mut self, index: usize, sum: Sum) -> &[u8] {
        self.patch(index, sum).unwrap_or_default();
        self.head.get(..self.layout.headers).unwrap_or_default()
    }

    /// Writes segment `index`, whose payload `reader` stands at, to `offset` of `to`. Gives its length; `None` when something is
    /// outside.
    ///
    /// The copy is there because sender and receiver share no memory, and because segments need headers between pieces of
    /// what was one packet.
    #[inline]
    #[must_use]
    pub fn write(
        &mut self,
        index: usize,
        reader: &mut Reader<'_>,
        to: &Region,
        offset: usize,
    ) -> Option<usize> {
        let (_, length) = self.payload(index)?;
        let headers = self.layout.headers;
        let sum = reader.copy_and_sum(to, offset.checked_add(headers)?, length)?;
        to.write(offset, self.seal(index, sum)).then_some(headers + length)
    }

    /// Writes what differs from segment to segment.
    #[inline]
    fn patch(&mut self, index: usize, sum: Sum) -> Option<()> {
        let (start, length) = self.payload(index)?;
        let TcpLayout { version, network, tcp, headers } = self.layout;
        let network_payload = u16::try_from(headers + length - network).ok()?;
        match version {
            Version::V4 => {
                let identification = self.identification.wrapping_add(index as u16);
                let sum = self.network_sum.plus_value(network_payload).plus_value(identification);
                put(&mut self.head, network + 2, network_payload.to_be_bytes())?;
                put(&mut self.head, network + 4, identification.to_be_bytes())?;
                put(&mut self.head, network + 10, sum.checksum())?;
            }
            Version::V6 => {
                put(&mut self.head, network + 4, network_payload.checked_sub(40)?.to_be_bytes())?;
            }
        }
        let sequence = self.sequence.wrapping_add(start as u32).to_be_bytes();
        let mut flags = self.flags;
        if index > 0 {
            flags &= !FIRST_ONLY;
        }
        if index + 1 < self.count() {
            flags &= !LAST_ONLY;
        }
        let tcp_length = u16::try_from(headers + length - tcp).ok()?;
        let sum = if headers.wrapping_sub(tcp) % 2 == 1 { sum.at_odd() } else { sum };
        let sum =
            self.tcp_sum.plus(Sum::of(&sequence)).plus(Sum::of(&[0, flags])).plus_value(tcp_length).plus(sum);
        put(&mut self.head, tcp + 4, sequence)?;
        put(&mut self.head, tcp + 13, [flags])?;
        put(&mut self.head, tcp + TCP_CHECKSUM, sum.checksum())
    }
}

/// Writes `value` at `offset`.
#[inline]
fn put<const N: usize>(head: &mut [u8], offset: usize, value: [u8; N]) -> Option<()> {
    *head.get_mut(offset..)?.first_chunk_mut()? = value;
    Some(())
}
