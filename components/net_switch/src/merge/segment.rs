// SPDX-License-Identifier: BSD-2-Clause
//! A received TCP packet as far as merging it is concerned, and which one may follow another.

use crate::checksum::Sum;
use crate::headers::{ETHERNET, TCP, bytes, word};
use crate::region::Region;
use crate::segment::{TcpLayout, Version};

/// Longest headers of a packet that may be merged: Ethernet, IPv6 without extensions, TCP with all its options.
pub const HEAD: usize = ETHERNET + 40 + 60;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
/// TCP flags that may be set.
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
/// Where the two timestamps begin in the options as everybody sends them (RFC 7323, appendix A): two no-operations, kind,
/// length.
const TIMESTAMPS: [u8; 4] = [1, 1, 8, 10];

/// A TCP packet without anything special about it: no options of IP, no fragment, no flags but ACK and PSH, right lengths,
/// a right checksum of its IPv4 header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Where its headers are.
    pub layout: TcpLayout,
    /// Bytes of payload. Without any it acknowledges, and does nothing else.
    pub payload: usize,
    /// Its first byte's number.
    pub sequence: u32,
    /// The byte that the sender waits for.
    pub acknowledged: u32,
    /// PSH is set.
    pub push: bool,
    /// IPv4's number of the packet.
    pub identification: u16,
}

impl Segment {
    /// The packet of `length` bytes that begins with `head`, if it is such a one.
    #[inline]
    pub fn of(head: &[u8], length: usize) -> Option<Self> {
        let network = ETHERNET;
        let (version, tcp, end, identification) = match word(head, network - 2)? {
            ETHERTYPE_IPV4 => {
                let fixed: [u8; 20] = bytes(head, network)?;
                let [version, _, l0, l1, i0, i1, f0, f1, _, protocol, ..] = fixed;
                // Version 4 without options; may say that it is not to be fragmented.
                let plain = version == 0x45 && protocol == TCP && f0 & !0x40 == 0 && f1 == 0;
                if !plain || !Sum::of(&fixed).is_valid() {
                    return None;
                }
                let length = u16::from_be_bytes([l0, l1]);
                (Version::V4, network + 20, network + usize::from(length), u16::from_be_bytes([i0, i1]))
            }
            ETHERTYPE_IPV6 => {
                let [version, _, _, _, l0, l1, next] = bytes(head, network)?;
                if version >> 4 != 6 || next != TCP {
                    return None;
                }
                let length = u16::from_be_bytes([l0, l1]);
                (Version::V6, network + 40, network + 40 + usize::from(length), 0)
            }
            _ => return None,
        };
        let [_, _, _, _, s0, s1, s2, s3, a0, a1, a2, a3, offset, flags] = bytes(head, tcp)?;
        let headers = tcp + usize::from(offset >> 4) * 4;
        if offset & 0xf != 0 || flags & !PSH != ACK || headers < tcp + 20 || headers > head.len() {
            return None;
        }
        let payload = end.checked_sub(headers)?;
        // Behind a short packet there may be bytes that only fill the frame.
        let fits = if payload == 0 { end <= length } else { end == length };
        if !fits || (payload == 0 && (flags != ACK || !plain_options(head, tcp, headers))) {
            return None;
        }
        Some(Self {
            layout: TcpLayout { version, network, tcp, headers },
            payload,
            sequence: u32::from_be_bytes([s0, s1, s2, s3]),
            acknowledged: u32::from_be_bytes([a0, a1, a2, a3]),
            push: flags & PSH != 0,
            identification,
        })
    }

    /// Whether its TCP checksum is right; it begins with `head` and lies at `offset` of `region`.
    #[inline]
    pub fn is_intact(&self, head: &[u8], region: &Region, offset: usize) -> bool {
        let TcpLayout { tcp, headers, .. } = self.layout;
        let Some(payload) = region.sum(offset + headers, self.payload) else { return false };
        let Some(header) = head.get(tcp..headers) else { return false };
        // Headers are whole words.
        let length = headers - tcp + self.payload;
        self.pseudo_header(head, length)
            .is_some_and(|pseudo| pseudo.plus(Sum::of(header)).plus(payload).is_valid())
    }

    /// The sum of the pseudo header for `length` bytes of header and payload (RFC 9293, section 3.1; RFC 8200, section 8.1).
    #[inline]
    pub fn pseudo_header(&self, head: &[u8], length: usize) -> Option<Sum> {
        let network = self.layout.network;
        let addresses = match self.layout.version {
            Version::V4 => Sum::of(&bytes::<8>(head, network + 12)?),
            Version::V6 => Sum::of(&bytes::<32>(head, network + 8)?),
        };
        Some(addresses.plus_value(TCP.into()).plus_value(u16::try_from(length).ok()?))
    }

    /// Whether `other` belongs to the same connection, in the same direction, with the same words beside.
    #[inline]
    fn is_akin(&self, head: &[u8], other: &Self, other_head: &[u8]) -> bool {
        fn same<const N: usize>(a: &[u8], b: &[u8], at: usize) -> bool {
            bytes::<N>(a, at) == bytes::<N>(b, at)
        }
        // Ethernet header; all of IP but length, number and checksum; ports.
        let akin = match self.layout.version {
            Version::V4 => {
                same::<16>(head, other_head, 0)
                    && same::<4>(head, other_head, 20)
                    && same::<12>(head, other_head, 26)
            }
            Version::V6 => {
                same::<18>(head, other_head, 0)
                    && same::<2>(head, other_head, 20)
                    && same::<32>(head, other_head, 22)
                    && same::<4>(head, other_head, 54)
            }
        };
        self.layout == other.layout && akin
    }

    /// Whether `next` is the `count`th segment after this one, behind `payload` bytes, in nothing different but what
    /// cutting one long packet makes different.
    #[inline]
    pub fn continues(
        &self,
        head: &[u8],
        (count, payload): (usize, usize),
        next: &Self,
        next_head: &[u8],
    ) -> bool {
        let TcpLayout { version, tcp, headers, .. } = self.layout;
        let numbered =
            version == Version::V6 || next.identification == self.identification.wrapping_add(count as u16);
        self.payload > 0
            && (1..=self.payload).contains(&next.payload)
            && next.sequence == self.sequence.wrapping_add(payload as u32)
            && next.acknowledged == self.acknowledged
            && numbered
            && self.is_akin(head, next, next_head)
            // Window; urgent pointer and options.
            && bytes::<2>(head, tcp + 14) == bytes(next_head, tcp + 14)
            && head.get(tcp + 18..headers) == next_head.get(tcp + 18..headers)
    }

    /// Whether `next` says all that this one says, so that nobody needs this one: both only acknowledge, and `next` more.
    /// One that repeats a number, or has other options, says something of its own (a lost packet; a window).
    #[inline]
    pub fn is_superseded(&self, head: &[u8], next: &Self, next_head: &[u8]) -> bool {
        let later = |old: u32, new: u32| new.wrapping_sub(old) < 1 << 31;
        let TcpLayout { tcp, headers, .. } = self.layout;
        let time = |head: &[u8]| bytes(head, tcp + 24).map(u32::from_be_bytes);
        let in_time = headers == tcp + 20
            || matches!((time(head), time(next_head)), (Some(old), Some(new)) if later(old, new));
        self.payload == 0
            && next.payload == 0
            && next.sequence == self.sequence
            && next.acknowledged != self.acknowledged
            && later(self.acknowledged, next.acknowledged)
            && in_time
            && self.is_akin(head, next, next_head)
    }
}

/// Whether there are no TCP options, or timestamps alone.
#[inline]
fn plain_options(head: &[u8], tcp: usize, headers: usize) -> bool {
    headers == tcp + 20 || (headers == tcp + 32 && bytes(head, tcp + 20) == Some(TIMESTAMPS))
}
