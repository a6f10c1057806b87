// SPDX-License-Identifier: BSD-2-Clause
//! The virtio entropy driver PD: owns one device and its interrupt, and fills a byte ring for each client.
//!
//! Symbols: `regs` (registers), `dma`, `dma_paddr`, `dma_size` (buffer and queue), `irq_ch`; for each client n = 0..=7 that
//! there is, `client<n>_ch` and its ring `client<n>_queue`, `client<n>_data`, `client<n>_data_size`.
#![no_std]
#![no_main]

use core::ptr::NonNull;

use ring::memory::SharedRegion;
use ring::serial::Producer;
use safe_mmio::UniqueMmioPointer;
use sel4_microkit::{
    Channel, ChannelSet, DeferredAction, DeferredActionSlot, Handler, IrqAckError, memory_region_symbol,
    protection_domain, restarted, var,
};
use virtio_driver::registers::{Layout, Mmio};
use virtio_driver::{Device, DeviceType, DmaMemory};
use virtio_rng_driver::{Driver, MAX_CLIENTS};

/// What a channel symbol holds that the system description does not set.
const NOT_CONNECTED: usize = usize::MAX;

struct EntropyDriver {
    driver: Driver<Mmio<'static>, SharedRegion>,
    interrupt: Channel,
    clients: [Option<Channel>; MAX_CLIENTS],
    deferred: DeferredActionSlot,
}

impl EntropyDriver {
    /// Adds the client with these symbols, if the system description sets them.
    fn add(&mut self, index: usize, channel: usize, queue: usize, data: usize, size: usize) {
        let pointer = |address| NonNull::new(core::ptr::with_exposed_provenance_mut::<u8>(address));
        let (Some(queue), Some(data)) = (pointer(queue), pointer(data)) else { return };
        // SAFETY: the values are those of regions that the system description maps for the PD's whole life, with this
        // size (a queue page is 4 KiB). Nothing else in this PD uses them.
        let region = unsafe { SharedRegion::new(queue, data, size) };
        let Some(region) = region else { panic!("the size of a ring must be a power of two") };
        if channel == NOT_CONNECTED {
            return;
        }
        if let Some(place) = self.clients.get_mut(index) {
            *place = Some(Channel::new(channel));
        }
        self.driver.add_client(index, Producer::begin(region, restarted()));
    }

    fn work(&mut self) {
        let work = self.driver.work();
        if let Some(event) = work.event {
            log::error!("{event}");
        }
        for (index, client) in self.clients.iter().enumerate() {
            if work.notify & 1 << index != 0
                && let Some(channel) = client
            {
                channel.notify();
            }
        }
    }
}

impl Handler for EntropyDriver {
    type Error = IrqAckError;

    fn notified(&mut self, channels: ChannelSet) -> Result<(), IrqAckError> {
        if channels.contains(self.interrupt) {
            self.driver.handle_interrupt();
            self.deferred.defer_irq_ack(self.interrupt)?;
        }
        self.work();
        Ok(())
    }

    fn take_deferred_action(&mut self) -> Option<DeferredAction> {
        self.deferred.take()
    }
}

/// Adds a client from its symbols.
macro_rules! client {
    ($this:ident $number:literal $channel:ident $queue:ident $data:ident $size:ident) => {
        $this.add(
            $number,
            *var!($channel: usize = NOT_CONNECTED),
            *var!($queue: usize = 0),
            *var!($data: usize = 0),
            *var!($size: usize = 0),
        )
    };
}

#[protection_domain]
fn init() -> impl Handler {
    // SAFETY: `regs` is where the system description maps the registers, as device memory, for this PD alone.
    let registers = unsafe { UniqueMmioPointer::new(memory_region_symbol!(regs: *mut Layout)) };
    // First of all the reset: the device writes nothing for an earlier life of this PD any more.
    let device = Device::new(Mmio(registers), DeviceType::Entropy);
    let (physical, size) = (*var!(dma_paddr: u64 = 0), *var!(dma_size: usize = 0));
    // SAFETY: the region is mapped read-write for the PD's whole life with this size, and nothing else here uses it.
    let dma = unsafe { DmaMemory::new(memory_region_symbol!(dma: *mut u8), physical, size) };
    let mut this = EntropyDriver {
        driver: Driver::new(device, dma),
        interrupt: Channel::new(*var!(irq_ch: usize = 0)),
        clients: [None; MAX_CLIENTS],
        deferred: DeferredActionSlot::new(),
    };
    client!(this 0 client0_ch client0_queue client0_data client0_data_size);
    client!(this 1 client1_ch client1_queue client1_data client1_data_size);
    client!(this 2 client2_ch client2_queue client2_data client2_data_size);
    client!(this 3 client3_ch client3_queue client3_data client3_data_size);
    client!(this 4 client4_ch client4_queue client4_data client4_data_size);
    client!(this 5 client5_ch client5_queue client5_data client5_data_size);
    client!(this 6 client6_ch client6_queue client6_data client6_data_size);
    client!(this 7 client7_ch client7_queue client7_data client7_data_size);
    // An interrupt of an earlier life may be waiting for this.
    let _ = this.interrupt.irq_ack();
    this.work();
    this
}
