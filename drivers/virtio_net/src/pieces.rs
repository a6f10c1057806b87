// SPDX-License-Identifier: BSD-2-Clause
//! The buffers of packets at the device, until it has sent them: lists in a table that has a place for each descriptor.

use ring::net::Buffer;

/// No place.
const NONE: u16 = u16::MAX;

#[derive(Debug, Clone, Copy)]
struct Place {
    buffer: Buffer,
    next: u16,
}

/// Lists of buffers with `N` places in all.
#[derive(Debug)]
pub struct Pieces<const N: usize> {
    places: [Place; N],
    free: u16,
    /// Of each packet, by its number, the first place.
    first: [u16; N],
}

impl<const N: usize> Pieces<N> {
    /// Empty lists.
    pub fn new() -> Self {
        const { assert!(N < NONE as usize) };
        let empty = Place { buffer: Buffer { offset: 0, length: 0 }, next: NONE };
        let mut this = Self { places: [empty; N], free: 0, first: [NONE; N] };
        this.clear();
        this
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        for (place, next) in self.places.iter_mut().zip(1..) {
            place.next = if usize::from(next) < N { next } else { NONE };
        }
        self.free = 0;
        self.first = [NONE; N];
    }

    /// Adds a buffer to packet `number`, before its others; `false` when there is no place.
    #[inline]
    pub fn add(&mut self, number: u16, buffer: Buffer) -> bool {
        let taken = self.free;
        let Some(first) = self.first.get_mut(usize::from(number)) else { return false };
        let Some(place) = self.places.get_mut(usize::from(taken)) else { return false };
        self.free = place.next;
        *place = Place { buffer, next: *first };
        *first = taken;
        true
    }

    /// Takes a buffer of packet `number`, if it has any left.
    #[inline]
    pub fn take(&mut self, number: u16) -> Option<Buffer> {
        let first = self.first.get_mut(usize::from(number))?;
        let taken = *first;
        let place = self.places.get_mut(usize::from(taken))?;
        *first = place.next;
        place.next = self.free;
        self.free = taken;
        Some(place.buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_buffer_comes_back_once() {
        let mut pieces = Pieces::<8>::new();
        let buffer = |offset| Buffer { offset, length: 1 };
        for round in 0..3 {
            for (number, offset) in [(0, 1), (5, 2), (0, 3), (7, 4), (0, 5), (1, 6), (1, 7), (1, 8)] {
                assert!(pieces.add(number, buffer(offset)));
            }
            assert!(!pieces.add(2, buffer(9)), "full");
            let mut taken = Vec::new();
            for number in 0..8 {
                taken.extend(core::iter::from_fn(|| pieces.take(number)).map(|buffer| buffer.offset));
            }
            assert_eq!(taken, [5, 3, 1, 8, 7, 6, 2, 4], "round {round}");
        }
        assert!(pieces.add(3, buffer(1)));
        pieces.clear();
        assert_eq!(pieces.take(3), None);
        assert!((0..8).all(|offset| pieces.add(0, buffer(offset))));
    }

    #[test]
    fn numbers_that_are_none_have_nothing() {
        let mut pieces = Pieces::<8>::new();
        assert!(!pieces.add(8, Buffer::default()));
        assert_eq!(pieces.take(u16::MAX), None);
    }
}
