// SPDX-License-Identifier: BSD-2-Clause
//! A queue of 16 bytes, as deep as the UART's.

use serde::{Deserialize, Serialize};

/// Entries that fit.
pub(crate) const DEPTH: usize = 16;

/// First in, first out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fifo {
    bytes: [u8; DEPTH],
    first: u8,
    length: u8,
}

impl Fifo {
    pub const fn new() -> Self {
        Self { bytes: [0; DEPTH], first: 0, length: 0 }
    }

    pub const fn len(&self) -> usize {
        self.length as usize
    }

    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub const fn clear(&mut self) {
        *self = Self::new();
    }

    /// The oldest byte.
    pub fn front(&self) -> Option<u8> {
        if self.is_empty() { None } else { self.bytes.get(self.first as usize % DEPTH).copied() }
    }

    /// Takes the oldest byte.
    pub fn pop(&mut self) -> Option<u8> {
        let byte = self.front()?;
        self.first = (self.first + 1) % DEPTH as u8;
        self.length -= 1;
        Some(byte)
    }

    /// Adds a byte; false when there is no room.
    pub fn push(&mut self, byte: u8) -> bool {
        if self.len() >= DEPTH {
            return false;
        }
        let place = (self.first as usize + self.len()) % DEPTH;
        if let Some(slot) = self.bytes.get_mut(place) {
            *slot = byte;
            self.length += 1;
        }
        true
    }
}
