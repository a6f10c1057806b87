// SPDX-License-Identifier: BSD-2-Clause
//! The driver as a PD, whatever the UART: its interrupt, and two byte rings to one peer (the console virtualiser).
//!
//! Symbols: `uart_irq_ch`, `virt_ch`; rings `tx_queue`, `tx_data`, `tx_data_size` (from the peer) and `rx_queue`, `rx_data`,
//! `rx_data_size` (to the peer).
#![allow(unsafe_code, reason = "symbols that the tool patches, and the regions that they name")]

use ring::memory::SharedRegion;
use ring::serial::{Consumer, Producer};
use sel4_microkit::{
    Channel, ChannelSet, DeferredAction, DeferredActionSlot, Handler, IrqAckError, memory_region_symbol,
    restarted, var,
};

use crate::registers::Registers;
use crate::{Driver, Notify};

/// The PD.
#[derive(Debug)]
pub struct UartDriver<R> {
    driver: Driver<R, SharedRegion>,
    interrupt: Channel,
    peer: Channel,
    deferred: DeferredActionSlot,
}

impl<R: Registers> UartDriver<R> {
    /// Sets the UART up and takes up what there is to do.
    ///
    /// # Panics
    /// When the size of a ring is not a power of two.
    pub fn start(uart: R) -> Self {
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
        let transmit = Consumer::begin(transmit, restarted());
        let receive = Producer::begin(receive, restarted());
        let (driver, notify) = Driver::start(uart, transmit, receive);
        let this = Self {
            driver,
            interrupt: Channel::new(*var!(uart_irq_ch: usize = 0)),
            peer: Channel::new(*var!(virt_ch: usize = 0)),
            deferred: DeferredActionSlot::new(),
        };
        if restarted() || notify == Notify::Peer {
            // The peer may have waited for the former start.
            this.peer.notify();
        }
        this
    }

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

impl<R: Registers> Handler for UartDriver<R> {
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
