// SPDX-License-Identifier: BSD-2-Clause
//! Reproducible random numbers (xorshift64*).

/// A generator.
pub struct Random(u64);

impl Random {
    /// Any seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed ^ 0x2545_f491_4f6c_dd1d | 1)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}
