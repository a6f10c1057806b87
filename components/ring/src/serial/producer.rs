// SPDX-License-Identifier: BSD-2-Clause
//! The writing side.

use core::sync::atomic::Ordering;

use super::cut::{AWAY, Cut, Verdict};
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
    cut: Cut,
}

impl<M: RingMemory> Producer<M> {
    /// The producer of the ring in `memory`. Goes on where the ring stands, so that a restarted producer can use it.
    pub fn new(memory: M) -> Self {
        Self::begin(memory, false)
    }

    /// As [`Self::new`], but a PD that was `restarted` goes on where the consumer is when the indices make no sense.
    /// [`Self::should_notify`] is true at first then, so that the consumer looks.
    pub fn begin(memory: M, restarted: bool) -> Self {
        let tail = memory.load(Word::Tail, Ordering::Relaxed);
        // The consumer is at most the capacity behind.
        let head = tail.wrapping_sub(memory.capacity());
        let mut this = Self { memory, tail, head, decided: tail, cut: Cut::new(restarted) };
        this.refresh();
        this
    }

    /// Says that there will never be anything to read, and ends this side: the consumer finds the ring
    /// [closed](super::Consumer::is_closed). A producer that is begun anew there, as restarted, opens it.
    pub fn close(self) {
        let head = self.memory.load(Word::Head, Ordering::Relaxed);
        self.memory.store(Word::Tail, head.wrapping_add(AWAY), Ordering::Release);
    }

    /// Number of bytes the ring can hold.
    pub fn capacity(&self) -> usize {
        self.memory.capacity() as usize
    }

    /// Number of bytes that can be written now.
    pub fn free(&mut self) -> usize {
        self.refresh();
        if self.cut.is_cut() { 0 } else { (self.memory.capacity() - self.used()) as usize }
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
        if from == self.tail || self.cut.is_cut() {
            return self.should_tell();
        }
        // Orders the store of `Tail` before the load of `Head`; pairs with the fence in `Consumer::read`.
        self.memory.fence();
        self.refresh();
        // Consumed at least everything older: it may have gone to sleep. Consumed everything: nothing to wake it for.
        let written = self.tail.wrapping_sub(from);
        let remaining = self.used();
        self.cut.take_tell() || !self.cut.is_cut() && remaining != 0 && remaining <= written
    }

    /// Asks the consumer for a signal when it has made space. Gives whether the caller may sleep: `false` when there is
    /// space already (then the signal may come as well).
    pub fn request_space_signal(&mut self) -> bool {
        // A consumer that died may have written over it; its successor then does not see what fills the ring.
        if self.memory.load(Word::Tail, Ordering::Relaxed) != self.tail {
            self.memory.store(Word::Tail, self.tail, Ordering::Release);
            self.cut.tell();
        }
        self.memory.store(Word::ProducerSignalled, 0, Ordering::Relaxed);
        // Orders the request before the load of `Head`; pairs with the fence in `Consumer::should_notify`.
        self.memory.fence();
        self.free() == 0
    }

    /// Withdraws the request of `request_space_signal`.
    pub fn cancel_space_signal(&mut self) {
        self.memory.store(Word::ProducerSignalled, 1, Ordering::Relaxed);
    }

    /// Whether the consumer must be notified although no byte was moved, once: after a restart, and when the ring was cut off, so
    /// that the two meet again. [`Self::should_notify`] says it, too; this is for when that is not asked. To be asked when the
    /// consumer has notified: it is looked at, so that nothing has to be written, and lost, to find out about a restart.
    pub fn should_tell(&mut self) -> bool {
        self.refresh();
        self.cut.take_tell()
    }

    /// The reason the ring was cut off, once.
    pub fn take_error(&mut self) -> Option<PeerMisbehaved> {
        self.cut.take_error()
    }

    /// Whether the ring is cut off.
    pub fn is_cut(&self) -> bool {
        self.cut.is_cut()
    }

    fn used(&self) -> u32 {
        self.tail.wrapping_sub(self.head)
    }

    /// Free space, looking at the shared index only if `wanted` bytes are not known to fit.
    fn free_at_least(&mut self, wanted: usize) -> usize {
        let known = (self.memory.capacity() - self.used()) as usize;
        if !self.cut.is_cut() && known >= wanted { known } else { self.free() }
    }

    /// Looks at the consumer's index. It only moves forward and never past ours.
    fn refresh(&mut self) {
        // Acquire: pairs with the consumer's store of `Head`; it has read the bytes before we overwrite them.
        let head = self.memory.load(Word::Head, Ordering::Acquire);
        let (own, capacity) = (self.tail, self.memory.capacity());
        let possible = own.wrapping_sub(head) <= self.used();
        let error = || PeerMisbehaved { found: head, own, capacity };
        match self.cut.judge(possible, error) {
            Verdict::Use => self.head = head,
            Verdict::Adopt => self.go_to(head),
            Verdict::Leave => self.go_to(head.wrapping_add(AWAY)),
            Verdict::Refuse => self.go_to(own),
        }
    }

    /// Nothing to be read, at this index.
    #[cold]
    fn go_to(&mut self, tail: u32) {
        self.tail = tail;
        self.head = tail;
        self.decided = tail;
        if self.memory.load(Word::Tail, Ordering::Relaxed) != tail {
            self.memory.store(Word::Tail, tail, Ordering::Release);
        }
    }
}
