// SPDX-License-Identifier: BSD-2-Clause
//! The kernel's own address space: EL2 stage 1, 4 KiB granule, 48-bit addresses (Arm DDI 0487, D8.3).
//!
//! | virtual | what |
//! |---|---|
//! | p | RAM at physical p: data, never executable |
//! | 0xff_c000_0000 | the image: code and constants read-only, the rest writable and not executable |
//! | 0xff_ffe0_0000 | device pages, see the constants |
//!
//! Built once at boot in static tables; later only the boot code's pages are taken out.

use core::arch::asm;
use core::cell::UnsafeCell;

use crate::board::{self, MEMORY, PHYSICAL_BASE, VIRTUAL_BASE};
use crate::gic;
use crate::memory;
use crate::sysreg::{self, MAIR_EL2, SCTLR_EL2, TCR_EL2, write};
use kernel_core::PhysAddr;

/// Where page `n` of the interrupt controller ([`gic::PAGES`]) is mapped.
pub const fn device_page(n: usize) -> u64 {
    DEVICES + ((n as u64) << PAGE_SHIFT)
}

/// The debug console (configuration `debug` only).
pub const CONSOLE: u64 = device_page(gic::PAGES.len());

const DEVICES: u64 = 0xff_ffe0_0000;

const PAGE_SHIFT: u32 = 12;
const BLOCK_SHIFT: u32 = 21;
const GIB_SHIFT: u32 = 30;
const TOP_SHIFT: u32 = 39;
const ENTRIES: usize = 512;

const BLOCK: u64 = 0b01;
const TABLE: u64 = 0b11;
const PAGE: u64 = 0b11;
const READ_ONLY: u64 = 1 << 7;
const INNER_SHAREABLE: u64 = 3 << 8;
const ACCESS_FLAG: u64 = 1 << 10;
const EXECUTE_NEVER: u64 = 1 << 54;
const NORMAL: u64 = 4 << 2 | INNER_SHAREABLE | ACCESS_FLAG;
const DEVICE: u64 = ACCESS_FLAG | EXECUTE_NEVER;

/// Level 2 tables for GiBs that are only partly RAM: two for each range of RAM.
const PARTIAL_TABLES: usize = 2 * MEMORY.len();

#[repr(C, align(4096))]
struct Table(UnsafeCell<[u64; ENTRIES]>);

// SAFETY: written by the boot CPU alone, before any other could run.
unsafe impl Sync for Table {}

impl Table {
    const fn new() -> Self {
        Self(UnsafeCell::new([0; ENTRIES]))
    }
    fn physical(&self) -> u64 {
        image_to_physical(self.0.get() as u64)
    }
    fn set(&self, index: u64, descriptor: u64) {
        // SAFETY: in bounds; no reference to the entries is ever formed, the table walker reads them.
        unsafe { self.0.get().cast::<u64>().add(index as usize % ENTRIES).write_volatile(descriptor) };
    }
    fn get(&self, index: u64) -> u64 {
        // SAFETY: as `set`.
        unsafe { self.0.get().cast::<u64>().add(index as usize % ENTRIES).read_volatile() }
    }
}

static LEVEL0: Table = Table::new();
static LEVEL1: Table = Table::new();
static RAM: Table = Table::new();
static TOP_GIB: Table = Table::new();
static IMAGE: Table = Table::new();
static DEVICE_PAGES: Table = Table::new();
static PARTIAL: [Table; PARTIAL_TABLES] = [const { Table::new() }; PARTIAL_TABLES];

unsafe extern "C" {
    static ki_boot_end: u8;
    static _writable_start: u8;
    static _stack_guard: u8;
    static ki_end: u8;
}

/// Physical address of something in the image.
pub fn image_to_physical(address: u64) -> u64 {
    address - VIRTUAL_BASE + PHYSICAL_BASE
}

/// First physical address behind the image's boot part, which is handed to the root task.
pub fn boot_end() -> u64 {
    image_to_physical(&raw const ki_boot_end as u64)
}

/// First physical address behind the image.
pub fn image_end() -> u64 {
    image_to_physical(&raw const ki_end as u64)
}

const fn index(address: u64, shift: u32) -> u64 {
    address >> shift & (ENTRIES as u64 - 1)
}

/// Builds the tables and switches to them. The image is mapped as the loader mapped it, so execution goes on.
pub fn init() {
    map_image();
    map_devices();
    map_ram();
    TOP_GIB.set(index(VIRTUAL_BASE, BLOCK_SHIFT), IMAGE.physical() | TABLE);
    TOP_GIB.set(index(DEVICES, BLOCK_SHIFT), DEVICE_PAGES.physical() | TABLE);
    LEVEL1.set(index(VIRTUAL_BASE, GIB_SHIFT), TOP_GIB.physical() | TABLE);
    LEVEL0.set(index(VIRTUAL_BASE, TOP_SHIFT), LEVEL1.physical() | TABLE);
    LEVEL0.set(0, RAM.physical() | TABLE);
    sysreg::dsb();
    write!("mair_el2", MAIR_EL2);
    write!("tcr_el2", TCR_EL2);
    write!("ttbr0_el2", LEVEL0.physical());
    sysreg::isb();
    invalidate_own_tlb();
    write!("sctlr_el2", SCTLR_EL2);
    sysreg::isb();
}

/// Takes the boot code out of the kernel's address space, before its memory is given away.
pub fn unmap_boot_code() {
    let end = &raw const ki_boot_end as u64;
    let mut address = VIRTUAL_BASE;
    while address < end {
        IMAGE.set(index(address, PAGE_SHIFT), 0);
        address += 1 << PAGE_SHIFT;
    }
    sysreg::dsb();
    invalidate_own_tlb();
}

fn map_image() {
    let writable = &raw const _writable_start as u64;
    let guard = &raw const _stack_guard as u64;
    let mut address = VIRTUAL_BASE;
    while address < &raw const ki_end as u64 {
        let rights = if address < writable { READ_ONLY } else { EXECUTE_NEVER };
        if address != guard {
            IMAGE.set(index(address, PAGE_SHIFT), image_to_physical(address) | NORMAL | rights | PAGE);
        }
        address += 1 << PAGE_SHIFT;
    }
}

fn map_devices() {
    let page = |virt: u64, phys: u64| DEVICE_PAGES.set(index(virt, PAGE_SHIFT), phys | DEVICE | PAGE);
    for (n, &at) in gic::PAGES.iter().enumerate() {
        page(device_page(n), at);
    }
    if cfg!(feature = "debug") {
        page(CONSOLE, board::CONSOLE);
    }
}

/// Maps every range of RAM in the window: whole GiBs as one block, the rest in blocks of 2 MiB.
fn map_ram() {
    let mut partial = PARTIAL.iter();
    for (start, end) in MEMORY {
        let mut at = start;
        while at < end {
            let virt = memory::address(PhysAddr(at));
            let gib = index(virt, GIB_SHIFT);
            if at.is_multiple_of(1 << GIB_SHIFT) && end - at >= 1 << GIB_SHIFT {
                RAM.set(gib, at | NORMAL | EXECUTE_NEVER | BLOCK);
                at += 1 << GIB_SHIFT;
                continue;
            }
            if RAM.get(gib) == 0 {
                let Some(table) = partial.next() else { return };
                RAM.set(gib, table.physical() | TABLE);
            }
            // Ranges share a GiB only through its one table.
            let physical = RAM.get(gib) & !0xfff & ((1 << 48) - 1);
            if let Some(table) = PARTIAL.iter().find(|table| table.physical() == physical) {
                table.set(index(virt, BLOCK_SHIFT), at | NORMAL | EXECUTE_NEVER | BLOCK);
            }
            at += 1 << BLOCK_SHIFT;
        }
    }
}

fn invalidate_own_tlb() {
    // SAFETY: drops cached translations of the kernel's own address space; the tables are complete.
    unsafe { asm!("tlbi alle2", options(nostack, preserves_flags)) };
    sysreg::dsb();
    sysreg::isb();
}
