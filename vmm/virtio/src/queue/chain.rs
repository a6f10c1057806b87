// SPDX-License-Identifier: BSD-2-Clause
//! Descriptor chains (sections 2.7.5 and 2.7.4: no assumption about how a request is cut into buffers).

use super::{DESCRIPTOR, Queue};
use crate::abuse::Abuse;
use crate::memory::{GuestMemory, Segment};
use heapless::Vec;

/// Most buffers of one chain, that is, entries of an indirect table.
pub const MAX_SEGMENTS: usize = 256;

const NEXT: u16 = 1;
const WRITE: u16 = 2;
const INDIRECT: u16 = 4;

/// The buffers of one chain: those that the device reads, then those that it writes. All of them are in guest memory.
/// Neighbours of the same kind are one segment, wherever the driver has cut them.
///
/// Made once and used for many chains: it is large, and its buffers are never cleared.
#[derive(Debug)]
pub struct Chain {
    head: u16,
    segments: Vec<Segment, MAX_SEGMENTS>,
    readable: Part,
    writable: Part,
}

/// Some of the segments.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    first: usize,
    end: usize,
    /// Their bytes.
    bytes: u32,
}

impl Default for Chain {
    fn default() -> Self {
        Self::new()
    }
}

impl Chain {
    /// Room for a chain.
    #[inline]
    pub const fn new() -> Self {
        const NONE: Part = Part { first: 0, end: 0, bytes: 0 };
        Self { head: 0, segments: Vec::new(), readable: NONE, writable: NONE }
    }

    /// Index of its first descriptor, by which the driver knows it.
    #[inline]
    pub const fn head(&self) -> u16 {
        self.head
    }

    /// What the device may read and has not yet.
    #[inline]
    pub fn readable(&self) -> &[Segment] {
        self.segments.get(self.readable.first..self.readable.end).unwrap_or_default()
    }

    /// What the device may write and has not yet.
    #[inline]
    pub fn writable(&self) -> &[Segment] {
        self.segments.get(self.writable.first..self.writable.end).unwrap_or_default()
    }

    /// Bytes of [`Chain::readable`].
    #[inline]
    pub const fn readable_bytes(&self) -> u32 {
        self.readable.bytes
    }

    /// Bytes of [`Chain::writable`].
    #[inline]
    pub const fn writable_bytes(&self) -> u32 {
        self.writable.bytes
    }

    /// Reads from the front of what is readable; false, and nothing is taken, when there is too little.
    #[inline]
    pub fn read_front(&mut self, memory: &impl GuestMemory, to: &mut [u8]) -> bool {
        let length = to.len() as u32;
        if self.readable.bytes < length {
            return false;
        }
        let mut rest = to;
        while !rest.is_empty() {
            let Some(piece) = take_front(&mut self.segments, &mut self.readable, rest.len()) else {
                return false;
            };
            let Some((now, later)) = rest.split_at_mut_checked(piece.length as usize) else { return false };
            if memory.read(piece.address, now).is_none() {
                return false;
            }
            rest = later;
        }
        true
    }

    /// Writes to the front of what is writable; false, and nothing is taken, when there is too little.
    #[inline]
    pub fn write_front(&mut self, memory: &impl GuestMemory, from: &[u8]) -> bool {
        let length = from.len() as u32;
        if self.writable.bytes < length {
            return false;
        }
        let mut rest = from;
        while !rest.is_empty() {
            let Some(piece) = take_front(&mut self.segments, &mut self.writable, rest.len()) else {
                return false;
            };
            let Some((now, later)) = rest.split_at_checked(piece.length as usize) else { return false };
            if memory.write(piece.address, now).is_none() {
                return false;
            }
            rest = later;
        }
        true
    }

    /// Skips bytes at the front of what is readable; all of them when there are fewer.
    pub fn skip_readable(&mut self, bytes: u32) {
        let mut left = bytes.min(self.readable.bytes) as usize;
        while left > 0 {
            let Some(piece) = take_front(&mut self.segments, &mut self.readable, left) else { return };
            left = left.saturating_sub(piece.length as usize);
        }
    }

    /// Address of the writable byte at `offset`.
    pub fn writable_at(&self, offset: u32) -> Option<u64> {
        let mut left = offset;
        for segment in self.writable() {
            if left < segment.length {
                return segment.address.checked_add(left.into());
            }
            left = left.checked_sub(segment.length)?;
        }
        None
    }

    /// Takes the last writable byte and returns its address.
    #[inline]
    pub fn take_last(&mut self) -> Option<u64> {
        let last = self.segments.get_mut(self.writable.end.checked_sub(1)?)?;
        if self.writable.bytes == 0 {
            return None;
        }
        self.writable.bytes -= 1;
        let length = last.length.checked_sub(1)?;
        let address = last.address.checked_add(length.into())?;
        last.length = length;
        if length == 0 {
            self.writable.end -= 1;
        }
        Some(address)
    }

    #[inline]
    fn start(&mut self, head: u16) {
        self.head = head;
        self.segments.clear();
        (self.readable, self.writable) = (Part::default(), Part::default());
    }

    #[inline]
    fn add(&mut self, memory: &impl GuestMemory, segment: Segment, write: bool) -> Result<(), Abuse> {
        let length = u64::from(segment.length);
        if length == 0 {
            return Err(Abuse::Empty(self.head));
        }
        if !memory.contains(segment.address, length) {
            return Err(Abuse::OutsideMemory { address: segment.address, length });
        }
        if write {
            self.writable.bytes = self.sum(self.writable.bytes, segment.length)?;
            if self.writable.end == 0 {
                self.writable.first = self.segments.len();
            } else if self.extend_last(segment) {
                return Ok(());
            }
            self.segments.push(segment).map_err(|_| Abuse::TooLong(self.head))?;
            self.writable.end = self.segments.len();
        } else {
            if self.writable.end != 0 {
                return Err(Abuse::Order(self.head));
            }
            self.readable.bytes = self.sum(self.readable.bytes, segment.length)?;
            if !self.extend_last(segment) {
                self.segments.push(segment).map_err(|_| Abuse::TooLong(self.head))?;
                self.readable.end = self.segments.len();
            }
        }
        Ok(())
    }

    /// Adds a segment to the last one if it follows it in memory. Their sum is no more than the part's, which fits.
    #[inline]
    fn extend_last(&mut self, segment: Segment) -> bool {
        let Some(last) = self.segments.last_mut() else { return false };
        let follows = last.address.wrapping_add(last.length.into()) == segment.address;
        if follows {
            last.length = last.length.wrapping_add(segment.length);
        }
        follows
    }

    #[inline]
    fn sum(&self, bytes: u32, more: u32) -> Result<u32, Abuse> {
        bytes.checked_add(more).ok_or(Abuse::Huge(self.head))
    }
}

/// Takes up to `most` bytes, of the first segment of the part.
#[inline]
fn take_front(segments: &mut [Segment], part: &mut Part, most: usize) -> Option<Segment> {
    if part.first >= part.end {
        return None;
    }
    let segment = segments.get_mut(part.first)?;
    let length = u32::try_from(most).map_or(segment.length, |most| most.min(segment.length));
    let piece = Segment { address: segment.address, length };
    segment.address = segment.address.wrapping_add(length.into());
    segment.length -= length;
    part.bytes = part.bytes.saturating_sub(length);
    if segment.length == 0 {
        part.first += 1;
    }
    Some(piece)
}

impl Queue {
    /// Reads the chain that starts at descriptor `head`.
    ///
    /// # Errors
    /// It is not one that a driver may make.
    #[inline]
    pub fn walk(&self, memory: &impl GuestMemory, head: u16, chain: &mut Chain) -> Result<(), Abuse> {
        chain.start(head);
        let (mut table, mut entries, mut index) = (self.descriptors, self.size, head);
        // A chain visits each descriptor of its table at most once.
        let mut left = entries;
        let mut inside = false;
        loop {
            if index >= entries {
                return Err(Abuse::DescriptorIndex { index, entries });
            }
            if left == 0 {
                return Err(Abuse::Endless(head));
            }
            left -= 1;
            let place = table.wrapping_add(DESCRIPTOR * u64::from(index));
            let [address, word] =
                memory.load_pair(place).ok_or(Abuse::OutsideMemory { address: place, length: DESCRIPTOR })?;
            let (length, flags, next) = (word as u32, (word >> 32) as u16, (word >> 48) as u16);
            if flags & INDIRECT != 0 {
                if inside || !self.indirect || flags & NEXT != 0 {
                    return Err(Abuse::Indirect(head));
                }
                (table, entries) = (address, indirect_entries(head, length)?);
                if !memory.contains(table, length.into()) {
                    return Err(Abuse::OutsideMemory { address, length: length.into() });
                }
                (index, left, inside) = (0, entries, true);
                continue;
            }
            chain.add(memory, Segment { address, length }, flags & WRITE != 0)?;
            if flags & NEXT == 0 {
                return Ok(());
            }
            index = next;
        }
    }
}

/// Entries of an indirect table of `length` bytes; 1 to [`MAX_SEGMENTS`].
fn indirect_entries(head: u16, length: u32) -> Result<u16, Abuse> {
    let entries = u64::from(length) / DESCRIPTOR;
    if entries == 0 || !u64::from(length).is_multiple_of(DESCRIPTOR) {
        return Err(Abuse::Indirect(head));
    }
    u16::try_from(entries)
        .ok()
        .filter(|&entries| usize::from(entries) <= MAX_SEGMENTS)
        .ok_or(Abuse::TooLong(head))
}
