// SPDX-License-Identifier: BSD-2-Clause
//! A packet on its way through the switch: where its bytes lie, what was read of its headers, what work its sender left to
//! whoever passes it on.

use heapless::Vec;
use ring::net::{Gso, MAX_BUFFERS, Offload, OffloadFlags};

use crate::checksum::Sum;
use crate::headers::{Headers, MAX_HEADERS, TCP_CHECKSUM, UDP_CHECKSUM};
use crate::region::Region;
use crate::segment::{TcpLayout, Version};

/// Longest packet: what IPv4 can say, and an Ethernet header with tags.
pub const MAX_FRAME: usize = 65_535 + 22;
/// A piece of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment {
    /// Where it begins in its region.
    pub offset: usize,
    /// Its length in bytes.
    pub length: usize,
}

/// The pieces of a packet.
pub type Fragments = Vec<Fragment, MAX_BUFFERS>;

/// Work that is left to do on a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Work {
    /// None; checksums are as the sender made them.
    #[default]
    None,
    /// None, and somebody has found the transport checksum right.
    Validated,
    /// The checksum of all bytes from `start` on is to be put `offset` bytes behind it, where there is the sum of a pseudo header.
    Checksum {
        /// Where the sum begins.
        start: usize,
        /// Where the checksum is, from `start`.
        offset: usize,
    },
    /// The packet is to be cut into TCP segments with checksums.
    Segments {
        /// Where its headers are.
        layout: TcpLayout,
        /// Most bytes of payload in a segment.
        size: usize,
        /// The packet says that the sender reduced its window (RFC 3168).
        ecn: bool,
    },
}

/// What a sender said about a packet (the fields of `virtio_net_hdr`, virtio 1.2 section 5.1.6). Not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Claim {
    /// The checksum is partial: where the sum begins, where the field is from there.
    pub partial: Option<(u16, u16)>,
    /// The checksum has been found right.
    pub validated: bool,
    /// The packet is to be segmented: for TCP over this version, with so many bytes of payload.
    pub segments: Option<(Version, u16)>,
    /// What is to be segmented has ECN set.
    pub ecn: bool,
    /// Something is to be done that nobody here can.
    pub unknown: bool,
}

impl From<Offload> for Claim {
    #[inline]
    fn from(offload: Offload) -> Self {
        let kind = offload.gso.kind();
        Self {
            partial: offload
                .flags
                .contains(OffloadFlags::NEEDS_CSUM)
                .then_some((offload.csum_start, offload.csum_offset.into())),
            validated: offload.flags.contains(OffloadFlags::DATA_VALID),
            segments: match kind {
                Gso::TCP4 => Some((Version::V4, offload.gso_size)),
                Gso::TCP6 => Some((Version::V6, offload.gso_size)),
                _ => None,
            },
            ecn: offload.gso != kind,
            unknown: ![Gso::NONE, Gso::TCP4, Gso::TCP6].contains(&kind),
        }
    }
}

impl Work {
    /// The same as the receiver of the packet has to know it.
    #[inline]
    pub fn offload(&self) -> Offload {
        // Both are inside the headers, so they fit.
        let partial = |start: usize, offset: usize| Offload {
            flags: OffloadFlags::NEEDS_CSUM,
            csum_start: start as u16,
            csum_offset: offset as u8,
            ..Offload::default()
        };
        match *self {
            Self::None => Offload::default(),
            Self::Validated => Offload { flags: OffloadFlags::DATA_VALID, ..Offload::default() },
            Self::Checksum { start, offset } => partial(start, offset),
            Self::Segments { layout, size, ecn } => {
                let kind = match layout.version {
                    Version::V4 => Gso::TCP4,
                    Version::V6 => Gso::TCP6,
                };
                let gso = Gso(kind.0 | if ecn { Gso::ECN } else { 0 });
                Offload { gso, gso_size: size as u16, ..partial(layout.tcp, TCP_CHECKSUM) }
            }
        }
    }
}

/// Why a packet is not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Shorter than an Ethernet header, or longer than any packet.
    #[error("a length of {0} bytes")]
    Length(usize),
    /// A piece is outside its region.
    #[error("bytes outside the region")]
    Outside,
    /// The partial checksum is outside the headers.
    #[error("a checksum outside the headers")]
    Checksum,
    /// A kind of segmentation that was not offered.
    #[error("segmentation of a kind that was not offered")]
    Unknown,
    /// What is to be segmented is no such TCP packet, or the segments are absurd.
    #[error("segmentation that does not fit the packet")]
    Segments,
}

/// A packet: fragments of a region that others may change, and a private copy of its beginning, by which everything is
/// decided and which is what is passed on.
#[derive(Debug)]
pub struct Frame<'a> {
    region: Region,
    fragments: &'a [Fragment],
    length: usize,
    head: [u8; MAX_HEADERS],
    head_length: usize,
    /// The headers.
    pub headers: Headers,
    /// Work left to do.
    pub work: Work,
}

impl<'a> Frame<'a> {
    /// The packet in `fragments` of `region`, about which its sender made `claim`.
    ///
    /// # Errors
    /// When it is none.
    #[inline(always)]
    pub fn new(region: Region, fragments: &'a [Fragment], claim: Claim) -> Result<Self, Malformed> {
        let mut length = 0usize;
        for fragment in fragments {
            if fragment.offset > region.size() || fragment.length > region.size() - fragment.offset {
                return Err(Malformed::Outside);
            }
            length = length.saturating_add(fragment.length);
        }
        if length > MAX_FRAME {
            return Err(Malformed::Length(length));
        }
        let mut head = [0; MAX_HEADERS];
        let head_length = length.min(MAX_HEADERS);
        let mut filled = 0;
        for fragment in fragments {
            let count = fragment.length.min(head_length - filled);
            let Some(place) = head.get_mut(filled..filled + count) else { break };
            if count == 0 || !region.read(fragment.offset, place) {
                break;
            }
            filled += count;
        }
        let seen = head.get(..filled).unwrap_or_default();
        let headers = Headers::parse(seen).ok_or(Malformed::Length(length))?;
        let work = work(seen, &headers, length, claim)?;
        Ok(Self { region, fragments, length, head, head_length: filled, headers, work })
    }

    /// The packet that begins with `head`, its headers as they are passed on, and goes on in `fragments` of `region` behind as
    /// many bytes; to be cut as it was before it was merged: see [`crate::merge`].
    #[inline]
    pub fn merged(
        region: Region,
        fragments: &'a [Fragment],
        head: &[u8],
        layout: TcpLayout,
        size: usize,
    ) -> Option<Self> {
        let length = fragments.iter().map(|fragment| fragment.length).sum();
        let mut copy = [0; MAX_HEADERS];
        copy.get_mut(..head.len())?.copy_from_slice(head);
        let headers = Headers::parse(head)?;
        let work = Work::Segments { layout, size, ecn: false };
        Some(Self { region, fragments, length, head: copy, head_length: head.len(), headers, work })
    }

    /// Number of bytes.
    #[inline]
    pub const fn length(&self) -> usize {
        self.length
    }

    /// The private copy of the beginning.
    #[inline]
    pub fn head(&self) -> &[u8] {
        self.head.get(..self.head_length).unwrap_or_default()
    }

    /// The bytes from `start` on.
    #[inline]
    pub fn reader(&self, start: usize) -> Reader<'a> {
        let (mut rest, mut skip) = (self.fragments, start);
        while let Some((first, others)) = rest.split_first()
            && skip >= first.length
        {
            skip -= first.length;
            rest = others;
        }
        Reader { region: self.region, rest, skip }
    }
}

/// What is to be done with a packet that begins with `head`, by its sender's claim.
fn work(head: &[u8], headers: &Headers, length: usize, claim: Claim) -> Result<Work, Malformed> {
    if claim.unknown {
        return Err(Malformed::Unknown);
    }
    let Some((start, offset)) = claim.partial else {
        // 5.1.6.2: segmentation needs a partial checksum.
        return match (claim.segments, claim.validated) {
            (Some(_), _) => Err(Malformed::Segments),
            (None, true) => Ok(Work::Validated),
            (None, false) => Ok(Work::None),
        };
    };
    let (start, offset) = (usize::from(start), usize::from(offset));
    if start + offset + 2 > head.len() {
        return Err(Malformed::Checksum);
    }
    let Some((version, size)) = claim.segments else { return Ok(Work::Checksum { start, offset }) };
    let layout = TcpLayout::of(head, headers).ok_or(Malformed::Segments)?;
    let size = usize::from(size);
    let fits = layout.version == version
        && layout.tcp == start
        && offset == TCP_CHECKSUM
        && crate::segment::is_reasonable(layout, length, size);
    if fits { Ok(Work::Segments { layout, size, ecn: claim.ecn }) } else { Err(Malformed::Segments) }
}

/// Bytes of a packet, taken one after the other.
#[derive(Debug)]
pub struct Reader<'a> {
    region: Region,
    rest: &'a [Fragment],
    /// Bytes of the first of `rest` that are taken.
    skip: usize,
}

impl Reader<'_> {
    /// Calls `copy` with place and length of each piece of the next `count` bytes; `false` when there are not so many, or
    /// `copy` says so.
    #[inline]
    fn pieces(&mut self, count: usize, mut copy: impl FnMut(usize, usize) -> bool) -> bool {
        let mut left = count;
        while left > 0 {
            let Some((first, others)) = self.rest.split_first() else { return false };
            let available = first.length.saturating_sub(self.skip);
            let length = available.min(left);
            if length > 0 && !copy(first.offset + self.skip, length) {
                return false;
            }
            left -= length;
            if length == available {
                self.rest = others;
                self.skip = 0;
            } else {
                self.skip += length;
            }
        }
        true
    }

    /// Copies the next `count` bytes to `offset` of `to`; `false` when either is outside.
    #[inline]
    #[must_use]
    pub fn copy(&mut self, to: &Region, mut offset: usize, count: usize) -> bool {
        let region = self.region;
        self.pieces(count, |from, length| {
            let done = region.copy_to(from, to, offset, length);
            offset += length;
            done
        })
    }

    /// Copies like `copy`, and gives the sum.
    #[inline]
    #[must_use]
    pub fn copy_and_sum(&mut self, to: &Region, offset: usize, count: usize) -> Option<Sum> {
        let region = self.region;
        let (mut done, mut sum) = (0, Sum::ZERO);
        let complete = self.pieces(count, |from, length| {
            let Some(piece) = region.copy_and_sum(from, to, offset + done, length) else { return false };
            sum = sum.plus(if done % 2 == 1 { piece.at_odd() } else { piece });
            done += length;
            true
        });
        complete.then_some(sum)
    }
}

/// Where a packet is written to: places of `room` bytes each in `region`.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// The region.
    pub region: Region,
    /// Where each place begins.
    pub offsets: &'a [usize],
    /// Bytes of a place.
    pub room: usize,
}

/// Writes the whole packet to `places`; if `complete`, with the checksum that is left to do. Gives whether it fits.
///
/// The copy is there because sender and receiver share no memory: each sees its own regions alone, and may be restarted
/// while the other goes on. It also fixes the bytes: what the sender changes from now on reaches nobody.
#[inline]
#[must_use]
pub fn write_whole(frame: &Frame<'_>, places: Places<'_>, complete: bool) -> bool {
    let head = frame.head();
    let start = match frame.work {
        Work::Checksum { start, .. } if complete => Some(start),
        _ => None,
    };
    let Some((&first, _)) = places.offsets.split_first() else { return false };
    if head.len() > places.room {
        return false;
    }
    let mut reader = frame.reader(head.len());
    // The sum, and whether the next byte is the second of a word.
    let mut sum =
        start.map(|start| (Sum::of(head.get(start..).unwrap_or_default()), (head.len() - start) % 2 == 1));
    let (mut left, mut used) = (frame.length() - head.len(), head.len());
    for &place in places.offsets {
        let count = left.min(places.room - used);
        let at = place + used;
        match &mut sum {
            None => {
                if !reader.copy(&places.region, at, count) {
                    return false;
                }
            }
            Some((sum, odd)) => {
                let Some(piece) = reader.copy_and_sum(&places.region, at, count) else { return false };
                *sum = sum.plus(if *odd { piece.at_odd() } else { piece });
                *odd ^= count % 2 == 1;
            }
        }
        left -= count;
        used = 0;
        if left == 0 {
            break;
        }
    }
    if left > 0 {
        return false;
    }
    let (Some((sum, _)), Work::Checksum { start, offset }) = (sum, frame.work) else {
        return places.region.write(first, head);
    };
    let mut sealed = frame.head;
    let Some(field) = sealed.get_mut(start + offset..).and_then(|field| field.first_chunk_mut()) else {
        return false;
    };
    *field = sum.checksum();
    // RFC 768: a sum of zero is sent as its other form, since zero says that there is none.
    if offset == UDP_CHECKSUM && *field == [0, 0] {
        *field = [0xff, 0xff];
    }
    sealed.get(..head.len()).is_some_and(|sealed| places.region.write(first, sealed))
}
