// SPDX-License-Identifier: BSD-2-Clause
//! The memory that a modelled device and its driver share.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use crate::memory::DmaMemory;

/// Physical memory: ranges of bytes at addresses.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    ranges: Vec<(u64, &'static [AtomicU64])>,
}

impl Memory {
    /// No memory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `size` bytes (a multiple of 8) at `physical`, zeroed. Never freed.
    pub fn add(&mut self, physical: u64, size: usize) {
        let words: Vec<AtomicU64> = (0..size / 8).map(|_| AtomicU64::new(0)).collect();
        self.ranges.push((physical, Box::leak(words.into_boxed_slice())));
    }

    /// The range that begins at `physical`, for a driver.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn dma(&self, physical: u64) -> DmaMemory {
        let (_, words) = self.ranges.iter().find(|range| range.0 == physical).expect("no such range");
        let base = NonNull::from(*words).cast();
        #[allow(unsafe_code, reason = "memory of the test")]
        // SAFETY: leaked, so valid for ever, and only ever accessed as atomics.
        unsafe {
            DmaMemory::new(base, physical, size_of_val(*words))
        }
    }

    fn bytes(&self, physical: u64, length: usize) -> &[AtomicU8] {
        let found = self.ranges.iter().find_map(|(start, words)| {
            let offset = usize::try_from(physical.checked_sub(*start)?).ok()?;
            #[allow(unsafe_code, reason = "the bytes of the words")]
            // SAFETY: the same memory, atomics again, and one thread.
            let bytes = unsafe {
                core::slice::from_raw_parts(words.as_ptr().cast::<AtomicU8>(), size_of_val(*words))
            };
            bytes.get(offset..offset.checked_add(length)?)
        });
        found.unwrap_or_else(|| panic!("DMA outside memory: {length:#x} bytes at {physical:#x}"))
    }

    /// Reads `length` bytes.
    ///
    /// # Panics
    /// When they are not memory, like all methods here.
    #[must_use]
    pub fn read(&self, physical: u64, length: usize) -> Vec<u8> {
        self.bytes(physical, length).iter().map(|byte| byte.load(Ordering::Relaxed)).collect()
    }

    /// Writes bytes.
    pub fn write(&self, physical: u64, bytes: &[u8]) {
        for (place, byte) in self.bytes(physical, bytes.len()).iter().zip(bytes) {
            place.store(*byte, Ordering::Relaxed);
        }
    }

    /// Reads a 16-bit word.
    #[must_use]
    pub fn read_u16(&self, physical: u64) -> u16 {
        u16::from_le_bytes(self.read(physical, 2).try_into().expect("two bytes"))
    }

    /// Reads a 32-bit word.
    #[must_use]
    pub fn read_u32(&self, physical: u64) -> u32 {
        u32::from_le_bytes(self.read(physical, 4).try_into().expect("four bytes"))
    }

    /// Reads a 64-bit word.
    #[must_use]
    pub fn read_u64(&self, physical: u64) -> u64 {
        u64::from_le_bytes(self.read(physical, 8).try_into().expect("eight bytes"))
    }
}
