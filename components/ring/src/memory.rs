// SPDX-License-Identifier: BSD-2-Clause
//! Access to the memory a ring shares with its peer.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU8, AtomicU32, Ordering, fence};

/// The words of a queue page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Where the producer writes next. Only the producer writes this word.
    Tail,
    /// Where the consumer reads next. Only the consumer writes this word.
    Head,
    /// 0: the producer asks to be signalled when there is space; 1: it has been.
    ProducerSignalled,
}

/// The shared words and bytes of one ring.
pub trait RingMemory {
    /// Number of bytes of the data region: a power of two.
    fn capacity(&self) -> u32;
    /// Reads a word.
    fn load(&self, word: Word, order: Ordering) -> u32;
    /// Writes a word.
    fn store(&self, word: Word, value: u32, order: Ordering);
    /// A sequentially consistent fence.
    fn fence(&self);
    /// Reads the data byte at `index % capacity`.
    fn load_byte(&self, index: u32) -> u8;
    /// Writes the data byte at `index % capacity`.
    fn store_byte(&self, index: u32, byte: u8);
}

/// sDDF 0.7's `serial_queue_t`.
#[derive(Debug, Default)]
#[repr(C)]
pub struct QueuePage {
    /// Where the producer writes next; free running.
    tail: AtomicU32,
    /// Where the consumer reads next; free running.
    head: AtomicU32,
    /// See [`Word::ProducerSignalled`].
    producer_signalled: AtomicU32,
}

const _: () = assert!(size_of::<QueuePage>() == 12, "sDDF 0.7: tail, head, producer_signalled");

impl QueuePage {
    fn word(&self, word: Word) -> &AtomicU32 {
        match word {
            Word::Tail => &self.tail,
            Word::Head => &self.head,
            Word::ProducerSignalled => &self.producer_signalled,
        }
    }
}

/// A ring's memory as two shared regions: a queue page and a data region.
#[derive(Debug)]
pub struct SharedRegion {
    queue: NonNull<QueuePage>,
    data: NonNull<AtomicU8>,
    capacity: u32,
}

// SAFETY: all access through the pointers is atomic, and the regions are valid for every thread.
#[allow(unsafe_code, reason = "see above")]
unsafe impl Send for SharedRegion {}

impl SharedRegion {
    /// The ring with its indices at `queue` and its bytes at `data`, or `None` when `capacity` is not a power of two of
    /// at most 2^31.
    ///
    /// # Safety
    /// 1. `queue` points to at least 12 bytes, 4-aligned, and `data` to at least `capacity` bytes, both readable and
    ///    writable for the rest of the program.
    /// 2. This program accesses them only atomically. (Other programs may do what they like.)
    #[allow(unsafe_code, reason = "the caller vouches for the pointers")]
    pub const unsafe fn new(queue: NonNull<u8>, data: NonNull<u8>, capacity: usize) -> Option<Self> {
        if !capacity.is_power_of_two() || capacity > 1 << 31 {
            return None;
        }
        Some(Self { queue: queue.cast(), data: data.cast(), capacity: capacity as u32 })
    }

    #[inline(always)]
    #[allow(unsafe_code, reason = "rests on `new`")]
    fn queue(&self) -> &QueuePage {
        // SAFETY: valid by the contract of `new`, and the words are atomics.
        unsafe { self.queue.as_ref() }
    }

    #[inline(always)]
    #[allow(unsafe_code, reason = "rests on `new`")]
    fn byte(&self, index: u32) -> &AtomicU8 {
        let offset = index & (self.capacity - 1);
        // SAFETY: the offset is below `capacity`, and the bytes are atomics, valid by the contract of `new`.
        unsafe { self.data.add(offset as usize).as_ref() }
    }
}

impl RingMemory for SharedRegion {
    #[inline(always)]
    fn capacity(&self) -> u32 {
        self.capacity
    }

    #[inline(always)]
    fn load(&self, word: Word, order: Ordering) -> u32 {
        self.queue().word(word).load(order)
    }

    #[inline(always)]
    fn store(&self, word: Word, value: u32, order: Ordering) {
        self.queue().word(word).store(value, order);
    }

    #[inline(always)]
    fn fence(&self) {
        fence(Ordering::SeqCst);
    }

    #[inline(always)]
    fn load_byte(&self, index: u32) -> u8 {
        self.byte(index).load(Ordering::Relaxed)
    }

    #[inline(always)]
    fn store_byte(&self, index: u32, byte: u8) {
        self.byte(index).store(byte, Ordering::Relaxed);
    }
}

/// A ring's memory inside the program, for tests and for rings between parts of one program.
#[derive(Debug)]
pub struct LocalMemory<const CAPACITY: usize> {
    queue: QueuePage,
    data: [AtomicU8; CAPACITY],
}

impl<const CAPACITY: usize> LocalMemory<CAPACITY> {
    /// An empty ring.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(CAPACITY.is_power_of_two() && CAPACITY <= 1 << 31) };
        let queue = QueuePage {
            tail: AtomicU32::new(0),
            head: AtomicU32::new(0),
            producer_signalled: AtomicU32::new(0),
        };
        Self { queue, data: [const { AtomicU8::new(0) }; CAPACITY] }
    }

    fn byte(&self, index: u32) -> Option<&AtomicU8> {
        self.data.get(index as usize % CAPACITY)
    }
}

impl<const CAPACITY: usize> Default for LocalMemory<CAPACITY> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const CAPACITY: usize> RingMemory for &LocalMemory<CAPACITY> {
    fn capacity(&self) -> u32 {
        CAPACITY as u32
    }

    fn load(&self, word: Word, order: Ordering) -> u32 {
        self.queue.word(word).load(order)
    }

    fn store(&self, word: Word, value: u32, order: Ordering) {
        self.queue.word(word).store(value, order);
    }

    fn fence(&self) {
        fence(Ordering::SeqCst);
    }

    fn load_byte(&self, index: u32) -> u8 {
        self.byte(index).map_or(0, |byte| byte.load(Ordering::Relaxed))
    }

    fn store_byte(&self, index: u32, byte: u8) {
        if let Some(place) = self.byte(index) {
            place.store(byte, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
#[allow(unsafe_code, reason = "builds a ring on memory of the test")]
mod tests {
    use super::*;

    #[test]
    fn words_lie_where_sddf_puts_them() {
        let mut page = [0u32; 3];
        let mut data = [0u8; 4];
        let region = {
            let queue = NonNull::from(&mut page).cast();
            // SAFETY: both arrays are large enough, aligned, and used through the region alone until it is gone.
            unsafe { SharedRegion::new(queue, NonNull::from(&mut data).cast(), 4) }.unwrap()
        };
        region.store(Word::Tail, 1, Ordering::Relaxed);
        region.store(Word::Head, 2, Ordering::Relaxed);
        region.store(Word::ProducerSignalled, 3, Ordering::Relaxed);
        region.store_byte(6, 7);
        assert_eq!(region.load_byte(2), 7);
        assert_eq!(page, [1, 2, 3]);
        assert_eq!(data, [0, 0, 7, 0]);
    }

    #[test]
    fn capacity_must_be_a_power_of_two() {
        let mut bytes = [0u32; 8];
        let place = NonNull::from(&mut bytes).cast();
        for capacity in [0, 3, 5, (1 << 31) + 1, 1 << 32] {
            // SAFETY: refused before the pointers are used.
            assert!(unsafe { SharedRegion::new(place, place, capacity) }.is_none(), "{capacity}");
        }
    }
}
