// SPDX-License-Identifier: BSD-2-Clause
//! Merging of what comes in from the network outside: TCP segments that follow each other become one large packet, the
//! reverse of [`crate::segment`], and an acknowledgement gives way to a later one. A packet costs its receiver much the same
//! whatever its length, so this is most of the price of receiving.
//!
//! Only neighbours are merged, and only packets that are there already: nothing waits, nothing is overtaken. What is merged
//! can be cut into the very bytes that came in: same headers but for what numbers a segment, every checksum right before and
//! after. Everything else passes as it is, bad checksums and whatever is unusual included. Dropping acknowledgements that
//! are superseded on the same queue is what RFC 3449, section 5.2.1, calls ACK filtering; here only those without anything
//! else to say.

mod segment;
#[cfg(test)]
mod tests;

use heapless::Vec;
use ring::net::{Buffer, Offload, OffloadFlags};

pub use segment::{HEAD, Segment};

use crate::checksum::Sum;
use crate::frame::{Fragment, Frame};
use crate::headers::TCP_CHECKSUM;
use crate::region::Region;
use crate::segment::{TcpLayout, Version};
use crate::table::Port;

/// Most segments that become one packet: 64 KiB in those that an Ethernet frame carries, and some.
pub const MAX_MERGED: usize = 64;
/// Most bytes of a packet without its Ethernet header (RFC 791; for IPv6 that little less does not matter).
const MAX_LENGTH: usize = 0xffff;
/// TCP's PSH.
const PSH: u8 = 0x08;

/// A received packet in one piece.
#[derive(Debug, Clone, Copy)]
pub struct Received {
    /// Where it is.
    pub fragment: Fragment,
    /// The buffer it is in.
    pub buffer: Buffer,
    /// A private copy of its beginning.
    pub head: [u8; HEAD],
    /// What that says.
    pub segment: Segment,
}

impl Received {
    /// The packet in `fragment` of `region`, if it is one that may be merged but for its checksum.
    #[inline]
    pub fn read(region: &Region, fragment: Fragment, buffer: Buffer) -> Option<Self> {
        let mut head = [0; HEAD];
        let seen = head.get_mut(..fragment.length.min(HEAD))?;
        if !region.read(fragment.offset, seen) {
            return None;
        }
        let segment = Segment::of(seen, fragment.length)?;
        Some(Self { fragment, buffer, head, segment })
    }

    /// Whether its TCP checksum is right.
    #[inline]
    pub fn is_intact(&self, region: &Region) -> bool {
        self.segment.is_intact(&self.head, region, self.fragment.offset)
    }
}

/// What a packet is to the one that is being put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// The next part of it.
    Next,
    /// It takes its place.
    Instead,
    /// None.
    Stranger,
}

/// The packet that is being put together, if there is one.
#[derive(Debug)]
pub struct Merge {
    head: [u8; HEAD],
    first: Option<Segment>,
    /// The client that gets it.
    to: Port,
    /// The first packet, then the others' payload.
    fragments: Vec<Fragment, MAX_MERGED>,
    buffers: Vec<Buffer, MAX_MERGED>,
    /// Bytes of payload.
    payload: usize,
    /// Nothing can be added: the last one was shorter than the others, or had PSH set.
    ended: bool,
    push: bool,
}

impl Default for Merge {
    fn default() -> Self {
        Self::new()
    }
}

impl Merge {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self {
            head: [0; HEAD],
            first: None,
            to: Port::Uplink,
            fragments: Vec::new(),
            buffers: Vec::new(),
            payload: 0,
            ended: false,
            push: false,
        }
    }

    /// What `packet` is to what is there.
    #[inline]
    pub fn relation(&self, packet: &Received) -> Relation {
        let Some(first) = &self.first else { return Relation::Stranger };
        let (next, count) = (&packet.segment, self.fragments.len());
        if next.payload == 0 {
            return if first.is_superseded(&self.head, next, &packet.head) {
                Relation::Instead
            } else {
                Relation::Stranger
            };
        }
        let TcpLayout { network, headers, .. } = first.layout;
        let fits = !self.ended
            && count < MAX_MERGED
            && headers - network + self.payload + next.payload <= MAX_LENGTH;
        if fits && first.continues(&self.head, (count, self.payload), next, &packet.head) {
            Relation::Next
        } else {
            Relation::Stranger
        }
    }

    /// Begins with `packet`, for the client `to`; there is nothing.
    #[inline]
    pub fn begin(&mut self, packet: &Received, to: Port) {
        self.to = to;
        self.first = Some(packet.segment);
        self.head = packet.head;
        self.payload = packet.segment.payload;
        // Both are empty.
        let _ = self.fragments.push(packet.fragment);
        let _ = self.buffers.push(packet.buffer);
        self.ended = packet.segment.push || self.payload == 0;
        self.push = packet.segment.push;
    }

    /// Adds `packet`, which is [`Relation::Next`].
    #[inline]
    pub fn add(&mut self, packet: &Received) {
        let Segment { layout, payload, push, .. } = packet.segment;
        let offset = packet.fragment.offset + layout.headers;
        // There is room for one more.
        let _ = self.fragments.push(Fragment { offset, length: payload });
        let _ = self.buffers.push(packet.buffer);
        self.payload += payload;
        self.push = push;
        self.ended = push || self.first.is_some_and(|first| payload < first.payload);
    }

    /// The client that gets it.
    pub const fn to(&self) -> Port {
        self.to
    }

    /// The pieces of the packet, none if there is no packet.
    #[inline]
    pub fn fragments(&self) -> &[Fragment] {
        &self.fragments
    }

    /// The buffers that hold it.
    #[inline]
    pub fn buffers(&self) -> &[Buffer] {
        &self.buffers
    }

    /// What is known of it as long as it is only one packet.
    pub const fn offload() -> Offload {
        Offload { flags: OffloadFlags::DATA_VALID, ..NOTHING }
    }

    /// The large packet of several in `region`.
    #[inline]
    pub fn frame(&mut self, region: Region) -> Option<Frame<'_>> {
        let first = self.first?;
        let TcpLayout { version, network, tcp, headers } = first.layout;
        let length = headers - network + self.payload;
        // At most `MAX_LENGTH`.
        let [l0, l1] = (length as u16).to_be_bytes();
        match version {
            Version::V4 => {
                let header = self.head.get_mut(network..)?.first_chunk_mut::<20>()?;
                (header[2], header[3]) = (l0, l1);
                (header[10], header[11]) = (0, 0);
                [header[10], header[11]] = Sum::of(header).checksum();
            }
            Version::V6 => {
                let [l0, l1] = ((length - 40) as u16).to_be_bytes();
                let header = self.head.get_mut(network..)?.first_chunk_mut::<40>()?;
                (header[4], header[5]) = (l0, l1);
            }
        }
        let partial = first.pseudo_header(&self.head, headers - tcp + self.payload)?.partial();
        let header = self.head.get_mut(tcp..)?.first_chunk_mut::<20>()?;
        if self.push {
            header[13] |= PSH;
        }
        [header[TCP_CHECKSUM], header[TCP_CHECKSUM + 1]] = partial;
        Frame::merged(region, &self.fragments, self.head.get(..headers)?, first.layout, first.payload)
    }

    /// It has been passed on.
    #[inline]
    pub fn clear(&mut self) {
        self.first = None;
        self.fragments.clear();
        self.buffers.clear();
    }
}

const NOTHING: Offload = Offload {
    flags: OffloadFlags::empty(),
    gso: ring::net::Gso::NONE,
    gso_size: 0,
    csum_start: 0,
    csum_offset: 0,
};
