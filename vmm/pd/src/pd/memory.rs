// SPDX-License-Identifier: BSD-2-Clause
//! The guest's RAM and the prefilled images, as this PD sees them.

use crate::pd::symbols::{Region, Symbols};
use core::arch::asm;
use core::sync::atomic::{AtomicBool, Ordering};
use vmm::host::Memory;
use vmm::{Images, boot};

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
    /// 2. Nothing else in this program accesses the guest's RAM.
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

    /// Loads the guest's memory for a start. No vCPU may be running.
    ///
    /// # Errors
    /// See [`boot::load`].
    pub fn load(&mut self, memory: Memory, vcpus: usize, cpu: &str) -> Result<boot::Start, boot::BootError> {
        let images = Images { kernel: self.kernel, initrd: self.initrd, command_line: self.command_line };
        let ram = self.ram();
        if memory == Memory::Used {
            scrub(ram);
        }
        boot::load(ram, &images, vcpus, cpu, copy)
    }

    /// Puts instructions at the start of the guest's RAM. No vCPU may be running.
    pub fn place(&mut self, code: &[u32]) {
        for (place, instruction) in self.ram().chunks_exact_mut(4).zip(code) {
            place.copy_from_slice(&instruction.to_le_bytes());
        }
    }

    fn ram(&mut self) -> &mut [u8] {
        if self.ram.address == 0 {
            return &mut [];
        }
        // SAFETY: mapped by the contract of `new`, and nobody else accesses it: this program only through the slice
        // that borrows `self`, and the guest not at all while its vCPUs stand still.
        unsafe { core::slice::from_raw_parts_mut(self.ram.address as *mut u8, self.ram.size) }
    }
}

/// What is in the guest's memory when this PD starts: zeroes, as the kernel hands out memory, or what the guest left
/// there when this PD was restarted.
pub fn at_start() -> Memory {
    static STARTED: AtomicBool = AtomicBool::new(false);
    if STARTED.swap(true, Ordering::Relaxed) { Memory::Used } else { Memory::Zeroed }
}

/// Bytes moved at once.
const BLOCK: usize = 64;

/// Copies `from` to `to`, as many bytes as both have: 64 at a time, where a plain loop or `memcpy` moves eight.
fn copy(to: &mut [u8], from: &[u8]) {
    let size = to.len().min(from.len());
    let blocks = size / BLOCK;
    if blocks > 0 {
        // SAFETY: `blocks * BLOCK` bytes from both pointers are inside the slices, which do not overlap; only caller-saved
        // vector registers and the operands are changed.
        unsafe {
            asm!(
                "2:",
                "ldp q0, q1, [{from}]",
                "ldp q2, q3, [{from}, #32]",
                "add {from}, {from}, #64",
                "stp q0, q1, [{to}]",
                "stp q2, q3, [{to}, #32]",
                "add {to}, {to}, #64",
                "subs {blocks}, {blocks}, #1",
                "b.ne 2b",
                from = inout(reg) from.as_ptr() => _,
                to = inout(reg) to.as_mut_ptr() => _,
                blocks = inout(reg) blocks => _,
                out("v0") _, out("v1") _, out("v2") _, out("v3") _,
                options(nostack),
            );
        }
    }
    let done = blocks * BLOCK;
    if let (Some(to), Some(from)) = (to.get_mut(done..size), from.get(done..size)) {
        to.copy_from_slice(from);
    }
}

/// Fills `memory` with zeroes.
fn scrub(memory: &mut [u8]) {
    let blocks = memory.len() / BLOCK;
    if blocks > 0 {
        // SAFETY: `blocks * BLOCK` bytes from the pointer are inside the slice; only the operands are changed.
        unsafe {
            asm!(
                "2:",
                "stp xzr, xzr, [{to}]",
                "stp xzr, xzr, [{to}, #16]",
                "stp xzr, xzr, [{to}, #32]",
                "stp xzr, xzr, [{to}, #48]",
                "add {to}, {to}, #64",
                "subs {blocks}, {blocks}, #1",
                "b.ne 2b",
                to = inout(reg) memory.as_mut_ptr() => _,
                blocks = inout(reg) blocks => _,
                options(nostack),
            );
        }
    }
    if let Some(rest) = memory.get_mut(blocks * BLOCK..) {
        rest.fill(0);
    }
}
