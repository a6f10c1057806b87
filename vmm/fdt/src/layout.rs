// SPDX-License-Identifier: BSD-2-Clause
//! Where kernel, device tree and initramfs go in guest memory (Linux, Documentation/arch/arm64/booting.rst).

use crate::image::Image;
use core::ops::Range;
use thiserror::Error;

/// Memory set aside for the device tree; its own 2 MiB, as the guest maps it.
pub const DEVICE_TREE_SIZE: u64 = 0x1_0000;

const MIB_2: u64 = 0x20_0000;
const PAGE: u64 = 0x1000;

/// Why the images cannot be placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LayoutError {
    /// Guest memory is not where it can be used.
    #[error(
        "guest memory at {start:#x}, {size:#x} bytes, does not start at a multiple of 2 MiB or wraps around"
    )]
    BadMemory {
        /// Guest physical address.
        start: u64,
        /// Bytes.
        size: u64,
    },
    /// Too little memory.
    #[error("kernel, device tree and initramfs need {needed:#x} bytes of guest memory, there are {size:#x}")]
    TooSmall {
        /// Bytes needed; saturated when more than can be counted.
        needed: u64,
        /// Bytes there are.
        size: u64,
    },
}

/// Guest physical addresses of everything loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// First byte of the kernel file and the guest's first instruction.
    pub kernel: u64,
    /// The device tree, [`DEVICE_TREE_SIZE`] bytes.
    pub device_tree: u64,
    /// The initramfs, when there is one.
    pub initrd: Option<Range<u64>>,
}

impl Layout {
    /// Places a kernel, the device tree behind it, and an initramfs of `initrd_size` bytes (0: none) behind that, in
    /// `memory_size` bytes from guest physical `memory`.
    ///
    /// # Errors
    /// [`LayoutError::BadMemory`] when `memory` is not a multiple of 2 MiB or its end no address;
    /// [`LayoutError::TooSmall`] when not all fits.
    pub fn new(memory: u64, memory_size: u64, image: &Image, initrd_size: u64) -> Result<Self, LayoutError> {
        let end = match memory.checked_add(memory_size) {
            Some(end) if memory.is_multiple_of(MIB_2) => end,
            _ => return Err(LayoutError::BadMemory { start: memory, size: memory_size }),
        };
        let placed = Self::place(memory, image, initrd_size);
        match placed {
            Some((layout, used)) if used <= end => Ok(layout),
            _ => Err(LayoutError::TooSmall {
                needed: placed.map_or(u64::MAX, |(_, used)| used.saturating_sub(memory)),
                size: memory_size,
            }),
        }
    }

    /// The layout and its first unused address; `None` when an address does not exist.
    fn place(memory: u64, image: &Image, initrd_size: u64) -> Option<(Self, u64)> {
        let kernel = memory.checked_add(image.offset)?;
        let device_tree = kernel.checked_add(image.size)?.checked_next_multiple_of(MIB_2)?;
        let tree_end = device_tree.checked_add(DEVICE_TREE_SIZE)?;
        if initrd_size == 0 {
            return Some((Self { kernel, device_tree, initrd: None }, tree_end));
        }
        let start = tree_end.checked_next_multiple_of(PAGE)?;
        let end = start.checked_add(initrd_size)?;
        Some((Self { kernel, device_tree, initrd: Some(start..end) }, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RAM: u64 = 0x4000_0000;

    #[test]
    fn everything_is_apart_and_aligned() {
        let image = Image { offset: 0, size: 0x21e_0000 };
        let layout = Layout::new(RAM, 512 << 20, &image, 0x11_2345).expect("fits");
        assert_eq!(
            layout,
            Layout { kernel: 0x4000_0000, device_tree: 0x4220_0000, initrd: Some(0x4221_0000..0x4232_2345) }
        );
    }

    #[test]
    fn no_initramfs_needs_no_place() {
        let layout = Layout::new(RAM, 4 << 20, &Image { offset: 0x8_0000, size: 100 }, 0).expect("fits");
        assert_eq!(layout, Layout { kernel: 0x4008_0000, device_tree: 0x4020_0000, initrd: None });
    }

    #[test]
    fn the_last_byte_fits_and_one_more_does_not() {
        let image = Image { offset: 0, size: 0x1000 };
        let room = 0x40_0000 - 0x20_0000 - DEVICE_TREE_SIZE;
        assert!(Layout::new(RAM, 0x40_0000, &image, room).is_ok());
        assert_eq!(
            Layout::new(RAM, 0x40_0000, &image, room + 1),
            Err(LayoutError::TooSmall { needed: 0x40_0001, size: 0x40_0000 })
        );
    }

    #[test]
    fn bad_memory_is_refused() {
        let image = Image { offset: 0, size: 1 };
        for (start, size) in [(0x4000_1000, 1 << 20), (!0x1f_ffff, 0x40_0000)] {
            assert_eq!(Layout::new(start, size, &image, 0), Err(LayoutError::BadMemory { start, size }));
        }
    }

    proptest! {
        #[test]
        fn hostile_sizes_are_refused_or_fit(offset: u64, size: u64, initrd: u64, memory in 0u64..1 << 40, small: bool) {
            let (offset, size, initrd) =
                if small { (offset % (1 << 22), size % (1 << 28), initrd % (1 << 28)) } else { (offset, size, initrd) };
            let image = Image { offset, size };
            if let Ok(layout) = Layout::new(RAM, memory, &image, initrd) {
                let end = RAM + memory;
                let kernel_end = layout.kernel + size;
                prop_assert!(kernel_end <= layout.device_tree);
                let tree_end = layout.device_tree + DEVICE_TREE_SIZE;
                prop_assert!(tree_end <= end);
                prop_assert_eq!(layout.initrd.is_some(), initrd != 0);
                if let Some(range) = layout.initrd {
                    prop_assert!(tree_end <= range.start && range.end <= end && range.end - range.start == initrd);
                }
            }
        }
    }
}
