// SPDX-License-Identifier: BSD-2-Clause
//! Actions put off to the end of a handler, where the event loop fuses them with its next receive.

use sel4_sys::{invocation_label, seL4_CPtr, seL4_MessageInfo};

use crate::{Channel, IrqAckError};

/// An action that [`Handler::take_deferred_action`](crate::Handler::take_deferred_action) hands to the event loop.
#[derive(Debug, Copy, Clone, Eq, PartialEq)]
pub struct DeferredAction {
    channel: Channel,
    interface: DeferredActionInterface,
}

/// What to do with the channel.
#[derive(Debug, Copy, Clone, Eq, PartialEq)]
pub enum DeferredActionInterface {
    /// Notify the other side.
    Notify,
    /// Acknowledge the interrupt.
    IrqAck,
}

impl DeferredAction {
    /// `interface` on `channel`.
    pub const fn new(channel: Channel, interface: DeferredActionInterface) -> Self {
        Self { channel, interface }
    }

    /// A notification.
    pub const fn new_notify(channel: Channel) -> Self {
        Self::new(channel, DeferredActionInterface::Notify)
    }

    /// An acknowledgement.
    pub const fn new_irq_ack(channel: Channel) -> Self {
        Self::new(channel, DeferredActionInterface::IrqAck)
    }

    /// The channel.
    pub const fn channel(&self) -> Channel {
        self.channel
    }

    /// What to do with it.
    pub const fn interface(&self) -> DeferredActionInterface {
        self.interface
    }

    /// Performs the action at once.
    ///
    /// # Errors
    /// When an acknowledgement is refused.
    pub fn execute_now(self) -> Result<(), IrqAckError> {
        match self.interface {
            DeferredActionInterface::Notify => {
                self.channel.notify();
                Ok(())
            }
            DeferredActionInterface::IrqAck => self.channel.irq_ack(),
        }
    }

    /// Capability and tag for the system call.
    #[inline(always)]
    pub(crate) fn prepare(self) -> PreparedDeferredAction {
        let (cap, label) = match self.interface {
            DeferredActionInterface::Notify => (self.channel.notification(), 0),
            DeferredActionInterface::IrqAck => (self.channel.irq_handler(), invocation_label::IRQAckIRQ),
        };
        PreparedDeferredAction { cap, info: seL4_MessageInfo::new(label.into(), 0, 0, 0) }
    }
}

/// A deferred action as the kernel gets it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PreparedDeferredAction {
    pub(crate) cap: seL4_CPtr,
    pub(crate) info: seL4_MessageInfo,
}

/// Place for one deferred action. Deferring a second one performs the first at once, so that none is lost.
#[derive(Debug, Default)]
pub struct DeferredActionSlot {
    action: Option<DeferredAction>,
}

impl DeferredActionSlot {
    /// An empty slot.
    pub const fn new() -> Self {
        Self { action: None }
    }

    /// Takes the action out.
    #[inline(always)]
    pub const fn take(&mut self) -> Option<DeferredAction> {
        self.action.take()
    }

    /// Puts `action` in. The same action twice is once.
    ///
    /// # Errors
    /// When the slot held an acknowledgement that is refused.
    #[inline]
    pub fn defer(&mut self, action: DeferredAction) -> Result<(), IrqAckError> {
        match self.action.replace(action) {
            Some(older) if older != action => older.execute_now(),
            _ => Ok(()),
        }
    }

    /// Puts a notification in.
    ///
    /// # Errors
    /// As [`Self::defer`].
    #[inline]
    pub fn defer_notify(&mut self, channel: Channel) -> Result<(), IrqAckError> {
        self.defer(DeferredAction::new_notify(channel))
    }

    /// Puts an acknowledgement in.
    ///
    /// # Errors
    /// As [`Self::defer`].
    #[inline]
    pub fn defer_irq_ack(&mut self, channel: Channel) -> Result<(), IrqAckError> {
        self.defer(DeferredAction::new_irq_ack(channel))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_action_twice_is_kept_once() {
        let mut slot = DeferredActionSlot::new();
        let action = DeferredAction::new_notify(Channel::new(1));
        assert_eq!(slot.defer(action), Ok(()));
        assert_eq!(slot.defer(action), Ok(()));
        assert_eq!(slot.take(), Some(action));
        assert_eq!(slot.take(), None);
    }

    #[test]
    #[should_panic(expected = "notify: not valid for channel 1")]
    fn second_action_performs_the_first_at_once() {
        let mut slot = DeferredActionSlot::new();
        let _ = slot.defer_notify(Channel::new(1));
        let _ = slot.defer_notify(Channel::new(2));
    }
}
