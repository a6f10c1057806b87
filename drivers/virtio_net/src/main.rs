// SPDX-License-Identifier: BSD-2-Clause
//! The virtio network driver PD: owns one device and its interrupt, and serves one link (the switch's).
//!
//! Symbols: `regs` (registers), `dma`, `dma_paddr`, `dma_size` (rings and headers: 32 KiB suffice), `irq_ch`, `switch_ch`; `link`,
//! `link_size`. It maps no packets.
#![no_std]
#![no_main]

use ring::net::Server;
use ring::pages::SharedPages;
use safe_mmio::UniqueMmioPointer;
use sel4_microkit::{
    Channel, ChannelSet, DeferredAction, DeferredActionSlot, Handler, IrqAckError, PdCell,
    memory_region_symbol, protection_domain, var,
};
use virtio_driver::registers::{Layout, Mmio};
use virtio_driver::{Device, DeviceType, DmaMemory};
use virtio_net_driver::{DMA_SIZE, Driver, Event};

const _: () = assert!(DMA_SIZE <= 32 * 1024, "what the documentation says");

/// The driver. Not in the handler: its tables would not fit twice on a stack of the default size.
static DRIVER: PdCell<Option<Driver<Mmio<'static>, SharedPages>>> = PdCell::new(None);

struct NetDriver {
    interrupt: Channel,
    client: Channel,
    deferred: DeferredActionSlot,
}

/// Moves packets until there is nothing to do. Gives whether to notify the client.
fn service(interrupted: bool) -> bool {
    let serve = |driver: &mut Option<Driver<Mmio<'static>, SharedPages>>| {
        let driver = driver.as_mut()?;
        if interrupted {
            driver.handle_interrupt();
        }
        let mut notify = false;
        loop {
            let outcome = driver.service();
            notify |= outcome.notify;
            if !outcome.again {
                break;
            }
        }
        while let Some(event) = driver.take_event() {
            match event {
                Event::Line(_) => log::info!("{event}"),
                _ => log::error!("{event}"),
            }
        }
        Some(notify)
    };
    DRIVER.try_with(serve).flatten().unwrap_or_default()
}

impl Handler for NetDriver {
    type Error = IrqAckError;

    fn notified(&mut self, channels: ChannelSet) -> Result<(), IrqAckError> {
        let interrupted = channels.contains(self.interrupt);
        let notify = service(interrupted);
        if interrupted {
            // The device's line is low, or it has something new, for which it interrupts again.
            self.deferred.defer_irq_ack(self.interrupt)?;
        }
        if notify {
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
    // SAFETY: `regs` is where the system description maps the registers, as device memory, for this PD alone.
    let registers = unsafe { UniqueMmioPointer::new(memory_region_symbol!(regs: *mut Layout)) };
    // First of all the reset: nothing that an earlier life of this PD has asked for goes on.
    let device = Device::new(Mmio(registers), DeviceType::Network);
    let physical = *var!(dma_paddr: u64 = 0);
    let size = *var!(dma_size: usize = 0);
    // SAFETY: the region is mapped read-write for the PD's whole life with this size, and nothing else here uses it.
    let dma = unsafe { DmaMemory::new(memory_region_symbol!(dma: *mut u8), physical, size) };
    // SAFETY: likewise.
    let link = unsafe { SharedPages::at(*var!(link: usize = 0), *var!(link_size: usize = 0)) };
    let Some(Ok(link)) = link.map(Server::new) else {
        panic!("the link is not mapped, or too small");
    };
    DRIVER.try_with(|driver| *driver = Some(Driver::new(device, dma, link)));
    let client = Channel::new(*var!(switch_ch: usize = usize::MAX));
    if service(false) {
        client.notify();
    }
    let interrupt = Channel::new(*var!(irq_ch: usize = usize::MAX));
    NetDriver { interrupt, client, deferred: DeferredActionSlot::new() }
}
