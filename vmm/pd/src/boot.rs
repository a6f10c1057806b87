// SPDX-License-Identifier: BSD-2-Clause
//! Loading a guest's memory for a start.

use crate::config::text_of;
use thiserror::Error;
use vmm_fdt::machine::{Machine, map};
use vmm_fdt::{Full, Image, ImageError, Layout, LayoutError, layout::DEVICE_TREE_SIZE};

/// What is loaded, as the system description prefilled it.
#[derive(Clone, Copy, Debug)]
pub struct Images<'a> {
    /// Kernel image.
    pub kernel: &'a [u8],
    /// Initramfs; empty when there is none.
    pub initrd: &'a [u8],
    /// Kernel command line.
    pub command_line: &'a [u8],
}

/// What the device tree tells of the machine, besides its memory and the images.
#[derive(Clone, Copy, Debug)]
pub struct Description<'a> {
    /// vCPUs.
    pub vcpus: usize,
    /// Interrupt controller.
    pub gic: vgic::Version,
    /// `compatible` of the processor.
    pub cpu: &'a str,
    /// Bit k: virtio-mmio slot k has a device.
    pub virtio: u32,
}

/// How vCPU 0 starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Guest physical address of the first instruction.
    pub entry: u64,
    /// Guest physical address of the device tree.
    pub device_tree: u64,
}

/// Why a guest cannot be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BootError {
    /// The kernel image.
    #[error("{0}")]
    Image(#[from] ImageError),
    /// Its place.
    #[error("{0}")]
    Layout(#[from] LayoutError),
    /// The device tree.
    #[error("{0}; is the command line too long?")]
    DeviceTree(#[from] Full),
}

/// Loads kernel, initramfs and device tree into `memory`, the guest's RAM at [`map::RAM`], with `copy(to, from)` for equally
/// long slices.
///
/// # Errors
/// See [`BootError`]. The memory is then partly written.
pub fn load(
    memory: &mut [u8],
    images: &Images<'_>,
    description: &Description<'_>,
    copy: impl Fn(&mut [u8], &[u8]),
) -> Result<Start, BootError> {
    let size = memory.len() as u64;
    let image = Image::parse(images.kernel)?;
    let layout = Layout::new(map::RAM, size, &image, images.initrd.len() as u64)?;
    let machine = Machine {
        memory_size: size,
        vcpus: u32::try_from(description.vcpus).unwrap_or(1),
        gic: description.gic,
        cpu: description.cpu,
        bootargs: text_of(images.command_line),
        initrd: layout.initrd.clone(),
        virtio: description.virtio,
    };
    // The layout has placed all of this inside the memory, so that none of these is `None`.
    if let Some(place) = at(memory, layout.kernel, images.kernel.len() as u64) {
        copy(place, images.kernel);
    }
    if let Some(place) = layout.initrd.and_then(|range| at(memory, range.start, range.end - range.start)) {
        copy(place, images.initrd);
    }
    machine.write(at(memory, layout.device_tree, DEVICE_TREE_SIZE).unwrap_or_default())?;
    Ok(Start { entry: layout.kernel, device_tree: layout.device_tree })
}

/// The `length` bytes of `memory` at guest physical `address`.
fn at(memory: &mut [u8], address: u64, length: u64) -> Option<&mut [u8]> {
    let first = usize::try_from(address.checked_sub(map::RAM)?).ok()?;
    memory.get_mut(first..first.checked_add(usize::try_from(length).ok()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: Description<'_> =
        Description { vcpus: 2, gic: vgic::Version::V2, cpu: "arm,cortex-a53", virtio: 1 };

    fn images() -> Images<'static> {
        Images { kernel: &[7; 5000], initrd: &[9; 3000], command_line: b"quiet\n" }
    }

    #[test]
    fn everything_is_where_the_start_says() {
        let mut memory = vec![0; 8 << 20];
        let start =
            load(&mut memory, &images(), &MACHINE, |to, from| to.copy_from_slice(from)).expect("loads");
        assert_eq!(start, Start { entry: 0x4008_0000, device_tree: 0x4020_0000 });
        assert_eq!(memory[0x8_0000..0x8_0000 + 5000], [7; 5000]);
        assert_eq!(memory[0x20_0000..0x20_0004], 0xd00d_feed_u32.to_be_bytes());
        assert_eq!(memory[0x21_0000..0x21_0000 + 3000], [9; 3000]);
        for text in [&b"quiet"[..], b"virtio_mmio@a000000"] {
            assert!(memory.windows(text.len()).any(|window| window == text));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let copy = |to: &mut [u8], from: &[u8]| to.copy_from_slice(from);
        let small = load(&mut vec![0; 0x10_0000], &images(), &MACHINE, copy);
        assert!(matches!(small, Err(BootError::Layout(LayoutError::TooSmall { .. }))), "{small:?}");
        let nothing = Images { kernel: &[], ..images() };
        assert_eq!(
            load(&mut vec![0; 0x10_0000], &nothing, &MACHINE, copy),
            Err(BootError::Image(ImageError::Empty))
        );
        let long = vec![b'x'; 0x1_0000];
        let wordy = Images { command_line: &long, ..images() };
        assert_eq!(load(&mut vec![0; 8 << 20], &wordy, &MACHINE, copy), Err(BootError::DeviceTree(Full)));
    }
}
