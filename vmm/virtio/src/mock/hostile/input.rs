// SPDX-License-Identifier: BSD-2-Clause
//! What the bytes mean.

use super::{BASE, BUFFERS, SIZE};

/// Bytes that are numbers.
pub(super) struct Input<'a>(pub(super) &'a [u8]);

impl Input<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((&first, rest)) => {
                self.0 = rest;
                first
            }
            None => 0,
        }
    }

    pub(super) fn half(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end.max(1)
    }

    pub(super) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// Somewhere in memory, at its edges, or nowhere.
    pub(super) fn address(&mut self) -> u64 {
        let offset = u64::from(self.half());
        let end = BASE + SIZE as u64;
        match self.byte() % 16 {
            0..=8 => BASE + BUFFERS + offset % (SIZE as u64 - BUFFERS),
            9 => BASE + offset,
            10 | 11 => end - (offset % 64),
            12 => end + offset % 64,
            13 => BASE - 1 - offset % 64,
            14 => u64::MAX - offset % 64,
            _ => offset << 48 | offset,
        }
    }

    pub(super) fn length(&mut self) -> u32 {
        let small = u32::from(self.byte());
        match self.byte() % 8 {
            0..=2 => 512 * (1 + small % 16),
            3 => small,
            4 => 16,
            5 => 1,
            6 => 4096 + small,
            _ => u32::MAX - small,
        }
    }

    pub(super) fn value(&mut self) -> u32 {
        match self.byte() % 6 {
            0 => self.byte().into(),
            1 => self.address() as u32,
            2 => (self.address() >> 32) as u32,
            3 => self.pick(&[0, 1, 3, 7, 11, 15, 64, 128, 255, 256, 257, u32::MAX]),
            4 => 1 << (self.byte() % 32),
            _ => u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()]),
        }
    }
}
