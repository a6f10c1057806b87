// SPDX-License-Identifier: BSD-2-Clause
//! The guest's RAM and the prefilled images, as this PD sees them.

use crate::pd::bytes;
use crate::pd::ram::Window;
use crate::pd::symbols::{Region, Symbols};
use vmm::boot::Description;
use vmm::{Images, boot};
use vmm_fdt::layout::DEVICE_TREE_SIZE;
use vmm_fdt::machine::map;

/// The regions.
pub struct Regions {
    ram: Region,
    kernel: &'static [u8],
    initrd: &'static [u8],
    command_line: &'static [u8],
    /// Configuration text.
    pub config: &'static [u8],
}

impl Regions {
    /// # Safety
    /// 1. Each region of `symbols` that has an address is mapped there with its size for the rest of the program;
    ///    the guest's RAM writable, the others never written by anybody.
    /// 2. Nothing else in this program accesses the guest's RAM, but for [`Regions::window`].
    pub unsafe fn new(symbols: &Symbols) -> Self {
        let slice = |region: Region| {
            if region.address == 0 {
                return Default::default();
            }
            // SAFETY: mapped and constant by the contract of this function.
            unsafe { core::slice::from_raw_parts(region.address as *const u8, region.size) }
        };
        Self {
            ram: symbols.guest_ram,
            kernel: slice(symbols.kernel),
            initrd: slice(symbols.initrd),
            command_line: slice(symbols.command_line),
            config: slice(symbols.config),
        }
    }

    /// Loads the guest's memory for a start. No vCPU may be running, and no device be writing to it. What is loaded is
    /// written back to memory: the guest begins with its caches off.
    ///
    /// # Errors
    /// See [`boot::load`].
    pub fn load(&mut self, machine: &Description<'_>) -> Result<boot::Start, boot::BootError> {
        let images = Images { kernel: self.kernel, initrd: self.initrd, command_line: self.command_line };
        let ram = self.ram();
        let start = boot::load(ram, &images, machine, load)?;
        let tree = start.device_tree.saturating_sub(map::RAM) as usize;
        write_back(
            ram.get(tree..).and_then(|rest| rest.get(..DEVICE_TREE_SIZE as usize)).unwrap_or_default(),
        );
        Ok(start)
    }

    /// Fills a part of the guest's memory with zeroes, in memory too; false when there is none at `offset`. No vCPU may be
    /// running, and no device be writing to it.
    pub fn scrub(&mut self, offset: u64, length: u64) -> bool {
        let ram = self.ram();
        let start = ram.len().min(offset as usize);
        let end = ram.len().min(start.saturating_add(length as usize));
        let Some(part) = ram.get_mut(start..end).filter(|part| !part.is_empty()) else { return false };
        scrub(part);
        true
    }

    /// Puts instructions at the start of the guest's RAM. No vCPU may be running.
    pub fn place(&mut self, code: &[u32]) {
        let ram = self.ram();
        for (place, instruction) in ram.chunks_exact_mut(4).zip(code) {
            place.copy_from_slice(&instruction.to_le_bytes());
        }
        write_back(ram.get(..4 * code.len()).unwrap_or_default());
    }

    /// The guest's RAM, to be accessed while the guest runs.
    pub fn window(&self) -> Window {
        // SAFETY: mapped by the contract of `new`. The only references to it are those of `ram`, and nothing uses the
        // window while one of them is live: this program has one thread, and both are used by what borrows the host.
        unsafe { Window::new(self.ram.address, self.ram.size) }.unwrap_or(Window::EMPTY)
    }

    fn ram(&mut self) -> &mut [u8] {
        if self.ram.address == 0 {
            return &mut [];
        }
        // SAFETY: mapped by the contract of `new`, and nobody else accesses it: this program only through the slice
        // that borrows `self`, the guest not at all while its vCPUs stand still, devices not once they are quiet.
        unsafe { core::slice::from_raw_parts_mut(self.ram.address as *mut u8, self.ram.size) }
    }
}

/// Copies `from` to `to`, as many bytes as both have, and writes them back to memory.
fn load(to: &mut [u8], from: &[u8]) {
    // SAFETY: both slices are mapped normal memory, and disjoint, as one is unique.
    unsafe { bytes::copy(to.as_mut_ptr(), from.as_ptr(), to.len().min(from.len())) };
    write_back(to);
}

/// Fills `memory` with zeroes, in memory too.
fn scrub(memory: &mut [u8]) {
    // SAFETY: the slice is mapped normal memory, and unique.
    unsafe { bytes::zero(memory.as_mut_ptr(), memory.len()) };
    // SAFETY: as above.
    unsafe { bytes::clean(memory.as_ptr(), memory.len()) };
}

/// Writes `memory` back, so that it can be read and executed past the caches.
fn write_back(memory: &[u8]) {
    // SAFETY: the slice is mapped normal memory.
    unsafe { bytes::clean(memory.as_ptr(), memory.len()) };
    // SAFETY: as above.
    unsafe { bytes::forget_instructions(memory.as_ptr(), memory.len()) };
}
