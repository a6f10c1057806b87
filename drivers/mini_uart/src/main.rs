// SPDX-License-Identifier: BSD-2-Clause
//! The mini UART driver PD: owns the UART and its interrupt, and two byte rings to one peer (the console virtualiser).
//!
//! Symbols: `uart` (registers), `uart_irq_ch`, `virt_ch`; rings `tx_queue`, `tx_data`, `tx_data_size` (from the peer) and
//! `rx_queue`, `rx_data`, `rx_data_size` (to the peer).
#![no_std]
#![no_main]

use mini_uart_driver::{MiniUart, Register, Words};
use pl011_driver::{Driver, Notify};
use ring::memory::SharedRegion;
use ring::serial::{Consumer, Producer};
use safe_mmio::fields::ReadPureWrite;
use safe_mmio::{UniqueMmioPointer, field, field_shared};
use sel4_microkit::{
    Channel, ChannelSet, DeferredAction, DeferredActionSlot, Handler, IrqAckError, memory_region_symbol,
    protection_domain, restarted, var,
};

/// The registers of AUX as they lie in memory. Reading data takes a byte out of the FIFO; the fields say "pure" all the same,
/// as one of them needs it and all are one array: nothing reads data but `take`.
#[repr(C)]
struct Layout {
    words: [ReadPureWrite<u32>; 26],
}

struct Mmio(UniqueMmioPointer<'static, Layout>);

impl Words for Mmio {
    fn read(&self, register: Register) -> u32 {
        field_shared!(self.0, words).get(register as usize / 4).map_or(0, |word| word.read())
    }

    fn take(&mut self, register: Register) -> u32 {
        self.read(register)
    }

    fn write(&mut self, register: Register, value: u32) {
        if let Some(mut word) = field!(self.0, words).get(register as usize / 4) {
            word.write(value);
        }
    }
}

struct UartDriver {
    driver: Driver<MiniUart<Mmio>, SharedRegion>,
    interrupt: Channel,
    peer: Channel,
    deferred: DeferredActionSlot,
}

impl UartDriver {
    fn finish(&mut self, notify: Notify) -> Result<(), IrqAckError> {
        if let Some(error) = self.driver.take_error() {
            log::error!("ring cut off: {error}");
        }
        if notify == Notify::Peer {
            self.deferred.defer_notify(self.peer)?;
        }
        Ok(())
    }
}

impl Handler for UartDriver {
    type Error = IrqAckError;

    fn notified(&mut self, channels: ChannelSet) -> Result<(), IrqAckError> {
        if channels.contains(self.interrupt) {
            let notify = self.driver.handle_interrupt();
            self.deferred.defer_irq_ack(self.interrupt)?;
            self.finish(notify)?;
        }
        if channels.contains(self.peer) {
            let notify = self.driver.handle_peer();
            self.finish(notify)?;
        }
        Ok(())
    }

    fn take_deferred_action(&mut self) -> Option<DeferredAction> {
        self.deferred.take()
    }
}

#[protection_domain]
fn init() -> impl Handler {
    // SAFETY: `uart` is where the system description maps the registers, as device memory, for this PD alone.
    let registers = unsafe { UniqueMmioPointer::new(memory_region_symbol!(uart: *mut Layout)) };
    // SAFETY: the regions are mapped read-write for the PD's whole life with at least these sizes (a queue page is 4 KiB),
    // and nothing else in this PD uses them.
    let (transmit, receive) = unsafe {
        (
            SharedRegion::new(
                memory_region_symbol!(tx_queue: *mut u8),
                memory_region_symbol!(tx_data: *mut u8),
                *var!(tx_data_size: usize = 0),
            ),
            SharedRegion::new(
                memory_region_symbol!(rx_queue: *mut u8),
                memory_region_symbol!(rx_data: *mut u8),
                *var!(rx_data_size: usize = 0),
            ),
        )
    };
    let (Some(transmit), Some(receive)) = (transmit, receive) else {
        panic!("ring sizes must be powers of two");
    };
    let this = UartDriver {
        driver: Driver::new(
            MiniUart::new(Mmio(registers)),
            Consumer::begin(transmit, restarted()),
            Producer::begin(receive, restarted()),
        ),
        interrupt: Channel::new(*var!(uart_irq_ch: usize = 0)),
        peer: Channel::new(*var!(virt_ch: usize = 0)),
        deferred: DeferredActionSlot::new(),
    };
    if restarted() {
        // The peer may have waited for the former start.
        this.peer.notify();
    }
    this
}
