// SPDX-License-Identifier: BSD-2-Clause
//! The PD. Symbols: `irq_ch`, `switch_ch`; `link`, `link_size`; a console for its messages, see [`console_log`].

use ring::net::Server;
use ring::pages::SharedPages;
use sel4_microkit::{
    Channel, ChannelSet, DeferredAction, DeferredActionSlot, Handler, IrqAckError, PdCell, var,
};

use crate::Logic;

/// The link that the system description maps.
///
/// # Panics
/// It does not, or the link is too small.
#[must_use]
pub fn link() -> Server<SharedPages> {
    // SAFETY: the link is mapped read-write for the PD's whole life with this size, and nothing else here uses it.
    let link = unsafe { SharedPages::at(*var!(link: usize = 0), *var!(link_size: usize = 0)) };
    let Some(Ok(link)) = link.map(Server::new) else {
        panic!("the link is not mapped, or too small");
    };
    link
}

/// The PD's handler.
pub struct NetDriver<L: 'static> {
    /// Not in the handler: a driver's tables would not fit twice on a stack of the default size.
    driver: &'static PdCell<Option<L>>,
    interrupt: Channel,
    client: Channel,
    deferred: DeferredActionSlot,
}

/// Begins to serve with what is in `driver`.
pub fn run<L: Logic>(driver: &'static PdCell<Option<L>>) -> NetDriver<L> {
    let this = NetDriver {
        driver,
        interrupt: Channel::new(*var!(irq_ch: usize = usize::MAX)),
        client: Channel::new(*var!(switch_ch: usize = usize::MAX)),
        deferred: DeferredActionSlot::new(),
    };
    if this.service(false) {
        this.client.notify();
    }
    this
}

impl<L: Logic> NetDriver<L> {
    /// Moves packets until there is nothing to do. Gives whether to notify the client.
    fn service(&self, interrupted: bool) -> bool {
        let serve = |driver: &mut Option<L>| {
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
            while let Some((event, is_error)) = driver.take_event() {
                let level = if is_error { log::Level::Error } else { log::Level::Info };
                log::log!(level, "{event}");
            }
            Some(notify)
        };
        self.driver.try_with(serve).flatten().unwrap_or_default()
    }
}

impl<L: Logic> Handler for NetDriver<L> {
    type Error = IrqAckError;

    fn notified(&mut self, channels: ChannelSet) -> Result<(), IrqAckError> {
        console_log::notified(channels);
        let interrupted = channels.contains(self.interrupt);
        let notify = self.service(interrupted);
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
