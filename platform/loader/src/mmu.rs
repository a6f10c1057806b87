// SPDX-License-Identifier: BSD-2-Clause
//! The translation tables under which the kernel is entered: EL2 stage 1, 4 KiB granule, 48-bit addresses.
//!
//! Everything below 512 GiB is mapped one to one (RAM cached, the rest as device, to the block of 2 MiB), and the kernel image at the virtual
//! address it is linked for. Formats: Arm DDI 0487, D8.3 (descriptors), D19.2 (MAIR, TCR, SCTLR).

use core::cell::UnsafeCell;

use crate::board::{MEMORY, PHYSICAL_ADDRESS_BITS};

/// MAIR_EL2: 0 nGnRnE, 1 nGnRE, 2 GRE, 3 Normal non-cacheable, 4 Normal write-back.
const MAIR: u64 = 0xff_440c_0400;
const ATTR_DEVICE: u64 = 0;
const ATTR_NORMAL: u64 = 4;
/// Width of a physical address (TCR_EL2.PS).
const PHYSICAL_SIZE: u64 = if PHYSICAL_ADDRESS_BITS > 40 { 4 } else { 2 };
/// TCR_EL2: RES1 bits, physical size, 4 KiB granule, inner shareable, write-back walks, 48-bit addresses.
const TCR: u64 = 1 << 31 | 1 << 23 | PHYSICAL_SIZE << 16 | 3 << 12 | 1 << 10 | 1 << 8 | 16;
/// SCTLR_EL2: RES1 bits, instruction cache (12), data cache (2), MMU (0).
const SCTLR: u64 = 0x30c5_0830 | 1 << 12 | 1 << 2 | 1;

const BLOCK: u64 = 0b01;
const TABLE: u64 = 0b11;
const ACCESS_FLAG: u64 = 1 << 10;
const INNER_SHAREABLE: u64 = 3 << 8;
const EXECUTE_NEVER: u64 = 1 << 54;

/// Tables for GiBs that are only partly RAM: two for each range of RAM.
const PARTIAL_TABLES: usize = 2 * MEMORY.len();

const GIB_SHIFT: u32 = 30;
const BLOCK_SHIFT: u32 = 21;

#[repr(C, align(4096))]
struct Table(UnsafeCell<[u64; 512]>);

// SAFETY: only the boot CPU runs the loader.
unsafe impl Sync for Table {}

impl Table {
    const fn new() -> Self {
        Self(UnsafeCell::new([0; 512]))
    }
    fn address(&self) -> u64 {
        self.0.get() as u64
    }
    fn set(&self, index: usize, descriptor: u64) {
        // SAFETY: one CPU, and no reference to the table is ever formed.
        unsafe { self.0.get().cast::<u64>().add(index & 511).write(descriptor) };
    }
}

#[unsafe(link_section = ".tables")]
static PARTIAL: [Table; PARTIAL_TABLES] = [const { Table::new() }; PARTIAL_TABLES];
#[unsafe(link_section = ".tables")]
static LEVEL0: Table = Table::new();
#[unsafe(link_section = ".tables")]
static IDENTITY: Table = Table::new();
#[unsafe(link_section = ".tables")]
static KERNEL_LEVEL1: Table = Table::new();
#[unsafe(link_section = ".tables")]
static KERNEL_LEVEL2: Table = Table::new();

unsafe extern "C" {
    fn enable_mmu(root: u64, mair: u64, tcr: u64, sctlr: u64);
}

/// Whether a piece of the address space is RAM: all of it, some of it, or none.
fn overlap(from: u64, size: u64) -> (bool, bool) {
    let touches = |&(start, end): &(u64, u64)| from < end && start < from + size;
    let covers = |&(start, end): &(u64, u64)| start <= from && from + size <= end;
    (MEMORY.iter().any(covers), MEMORY.iter().any(touches))
}

/// Attributes of memory, or of devices.
const fn attributes(ram: bool) -> u64 {
    ACCESS_FLAG | if ram { ATTR_NORMAL << 2 | INNER_SHAREABLE } else { ATTR_DEVICE << 2 | EXECUTE_NEVER }
}

/// Maps all addresses one to one, in blocks of 1 GiB, and of 2 MiB where RAM has holes or shares a GiB with devices.
fn map_one_to_one() {
    let mut partial = PARTIAL.iter();
    for gib in 0..512 {
        let start = gib << GIB_SHIFT;
        let (whole, some) = overlap(start, 1 << GIB_SHIFT);
        let table = if some && !whole { partial.next() } else { None };
        let descriptor = match table {
            Some(table) => {
                for index in 0..512 {
                    let block = start + (index << BLOCK_SHIFT);
                    let (ram, _) = overlap(block, 1 << BLOCK_SHIFT);
                    table.set(index as usize, block | attributes(ram) | BLOCK);
                }
                table.address() | TABLE
            }
            None => start | attributes(whole) | BLOCK,
        };
        IDENTITY.set(gib as usize, descriptor);
    }
}

/// Maps RAM and devices one to one and `size` bytes of kernel at `virt` to `phys`, then turns MMU and caches on.
///
/// `virt` is at least 512 GiB, `virt` and `phys` are multiples of 2 MiB, `size` at most 1 GiB.
pub fn enter_translated(virt: u64, phys: u64, size: u64) {
    map_one_to_one();
    for block in 0..size.div_ceil(1 << BLOCK_SHIFT) {
        let target = phys + (block << BLOCK_SHIFT);
        let descriptor = target | attributes(true) | BLOCK;
        KERNEL_LEVEL2.set((virt >> BLOCK_SHIFT) as usize + block as usize, descriptor);
    }
    KERNEL_LEVEL1.set((virt >> GIB_SHIFT) as usize, KERNEL_LEVEL2.address() | TABLE);
    LEVEL0.set(0, IDENTITY.address() | TABLE);
    LEVEL0.set((virt >> 39) as usize, KERNEL_LEVEL1.address() | TABLE);
    // SAFETY: the loader's code, stack and tables are in RAM, which IDENTITY maps one to one.
    unsafe { enable_mmu(LEVEL0.address(), MAIR, TCR, SCTLR) };
}
