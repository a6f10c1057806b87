// SPDX-License-Identifier: BSD-2-Clause
//! Regions that hold packets: bounds-checked copies, with a checksum on the way if wanted.
//!
//! A region's other users may change its bytes at any time. So nothing here makes a reference to them; whatever is decided by
//! bytes is decided by a private copy of them. Each byte is read once.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU8, Ordering};

use crate::checksum::Sum;

/// Memory shared with other programs that holds bytes of packets. Copies of the handle are the same memory.
#[derive(Debug, Clone, Copy)]
pub struct Region {
    start: NonNull<u8>,
    size: usize,
    /// In tests: the memory behind a cache. `start` is what the processor sees.
    #[cfg(test)]
    memory: Option<NonNull<u8>>,
}

// SAFETY: the memory is valid for every thread (1 of `new`), and shared access is what it is made for.
unsafe impl Send for Region {}

impl Region {
    /// The region of `size` bytes from `start`.
    ///
    /// # Safety
    /// 1. `start` points to `size` bytes of normal memory that are readable for the rest of the program, and writable if
    ///    the region is ever written to.
    /// 2. This program accesses them only through regions. (Other programs may do what they like.)
    pub const unsafe fn new(start: NonNull<u8>, size: usize) -> Self {
        Self {
            start,
            size,
            #[cfg(test)]
            memory: None,
        }
    }

    /// A region of zeroes that lives for the rest of the program.
    #[cfg(any(test, feature = "mock"))]
    pub fn leaked(size: usize) -> Self {
        let memory = Box::leak(vec![0u8; size].into_boxed_slice());
        // SAFETY: leaked, and used through regions alone.
        unsafe { Self::new(NonNull::from(memory).cast(), size) }
    }

    /// A region as a processor sees it, and as a device does that does not see its cache, which holds all of it: what one
    /// of them writes reaches the other when the cache is maintained, in whole lines.
    #[cfg(test)]
    pub fn cached(size: usize) -> (Self, Self) {
        let memory = Self::leaked(size);
        (Self { memory: Some(memory.start), ..Self::leaked(size) }, memory)
    }

    /// Number of bytes.
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Where `length` bytes at `offset` are, if they are inside.
    #[inline(always)]
    fn at(&self, offset: usize, length: usize) -> Option<NonNull<u8>> {
        if offset > self.size || length > self.size - offset {
            return None;
        }
        // SAFETY: inside the region, or one past its end.
        Some(unsafe { self.start.add(offset) })
    }

    /// What was written can be read by a device that does not see the processor's caches.
    pub fn clean(&self, offset: usize, length: usize) {
        let Some(start) = self.at(offset, length) else { return };
        dma_cache::clean(start.as_ptr(), length);
        #[cfg(test)]
        tests::maintain(self, offset, length, |memory, cache| (memory, cache));
    }

    /// What a device has written that does not see the processor's caches can be read. The processor has not written there.
    pub fn discard(&self, offset: usize, length: usize) {
        let Some(start) = self.at(offset, length) else { return };
        dma_cache::discard(start.as_ptr(), length);
        #[cfg(test)]
        tests::maintain(self, offset, length, |memory, cache| (cache, memory));
    }

    /// Copies the bytes at `offset` out; `false`, and nothing is done, when they are not all inside.
    #[inline]
    #[must_use]
    pub fn read(&self, offset: usize, to: &mut [u8]) -> bool {
        let Some(from) = self.at(offset, to.len()) else { return false };
        let length = to.len();
        // SAFETY: `at` has checked the source; the other side is a slice of this program, which no region overlaps (2).
        unsafe { copy(NonNull::from(to).cast(), from, length) };
        true
    }

    /// Copies `from` to `offset`; `false`, and nothing is done, when it would not be all inside.
    #[inline]
    #[must_use]
    pub fn write(&self, offset: usize, from: &[u8]) -> bool {
        let Some(to) = self.at(offset, from.len()) else { return false };
        // SAFETY: as in `read`.
        unsafe { copy(to, NonNull::from(from).cast(), from.len()) };
        true
    }

    /// Copies `length` bytes at `offset` to another region; `false`, and nothing is done, when either end is outside.
    #[inline]
    #[must_use]
    pub fn copy_to(&self, offset: usize, to: &Self, to_offset: usize, length: usize) -> bool {
        let (Some(from), Some(to)) = (self.at(offset, length), to.at(to_offset, length)) else {
            return false;
        };
        // SAFETY: `at` has checked both. The regions are different memory, or the two ranges may overlap: then which bytes
        // arrive is not defined, but they are bytes of the regions.
        unsafe { copy(to, from, length) };
        true
    }

    /// Copies like `copy_to` and gives the sum of the bytes that were written.
    #[inline]
    #[must_use]
    pub fn copy_and_sum(&self, offset: usize, to: &Self, to_offset: usize, length: usize) -> Option<Sum> {
        let (from, to) = (self.at(offset, length)?, to.at(to_offset, length)?);
        // SAFETY: as in `copy_to`.
        Some(unsafe { copy_and_sum(to, from, length) })
    }

    /// The sum of `length` bytes at `offset`; `None` when they are not all inside.
    #[inline]
    #[must_use]
    pub fn sum(&self, offset: usize, length: usize) -> Option<Sum> {
        let from = self.at(offset, length)?;
        // SAFETY: `at` has checked it.
        Some(unsafe { sum(from, length) })
    }
}

/// Sums bytes, each read once.
///
/// # Safety
/// `length` bytes are readable at `from`.
#[inline]
unsafe fn sum(from: NonNull<u8>, length: usize) -> Sum {
    #[cfg(target_arch = "aarch64")]
    // SAFETY: the caller's contract.
    unsafe {
        arm::sum(from, length)
    }
    #[cfg(not(target_arch = "aarch64"))]
    // SAFETY: the caller's contract.
    unsafe {
        sum_bytes(from, length)
    }
}

/// Sums byte by byte, as `copy_bytes` copies.
///
/// # Safety
/// `length` bytes are readable at `from`.
#[inline]
unsafe fn sum_bytes(from: NonNull<u8>, length: usize) -> Sum {
    let mut sum = 0u64;
    for index in 0..length {
        // SAFETY: inside the range; an atomic, because other programs may access the same bytes.
        let byte = unsafe { from.add(index).cast::<AtomicU8>().as_ref().load(Ordering::Relaxed) };
        sum += u64::from(byte) << (index % 2 * 8);
    }
    Sum::from_words(sum)
}

/// Copies bytes, each read and written once.
///
/// # Safety
/// `length` bytes are readable at `from` and writable at `to`.
#[inline]
unsafe fn copy(to: NonNull<u8>, from: NonNull<u8>, length: usize) {
    #[cfg(target_arch = "aarch64")]
    // SAFETY: the caller's contract.
    unsafe {
        arm::copy(to, from, length);
    }
    #[cfg(not(target_arch = "aarch64"))]
    // SAFETY: the caller's contract.
    unsafe {
        copy_bytes(to, from, length);
    }
}

/// Copies bytes, each read and written once, and sums them.
///
/// # Safety
/// `length` bytes are readable at `from` and writable at `to`.
#[inline]
unsafe fn copy_and_sum(to: NonNull<u8>, from: NonNull<u8>, length: usize) -> Sum {
    #[cfg(target_arch = "aarch64")]
    // SAFETY: the caller's contract.
    unsafe {
        arm::copy_and_sum(to, from, length)
    }
    #[cfg(not(target_arch = "aarch64"))]
    // SAFETY: the caller's contract.
    unsafe {
        copy_bytes(to, from, length)
    }
}

/// Copies and sums byte by byte: what is left over by the fast loops, and all of it elsewhere than on Arm.
///
/// # Safety
/// `length` bytes are readable at `from` and writable at `to`.
#[inline]
unsafe fn copy_bytes(to: NonNull<u8>, from: NonNull<u8>, length: usize) -> Sum {
    let mut sum = 0u64;
    for index in 0..length {
        // SAFETY: inside the two ranges; atomics, because other programs may access the same bytes.
        let byte = unsafe {
            let byte = from.add(index).cast::<AtomicU8>().as_ref().load(Ordering::Relaxed);
            to.add(index).cast::<AtomicU8>().as_ref().store(byte, Ordering::Relaxed);
            byte
        };
        sum += u64::from(byte) << (index % 2 * 8);
    }
    Sum::from_words(sum)
}

/// The loops on Arm: 128 bytes a step, then words, then bytes. General-purpose registers only: a floating-point register
/// would make the kernel switch the floating-point unit between guests and this PD.
#[cfg(target_arch = "aarch64")]
mod arm {
    use core::arch::asm;
    use core::ptr::NonNull;

    use super::{Sum, copy_bytes, sum_bytes};

    /// Bytes of a step.
    const BLOCK: usize = 128;

    /// Copies `$length` bytes rounded down to 8, and moves both pointers behind them. `$pair` and `$word` give the instructions
    /// that are executed for every two words and for one, between `$begin` and `$end`: nothing else changes the flags.
    macro_rules! copy_words {
        ($to:ident, $from:ident, $length:ident, $begin:literal, $pair:ident, $word:ident, $end:literal $(, $sum:ident)?) => {
            asm!(
                $begin,
                "cbz {blocks}, 3f",
                "2:",
                "ldp {a}, {b}, [{from}, #16]",
                "ldp {c}, {d}, [{from}, #32]",
                "ldp {e}, {f}, [{from}, #48]",
                "ldp {g}, {h}, [{from}, #64]",
                "stp {a}, {b}, [{to}, #16]",
                $pair!("a", "b"),
                "stp {c}, {d}, [{to}, #32]",
                $pair!("c", "d"),
                "stp {e}, {f}, [{to}, #48]",
                $pair!("e", "f"),
                "stp {g}, {h}, [{to}, #64]",
                $pair!("g", "h"),
                "ldp {a}, {b}, [{from}, #80]",
                "ldp {c}, {d}, [{from}, #96]",
                "ldp {e}, {f}, [{from}, #112]",
                "ldp {g}, {h}, [{from}], #128",
                "stp {a}, {b}, [{to}, #80]",
                $pair!("a", "b"),
                "stp {c}, {d}, [{to}, #96]",
                $pair!("c", "d"),
                "stp {e}, {f}, [{to}, #112]",
                $pair!("e", "f"),
                "stp {g}, {h}, [{to}], #128",
                $pair!("g", "h"),
                "sub {blocks}, {blocks}, #1",
                "cbnz {blocks}, 2b",
                "3:",
                "cbz {pairs}, 5f",
                "4:",
                "ldp {a}, {b}, [{from}], #16",
                "sub {pairs}, {pairs}, #1",
                $pair!("a", "b"),
                "stp {a}, {b}, [{to}], #16",
                "cbnz {pairs}, 4b",
                "5:",
                "tbz {length}, #3, 6f",
                "ldr {a}, [{from}], #8",
                $word!("a"),
                "str {a}, [{to}], #8",
                "6:",
                $end,
                from = inout(reg) $from,
                to = inout(reg) $to,
                length = in(reg) $length,
                $(sum = inout(reg) $sum,)?
                blocks = inout(reg) $length / BLOCK => _,
                pairs = inout(reg) $length % BLOCK / 16 => _,
                a = out(reg) _, b = out(reg) _, c = out(reg) _, d = out(reg) _,
                e = out(reg) _, f = out(reg) _, g = out(reg) _, h = out(reg) _,
                options(nostack),
            )
        };
    }

    /// Nothing but the copy.
    macro_rules! nothing {
        ($($register:literal),*) => {
            ""
        };
    }

    /// Adds registers, and the carry of the addition before, to the sum.
    macro_rules! add {
        ($one:literal, $other:literal) => {
            concat!("adcs {sum}, {sum}, {", $one, "}\nadcs {sum}, {sum}, {", $other, "}")
        };
        ($one:literal) => {
            concat!("adcs {sum}, {sum}, {", $one, "}")
        };
    }

    /// # Safety
    /// As `super::copy`.
    #[inline]
    pub unsafe fn copy(to: NonNull<u8>, from: NonNull<u8>, length: usize) {
        let (mut from, mut to) = (from.as_ptr(), to.as_ptr());
        // SAFETY: `length` rounded down to 8 bytes are read and written; unaligned access is allowed to normal memory.
        unsafe { copy_words!(to, from, length, "", nothing, nothing, "") };
        // SAFETY: both were moved forward inside the ranges, so neither is null, and `length % 8` bytes are left.
        unsafe {
            copy_bytes(NonNull::new_unchecked(to), NonNull::new_unchecked(from), length % 8);
        }
    }

    /// # Safety
    /// As `super::sum`.
    #[inline]
    pub unsafe fn sum(from: NonNull<u8>, length: usize) -> Sum {
        let mut from = from.as_ptr();
        let mut sum = 0u64;
        // SAFETY: `length` rounded down to 4 bytes are read; unaligned access is allowed to normal memory. The carry flag
        // lives from one addition to the next: nothing between them changes it.
        unsafe {
            asm!(
                "adds xzr, xzr, xzr", // no carry
                "cbz {blocks}, 3f",
                "2:",
                "ldp {a}, {b}, [{from}, #16]",
                "ldp {c}, {d}, [{from}, #32]",
                "adcs {sum}, {sum}, {a}",
                "adcs {sum}, {sum}, {b}",
                "ldp {a}, {b}, [{from}, #48]",
                "adcs {sum}, {sum}, {c}",
                "adcs {sum}, {sum}, {d}",
                "ldp {c}, {d}, [{from}, #64]",
                "adcs {sum}, {sum}, {a}",
                "adcs {sum}, {sum}, {b}",
                "ldp {a}, {b}, [{from}, #80]",
                "adcs {sum}, {sum}, {c}",
                "adcs {sum}, {sum}, {d}",
                "ldp {c}, {d}, [{from}, #96]",
                "adcs {sum}, {sum}, {a}",
                "adcs {sum}, {sum}, {b}",
                "ldp {a}, {b}, [{from}, #112]",
                "adcs {sum}, {sum}, {c}",
                "adcs {sum}, {sum}, {d}",
                "ldp {c}, {d}, [{from}], #128",
                "adcs {sum}, {sum}, {a}",
                "adcs {sum}, {sum}, {b}",
                "sub {blocks}, {blocks}, #1",
                "adcs {sum}, {sum}, {c}",
                "adcs {sum}, {sum}, {d}",
                "cbnz {blocks}, 2b",
                "3:",
                "cbz {pairs}, 5f",
                "4:",
                "ldp {a}, {b}, [{from}], #16",
                "sub {pairs}, {pairs}, #1",
                "adcs {sum}, {sum}, {a}",
                "adcs {sum}, {sum}, {b}",
                "cbnz {pairs}, 4b",
                "5:",
                "tbz {length}, #3, 6f",
                "ldr {a}, [{from}], #8",
                "adcs {sum}, {sum}, {a}",
                "6:",
                "tbz {length}, #2, 7f",
                "ldr {a:w}, [{from}], #4",
                "adcs {sum}, {sum}, {a}",
                "7:",
                "adc {sum}, {sum}, xzr",
                from = inout(reg) from,
                sum = inout(reg) sum,
                length = in(reg) length,
                blocks = inout(reg) length / BLOCK => _,
                pairs = inout(reg) length % BLOCK / 16 => _,
                a = out(reg) _, b = out(reg) _, c = out(reg) _, d = out(reg) _,
                options(nostack, readonly),
            );
        }
        // SAFETY: moved forward inside the range, so it is not null, and `length % 4` bytes are left.
        let rest = unsafe { sum_bytes(NonNull::new_unchecked(from), length % 4) };
        Sum::from_words(sum).plus(rest)
    }

    /// # Safety
    /// As `super::copy_and_sum`.
    #[inline]
    pub unsafe fn copy_and_sum(to: NonNull<u8>, from: NonNull<u8>, length: usize) -> Sum {
        let (mut from, mut to) = (from.as_ptr(), to.as_ptr());
        let mut sum = 0u64;
        // SAFETY: as in `copy`. The carry flag lives from one addition to the next: nothing between them changes it.
        unsafe {
            copy_words!(to, from, length, "adds xzr, xzr, xzr", add, add, "adc {sum}, {sum}, xzr", sum);
        }
        // SAFETY: as in `copy`.
        let rest =
            unsafe { copy_bytes(NonNull::new_unchecked(to), NonNull::new_unchecked(from), length % 8) };
        Sum::from_words(sum).plus(rest)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Copies the lines with `length` bytes at `offset` from the second to the first that `direction` gives of memory and cache.
    pub(super) fn maintain(
        region: &Region,
        offset: usize,
        length: usize,
        direction: impl Fn(NonNull<u8>, NonNull<u8>) -> (NonNull<u8>, NonNull<u8>),
    ) {
        const LINE: usize = 64;
        let Some(memory) = region.memory else { return };
        let (first, end) = (offset / LINE * LINE, (offset + length).next_multiple_of(LINE).min(region.size));
        // SAFETY: both have the region's size, and are different memory.
        unsafe {
            let (to, from) = direction(memory.add(first), region.start.add(first));
            copy(to, from, end - first);
        }
    }

    /// See [`Region::leaked`].
    pub fn region(size: usize) -> Region {
        Region::leaked(size)
    }

    proptest! {
        #[test]
        fn copies_take_the_bytes_and_their_sum(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            at in 0usize..20,
            to in 0usize..20,
        ) {
            let (a, b) = (region(320), region(320));
            prop_assert!(a.write(at, &bytes));
            let sum = a.copy_and_sum(at, &b, to, bytes.len());
            prop_assert_eq!(sum.map(Sum::checksum), Some(Sum::of(&bytes).checksum()));
            prop_assert_eq!(a.sum(at, bytes.len()).map(Sum::checksum), Some(Sum::of(&bytes).checksum()));
            let mut found = vec![0; 320];
            prop_assert!(b.read(0, &mut found));
            prop_assert_eq!(&found[to..to + bytes.len()], &bytes[..]);
            prop_assert!(found[..to].iter().chain(&found[to + bytes.len()..]).all(|byte| *byte == 0));
        }

        #[test]
        fn nothing_outside_is_touched(offset in any::<usize>(), length in any::<usize>(), size in 0usize..5000) {
            let (a, b) = (region(size), region(4096));
            let inside = offset.checked_add(length).is_some_and(|end| end <= size) && length <= 4096;
            prop_assert_eq!(a.copy_to(offset, &b, 0, length), inside);
            prop_assert_eq!(a.copy_and_sum(offset, &b, 0, length).is_some(), inside);
            let readable = offset.checked_add(length).is_some_and(|end| end <= size);
            prop_assert_eq!(a.sum(offset, length).is_some(), readable);
            prop_assert!(!a.write(offset, &[0; 5000][..5000.min(length)]) || offset < 5000);
        }
    }

    #[test]
    fn ends_of_a_region_are_inside() {
        let region = region(64);
        assert!(region.write(60, b"last"));
        assert!(!region.write(61, b"last"));
        let mut none = [];
        assert!(region.read(64, &mut none));
        assert!(!region.read(65, &mut none));
    }
}
