// SPDX-License-Identifier: BSD-2-Clause
//! The writing side.

use core::sync::atomic::Ordering;

use crate::PeerMisbehaved;
use crate::memory::{RingMemory, SharedRegion, Word};

/// The writing side of a byte ring.
#[derive(Debug)]
pub struct Producer<M = SharedRegion> {
    memory: M,
    /// Where the next byte goes; the shared word is a copy.
    tail: u32,
    /// The consumer's index as last seen and checked.
    head: u32,
    /// `tail` at the last call of `should_notify`.
    decided: u32,
    cut: bool,
    error: Option<PeerMisbehaved>,
}

impl<M: RingMemory> Producer<M> {
    /// The producer of the ring in `memory`. Goes on where the ring stands, so that a restarted producer can use it.
    pub fn new(memory: M) -> Self {
        let tail = memory.load(Word::Tail, Ordering::Relaxed);
        let head = memory.load(Word::Head, Ordering::Acquire);
        let mut this = Self { memory, tail, head: tail, decided: tail, cut: false, error: None };
        if tail.wrapping_sub(head) > this.memory.capacity() {
            this.cut(head);
        } else {
            this.head = head;
        }
        this
    }

    /// Number of bytes the ring can hold.
    pub fn capacity(&self) -> usize {
        self.memory.capacity() as usize
    }

    /// Number of bytes that can be written now.
    pub fn free(&mut self) -> usize {
        self.refresh();
        if self.cut { 0 } else { (self.memory.capacity() - self.used()) as usize }
    }

    /// Number of bytes written and not yet read.
    pub fn len(&mut self) -> usize {
        self.refresh();
        self.used() as usize
    }

    /// Whether everything written has been read.
    pub fn is_empty(&mut self) -> bool {
        self.len() == 0
    }

    /// Writes as many of `bytes` as there is space for, and gives their number; 0 once the ring is cut off.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        let space = self.free_at_least(bytes.len());
        let count = bytes.len().min(space);
        for (byte, index) in bytes.iter().take(count).zip(0u32..) {
            self.memory.store_byte(self.tail.wrapping_add(index), *byte);
        }
        if count > 0 {
            // `count` is at most the capacity, which fits.
            self.tail = self.tail.wrapping_add(count as u32);
            // Release: pairs with the consumer's load of `Tail`; the bytes are there before the index.
            self.memory.store(Word::Tail, self.tail, Ordering::Release);
        }
        count
    }

    /// Whether the consumer must be notified of what was written since the last call.
    pub fn should_notify(&mut self) -> bool {
        let from = core::mem::replace(&mut self.decided, self.tail);
        if from == self.tail || self.cut {
            return false;
        }
        // Orders the store of `Tail` before the load of `Head`; pairs with the fence in `Consumer::read`.
        self.memory.fence();
        self.refresh();
        // Consumed at least everything older: it may have gone to sleep. Consumed everything: nothing to wake it for.
        let written = self.tail.wrapping_sub(from);
        let remaining = self.used();
        !self.cut && remaining != 0 && remaining <= written
    }

    /// Asks the consumer for a signal when it has made space. Gives whether the caller may sleep: `false` when there is
    /// space already (then the signal may come as well).
    pub fn request_space_signal(&mut self) -> bool {
        self.memory.store(Word::ProducerSignalled, 0, Ordering::Relaxed);
        // Orders the request before the load of `Head`; pairs with the fence in `Consumer::should_notify`.
        self.memory.fence();
        self.free() == 0
    }

    /// Withdraws the request of `request_space_signal`.
    pub fn cancel_space_signal(&mut self) {
        self.memory.store(Word::ProducerSignalled, 1, Ordering::Relaxed);
    }

    /// The reason the ring was cut off, once.
    pub fn take_error(&mut self) -> Option<PeerMisbehaved> {
        self.error.take()
    }

    /// Whether the ring is cut off.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    fn used(&self) -> u32 {
        self.tail.wrapping_sub(self.head)
    }

    /// Free space, looking at the shared index only if `wanted` bytes are not known to fit.
    fn free_at_least(&mut self, wanted: usize) -> usize {
        let known = (self.memory.capacity() - self.used()) as usize;
        if !self.cut && known >= wanted { known } else { self.free() }
    }

    /// Looks at the consumer's index. It only moves forward and never past ours.
    fn refresh(&mut self) {
        if self.cut {
            return;
        }
        // Acquire: pairs with the consumer's store of `Head`; it has read the bytes before we overwrite them.
        let head = self.memory.load(Word::Head, Ordering::Acquire);
        if self.tail.wrapping_sub(head) <= self.used() {
            self.head = head;
        } else {
            self.cut(head);
        }
    }

    fn cut(&mut self, found: u32) {
        self.cut = true;
        self.error = Some(PeerMisbehaved { found, own: self.tail, capacity: self.memory.capacity() });
    }
}
