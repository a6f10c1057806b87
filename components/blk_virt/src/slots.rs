// SPDX-License-Identifier: BSD-2-Clause
//! Requests that are being worked on, held here and nowhere else: what the driver has, and what waits.

use core::ops::{BitAnd, BitOr, Not};

use heapless::Vec;
use ring::blk::{Code, MAX_SEGMENTS, Request, Segment};

/// Most requests at a time, of all clients.
pub const SLOTS: usize = 128;

/// A set of slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Mask(u128);

const _: () = assert!(SLOTS <= u128::BITS as usize && SLOTS.is_power_of_two());

impl Mask {
    pub const EMPTY: Self = Self(0);

    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[inline]
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    #[inline]
    pub const fn contains(self, slot: usize) -> bool {
        self.0 >> (slot % SLOTS) & 1 != 0
    }

    #[inline]
    pub fn insert(&mut self, slot: usize) {
        self.0 |= 1 << (slot % SLOTS);
    }

    #[inline]
    pub fn remove(&mut self, slot: usize) {
        self.0 &= !(1 << (slot % SLOTS));
    }

    /// The lowest slot that is in it.
    #[inline]
    pub const fn first(self) -> Option<usize> {
        if self.0 == 0 { None } else { Some(self.0.trailing_zeros() as usize) }
    }
}

impl BitAnd for Mask {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl BitOr for Mask {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl Not for Mask {
    type Output = Self;

    fn not(self) -> Self {
        Self(!self.0)
    }
}

/// The slots of a mask, lowest first.
impl Iterator for Mask {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        let slot = self.first()?;
        self.remove(slot);
        Some(slot)
    }
}

/// Whose request it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Owner {
    /// A client's. (The first, so that an unused slot is all zeroes.)
    Client(u8) = 0,
    /// The partition table's.
    Table,
}

/// A request.
#[derive(Debug)]
pub(crate) struct Slot {
    pub owner: Owner,
    /// The client's name for it.
    pub client_id: u64,
    /// As the driver gets it: with a name of ours, its place on the disk, and physical addresses.
    pub request: Request,
    pub segments: Vec<Segment, MAX_SEGMENTS>,
    /// A flush: the client's earlier writes that are not done.
    pub after: Mask,
}

/// The table of requests. Large, so it wants to be a `static`; all zeroes at first.
#[derive(Debug)]
pub struct Slots {
    slots: [Slot; SLOTS],
    used: Mask,
    /// Number of requests ever; makes their names unique.
    count: u64,
}

impl Slots {
    /// No requests.
    #[must_use]
    pub const fn new() -> Self {
        const EMPTY: Slot = Slot {
            owner: Owner::Client(0),
            client_id: 0,
            request: Request { id: 0, code: Code::Read, sector: 0, length: 0, unmap: false },
            segments: Vec::new(),
            after: Mask::EMPTY,
        };
        Self { slots: [EMPTY; SLOTS], used: Mask::EMPTY, count: 0 }
    }

    /// The slots that are in use.
    #[inline]
    pub(crate) const fn used(&self) -> Mask {
        self.used
    }

    /// A slot that is not in use, to be prepared. It is in use once it is [`occupied`](Self::occupy).
    #[inline]
    pub(crate) fn vacant(&mut self) -> Option<(usize, &mut Slot)> {
        let index = (!self.used).first()?;
        self.slots.get_mut(index).map(|slot| (index, slot))
    }

    /// Takes a slot into use and gives its request a name: unique for ever, and larger than all before.
    #[inline]
    pub(crate) fn occupy(&mut self, index: usize) {
        self.used.insert(index);
        self.count += 1;
        if let Some(slot) = self.slots.get_mut(index) {
            slot.request.id = self.count * SLOTS as u64 + index as u64;
        }
    }

    #[inline]
    pub(crate) fn release(&mut self, index: usize) {
        self.used.remove(index);
    }

    /// The slot of the request with this name.
    #[inline]
    pub(crate) fn find(&self, id: u64) -> Option<usize> {
        let index = (id % SLOTS as u64) as usize;
        let slot = self.get(index)?;
        (slot.request.id == id).then_some(index)
    }

    /// A slot that is in use.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&Slot> {
        self.slots.get(index).filter(|_| self.used.contains(index))
    }

    /// A slot that is in use.
    #[inline]
    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut Slot> {
        let used = self.used.contains(index);
        self.slots.get_mut(index).filter(|_| used)
    }

    /// Of these slots, the one with the oldest request.
    pub(crate) fn oldest(&self, of: Mask) -> Option<usize> {
        of.min_by_key(|index| self.get(*index).map_or(u64::MAX, |slot| slot.request.id))
    }
}

impl Default for Slots {
    fn default() -> Self {
        Self::new()
    }
}
