// SPDX-License-Identifier: BSD-2-Clause
//! The SD card driver PD: owns a host controller and its interrupt, and serves one link (the block virtualiser's).
//!
//! Symbols: `regs` (registers), `engine` (registers of the DMA engine, if there is one), `dma`, `dma_paddr`, `dma_size` (lists, 4 KiB),
//! `irq_ch`, `virt_ch`; `link`, `link_size`; a console for its messages, see [`console_log`]. It maps no data.
#![no_std]
#![no_main]

mod mmio;

use mmio::{Channels, Layout, Mmio};
use ring::blk::Server;
use ring::pages::SharedPages;
use safe_mmio::UniqueMmioPointer;
use sdhci_driver::Driver;
use sel4_microkit::{
    Channel, ChannelSet, DeferredAction, DeferredActionSlot, Handler, IrqAckError, memory_region_symbol,
    protection_domain, var,
};
use virtio_driver::DmaMemory;

struct CardDriver {
    driver: Driver<Mmio<'static>, Channels<'static>, SharedPages>,
    interrupt: Channel,
    client: Channel,
    deferred: DeferredActionSlot,
}

impl CardDriver {
    fn service(&mut self, mut notified: bool) -> bool {
        let mut notify = false;
        loop {
            let outcome = self.driver.service(notified);
            notify |= outcome.notify;
            if !outcome.again {
                break;
            }
            notified = false;
        }
        while let Some(event) = self.driver.take_event() {
            match event {
                sdhci_driver::Event::Card { .. } => log::info!("{event}"),
                _ => log::error!("{event}"),
            }
        }
        notify
    }
}

impl Handler for CardDriver {
    type Error = IrqAckError;

    fn notified(&mut self, channels: ChannelSet) -> Result<(), IrqAckError> {
        console_log::notified(channels);
        if channels.contains(self.interrupt) {
            self.driver.handle_interrupt();
            self.deferred.defer_irq_ack(self.interrupt)?;
        }
        if self.service(channels.contains(self.client)) {
            self.deferred.defer_notify(self.client)?;
        }
        Ok(())
    }

    fn take_deferred_action(&mut self) -> Option<DeferredAction> {
        self.deferred.take()
    }
}

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
    // SAFETY: likewise.
    let link = unsafe { SharedPages::at(*var!(link: usize = 0), *var!(link_size: usize = 0)) };
    let Some(Ok(link)) = link.map(Server::new) else {
        panic!("the link is not mapped, or too small");
    };
    let mut this = CardDriver {
        driver: Driver::new(Mmio(registers), engine, mmio::DATA_PORT, dma, link),
        interrupt: Channel::new(*var!(irq_ch: usize = usize::MAX)),
        client: Channel::new(*var!(virt_ch: usize = usize::MAX)),
        deferred: DeferredActionSlot::new(),
    };
    if this.service(true) {
        this.client.notify();
    }
    this
}
