// SPDX-License-Identifier: BSD-2-Clause
//! The reading side.

use core::sync::atomic::Ordering;

use super::cut::{AWAY, Cut, Verdict};
use crate::PeerMisbehaved;
use crate::memory::{RingMemory, SharedRegion, Word};

/// The reading side of a byte ring.
#[derive(Debug)]
pub struct Consumer<M = SharedRegion> {
    memory: M,
    /// Where the next byte is; the shared word is a copy.
    head: u32,
    /// The producer's index as last seen and checked.
    tail: u32,
    cut: Cut,
}

impl<M: RingMemory> Consumer<M> {
    /// The consumer of the ring in `memory`. Goes on where the ring stands, so that a restarted consumer can use it.
    pub fn new(memory: M) -> Self {
        Self::begin(memory, false)
    }

    /// As [`Self::new`], but a PD that was `restarted` goes on where the producer is when the indices make no sense.
    /// [`Self::should_notify`] is true at first then, so that the producer looks.
    pub fn begin(memory: M, restarted: bool) -> Self {
        let head = memory.load(Word::Head, Ordering::Relaxed);
        Self { memory, head, tail: head, cut: Cut::new(restarted) }
    }

    /// Whether the producer has [said](super::Producer::close) that there will never be anything to read. To be asked before the
    /// first look at bytes, which takes a closed ring for a broken one.
    pub fn is_closed(&self) -> bool {
        self.memory.load(Word::Tail, Ordering::Acquire) == self.head.wrapping_add(AWAY)
    }

    /// Number of bytes the ring can hold.
    pub fn capacity(&self) -> usize {
        self.memory.capacity() as usize
    }

    /// Number of bytes that can be read now; 0 once the ring is cut off.
    pub fn len(&mut self) -> usize {
        self.refresh();
        self.available() as usize
    }

    /// Whether there is nothing to read. `true` allows the caller to sleep.
    pub fn is_empty(&mut self) -> bool {
        self.len() == 0
    }

    /// Reads as many bytes as there are and fit into `buffer`, and gives their number. 0 for a buffer that is not empty
    /// allows the caller to sleep: the producer will notify.
    pub fn read(&mut self, buffer: &mut [u8]) -> usize {
        let count = self.peek(buffer);
        self.advance(count);
        count
    }

    /// Like [`Self::read`], but leaves the bytes in the ring.
    pub fn peek(&mut self, buffer: &mut [u8]) -> usize {
        if (self.available() as usize) < buffer.len() {
            self.refresh();
        }
        let count = buffer.len().min(self.available() as usize);
        for (byte, index) in buffer.iter_mut().take(count).zip(0u32..) {
            *byte = self.memory.load_byte(self.head.wrapping_add(index));
        }
        count
    }

    /// Takes `count` bytes, at most those seen by the last [`Self::peek`] or [`Self::len`], out of the ring.
    pub fn advance(&mut self, count: usize) {
        let count = u32::try_from(count).unwrap_or(u32::MAX).min(self.available());
        if count > 0 {
            self.head = self.head.wrapping_add(count);
            // Release: pairs with the producer's load of `Head`; we have read the bytes before it may overwrite them.
            self.memory.store(Word::Head, self.head, Ordering::Release);
        }
    }

    /// Whether the producer waits for space and must be notified. To be asked after a batch of reads.
    pub fn should_notify(&mut self) -> bool {
        // Orders the store of `Head` before the load of the request; pairs with `Producer::request_space_signal`.
        self.memory.fence();
        let tell = self.cut.take_tell();
        if self.cut.is_cut() || self.memory.load(Word::ProducerSignalled, Ordering::Relaxed) != 0 {
            return tell;
        }
        self.memory.store(Word::ProducerSignalled, 1, Ordering::Relaxed);
        true
    }

    /// Whether the producer must be notified although no byte was moved, once: after a restart, and when the ring was cut off, so
    /// that the two meet again. [`Self::should_notify`] says it, too; this is for when that is not asked.
    pub fn should_tell(&mut self) -> bool {
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

    fn available(&self) -> u32 {
        self.tail.wrapping_sub(self.head)
    }

    /// Looks at the producer's index. It only moves forward and never more than the capacity ahead of ours.
    fn refresh(&mut self) {
        // Orders our store of `Head` before the load of `Tail`; pairs with the fence in `Producer::should_notify`.
        self.memory.fence();
        // Acquire: pairs with the producer's store of `Tail`; the bytes are there before the index.
        let tail = self.memory.load(Word::Tail, Ordering::Acquire);
        let available = tail.wrapping_sub(self.head);
        let (own, capacity) = (self.head, self.memory.capacity());
        let possible = available <= capacity && available >= self.available();
        let error = || PeerMisbehaved { found: tail, own, capacity };
        match self.cut.judge(possible, error) {
            Verdict::Use => {
                self.tail = tail;
                self.mend();
            }
            Verdict::Adopt => self.go_to(tail),
            Verdict::Leave => self.go_to(tail.wrapping_add(AWAY)),
            // Bytes seen before stay unread: nothing from this peer is trusted any more.
            Verdict::Refuse => self.go_to(own),
        }
    }

    /// A producer that died may have written over our index; its successor then may take the ring for full, and wait.
    fn mend(&mut self) {
        if self.tail == self.head && self.memory.load(Word::Head, Ordering::Relaxed) != self.head {
            self.memory.store(Word::Head, self.head, Ordering::Release);
            self.cut.tell();
        }
    }

    /// Nothing to read, at this index.
    #[cold]
    fn go_to(&mut self, head: u32) {
        self.head = head;
        self.tail = head;
        if self.memory.load(Word::Head, Ordering::Relaxed) != head {
            self.memory.store(Word::Head, head, Ordering::Release);
        }
    }
}
