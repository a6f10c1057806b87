// SPDX-License-Identifier: BSD-2-Clause
//! Inputs out of other inputs, reproducibly.

use crate::MOST_BYTES;

/// Bytes at which code often decides.
const SPECIAL: [u8; 8] = [0, 1, 2, 7, 0x7f, 0x80, 0xfe, 0xff];

/// A source of inputs: the same for the same seed and corpus.
pub struct Mutator<'a> {
    corpus: &'a [Vec<u8>],
    state: u64,
}

impl<'a> Mutator<'a> {
    /// Mutates the inputs of `corpus`.
    #[must_use]
    pub const fn new(corpus: &'a [Vec<u8>], seed: u64) -> Self {
        Self { corpus, state: seed ^ 0x9e37_79b9_7f4a_7c15 | 1 }
    }

    /// xorshift64*.
    const fn random(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.random() >> 16) as usize % end.max(1)
    }

    fn kept(&mut self) -> &'a [u8] {
        let index = self.below(self.corpus.len());
        self.corpus.get(index).map_or(&[], |input| input)
    }

    /// The next input.
    pub fn input(&mut self) -> Vec<u8> {
        let mut input = self.kept().to_vec();
        if self.below(8) == 0 {
            // Something new altogether.
            input = (0..self.below(MOST_BYTES)).map(|_| self.random() as u8).collect();
        }
        for _ in 0..=self.below(4) {
            self.mutate(&mut input);
        }
        input.truncate(MOST_BYTES);
        input
    }

    fn mutate(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len());
        let length = (1 + self.below(16)).min(input.len() - at);
        match self.below(7) {
            0 => {
                let byte = self.random() as u8;
                input.insert(at, byte);
            }
            1 => {
                input.drain(at..at + length);
            }
            2 => {
                let piece = input[at..at + length].to_vec();
                let place = self.below(input.len());
                input.splice(place..place, piece);
            }
            // The end of another one.
            3 => {
                let other = self.kept();
                let from = self.below(other.len());
                input.truncate(at);
                input.extend(&other[from..]);
            }
            how => {
                let (byte, special, bit) = (self.random() as u8, SPECIAL[self.below(8)], self.below(8));
                if let Some(place) = input.get_mut(at) {
                    *place = match how {
                        4 => byte,
                        5 => special,
                        _ => *place ^ 1 << bit,
                    };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_makes_the_same_inputs() {
        let corpus = [vec![1, 2, 3], vec![4; 100]];
        let inputs = |seed| {
            let mut mutator = Mutator::new(&corpus, seed);
            (0..1000).map(|_| mutator.input()).collect::<Vec<_>>()
        };
        assert_eq!(inputs(1), inputs(1));
        assert_ne!(inputs(1), inputs(2));
        assert!(inputs(3).iter().all(|input| input.len() <= MOST_BYTES));
    }

    #[test]
    fn empty_corpus_is_enough() {
        let mut mutator = Mutator::new(&[], 7);
        assert!((0..1000).any(|_| mutator.input().len() > 100));
    }
}
