// SPDX-License-Identifier: BSD-2-Clause
//! Physical memory and devices as the kernel sees them, zeroing and cache maintenance.
//!
//! All RAM is mapped at its physical address (`paging.rs`), so that an object's name is its address. The core names memory by physical address and only
//! touches objects it owns or frames that are RAM, so every address given here is mapped.

use core::arch::asm;

use kernel_core::PhysAddr;
use kernel_core::machine::CacheOp;

use crate::sysreg;

/// Virtual address of RAM in the kernel's window. Never 0: the first page is in nobody's hands (`Hardware::is_ram`).
#[inline(always)]
pub const fn address(at: PhysAddr) -> u64 {
    at.0
}

/// Cache line and DC ZVA block of the supported cores (CTR_EL0 and DCZID_EL0 are checked at boot).
pub const LINE: u64 = 64;

/// Reads the word at a physical address.
#[inline(always)]
pub fn load(at: PhysAddr) -> u64 {
    // SAFETY: the core reads words of objects and of RAM frames only, 8-byte aligned; the window maps all RAM.
    unsafe { (address(at) as *const u64).read() }
}

/// Writes the word at a physical address.
#[inline(always)]
pub fn store(at: PhysAddr, value: u64) {
    // SAFETY: as `load`; the kernel's own image is not in memory that the core hands out.
    unsafe { (address(at) as *mut u64).write(value) };
}

/// Reads the word `offset` bytes into an object.
#[inline(always)]
pub fn load_at(at: PhysAddr, offset: u64) -> u64 {
    // SAFETY: as `load`; objects lie wholly in the window.
    unsafe { (address(at) as *const u64).byte_add(offset as usize).read() }
}

/// Writes the word `offset` bytes into an object.
#[inline(always)]
pub fn store_at(at: PhysAddr, offset: u64, value: u64) {
    // SAFETY: as `store`; objects lie wholly in the window.
    unsafe { (address(at) as *mut u64).byte_add(offset as usize).write(value) };
}

/// Zeroes memory and writes it back to memory proper, so that uncached readers (a guest with its caches off) find zeroes
/// too. Whole blocks go by DC ZVA, eight to a round.
pub fn zero(at: PhysAddr, bytes: u64) {
    let mut block = address(at);
    let end = block.wrapping_add(bytes);
    if at.0.is_multiple_of(LINE) && bytes >= LINE {
        let blocks = end & !(LINE - 1);
        let rounds = (blocks - block) / (8 * LINE);
        if rounds > 0 {
            // SAFETY: whole blocks of RAM that the core is making objects of; nothing else uses it.
            unsafe {
                asm!(
                    "2:",
                    "dc zva, {p}", "dc cvac, {p}", "add {p}, {p}, #64",
                    "dc zva, {p}", "dc cvac, {p}", "add {p}, {p}, #64",
                    "dc zva, {p}", "dc cvac, {p}", "add {p}, {p}, #64",
                    "dc zva, {p}", "dc cvac, {p}", "add {p}, {p}, #64",
                    "dc zva, {p}", "dc cvac, {p}", "add {p}, {p}, #64",
                    "dc zva, {p}", "dc cvac, {p}", "add {p}, {p}, #64",
                    "dc zva, {p}", "dc cvac, {p}", "add {p}, {p}, #64",
                    "dc zva, {p}", "dc cvac, {p}", "add {p}, {p}, #64",
                    "subs {n}, {n}, #1",
                    "b.ne 2b",
                    p = inout(reg) block, n = inout(reg) rounds => _, options(nostack),
                );
            }
        }
        while block < blocks {
            // SAFETY: as above.
            unsafe { asm!("dc zva, {0}", "dc cvac, {0}", in(reg) block, options(nostack, preserves_flags)) };
            block += LINE;
        }
    }
    // Only kernel objects are smaller than a line; they are never read uncached.
    while block < end {
        // SAFETY: the rest of the range, in whole words.
        unsafe { (block as *mut u64).write(0) };
        block += 8;
    }
}

/// Cache maintenance over a physical range, whole lines.
pub fn cache(op: CacheOp, at: PhysAddr, bytes: u64) {
    if bytes == 0 {
        return;
    }
    let first = address(at) & !(LINE - 1);
    let end = address(at).wrapping_add(bytes);
    macro_rules! lines {
        ($instruction:literal) => {{
            let mut line = first;
            while line < end {
                // SAFETY: the range is RAM in the window. Invalidation, the one that can lose data, is only asked for
                // frames of the caller's own, over whole lines.
                unsafe { asm!(concat!($instruction, ", {0}"), in(reg) line, options(nostack, preserves_flags)) };
                line += LINE;
            }
        }};
    }
    match op {
        CacheOp::Clean => lines!("dc cvac"),
        // Lines at the ends may hold neighbours' data: never drop dirty lines, write them back.
        CacheOp::Invalidate | CacheOp::CleanInvalidate => lines!("dc civac"),
        CacheOp::Unify => {
            lines!("dc cvau");
            sysreg::dsb();
            // Instruction caches may be indexed by virtual address, the user's differs from the window's: drop all.
            // SAFETY: instruction cache invalidation changes no memory.
            unsafe { asm!("ic iallu", options(nostack, preserves_flags)) };
        }
    }
    sysreg::dsb();
    sysreg::isb();
}

/// Cleans and invalidates all caches of this CPU, level by level, by set and way (Arm DDI 0487, D7.5).
#[cfg(feature = "benchmark")]
pub fn flush_caches() {
    use crate::sysreg::{read, write};
    let clidr = read!("clidr_el1");
    for level in 0..7u64 {
        let kind = clidr >> (3 * level) & 7;
        if kind < 2 {
            // Nothing, or instructions only.
            continue;
        }
        write!("csselr_el1", level << 1);
        sysreg::isb();
        let ccsidr = read!("ccsidr_el1");
        let line_shift = (ccsidr & 7) + 4;
        let (ways, sets) = (ccsidr >> 3 & 0x3ff, ccsidr >> 13 & 0x7fff);
        let way_shift = if ways == 0 { 0 } else { (ways as u32).leading_zeros() };
        for way in 0..=ways {
            for set in 0..=sets {
                let which = way << way_shift | set << line_shift | level << 1;
                // SAFETY: cleaning and invalidating loses no data.
                unsafe { asm!("dc cisw, {0}", in(reg) which, options(nostack, preserves_flags)) };
            }
        }
    }
    sysreg::dsb();
    // SAFETY: instruction cache invalidation changes no memory.
    unsafe { asm!("ic iallu", options(nostack, preserves_flags)) };
    sysreg::dsb();
    sysreg::isb();
}

/// A page of device registers, mapped by `paging.rs`.
#[derive(Clone, Copy, Debug)]
pub struct Registers {
    base: u64,
}

impl Registers {
    /// The device page that `paging.rs` mapped at `base`.
    ///
    /// # Safety
    /// `base` is the virtual address of a page mapped as device memory for the life of the kernel.
    pub const unsafe fn new(base: u64) -> Self {
        Self { base }
    }

    /// Reads the 32-bit register at a byte offset (taken modulo the page).
    #[inline(always)]
    pub fn read(self, offset: u64) -> u32 {
        // SAFETY: inside the device page (see `new`).
        unsafe { ((self.base + (offset & 0xffc)) as *const u32).read_volatile() }
    }

    /// Writes the 32-bit register at a byte offset (taken modulo the page).
    #[inline(always)]
    pub fn write(self, offset: u64, value: u32) {
        // SAFETY: inside the device page (see `new`); what the devices do is this crate's doing.
        unsafe { ((self.base + (offset & 0xffc)) as *mut u32).write_volatile(value) };
    }
}
