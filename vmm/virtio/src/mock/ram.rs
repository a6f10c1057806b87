// SPDX-License-Identifier: BSD-2-Clause
//! Guest memory of a test. It counts what the device does with it.

use crate::memory::GuestMemory;
use std::cell::Cell;

/// Memory from `base` on.
#[derive(Debug)]
pub struct Ram {
    base: u64,
    bytes: Vec<Cell<u8>>,
    accesses: Cell<u64>,
    refused: Cell<u64>,
    written: Cell<u64>,
    fences: Cell<u64>,
}

impl Ram {
    /// `size` zeroes from guest physical `base` on.
    #[must_use]
    pub fn new(base: u64, size: usize) -> Self {
        let none = || Cell::new(0);
        Self {
            base,
            bytes: vec![Cell::new(0); size],
            accesses: none(),
            refused: none(),
            written: none(),
            fences: none(),
        }
    }

    /// First address.
    pub const fn base(&self) -> u64 {
        self.base
    }

    /// First address behind it.
    pub fn end(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    /// Accesses through [`GuestMemory`] so far: words, or copies of any length.
    pub fn accesses(&self) -> u64 {
        self.accesses.get()
    }

    /// Those that were outside, and refused.
    pub fn refused(&self) -> u64 {
        self.refused.get()
    }

    /// Bytes that the device has written.
    pub fn written(&self) -> u64 {
        self.written.get()
    }

    /// Full barriers so far.
    pub fn fences(&self) -> u64 {
        self.fences.get()
    }

    /// The test's own reads are not counted; outside is zero.
    pub fn peek<const N: usize>(&self, address: u64) -> [u8; N] {
        let mut bytes = [0; N];
        self.peek_into(address, &mut bytes);
        bytes
    }

    /// The same for any number of bytes.
    pub fn peek_vec(&self, address: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.peek_into(address, &mut bytes);
        bytes
    }

    fn peek_into(&self, address: u64, to: &mut [u8]) {
        for (place, byte) in self.cells(address, to.len() as u64).unwrap_or_default().iter().zip(to) {
            *byte = place.get();
        }
    }

    /// The test's own writes are not counted; outside is ignored.
    pub fn poke(&self, address: u64, bytes: &[u8]) {
        for (place, byte) in self.cells(address, bytes.len() as u64).unwrap_or_default().iter().zip(bytes) {
            place.set(*byte);
        }
    }

    /// 16 bits, little endian.
    pub fn peek16(&self, address: u64) -> u16 {
        u16::from_le_bytes(self.peek(address))
    }

    /// All of it.
    pub fn contents(&self) -> Vec<u8> {
        self.bytes.iter().map(Cell::get).collect()
    }

    fn cells(&self, address: u64, length: u64) -> Option<&[Cell<u8>]> {
        let first = usize::try_from(address.checked_sub(self.base)?).ok()?;
        let end = first.checked_add(usize::try_from(length).ok()?)?;
        self.bytes.get(first..end)
    }

    fn access(&self, address: u64, length: usize) -> Option<&[Cell<u8>]> {
        self.accesses.set(self.accesses.get() + 1);
        let cells = self.cells(address, length as u64);
        if cells.is_none() {
            self.refused.set(self.refused.get() + 1);
        }
        cells
    }
}

impl GuestMemory for Ram {
    fn contains(&self, address: u64, length: u64) -> bool {
        self.cells(address, length).is_some()
    }

    fn load16(&self, address: u64) -> Option<u16> {
        assert!(address.is_multiple_of(2), "odd address {address:#x}");
        let mut bytes = [0; 2];
        self.read(address, &mut bytes)?;
        Some(u16::from_le_bytes(bytes))
    }

    fn store16(&self, address: u64, value: u16) -> Option<()> {
        assert!(address.is_multiple_of(2), "odd address {address:#x}");
        self.write(address, &value.to_le_bytes())
    }

    fn store64(&self, address: u64, value: u64) -> Option<()> {
        assert!(address.is_multiple_of(4), "misaligned address {address:#x}");
        self.write(address, &value.to_le_bytes())
    }

    fn load_pair(&self, address: u64) -> Option<[u64; 2]> {
        let mut bytes = [0; 16];
        self.read(address, &mut bytes)?;
        let (low, high) = bytes.split_at(8);
        let word = |half: &[u8]| half.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        Some([word(low), word(high)])
    }

    fn read(&self, address: u64, to: &mut [u8]) -> Option<()> {
        for (place, byte) in self.access(address, to.len())?.iter().zip(to) {
            *byte = place.get();
        }
        Some(())
    }

    fn write(&self, address: u64, from: &[u8]) -> Option<()> {
        for (place, byte) in self.access(address, from.len())?.iter().zip(from) {
            place.set(*byte);
        }
        self.written.set(self.written.get() + from.len() as u64);
        Some(())
    }

    fn acquire(&self) {}

    fn release(&self) {}

    fn fence(&self) {
        self.fences.set(self.fences.get() + 1);
    }
}
