// SPDX-License-Identifier: BSD-2-Clause
//! The Internet checksum (RFC 1071), built from partial sums so that a packet may lie in pieces and may be summed while it is
//! copied.
//!
//! Sums are kept in the machine's byte order: a ones' complement sum of byte-swapped words is the byte-swapped sum, so words
//! need no swapping, and the result is stored as it is.

/// A ones' complement sum of little-endian words, not folded: 16, 32 and 64-bit words may be added alike, since 2^16 is 1
/// modulo 2^16 - 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum(u64);

impl Sum {
    /// The sum of nothing.
    pub const ZERO: Self = Self(0);

    /// A sum that has been taken elsewhere, 64 bits at a time with end-around carry.
    #[inline]
    pub const fn from_words(sum: u64) -> Self {
        Self(sum)
    }

    /// The sum of `bytes`; an odd last byte counts as the first one of a word.
    #[inline]
    pub fn of(bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<8>();
        let mut sum = Self::ZERO;
        for word in words {
            sum = sum.plus(Self(u64::from_le_bytes(*word)));
        }
        let mut last = [0; 8];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        sum.plus(Self(u64::from_le_bytes(last)))
    }

    /// The sum of the same bytes when the first of them is the second of a word.
    #[inline]
    pub const fn at_odd(self) -> Self {
        Self(self.fold().swap_bytes() as u64)
    }

    /// Both sums together.
    #[inline]
    pub const fn plus(self, other: Self) -> Self {
        let (sum, carry) = self.0.overflowing_add(other.0);
        // With a carry the sum is at most 2^64 - 2.
        Self(sum + carry as u64)
    }

    /// The sum less a word that was part of it.
    #[inline]
    pub const fn minus(self, word: [u8; 2]) -> Self {
        self.plus(Self(!u16::from_le_bytes(word) as u64))
    }

    /// This sum with the word `value` (as a number) added.
    #[inline]
    pub const fn plus_value(self, value: u16) -> Self {
        self.plus(Self(u16::from_le_bytes(value.to_be_bytes()) as u64))
    }

    /// Sixteen bits, little-endian.
    #[inline]
    const fn fold(self) -> u16 {
        let sum = (self.0 & 0xffff_ffff) + (self.0 >> 32);
        let sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
        let sum = (sum & 0xffff) + (sum >> 16);
        ((sum & 0xffff) + (sum >> 16)) as u16
    }

    /// The sum as a partial checksum: what is in a packet's field when only its pseudo header has been summed.
    #[inline]
    pub const fn partial(self) -> [u8; 2] {
        self.fold().to_le_bytes()
    }

    /// The checksum as it is in the packet.
    #[inline]
    pub const fn checksum(self) -> [u8; 2] {
        (!self.fold()).to_le_bytes()
    }

    /// Whether this is the sum of bytes that contain their right checksum.
    #[inline]
    pub const fn is_valid(self) -> bool {
        self.fold() == 0xffff
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As RFC 1071, section 4.1, has it.
    fn reference(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for word in bytes.chunks(2) {
            sum += u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    proptest! {
        #[test]
        fn sum_of_pieces_is_the_checksum_of_the_whole(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..200) {
            let at = at.min(bytes.len());
            let (first, second) = bytes.split_at(at);
            let second = if at % 2 == 1 { Sum::of(second).at_odd() } else { Sum::of(second) };
            let sum = Sum::of(first).plus(second);
            prop_assert_eq!(u16::from_be_bytes(sum.checksum()), reference(&bytes));
        }

        #[test]
        fn taking_a_word_away_leaves_the_others(mut bytes in prop::collection::vec(any::<u8>(), 2..100), word in 0usize..50) {
            let at = (word * 2).min((bytes.len() - 2) & !1);
            let sum = Sum::of(&bytes).minus([bytes[at], bytes[at + 1]]);
            bytes[at..at + 2].fill(0);
            let (a, b) = (u16::from_be_bytes(sum.checksum()), reference(&bytes));
            // The two zeroes of ones' complement.
            prop_assert!(a == b || (a == 0 && b == 0xffff) || (a == 0xffff && b == 0));
        }

        #[test]
        fn carries_are_kept(words in prop::collection::vec(any::<u64>(), 0..20)) {
            let mut sum = Sum::ZERO;
            let mut bytes = Vec::new();
            for word in words {
                sum = sum.plus(Sum::from_words(word));
                bytes.extend_from_slice(&word.to_le_bytes());
            }
            prop_assert_eq!(u16::from_be_bytes(sum.checksum()), reference(&bytes));
        }
    }

    #[test]
    fn known_header_is_valid() {
        let header = *b"\x45\x00\x00\x73\x00\x00\x40\x00\x40\x11\xb8\x61\xc0\xa8\x00\x01\xc0\xa8\x00\xc7";
        assert!(Sum::of(&header).is_valid());
        assert!(!Sum::of(&header[..18]).is_valid());
    }
}
