// SPDX-License-Identifier: BSD-2-Clause
//! What the kernel tells about itself at the start.

use sel4_sys::{seL4_BootInfo, seL4_BootInfoHeader, seL4_CPtr};
use system_spec::Untyped;

use crate::kernel::Kernel;

/// Extra chunks start this many bytes behind the start of the boot information.
const EXTRA_OFFSET: usize = 0x1000;

/// The boot information.
pub struct BootInfo {
    info: &'static seL4_BootInfo,
}

impl BootInfo {
    /// Takes the boot information and, from it, the IPC buffer.
    ///
    /// # Safety
    /// `info` is what the kernel has passed, and this is called once.
    pub unsafe fn new(info: *const seL4_BootInfo) -> (Self, Kernel) {
        // SAFETY: the caller says so; the kernel has mapped it and never writes to it again.
        let info = unsafe { &*info };
        // SAFETY: the kernel names the mapped IPC buffer of this thread, and this is the only reference to it.
        let buffer = unsafe { &mut *info.ipcBuffer };
        (Self { info }, Kernel::new(buffer))
    }

    /// Untyped memory, in the kernel's order.
    pub fn untypeds(&self) -> impl Iterator<Item = Untyped> {
        self.info.untypeds().map(|(_, untyped)| Untyped {
            paddr: untyped.paddr,
            size_bits: untyped.sizeBits,
            device: untyped.isDevice != 0,
        })
    }

    /// Slot of the first untyped.
    pub fn first_untyped(&self) -> seL4_CPtr {
        self.info.untyped.start
    }

    /// Number of untypeds.
    pub fn untyped_count(&self) -> usize {
        self.info.untypeds().count()
    }

    /// Empty slots.
    pub fn empty(&self) -> core::ops::Range<seL4_CPtr> {
        self.info.empty.start..self.info.empty.end
    }

    /// Slot of page `index` of the image.
    pub fn image_frame(&self, index: u64) -> Option<seL4_CPtr> {
        let slot = self.info.userImageFrames.start.checked_add(index)?;
        (slot < self.info.userImageFrames.end).then_some(slot)
    }

    /// The capability that configures scheduling contexts of a core.
    pub fn sched_control(&self, core: u8) -> Option<seL4_CPtr> {
        let slot = self.info.schedcontrol.start + u64::from(core);
        (slot < self.info.schedcontrol.end).then_some(slot)
    }

    /// The content of the extra chunk with this id.
    pub fn extra(&self, id: u32) -> Option<&'static [u8]> {
        let start = core::ptr::from_ref(self.info).cast::<u8>().wrapping_add(EXTRA_OFFSET);
        // SAFETY: the kernel has mapped `extraLen` bytes of chunks there, and never writes to them again.
        let mut rest = unsafe { core::slice::from_raw_parts(start, self.info.extraLen as usize) };
        const HEADER: usize = size_of::<seL4_BootInfoHeader>();
        while let Some((header, _)) = rest.split_first_chunk::<HEADER>() {
            let word =
                |at: usize| -> Option<u64> { Some(u64::from_le_bytes(*header.get(at..)?.first_chunk()?)) };
            let len = usize::try_from(word(8)?).ok()?;
            let (chunk, behind) = rest.split_at_checked(len.max(HEADER))?;
            if word(0)? == id.into() {
                return chunk.get(HEADER..);
            }
            rest = behind;
        }
        None
    }
}
