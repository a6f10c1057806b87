// SPDX-License-Identifier: BSD-2-Clause
//! The PD. Symbols: `irq_ch`; `link`, `link_size`; a console for its messages, see [`console_log`].

use ring::pages::SharedPages;
use sel4_microkit::{
    Channel, ChannelSet, DeferredAction, DeferredActionSlot, Handler, IrqAckError, PdCell, var,
};

use crate::Logic;

/// The link that the system description maps, as `server` makes it of its memory.
///
/// # Panics
/// It maps none, or the link is too small.
#[must_use]
pub fn link<S, E>(server: impl FnOnce(SharedPages) -> Result<S, E>) -> S {
    // SAFETY: the link is mapped read-write for the PD's whole life with this size, and nothing else here uses it.
    let link = unsafe { SharedPages::at(*var!(link: usize = 0), *var!(link_size: usize = 0)) };
    let Some(Ok(link)) = link.map(server) else {
        panic!("the link is not mapped, or too small");
    };
    link
}

/// The PD's handler.
pub struct LinkDriver<L: 'static> {
    /// Not in the handler: a driver's tables would not fit twice on a stack of the default size.
    driver: &'static PdCell<Option<L>>,
    interrupt: Channel,
    client: Channel,
    deferred: DeferredActionSlot,
}

/// Begins to serve the client at the other end of channel `client` with what is in `driver`.
pub fn run<L: Logic>(driver: &'static PdCell<Option<L>>, client: usize) -> LinkDriver<L> {
    let this = LinkDriver {
        driver,
        interrupt: Channel::new(*var!(irq_ch: usize = usize::MAX)),
        client: Channel::new(client),
        deferred: DeferredActionSlot::new(),
    };
    if this.service(false, true) {
        this.client.notify();
    }
    this
}

impl<L: Logic> LinkDriver<L> {
    /// Works until there is nothing to do. Gives whether to notify the client.
    fn service(&self, interrupted: bool, mut notified: bool) -> bool {
        let serve = |driver: &mut Option<L>| {
            let driver = driver.as_mut()?;
            if interrupted {
                driver.handle_interrupt();
            }
            let mut notify = false;
            loop {
                let outcome = driver.service(notified);
                notify |= outcome.notify;
                if !outcome.again {
                    break;
                }
                notified = false;
            }
            while let Some(event) = driver.take_event() {
                let level = if L::is_error(&event) { log::Level::Error } else { log::Level::Info };
                log::log!(level, "{event}");
            }
            Some(notify)
        };
        self.driver.try_with(serve).flatten().unwrap_or_default()
    }
}

impl<L: Logic> Handler for LinkDriver<L> {
    type Error = IrqAckError;

    fn notified(&mut self, channels: ChannelSet) -> Result<(), IrqAckError> {
        console_log::notified(channels);
        let interrupted = channels.contains(self.interrupt);
        let notify = self.service(interrupted, channels.contains(self.client));
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
