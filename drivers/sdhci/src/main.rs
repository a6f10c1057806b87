// SPDX-License-Identifier: BSD-2-Clause
//! The SD card driver PD: owns a host controller and its interrupt, and serves one link (the block virtualiser's).
//!
//! Symbols: `regs` (registers), `engine` (registers of the DMA engine, if there is one), `dma`, `dma_paddr`, `dma_size` (lists, 4 KiB),
//! `virt_ch`, and those of [`link_pd`]. It maps no data.
#![no_std]
#![no_main]

mod mmio;

use mmio::{Channels, Layout, Mmio};
use ring::blk::Server;
use ring::pages::SharedPages;
use safe_mmio::UniqueMmioPointer;
use sdhci_driver::Driver;
use sel4_microkit::{Handler, PdCell, memory_region_symbol, protection_domain, var};
use virtio_driver::DmaMemory;

static DRIVER: PdCell<Option<Driver<Mmio<'static>, Channels<'static>, SharedPages>>> = PdCell::new(None);

#[protection_domain]
fn init() -> impl Handler {
    console_log::init();
    // SAFETY: `regs` is where the system description maps the registers, as device memory, for this PD alone.
    let registers = unsafe { UniqueMmioPointer::new(memory_region_symbol!(regs: *mut Layout)) };
    let engine = *var!(engine: usize = 0);
    let engine = core::ptr::NonNull::new(core::ptr::with_exposed_provenance_mut(engine)).map(|at| {
        // SAFETY: likewise, if it is set.
        Channels::new(unsafe { UniqueMmioPointer::new(at) })
    });
    let physical = *var!(dma_paddr: u64 = 0);
    let size = *var!(dma_size: usize = 0);
    // SAFETY: the region is mapped read-write for the PD's whole life with this size, and nothing else here uses it.
    let dma = unsafe { DmaMemory::new(memory_region_symbol!(dma: *mut u8), physical, size) };
    let driver = Driver::new(Mmio(registers), engine, mmio::DATA_PORT, dma, link_pd::link(Server::new));
    DRIVER.try_with(|place| *place = Some(driver));
    link_pd::run(&DRIVER, *var!(virt_ch: usize = usize::MAX))
}
