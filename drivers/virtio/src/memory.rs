// SPDX-License-Identifier: BSD-2-Clause
//! The memory that a driver shares with its device.
//!
//! The device may write it at any time, so it is only ever reached as atomics (relaxed; [`crate::barrier`] orders).

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

/// An integer in memory shared with a device. Little-endian, as virtio wants it and every target here is.
pub trait Cell: Sized + sealed::Sealed + 'static {
    /// What it holds.
    type Value: Copy + Default;
    /// Reads it.
    fn get(&self) -> Self::Value;
    /// Writes it.
    fn set(&self, value: Self::Value);
}

mod sealed {
    /// Only atomic integers: any bytes are a value, and a device may write them at any time.
    pub trait Sealed {}
}

const _: () = assert!(cfg!(target_endian = "little"), "virtio is little-endian");

macro_rules! cell {
    ($atomic:ty, $value:ty) => {
        impl sealed::Sealed for $atomic {}

        impl Cell for $atomic {
            type Value = $value;

            #[inline(always)]
            fn get(&self) -> $value {
                self.load(Ordering::Relaxed)
            }

            #[inline(always)]
            fn set(&self, value: $value) {
                self.store(value, Ordering::Relaxed);
            }
        }
    };
}

cell!(AtomicU8, u8);
cell!(AtomicU16, u16);
cell!(AtomicU32, u32);
cell!(AtomicU64, u64);

/// A region of memory that the device can reach, from which arrays are taken one after the other.
#[derive(Debug)]
pub struct DmaMemory {
    base: NonNull<u8>,
    physical: u64,
    size: usize,
    taken: usize,
}

impl DmaMemory {
    /// The region of `size` bytes at `base` that the device sees at `physical`.
    ///
    /// # Safety
    /// 1. `base` points to at least `size` bytes that are readable and writable for the rest of the program.
    /// 2. This program accesses them only through this value (or otherwise only as atomics).
    #[allow(unsafe_code, reason = "the caller vouches for the memory")]
    pub const unsafe fn new(base: NonNull<u8>, physical: u64, size: usize) -> Self {
        Self { base, physical, size, taken: 0 }
    }

    /// Takes `count` cells at a multiple of `align` bytes (as the device sees it), zeroed; `None` when the region is used
    /// up. To be called after the device's reset, when none of its DMA can be on the way.
    pub fn take<T: Cell>(&mut self, count: usize, align: usize) -> Option<DmaArray<T>> {
        let align = align.max(align_of::<T>()) as u64;
        let physical = self.physical.checked_add(self.taken as u64)?.checked_next_multiple_of(align)?;
        let start = usize::try_from(physical - self.physical).ok()?;
        let end = start.checked_add(count.checked_mul(size_of::<T>())?)?;
        if end > self.size {
            return None;
        }
        #[allow(unsafe_code, reason = "rests on `new`")]
        // SAFETY: `start <= end <= size`.
        let first = unsafe { self.base.add(start) }.cast::<T>();
        if !first.is_aligned() {
            return None;
        }
        #[allow(unsafe_code, reason = "rests on `new`")]
        // SAFETY: `count` cells from `start` on lie within the region, valid by the contract of `new`, and aligned. Cells
        // are atomics, so others may write them.
        let cells = unsafe { core::slice::from_raw_parts(first.as_ptr(), count) };
        self.taken = end;
        let array = DmaArray { cells, physical };
        array.clear();
        Some(array)
    }

    /// Bytes that have not been taken.
    pub const fn left(&self) -> usize {
        self.size - self.taken
    }
}

/// An array of integers shared with the device.
#[derive(Debug)]
pub struct DmaArray<T: Cell> {
    cells: &'static [T],
    physical: u64,
}

impl<T: Cell> Clone for DmaArray<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Cell> Copy for DmaArray<T> {}

impl<T: Cell> DmaArray<T> {
    /// Reads cell `index`; zero where there is none.
    #[inline(always)]
    pub fn get(&self, index: usize) -> T::Value {
        self.cells.get(index).map(T::get).unwrap_or_default()
    }

    /// Writes cell `index`; nothing where there is none.
    #[inline(always)]
    pub fn set(&self, index: usize, value: T::Value) {
        if let Some(cell) = self.cells.get(index) {
            cell.set(value);
        }
    }

    /// Sets all cells to zero.
    pub fn clear(&self) {
        for cell in self.cells {
            cell.set(T::Value::default());
        }
    }

    /// Where the device sees cell `index`.
    #[inline(always)]
    pub const fn physical(&self, index: usize) -> u64 {
        self.physical + (index * size_of::<T>()) as u64
    }

    /// Number of cells.
    #[inline(always)]
    pub const fn len(&self) -> usize {
        self.cells.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// The cells themselves.
    pub const fn cells(&self) -> &'static [T] {
        self.cells
    }
}
