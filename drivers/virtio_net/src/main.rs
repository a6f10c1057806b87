// SPDX-License-Identifier: BSD-2-Clause
//! The virtio network driver PD: owns one device and its interrupt, and serves one link (the switch's).
//!
//! Symbols: `regs` (registers), `dma`, `dma_paddr`, `dma_size` (rings and headers: 32 KiB suffice), `switch_ch`, and those of
//! [`link_pd`]. It maps no packets.
#![no_std]
#![no_main]

use ring::net::Server;
use ring::pages::SharedPages;
use safe_mmio::UniqueMmioPointer;
use sel4_microkit::{Handler, PdCell, memory_region_symbol, protection_domain, var};
use virtio_driver::registers::{Layout, Mmio};
use virtio_driver::{Device, DeviceType, DmaMemory};
use virtio_net_driver::{DMA_SIZE, Driver};

const _: () = assert!(DMA_SIZE <= 32 * 1024, "what the documentation says");

static DRIVER: PdCell<Option<Driver<Mmio<'static>, SharedPages>>> = PdCell::new(None);

#[protection_domain]
fn init() -> impl Handler {
    console_log::init();
    // SAFETY: `regs` is where the system description maps the registers, as device memory, for this PD alone.
    let registers = unsafe { UniqueMmioPointer::new(memory_region_symbol!(regs: *mut Layout)) };
    // First of all the reset: nothing that an earlier life of this PD has asked for goes on.
    let device = Device::new(Mmio(registers), DeviceType::Network);
    let physical = *var!(dma_paddr: u64 = 0);
    let size = *var!(dma_size: usize = 0);
    // SAFETY: the region is mapped read-write for the PD's whole life with this size, and nothing else here uses it.
    let dma = unsafe { DmaMemory::new(memory_region_symbol!(dma: *mut u8), physical, size) };
    DRIVER.try_with(|driver| *driver = Some(Driver::new(device, dma, link_pd::link(Server::new))));
    link_pd::run(&DRIVER, *var!(switch_ch: usize = usize::MAX))
}
