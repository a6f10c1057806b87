// SPDX-License-Identifier: BSD-2-Clause
//! Memory that this PD shares with a running guest, with devices or with other PDs, as windows of plain bytes.
//!
//! No reference to such memory exists, see [`super::bytes`]. A window is only where the memory is; every access is checked
//! against its size first.

use crate::pd::bytes;
use core::arch::asm;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU16, Ordering, fence};
use vmm::device::DataRegion;
use vmm_fdt::machine::map;
use vmm_virtio::GuestMemory;

/// Mapped memory that others change. Copies are the same memory.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    start: NonNull<u8>,
    size: usize,
}

impl Window {
    /// No memory.
    pub const EMPTY: Self = Self { start: NonNull::dangling(), size: 0 };

    /// `size` bytes at `address`; `None` for address 0.
    ///
    /// # Safety
    /// 1. They are mapped there as normal memory, readable and writable, for the rest of the program.
    /// 2. While a method of a copy of this value runs, no reference to any of them is live.
    pub unsafe fn new(address: usize, size: usize) -> Option<Self> {
        let start = NonNull::new(core::ptr::with_exposed_provenance_mut(address))?;
        Some(Self { start, size })
    }

    /// Pointer to `length` bytes at `offset`, if they are all inside.
    #[inline(always)]
    fn place(&self, offset: u64, length: u64) -> Option<*mut u8> {
        let size = self.size as u64;
        (length <= size && offset <= size - length).then(|| self.start.as_ptr().wrapping_add(offset as usize))
    }
}

/// A guest's RAM, addressed as the guest does.
#[derive(Clone, Copy, Debug)]
pub struct GuestRam(pub Window);

impl GuestRam {
    #[inline(always)]
    fn place(&self, address: u64, length: u64) -> Option<*mut u8> {
        self.0.place(address.wrapping_sub(map::RAM), length)
    }

    /// Pointer to an aligned half word.
    #[inline(always)]
    fn half(&self, address: u64) -> Option<&AtomicU16> {
        let place = self.place(address, 2).filter(|_| address.is_multiple_of(2))?;
        // SAFETY: inside, aligned as the window is (its regions are pages), and only accessed atomically at this size by
        // this program while the reference is live.
        Some(unsafe { AtomicU16::from_ptr(place.cast()) })
    }
}

impl GuestMemory for GuestRam {
    #[inline(always)]
    fn contains(&self, address: u64, length: u64) -> bool {
        self.place(address, length).is_some()
    }

    #[inline(always)]
    fn load16(&self, address: u64) -> Option<u16> {
        Some(self.half(address)?.load(Ordering::Relaxed))
    }

    #[inline(always)]
    fn store16(&self, address: u64, value: u16) -> Option<()> {
        self.half(address)?.store(value, Ordering::Relaxed);
        Some(())
    }

    #[inline(always)]
    fn store64(&self, address: u64, value: u64) -> Option<()> {
        let place = self.place(address, 8)?;
        // SAFETY: the eight bytes are inside; normal memory takes any alignment.
        unsafe {
            asm!("str {value}, [{place}]", value = in(reg) value, place = in(reg) place,
                options(nostack, preserves_flags));
        }
        Some(())
    }

    #[inline(always)]
    fn load_pair(&self, address: u64) -> Option<[u64; 2]> {
        let place = self.place(address, 16)?;
        let (first, second);
        // SAFETY: the sixteen bytes are inside; normal memory takes any alignment.
        unsafe {
            asm!("ldp {first}, {second}, [{place}]", first = out(reg) first, second = out(reg) second,
                place = in(reg) place, options(nostack, preserves_flags, readonly));
        }
        Some([first, second])
    }

    #[inline]
    fn read(&self, address: u64, to: &mut [u8]) -> Option<()> {
        let place = self.place(address, to.len() as u64)?;
        // SAFETY: all of it is inside the window, which is apart from this program's own memory.
        unsafe { bytes::copy(to.as_mut_ptr(), place, to.len()) };
        Some(())
    }

    #[inline]
    fn write(&self, address: u64, from: &[u8]) -> Option<()> {
        let place = self.place(address, from.len() as u64)?;
        // SAFETY: as in `read`.
        unsafe { bytes::copy(place, from.as_ptr(), from.len()) };
        Some(())
    }

    #[inline(always)]
    fn acquire(&self) {
        fence(Ordering::Acquire);
    }

    #[inline(always)]
    fn release(&self) {
        fence(Ordering::Release);
    }

    #[inline(always)]
    fn fence(&self) {
        fence(Ordering::SeqCst);
    }
}

/// Memory that is shared with another PD, and maybe with a device.
#[derive(Clone, Copy, Debug)]
pub struct Shared {
    window: Window,
    /// A device reads and writes it that does not see the processor's caches.
    maintained: bool,
}

impl Shared {
    /// Shared with PDs, and with devices that see what PDs see.
    pub const fn coherent(window: Window) -> Self {
        Self { window, maintained: false }
    }

    /// Shared with a device that does not see the processor's caches.
    ///
    /// No line is ever dirty but while [`DataRegion::fill`] runs: so what the device writes is never written over, and a line
    /// that the processor has read ahead is stale at most, and dropped before it is read again.
    pub const fn maintained(window: Window) -> Self {
        Self { window, maintained: true }
    }

    /// Bytes.
    pub const fn size(&self) -> usize {
        self.window.size
    }
}

impl DataRegion<GuestRam> for Shared {
    #[inline]
    fn fill(&self, offset: u64, memory: &GuestRam, address: u64, length: u32) -> Option<()> {
        let to = self.window.place(offset, length.into())?;
        let from = memory.place(address, length.into())?;
        // SAFETY: all of both is inside, and regions do not overlap each other.
        unsafe { bytes::copy(to, from, length as usize) };
        if self.maintained {
            dma_cache::clean(to, length as usize);
        }
        Some(())
    }

    #[inline]
    fn drain(&self, offset: u64, memory: &GuestRam, address: u64, length: u32) -> Option<()> {
        let from = self.window.place(offset, length.into())?;
        let to = memory.place(address, length.into())?;
        if self.maintained {
            dma_cache::discard(from, length as usize);
        }
        // SAFETY: as in `fill`.
        unsafe { bytes::copy(to, from, length as usize) };
        Some(())
    }
}
