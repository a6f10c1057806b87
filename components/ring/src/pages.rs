// SPDX-License-Identifier: BSD-2-Clause
//! Access to a region shared with a peer, by byte offset. The only place that touches the memory of queues and links.
//!
//! Every access is bounds-checked here, once per entry, so that everything above is safe code. An access outside the
//! region reads zeroes or does nothing; the code above never makes one (its offsets are derived from the size).

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering, fence};

/// A region of shared memory, 8-aligned, addressed by byte offsets. Copies of the handle are the same memory.
pub trait Memory: Clone {
    /// Bytes in the region.
    fn size(&self) -> usize;
    /// Reads the word at `offset`, a multiple of 4.
    fn load(&self, offset: usize, order: Ordering) -> u32;
    /// Writes the word at `offset`, a multiple of 4.
    fn store(&self, offset: usize, value: u32, order: Ordering);
    /// Reads the half word at `offset`, a multiple of 2.
    fn load_half(&self, offset: usize, order: Ordering) -> u16;
    /// Writes the half word at `offset`, a multiple of 2.
    fn store_half(&self, offset: usize, value: u16, order: Ordering);
    /// Copies `N` double words out, from `offset`, a multiple of 8. Each is read exactly once.
    fn read<const N: usize>(&self, offset: usize) -> [u64; N];
    /// Copies `N` double words in, to `offset`, a multiple of 8.
    fn write<const N: usize>(&self, offset: usize, words: [u64; N]);
    /// A sequentially consistent fence.
    fn fence(&self);

    /// Writes entries of `N` double words to the `mask + 1` places for such from `base` on, the first to place `first`, the
    /// next to the one behind it, and so on; places are counted modulo `mask + 1`, a power of two. Gives how many.
    #[inline(always)]
    fn write_places<const N: usize>(
        &self,
        base: usize,
        mask: u32,
        first: u32,
        entries: impl Iterator<Item = [u64; N]>,
    ) -> u32 {
        let mut place = first;
        for words in entries {
            self.write(base + 8 * N * (place & mask) as usize, words);
            place = place.wrapping_add(1);
        }
        place.wrapping_sub(first)
    }

    /// Reads up to `count` entries of `N` double words from places as [`Self::write_places`] has them, each exactly once,
    /// until `take` gives `false`. Gives how many were read.
    #[inline(always)]
    fn read_places<const N: usize>(
        &self,
        base: usize,
        mask: u32,
        first: u32,
        count: u32,
        mut take: impl FnMut([u64; N]) -> bool,
    ) -> u32 {
        for number in 0..count {
            let place = first.wrapping_add(number) & mask;
            if !take(self.read(base + 8 * N * place as usize)) {
                return number + 1;
            }
        }
        count
    }
}

/// A shared region that is mapped for the rest of the program.
#[derive(Debug, Clone, Copy)]
pub struct SharedPages {
    base: NonNull<u8>,
    size: usize,
}

// SAFETY: all access through the pointer is atomic, and the region is valid for every thread.
#[allow(unsafe_code, reason = "see above")]
unsafe impl Send for SharedPages {}

impl SharedPages {
    /// The region of `size` bytes at `base`, or `None` when `base` is not 64-aligned.
    ///
    /// # Safety
    /// 1. The region is readable and writable for the rest of the program.
    /// 2. This program accesses it only through this type. (Other programs may do what they like.)
    #[allow(unsafe_code, reason = "the caller vouches for the region")]
    #[must_use]
    pub unsafe fn new(base: NonNull<u8>, size: usize) -> Option<Self> {
        base.addr().get().is_multiple_of(64).then_some(Self { base, size })
    }

    /// The region of `size` bytes at address `vaddr`, as the tool patches them into symbols; `None` when `vaddr` is 0 or
    /// not 64-aligned.
    ///
    /// # Safety
    /// As for [`Self::new`].
    #[allow(unsafe_code, reason = "the caller vouches for the region")]
    #[must_use]
    pub unsafe fn at(vaddr: usize, size: usize) -> Option<Self> {
        let base = NonNull::new(core::ptr::with_exposed_provenance_mut(vaddr))?;
        // SAFETY: the same contract.
        unsafe { Self::new(base, size) }
    }

    /// A pointer to `length` bytes at `offset`, if they are in the region and aligned for `T`.
    #[inline(always)]
    #[allow(unsafe_code, reason = "rests on `SharedPages::new`")]
    fn place<T>(&self, offset: usize, length: usize) -> Option<NonNull<T>> {
        let last = self.size.checked_sub(length)?;
        if offset > last || offset & (align_of::<T>() - 1) != 0 {
            return None;
        }
        // SAFETY: the region is mapped, and the offset is not behind its end.
        Some(unsafe { self.base.byte_add(offset) }.cast())
    }

    /// A pointer to `mask + 1` places of `N` double words from `base` on, if they are all in the region and aligned.
    #[inline(always)]
    fn places<const N: usize>(&self, base: usize, mask: u32) -> Option<NonNull<[AtomicU64; N]>> {
        // Cannot overflow: `mask` has 32 bits, and entries are a few words.
        self.place(base, 8 * N * (mask as usize + 1))
    }
}

#[allow(unsafe_code, reason = "rests on `SharedPages::new`")]
impl Memory for SharedPages {
    #[inline(always)]
    fn size(&self) -> usize {
        self.size
    }

    #[inline(always)]
    fn load(&self, offset: usize, order: Ordering) -> u32 {
        // SAFETY: in the region and aligned by `place`; atomic.
        self.place::<AtomicU32>(offset, 4).map_or(0, |word| unsafe { word.as_ref() }.load(order))
    }

    #[inline(always)]
    fn store(&self, offset: usize, value: u32, order: Ordering) {
        if let Some(word) = self.place::<AtomicU32>(offset, 4) {
            // SAFETY: in the region and aligned by `place`; atomic.
            unsafe { word.as_ref() }.store(value, order);
        }
    }

    #[inline(always)]
    fn load_half(&self, offset: usize, order: Ordering) -> u16 {
        // SAFETY: in the region and aligned by `place`; atomic.
        self.place::<AtomicU16>(offset, 2).map_or(0, |word| unsafe { word.as_ref() }.load(order))
    }

    #[inline(always)]
    fn store_half(&self, offset: usize, value: u16, order: Ordering) {
        if let Some(word) = self.place::<AtomicU16>(offset, 2) {
            // SAFETY: in the region and aligned by `place`; atomic.
            unsafe { word.as_ref() }.store(value, order);
        }
    }

    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> [u64; N] {
        let Some(words) = self.place::<[AtomicU64; N]>(offset, 8 * N) else { return [0; N] };
        // SAFETY: all `N` words are in the region and aligned by `place`; atomics.
        let words = unsafe { words.as_ref() };
        core::array::from_fn(|index| words[index].load(Ordering::Relaxed))
    }

    #[inline(always)]
    fn write<const N: usize>(&self, offset: usize, words: [u64; N]) {
        let Some(places) = self.place::<[AtomicU64; N]>(offset, 8 * N) else { return };
        // SAFETY: all `N` words are in the region and aligned by `place`; atomics.
        let places = unsafe { places.as_ref() };
        for (place, word) in places.iter().zip(words) {
            place.store(word, Ordering::Relaxed);
        }
    }

    #[inline(always)]
    fn fence(&self) {
        fence(Ordering::SeqCst);
    }

    #[inline(always)]
    fn write_places<const N: usize>(
        &self,
        base: usize,
        mask: u32,
        first: u32,
        entries: impl Iterator<Item = [u64; N]>,
    ) -> u32 {
        let Some(places) = self.places::<N>(base, mask) else { return 0 };
        let mut place = first;
        for words in entries {
            // SAFETY: the place is one of `mask + 1` that `places` has found inside the region; atomics.
            let cells = unsafe { places.add((place & mask) as usize).as_ref() };
            for (cell, word) in cells.iter().zip(words) {
                cell.store(word, Ordering::Relaxed);
            }
            place = place.wrapping_add(1);
        }
        place.wrapping_sub(first)
    }

    #[inline(always)]
    fn read_places<const N: usize>(
        &self,
        base: usize,
        mask: u32,
        first: u32,
        count: u32,
        mut take: impl FnMut([u64; N]) -> bool,
    ) -> u32 {
        let Some(places) = self.places::<N>(base, mask) else { return 0 };
        for number in 0..count {
            let place = first.wrapping_add(number) & mask;
            // SAFETY: the place is one of `mask + 1` that `places` has found inside the region; atomics.
            let cells = unsafe { places.add(place as usize).as_ref() };
            if !take(core::array::from_fn(|index| cells[index].load(Ordering::Relaxed))) {
                return number + 1;
            }
        }
        count
    }
}

/// A region inside the program, for tests and for links between parts of one program. `WORDS` 32-bit words, zero.
#[derive(Debug)]
pub struct LocalPages<const WORDS: usize>([AtomicU32; WORDS]);

impl<const WORDS: usize> LocalPages<WORDS> {
    /// A region of zeroes.
    #[must_use]
    pub const fn new() -> Self {
        Self([const { AtomicU32::new(0) }; WORDS])
    }

    fn word(&self, offset: usize) -> Option<&AtomicU32> {
        self.0.get(offset / 4)
    }
}

impl<const WORDS: usize> Default for LocalPages<WORDS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const WORDS: usize> Memory for &LocalPages<WORDS> {
    fn size(&self) -> usize {
        4 * WORDS
    }

    fn load(&self, offset: usize, order: Ordering) -> u32 {
        self.word(offset).map_or(0, |word| word.load(order))
    }

    fn store(&self, offset: usize, value: u32, order: Ordering) {
        if let Some(word) = self.word(offset) {
            word.store(value, order);
        }
    }

    fn load_half(&self, offset: usize, order: Ordering) -> u16 {
        (self.load(offset, order) >> (8 * (offset & 2))) as u16
    }

    fn store_half(&self, offset: usize, value: u16, order: Ordering) {
        let shift = 8 * (offset & 2);
        if let Some(word) = self.word(offset) {
            let replace = |old: u32| Some(old & !(0xffff << shift) | u32::from(value) << shift);
            // The closure never gives `None`, so this cannot fail.
            let _ = word.fetch_update(order, Ordering::Relaxed, replace);
        }
    }

    fn read<const N: usize>(&self, offset: usize) -> [u64; N] {
        let half = |offset| u64::from(self.load(offset, Ordering::Relaxed));
        core::array::from_fn(|index| half(offset + 8 * index) | half(offset + 8 * index + 4) << 32)
    }

    fn write<const N: usize>(&self, offset: usize, words: [u64; N]) {
        for (index, word) in words.into_iter().enumerate() {
            self.store(offset + 8 * index, word as u32, Ordering::Relaxed);
            self.store(offset + 8 * index + 4, (word >> 32) as u32, Ordering::Relaxed);
        }
    }

    fn fence(&self) {
        fence(Ordering::SeqCst);
    }
}

#[cfg(test)]
#[allow(unsafe_code, reason = "builds a region on memory of the test")]
mod tests {
    use super::*;

    #[repr(align(64))]
    struct Aligned([u8; 64]);

    #[test]
    fn both_kinds_of_memory_put_bytes_in_the_same_places() {
        let mut bytes = Aligned([0; 64]);
        // SAFETY: aligned, large enough, and used through the region alone until it is gone.
        let shared = unsafe { SharedPages::new(NonNull::from(&mut bytes).cast(), 64) }.unwrap();
        let local = LocalPages::<16>::new();
        fn fill(memory: &impl Memory) {
            memory.store(0, 0x1122_3344, Ordering::Relaxed);
            memory.store_half(4, 0x5566, Ordering::Relaxed);
            memory.store_half(6, 0x7788, Ordering::Relaxed);
            memory.write(8, [0x0102_0304_0506_0708, 9]);
            assert_eq!(memory.load_half(2, Ordering::Relaxed), 0x1122);
            assert_eq!(memory.read::<2>(8), [0x0102_0304_0506_0708, 9]);
        }
        fill(&shared);
        fill(&&local);
        assert_eq!((&local).read::<8>(0), shared.read::<8>(0));
        assert_eq!(bytes.0[..8], [0x44, 0x33, 0x22, 0x11, 0x66, 0x55, 0x88, 0x77]);
    }

    #[test]
    fn entries_go_round_and_stay_in_their_places() {
        fn check(memory: &impl Memory) {
            let entries = (1..=3).map(|number| [number, 10 * number]);
            assert_eq!(memory.write_places(0, 3, u32::MAX, entries), 3);
            assert_eq!(memory.read::<8>(0), [2, 20, 3, 30, 0, 0, 1, 10]);
            let mut found = [0; 3];
            let read = memory.read_places::<2>(0, 3, u32::MAX, 3, |[first, _]| {
                found[first as usize - 1] = first;
                first < 2
            });
            assert_eq!((read, found), (2, [1, 2, 0]), "the second is the last that is wanted");
            assert_eq!(memory.read_places::<2>(0, 3, 0, 2, |_| true), 2);
        }
        let mut bytes = Aligned([0; 64]);
        // SAFETY: aligned, large enough, and used through the region alone until it is gone.
        let shared = unsafe { SharedPages::new(NonNull::from(&mut bytes).cast(), 64) }.unwrap();
        check(&shared);
        check(&&LocalPages::<16>::new());
        for (base, mask) in [(0, 7), (8, 3), (4, 1), (usize::MAX - 7, 0), (64, 0)] {
            assert_eq!(shared.write_places(base, mask, 0, [[!0; 2]; 8].into_iter()), 0, "{base} {mask}");
            assert_eq!(shared.read_places::<2>(base, mask, 0, 8, |_| true), 0, "{base} {mask}");
        }
    }

    #[test]
    fn access_outside_the_region_does_nothing() {
        let mut bytes = Aligned([0xff; 64]);
        // SAFETY: as above, and only 32 of the bytes are given away.
        let shared = unsafe { SharedPages::new(NonNull::from(&mut bytes).cast(), 32) }.unwrap();
        for offset in [29, 30, 32, 33, usize::MAX, usize::MAX - 3, usize::MAX - 7] {
            shared.store(offset, 0, Ordering::Relaxed);
            assert_eq!(shared.load(offset, Ordering::Relaxed), 0);
        }
        for offset in [24, 32, usize::MAX - 7, usize::MAX - 15] {
            shared.write(offset, [0, 0]);
            assert_eq!(shared.read::<2>(offset), [0, 0]);
        }
        assert_eq!(shared.read::<5>(0), [0; 5], "longer than the region");
        assert_eq!(bytes.0, [0xff; 64]);
    }

    #[test]
    fn an_address_that_is_zero_or_crooked_is_refused() {
        for vaddr in [0, 8, 63] {
            // SAFETY: refused before the address is used.
            assert!(unsafe { SharedPages::at(vaddr, 4096) }.is_none(), "{vaddr}");
        }
    }
}
