// SPDX-License-Identifier: BSD-2-Clause
//! The virtio block driver PD: owns one device and its interrupt, and serves one link (the block virtualiser's).
//!
//! Symbols: `regs` (registers), `dma`, `dma_paddr`, `dma_size` (rings and headers; 300 KiB are used at most, less means
//! fewer segments in a request), `virt_ch`, and those of [`link_pd`]. It maps no data.
#![no_std]
#![no_main]

use ring::blk::Server;
use ring::pages::SharedPages;
use safe_mmio::UniqueMmioPointer;
use sel4_microkit::{Handler, PdCell, memory_region_symbol, protection_domain, var};
use virtio_blk_driver::Driver;
use virtio_driver::registers::{Layout, Mmio};
use virtio_driver::{Device, DeviceType, DmaMemory};

static DRIVER: PdCell<Option<Driver<Mmio<'static>, SharedPages>>> = PdCell::new(None);

#[protection_domain]
fn init() -> impl Handler {
    console_log::init();
    // SAFETY: `regs` is where the system description maps the registers, as device memory, for this PD alone.
    let registers = unsafe { UniqueMmioPointer::new(memory_region_symbol!(regs: *mut Layout)) };
    // First of all the reset: nothing that an earlier life of this PD has asked for goes on.
    let device = Device::new(Mmio(registers), DeviceType::Block);
    let physical = *var!(dma_paddr: u64 = 0);
    let size = *var!(dma_size: usize = 0);
    // SAFETY: the region is mapped read-write for the PD's whole life with this size, and nothing else here uses it.
    let dma = unsafe { DmaMemory::new(memory_region_symbol!(dma: *mut u8), physical, size) };
    DRIVER.try_with(|driver| *driver = Some(Driver::new(device, dma, link_pd::link(Server::new))));
    link_pd::run(&DRIVER, *var!(virt_ch: usize = usize::MAX))
}
