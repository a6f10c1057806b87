// SPDX-License-Identifier: BSD-2-Clause
//! Shared memory whose stores are points to die at, and what may be left in it.

use core::sync::atomic::Ordering;

use super::before_store;
use crate::memory::{LocalMemory, RingMemory, Word};
use crate::pages::{LocalPages, Memory};

/// What a program may have written over its memory before it died.
#[derive(Debug, Clone, Copy)]
pub enum Junk {
    /// The same byte everywhere.
    Byte(u8),
    /// Random words (xorshift64), from a seed that is not 0.
    Random(u64),
}

impl Junk {
    /// One of each kind.
    pub const ALL: [Self; 4] = [Self::Byte(0), Self::Byte(0xff), Self::Random(7), Self::Random(1 << 40)];

    /// The next word.
    pub const fn word(&mut self) -> u32 {
        match self {
            Self::Byte(byte) => u32::from_ne_bytes([*byte; 4]),
            Self::Random(state) => {
                *state ^= *state << 13;
                *state ^= *state >> 7;
                *state ^= *state << 17;
                (*state >> 32) as u32
            }
        }
    }
}

/// [`LocalPages`] whose stores may kill.
#[derive(Debug, Default)]
pub struct MortalPages<const WORDS: usize>(LocalPages<WORDS>);

impl<const WORDS: usize> MortalPages<WORDS> {
    /// A region of zeroes.
    #[must_use]
    pub const fn new() -> Self {
        Self(LocalPages::new())
    }

    /// Writes over all of it.
    pub fn scribble(&self, junk: &mut Junk) {
        for offset in (0..(&self.0).size()).step_by(4) {
            (&self.0).store(offset, junk.word(), Ordering::Relaxed);
        }
    }
}

impl<const WORDS: usize> Memory for &MortalPages<WORDS> {
    fn size(&self) -> usize {
        (&self.0).size()
    }

    fn load(&self, offset: usize, order: Ordering) -> u32 {
        (&self.0).load(offset, order)
    }

    fn store(&self, offset: usize, value: u32, order: Ordering) {
        before_store();
        (&self.0).store(offset, value, order);
    }

    fn load_half(&self, offset: usize, order: Ordering) -> u16 {
        (&self.0).load_half(offset, order)
    }

    fn store_half(&self, offset: usize, value: u16, order: Ordering) {
        before_store();
        (&self.0).store_half(offset, value, order);
    }

    fn read<const N: usize>(&self, offset: usize) -> [u64; N] {
        (&self.0).read(offset)
    }

    fn write<const N: usize>(&self, offset: usize, words: [u64; N]) {
        for (index, word) in words.into_iter().enumerate() {
            before_store();
            (&self.0).write(offset + 8 * index, [word]);
        }
    }

    fn fence(&self) {
        (&self.0).fence();
    }
}

/// A byte ring's memory ([`LocalMemory`]) whose stores may kill.
#[derive(Debug, Default)]
pub struct MortalBytes<const CAPACITY: usize>(LocalMemory<CAPACITY>);

impl<const CAPACITY: usize> MortalBytes<CAPACITY> {
    /// An empty ring.
    #[must_use]
    pub const fn new() -> Self {
        Self(LocalMemory::new())
    }

    /// Writes over its words and its bytes.
    pub fn scribble(&self, junk: &mut Junk) {
        for word in [Word::Tail, Word::Head, Word::ProducerSignalled] {
            (&self.0).store(word, junk.word(), Ordering::Relaxed);
        }
        for index in 0..CAPACITY as u32 {
            (&self.0).store_byte(index, junk.word() as u8);
        }
    }
}

impl<const CAPACITY: usize> RingMemory for &MortalBytes<CAPACITY> {
    fn capacity(&self) -> u32 {
        (&self.0).capacity()
    }

    fn load(&self, word: Word, order: Ordering) -> u32 {
        (&self.0).load(word, order)
    }

    fn store(&self, word: Word, value: u32, order: Ordering) {
        before_store();
        (&self.0).store(word, value, order);
    }

    fn fence(&self) {
        (&self.0).fence();
    }

    fn load_byte(&self, index: u32) -> u8 {
        (&self.0).load_byte(index)
    }

    fn store_byte(&self, index: u32, byte: u8) {
        before_store();
        (&self.0).store_byte(index, byte);
    }
}
