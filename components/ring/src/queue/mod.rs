// SPDX-License-Identifier: BSD-2-Clause
//! Single-producer single-consumer queues of fixed-size entries in a shared region.
//!
//! Indices run freely; the position is the index modulo the capacity, a power of two. Each side keeps its own index
//! privately and only ever writes the shared word. The peer's index is checked whenever it is read; an impossible one
//! stops the queue, and is reported once. Entries are copied, once, between shared memory and the program.
//!
//! # Batches
//!
//! [`Producer::push`] writes an entry that the peer does not see yet; [`Producer::publish`] shows all of them and tells
//! whether the peer must be notified. [`Consumer::pop`] copies an entry out; [`Consumer::release`] gives the places of all
//! popped ones back and tells the same. Between two releases at most as many entries come out as the queue can hold,
//! however fast the peer refills it: a loop over `pop` is bounded.
//!
//! # Wake-ups
//!
//! A side that runs out of work announces it ([`Consumer::wait`], [`Producer::wait`]), looks again, and sleeps only if
//! told so. Announce, fence, look; on the other side index, fence, announcement: one of the two sees the other.

mod consumer;
mod producer;
mod wire;

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(test)]
mod tests;

pub use consumer::Consumer;
pub use producer::Producer;
pub use wire::{Bulkhead, Wake, Wire};

use core::sync::atomic::Ordering;

use crate::PeerMisbehaved;
use crate::pages::Memory;

/// The queue has no place left, or is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the queue is full or its link is down")]
pub struct Full;

/// A fixed-size entry of a queue. It is copied as whole words.
pub trait Entry: Copy {
    /// Distance of two entries in bytes.
    const STRIDE: usize;
    /// Copies the entry at byte `offset` out.
    fn read<M: Memory>(memory: &M, offset: usize) -> Self;
    /// Copies the entry to byte `offset`.
    fn write<M: Memory>(self, memory: &M, offset: usize);

    /// See [`Memory::write_places`].
    #[inline(always)]
    fn write_all<M: Memory>(
        memory: &M,
        base: usize,
        mask: u32,
        first: u32,
        entries: impl Iterator<Item = Self>,
    ) -> u32 {
        let mut place = first;
        for entry in entries {
            entry.write(memory, base + Self::STRIDE * (place & mask) as usize);
            place = place.wrapping_add(1);
        }
        place.wrapping_sub(first)
    }

    /// See [`Memory::read_places`].
    #[inline(always)]
    fn read_while<M: Memory>(
        memory: &M,
        base: usize,
        mask: u32,
        first: u32,
        count: u32,
        mut take: impl FnMut(Self) -> bool,
    ) -> u32 {
        for number in 0..count {
            let place = first.wrapping_add(number) & mask;
            if !take(Self::read(memory, base + Self::STRIDE * place as usize)) {
                return number + 1;
            }
        }
        count
    }
}

/// Words that must keep their value for the queue to be in use: the epochs. When an index turns out impossible and one of them
/// has changed, the peer has restarted, and not misbehaved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Guard {
    /// Byte offsets of the words.
    pub(crate) words: [usize; 2],
    /// What they hold as long as the peer has not restarted.
    pub(crate) epoch: u32,
}

/// What both sides of a queue have in common.
#[derive(Debug)]
struct Common<M> {
    memory: M,
    /// Byte offset of the queue in the region.
    base: usize,
    /// Capacity - 1.
    mask: u32,
    /// Whether shared memory may be looked at. Not when stopped or cut off.
    live: bool,
    guard: Option<Guard>,
    error: Option<PeerMisbehaved>,
}

impl<M: Memory> Common<M> {
    /// `None` when the queue does not fit into the region or the capacity is no power of two that its indices can carry.
    fn new<E: Entry, W: Wire>(memory: M, base: usize, capacity: u32) -> Option<Self> {
        let end = E::STRIDE.checked_mul(capacity as usize)?.checked_add(W::ENTRIES)?.checked_add(base)?;
        let fits = end <= memory.size() && base.is_multiple_of(8);
        let countable = capacity.is_power_of_two() && capacity <= W::INDEX_MASK / 2 + 1;
        let common =
            Self { memory, base, mask: capacity.wrapping_sub(1), live: false, guard: None, error: None };
        (fits && countable).then_some(common)
    }

    #[inline(always)]
    fn load_index<W: Wire>(&self, offset: usize) -> u32 {
        // Acquire: pairs with `store_index` of the peer.
        if W::INDEX_MASK == 0xffff {
            u32::from(self.memory.load_half(self.base + offset, Ordering::Acquire))
        } else {
            self.memory.load(self.base + offset, Ordering::Acquire)
        }
    }

    #[inline(always)]
    fn store_index<W: Wire>(&self, offset: usize, index: u32) {
        // Release: entries are written (or read) before the index tells so.
        if W::INDEX_MASK == 0xffff {
            self.memory.store_half(self.base + offset, index as u16, Ordering::Release);
        } else {
            self.memory.store(self.base + offset, index, Ordering::Release);
        }
    }

    #[inline(always)]
    fn place<E: Entry, W: Wire>(&self, index: u32) -> usize {
        self.base + W::ENTRIES + (index & self.mask) as usize * E::STRIDE
    }

    /// Whether the peer has left the epoch in which the queue was started.
    #[cold]
    fn peer_restarted(&self) -> bool {
        self.guard.is_some_and(|guard| {
            guard.words.iter().any(|&word| self.memory.load(word, Ordering::Acquire) != guard.epoch)
        })
    }

    /// Stops the queue because the peer's index is impossible. Not its fault if it has restarted meanwhile.
    #[cold]
    fn stop_at(&mut self, found: u32, own: u32) {
        self.live = false;
        if !self.peer_restarted() {
            self.error = Some(PeerMisbehaved { found, own, capacity: self.mask.wrapping_add(1) });
        }
    }

    /// Whether moving own index from `old` to `new` passed the point at which the peer wants to be woken.
    #[inline(always)]
    fn peer_waits(&self, wake: Wake, old: u32, new: u32) -> bool {
        match wake {
            Wake::Event(offset) => {
                let event = self.memory.load(self.base + offset, Ordering::Relaxed);
                new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
            }
            Wake::Flag(offset) => {
                let asked = self.memory.load(self.base + offset, Ordering::Relaxed) == 0;
                if asked {
                    self.memory.store(self.base + offset, 1, Ordering::Relaxed);
                }
                asked
            }
            Wake::Always => true,
            Wake::Never => false,
        }
    }

    /// Asks to be woken when the peer's index passes `event`.
    #[inline(always)]
    fn ask(&self, wake: Wake, event: u32) {
        match wake {
            Wake::Event(offset) => self.memory.store(self.base + offset, event, Ordering::Relaxed),
            Wake::Flag(offset) => self.memory.store(self.base + offset, 0, Ordering::Relaxed),
            Wake::Always | Wake::Never => {}
        }
    }
}

/// One side of one queue, or of several, as a link handles them.
pub(crate) trait Side {
    /// Writes zeroes to own index words.
    fn clear(&self);
    /// Begins at index 0 with the peer's words zero, unless it has pushed already.
    fn start(&mut self, guard: Guard);
    /// Stops all use of shared memory.
    fn stop(&mut self);
    /// Stores own index if it has changed. Gives whether it had.
    fn expose(&mut self) -> bool;
    /// After [`Self::expose`] and a fence: whether the peer wants to know.
    fn peer_waits(&mut self) -> bool;
    /// Announces that this side is about to sleep.
    fn announce(&mut self);
    /// After [`Self::announce`] and a fence: whether there is still nothing to do.
    fn is_idle(&mut self) -> bool;
    /// Whether a queue was cut off and nobody has taken the reason yet.
    fn has_error(&self) -> bool;
    /// The reason for which a queue was cut off, once.
    fn take_error(&mut self) -> Option<PeerMisbehaved>;
}

impl<A: Side, B: Side> Side for (A, B) {
    #[inline]
    fn clear(&self) {
        self.0.clear();
        self.1.clear();
    }

    #[inline]
    fn start(&mut self, guard: Guard) {
        self.0.start(guard);
        self.1.start(guard);
    }

    #[inline]
    fn stop(&mut self) {
        self.0.stop();
        self.1.stop();
    }

    #[inline]
    fn expose(&mut self) -> bool {
        self.0.expose() | self.1.expose()
    }

    #[inline]
    fn peer_waits(&mut self) -> bool {
        self.0.peer_waits() | self.1.peer_waits()
    }

    #[inline]
    fn announce(&mut self) {
        self.0.announce();
        self.1.announce();
    }

    #[inline]
    fn is_idle(&mut self) -> bool {
        self.0.is_idle() & self.1.is_idle()
    }

    #[inline]
    fn has_error(&self) -> bool {
        self.0.has_error() | self.1.has_error()
    }

    #[inline]
    fn take_error(&mut self) -> Option<PeerMisbehaved> {
        self.0.take_error().or_else(|| self.1.take_error())
    }
}
