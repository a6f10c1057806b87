// SPDX-License-Identifier: BSD-2-Clause
//! Room for copies in a data region.
//!
//! The region is cut into units. Whoever asks for room gets as many as needed, neighbours where possible: asking fails
//! only when there are not enough, wherever they are. A place is known by its first unit; the units of a place are chained.

use ring::blk::Segment;

/// Bytes of a unit. A region of 4 MiB has one for each request that a guest's queue can hold.
pub const UNIT: u32 = 0x4000;
/// Most units that are used: 16 MiB.
pub const MAX_UNITS: usize = 1024;

const WORDS: usize = MAX_UNITS / 64;

/// The first unit of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(u16);

/// Which units are free.
#[derive(Debug)]
pub struct Bounce {
    /// Bit set: free.
    free: [u64; WORDS],
    /// The unit that follows a taken one in its place.
    next: [u16; MAX_UNITS],
    units: usize,
    free_count: usize,
    /// The word to look at first.
    hint: usize,
}

impl Bounce {
    /// A region of `size` bytes, all free.
    pub fn new(size: u64) -> Self {
        let units = usize::try_from(size / u64::from(UNIT)).map_or(MAX_UNITS, |units| units.min(MAX_UNITS));
        let mut this = Self { free: [0; WORDS], next: [0; MAX_UNITS], units, free_count: 0, hint: 0 };
        this.clear();
        this
    }

    /// Bytes that there are, free or not.
    pub const fn capacity(&self) -> u64 {
        self.units as u64 * UNIT as u64
    }

    /// Frees everything.
    pub fn clear(&mut self) {
        for (number, word) in self.free.iter_mut().enumerate() {
            let left = self.units.saturating_sub(64 * number);
            *word = if left >= 64 { !0 } else { (1 << left) - 1 };
        }
        self.free_count = self.units;
        self.hint = 0;
    }

    /// Takes room for `bytes` bytes (not 0).
    #[inline]
    pub fn take(&mut self, bytes: u32) -> Option<Place> {
        let count = bytes.div_ceil(UNIT) as usize;
        if count == 0 || count > self.free_count {
            return None;
        }
        let first = self.take_unit()?;
        let mut last = first;
        for _ in 1..count {
            let unit = self.take_unit()?;
            *self.next.get_mut(usize::from(last))? = unit;
            last = unit;
        }
        Some(Place(first))
    }

    /// Takes the lowest free unit from the hint on.
    #[inline]
    fn take_unit(&mut self) -> Option<u16> {
        for _ in 0..=WORDS {
            let word = self.free.get_mut(self.hint)?;
            if *word != 0 {
                let bit = word.trailing_zeros() as usize;
                *word &= word.wrapping_sub(1);
                self.free_count -= 1;
                return Some((64 * self.hint + bit) as u16);
            }
            self.hint = if self.hint + 1 < WORDS { self.hint + 1 } else { 0 };
        }
        None
    }

    /// Gives a place of `bytes` bytes back.
    #[inline]
    pub fn give_back(&mut self, place: Place, bytes: u32) {
        let mut unit = place.0;
        for _ in 0..bytes.div_ceil(UNIT) {
            // What was freed last is in the cache: the next to be taken.
            self.hint = usize::from(unit / 64);
            if let Some(word) = self.free.get_mut(self.hint) {
                *word |= 1 << (unit % 64);
                self.free_count += 1;
            }
            unit = self.next.get(usize::from(unit)).copied().unwrap_or(0);
        }
    }

    /// Where the `bytes` bytes of a place are: neighbouring units are one segment.
    #[inline]
    pub fn segments(&self, place: Place, bytes: u32) -> Segments<'_> {
        Segments { bounce: self, unit: place.0, left: bytes }
    }
}

/// See [`Bounce::segments`].
pub struct Segments<'a> {
    bounce: &'a Bounce,
    unit: u16,
    left: u32,
}

impl Iterator for Segments<'_> {
    type Item = Segment;

    #[inline]
    fn next(&mut self) -> Option<Segment> {
        if self.left == 0 {
            return None;
        }
        let offset = u64::from(self.unit) * u64::from(UNIT);
        let mut length = 0;
        loop {
            let bytes = self.left.min(UNIT);
            length += bytes;
            self.left -= bytes;
            let unit = self.unit;
            self.unit = self.bounce.next.get(usize::from(unit)).copied().unwrap_or(0);
            if self.left == 0 || self.unit != unit.wrapping_add(1) {
                return Some(Segment { offset, length });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(bounce: &Bounce, place: Place, bytes: u32) -> Vec<(u64, u32)> {
        bounce.segments(place, bytes).map(|segment| (segment.offset, segment.length)).collect()
    }

    #[test]
    fn neighbours_are_one_segment() {
        let mut bounce = Bounce::new(1 << 20);
        let place = bounce.take(3 * UNIT + 512).expect("room");
        assert_eq!(offsets(&bounce, place, 3 * UNIT + 512), [(0, 3 * UNIT + 512)]);
    }

    #[test]
    fn room_is_found_wherever_it_is() {
        let mut bounce = Bounce::new(u64::from(8 * UNIT));
        let places: Vec<_> = (0..8).map(|_| bounce.take(512).expect("room")).collect();
        assert_eq!(bounce.take(1), None);
        for number in [1, 2, 5] {
            bounce.give_back(places[number], 512);
        }
        let place = bounce.take(2 * UNIT + 1).expect("three units");
        assert_eq!(
            offsets(&bounce, place, 2 * UNIT + 1),
            [(u64::from(UNIT), 2 * UNIT), (u64::from(5 * UNIT), 1)]
        );
        assert_eq!(bounce.take(1), None);
        bounce.give_back(place, 2 * UNIT + 1);
        assert!(bounce.take(3 * UNIT).is_some());
    }

    #[test]
    fn too_much_takes_nothing() {
        let mut bounce = Bounce::new(u64::from(4 * UNIT) + 100);
        assert_eq!(bounce.capacity(), u64::from(4 * UNIT));
        assert_eq!(bounce.take(4 * UNIT + 1), None);
        assert_eq!(bounce.take(0), None);
        assert!(bounce.take(4 * UNIT).is_some());
        bounce.clear();
        assert!(bounce.take(4 * UNIT).is_some());
    }

    #[test]
    fn random_use_never_gives_a_unit_twice() {
        let mut bounce = Bounce::new(u64::from(100 * UNIT));
        let mut taken: Vec<(Place, u32)> = Vec::new();
        let mut seed = 1u64;
        for _ in 0..20_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let random = (seed >> 33) as u32;
            if random & 1 == 0 {
                let bytes = random % (20 * UNIT) + 1;
                match bounce.take(bytes) {
                    Some(place) => taken.push((place, bytes)),
                    None => assert!(bounce.free_count < bytes.div_ceil(UNIT) as usize),
                }
            } else if !taken.is_empty() {
                let (place, bytes) = taken.swap_remove(random as usize % taken.len());
                bounce.give_back(place, bytes);
            }
            let mut used = [false; 100];
            for &(place, bytes) in &taken {
                let segments = offsets(&bounce, place, bytes);
                assert_eq!(segments.iter().map(|segment| segment.1).sum::<u32>(), bytes);
                for (offset, length) in segments {
                    for unit in offset / u64::from(UNIT)..(offset + u64::from(length)).div_ceil(UNIT.into()) {
                        assert!(!core::mem::replace(&mut used[unit as usize], true));
                    }
                }
            }
        }
    }
}
