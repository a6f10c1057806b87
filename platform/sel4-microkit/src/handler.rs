// SPDX-License-Identifier: BSD-2-Clause
//! The `Handler` trait and the event loop.

pub use core::convert::Infallible;
use core::fmt;

#[cfg(all(feature = "alloc", not(test)))]
use alloc::boxed::Box;

use crate::defer::PreparedDeferredAction;
use crate::ipc::{self, Event};
use crate::{
    Channel, ChannelSet, Child, DeferredAction, MessageInfo, RESTARTED, pd_is_passive, restarted, symbols,
};

/// The application-specific part of a protection domain: what to do with each event. An error ends the PD.
///
/// Notifications on the channel that the symbol `watchdog_ch` names never get here: the event loop answers them, by
/// notifying back. So a PD that still takes events is alive for its supervisor without a line of its own.
pub trait Handler {
    /// What the entry points may fail with.
    type Error: fmt::Display;

    /// Other PDs or interrupts have notified this one.
    ///
    /// # Errors
    /// Ends the PD.
    fn notified(&mut self, channels: ChannelSet) -> Result<(), Self::Error> {
        panic!("unexpected notification from channels {}", channels.display())
    }

    /// Another PD calls this one; the result is its answer.
    ///
    /// # Errors
    /// Ends the PD.
    fn protected(&mut self, channel: Channel, msg_info: MessageInfo) -> Result<MessageInfo, Self::Error> {
        panic!("unexpected protected procedure call from channel {} with {msg_info:?}", channel.index())
    }

    /// A child PD or vCPU has faulted. `Some` is the reply, which resumes it (where the fault allows it); `None` leaves
    /// it stopped.
    ///
    /// # Errors
    /// Ends the PD.
    fn fault(&mut self, child: Child, msg_info: MessageInfo) -> Result<Option<MessageInfo>, Self::Error> {
        panic!("unexpected fault of child {} with {msg_info:?}", child.index())
    }

    /// Called after each event: an action to perform together with the next receive.
    #[inline(always)]
    fn take_deferred_action(&mut self) -> Option<DeferredAction> {
        None
    }

    /// The event loop.
    #[doc(hidden)]
    #[inline(always)]
    fn run(&mut self) -> Result<Never, Self::Error> {
        acknowledge_all_irqs();
        let watchdog = ChannelSet::from_badge(symbols::watchdog_badge());
        // Whoever was being served when a former start died waits for an answer still, and would for ever: receiving
        // with the reply object in use cancels the caller. A passive PD then runs on what that caller lends it.
        let mut reply: Option<MessageInfo> = restarted().then(|| MessageInfo::new(RESTARTED, 0));
        let mut action: Option<PreparedDeferredAction> =
            (pd_is_passive() && !restarted()).then(ipc::forfeit_sc);
        loop {
            let event = match (reply.take(), action.take()) {
                (None, None) => ipc::recv(),
                (None, Some(action)) => ipc::nb_send_recv(action),
                (Some(info), None) => ipc::reply_recv(info),
                (Some(info), Some(action)) => {
                    ipc::send(action);
                    ipc::reply_recv(info)
                }
            };
            match event {
                Event::Notified(channels) => {
                    let others = channels.without(watchdog);
                    if others != channels {
                        answer(watchdog);
                    }
                    if !others.is_empty() {
                        self.notified(others)?;
                    }
                }
                Event::Protected(channel, info) => reply = Some(self.protected(channel, info)?),
                Event::Fault(child, info) => reply = self.fault(child, info)?,
            }
            action = self.take_deferred_action().map(DeferredAction::prepare);
        }
    }
}

/// An interrupt that fired before the PD was there stays masked until it is acknowledged (seL4 issue 1536), so
/// each one is acknowledged once at start.
fn acknowledge_all_irqs() {
    for channel in ChannelSet::from_badge(symbols::pd_irqs()) {
        if let Err(error) = channel.irq_ack() {
            panic!("channel {}: {error}", channel.index());
        }
    }
}

/// Tells the supervisor that this PD takes events.
#[cold]
fn answer(watchdog: ChannelSet) {
    for channel in watchdog.iter() {
        channel.notify();
    }
}

/// A type without values: the event loop does not end.
#[doc(hidden)]
#[derive(Debug)]
pub enum Never {}

impl Handler for Never {
    type Error = Infallible;
}

/// A handler for PDs that do all their work at start and expect no event.
#[derive(Debug)]
pub struct NullHandler(());

impl NullHandler {
    /// The handler.
    #[expect(clippy::new_without_default, reason = "as in rust-sel4's crate")]
    pub const fn new() -> Self {
        Self(())
    }
}

impl Handler for NullHandler {
    type Error = Infallible;
}

#[cfg(feature = "alloc")]
impl<T: Handler + ?Sized> Handler for Box<T> {
    type Error = T::Error;

    fn notified(&mut self, channels: ChannelSet) -> Result<(), Self::Error> {
        (**self).notified(channels)
    }

    fn protected(&mut self, channel: Channel, msg_info: MessageInfo) -> Result<MessageInfo, Self::Error> {
        (**self).protected(channel, msg_info)
    }

    fn fault(&mut self, child: Child, msg_info: MessageInfo) -> Result<Option<MessageInfo>, Self::Error> {
        (**self).fault(child, msg_info)
    }

    fn take_deferred_action(&mut self) -> Option<DeferredAction> {
        (**self).take_deferred_action()
    }

    fn run(&mut self) -> Result<Never, Self::Error> {
        (**self).run()
    }
}
