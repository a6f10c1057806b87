// SPDX-License-Identifier: BSD-2-Clause
//! Sets of physical ranges, of bounded size: what memory is free while booting.

use super::BootError;

/// Most ranges at any time.
const MAX_RANGES: usize = 64;

/// A physical range; `end` is exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Range {
    /// First byte.
    pub start: u64,
    /// First byte behind.
    pub end: u64,
}

impl Range {
    /// Whether there is nothing in it.
    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }

    /// The pages that it touches; up to the last address when their end cannot be named.
    pub(super) fn pages(self) -> Self {
        let page = 1 << kernel_abi::object::SMALL_PAGE_BITS;
        let end = self.end.checked_next_multiple_of(page).unwrap_or(u64::MAX);
        Self { start: self.start & !(page - 1), end }
    }

    /// Cuts the range into naturally aligned powers of two, as large as possible from the start on: address and log2
    /// of the size, at most 2^47 each.
    pub fn powers_of_two(self) -> impl Iterator<Item = (u64, u64)> {
        let mut start = self.start;
        core::iter::from_fn(move || {
            let room = self.end.saturating_sub(start).checked_ilog2()?;
            let most = kernel_abi::object::MAX_UNTYPED_BITS as u32;
            let bits = room.min(start.trailing_zeros()).min(most);
            let at = start;
            start += 1 << bits;
            Some((at, u64::from(bits)))
        })
    }
}

/// Disjoint ranges, ascending.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ranges {
    list: [Range; MAX_RANGES],
    count: usize,
}

impl Ranges {
    pub(super) fn new(ranges: &[Range]) -> Result<Self, BootError> {
        let mut new = Self { list: [Range::default(); MAX_RANGES], count: 0 };
        ranges.iter().try_for_each(|&range| new.push(range))?;
        Ok(new)
    }

    fn push(&mut self, range: Range) -> Result<(), BootError> {
        if range.start < range.end {
            *self.list.get_mut(self.count).ok_or(BootError::TooManyRanges)? = range;
            self.count += 1;
        }
        Ok(())
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = Range> + '_ {
        self.list.iter().take(self.count).copied()
    }

    /// Whether one range has all of `wanted`.
    pub(super) fn contains(&self, wanted: Range) -> bool {
        self.iter().any(|range| range.start <= wanted.start && wanted.end <= range.end)
    }

    /// Takes `gone` away, wherever it overlaps.
    pub(super) fn remove(&mut self, gone: Range) -> Result<(), BootError> {
        let mut left = Self { list: [Range::default(); MAX_RANGES], count: 0 };
        for range in self.iter() {
            left.push(Range { start: range.start, end: range.end.min(gone.start) })?;
            left.push(Range { start: range.start.max(gone.end), end: range.end })?;
        }
        *self = left;
        Ok(())
    }

    /// Start of a block as near as possible to the end of the last range that has room for it.
    pub(super) fn last_fit(&self, bytes: u64, align_bits: u64) -> Option<u64> {
        self.iter().rev().find_map(|range| {
            let start = range.end.checked_sub(bytes)? >> align_bits << align_bits;
            (start >= range.start).then_some(start)
        })
    }
}
