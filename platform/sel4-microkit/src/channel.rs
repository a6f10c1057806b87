// SPDX-License-Identifier: BSD-2-Clause
//! Channels to other PDs and to interrupts.

use core::fmt;

use sel4_sys::{Error, seL4_CPtr, seL4_Signal, sys_send_recv, syscall_id};

use crate::{MessageInfo, MessageLabel, MessageRegisterValue, RESTARTED, ipc_buffer, set_mr, slots, symbols};

/// Number of channels a PD can have.
const MAX_CHANNELS: usize = 62;

/// A channel, identified by this PD's number for it.
#[derive(Debug, Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Channel {
    index: usize,
}

impl Channel {
    /// The channel that the system description gives this PD as `index`.
    ///
    /// # Panics
    /// When `index` is not below 62.
    pub const fn new(index: usize) -> Self {
        assert!(index < MAX_CHANNELS);
        Self { index }
    }

    /// The channel in the badge of a protected call.
    #[inline(always)]
    pub(crate) const fn from_badge(badge: u64) -> Self {
        Self { index: (badge & 0x3f) as usize }
    }

    /// This PD's number for the channel.
    pub const fn index(&self) -> usize {
        self.index
    }

    /// The capability in the table at `base`, after checking that the tool put one there.
    #[inline(always)]
    fn cap(&self, base: seL4_CPtr, mask: u64, operation: &str) -> seL4_CPtr {
        if mask & (1 << self.index) == 0 {
            not_valid(operation, self.index);
        }
        base + self.index as seL4_CPtr
    }

    #[doc(hidden)]
    #[inline(always)]
    pub fn notification(&self) -> seL4_CPtr {
        self.cap(slots::OUTPUT_NOTIFICATION_BASE, symbols::pd_notifications(), "notify")
    }

    #[doc(hidden)]
    #[inline(always)]
    pub fn irq_handler(&self) -> seL4_CPtr {
        self.cap(slots::IRQ_BASE, symbols::pd_irqs(), "irq_ack")
    }

    #[doc(hidden)]
    #[inline(always)]
    pub fn endpoint(&self) -> seL4_CPtr {
        self.cap(slots::OUTPUT_ENDPOINT_BASE, symbols::pd_pps(), "pp_call")
    }

    /// Notifies the PD on the other side.
    ///
    /// # Panics
    /// When the channel has no other side to notify.
    #[inline(always)]
    pub fn notify(&self) {
        seL4_Signal(self.notification());
    }

    /// Acknowledges the interrupt, so that it can come again.
    ///
    /// # Errors
    /// When the kernel refuses.
    ///
    /// # Panics
    /// When the channel is not an interrupt.
    pub fn irq_ack(&self) -> Result<(), IrqAckError> {
        let handler = self.irq_handler();
        Error::check(ipc_buffer::with(|buffer| buffer.seL4_IRQHandler_Ack(handler))).map_err(IrqAckError)
    }

    /// Calls the PD on the other side and gives its answer; the message registers are argument and result.
    ///
    /// # Panics
    /// When the other side cannot be called.
    #[inline(always)]
    pub fn pp_call(&self, info: MessageInfo) -> MessageInfo {
        let endpoint = self.endpoint();
        let mrs = ipc_buffer::with(|buffer| buffer.fast_registers());
        let reply = sys_send_recv(syscall_id::Call, endpoint, info.into_inner(), mrs, 0);
        ipc_buffer::with(|buffer| buffer.set_fast_registers(reply.mrs));
        MessageInfo::from_inner(reply.info)
    }

    /// As [`Self::pp_call`] with label `label` and message registers `arguments`, and once more whenever the called PD was
    /// restarted meanwhile: for requests that may be carried out twice. After the fourth call the answer is what it is,
    /// the label [`RESTARTED`] included.
    ///
    /// # Panics
    /// When the other side cannot be called, or there are more than 120 arguments.
    pub fn call_again(&self, label: MessageLabel, arguments: &[MessageRegisterValue]) -> MessageInfo {
        let mut answer = MessageInfo::new(RESTARTED, 0);
        for _ in 0..CALLS {
            for (index, argument) in arguments.iter().enumerate() {
                set_mr(index, *argument);
            }
            answer = self.pp_call(MessageInfo::new(label, arguments.len()));
            if answer.label() != RESTARTED {
                break;
            }
        }
        answer
    }
}

/// Most calls that [`Channel::call_again`] makes.
const CALLS: usize = 4;

#[cold]
#[inline(never)]
fn not_valid(operation: &str, index: usize) -> ! {
    panic!("{operation}: not valid for channel {index}")
}

/// Why [`Channel::irq_ack`] failed.
#[derive(Debug, PartialEq, Eq)]
pub struct IrqAckError(Error);

impl fmt::Display for IrqAckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot acknowledge the interrupt: {}", self.0)
    }
}

impl core::error::Error for IrqAckError {}

/// The channels that have notified this PD.
#[derive(Debug, Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelSet(u64);

impl ChannelSet {
    #[inline(always)]
    pub(crate) const fn from_badge(badge: u64) -> Self {
        Self(badge)
    }

    /// All that can be notified; the watchdog's is not among them.
    pub fn all_notifiable() -> Self {
        Self(symbols::pd_notifications()).without(Self(symbols::watchdog_badge()))
    }

    /// Those that are not in `other`.
    #[inline(always)]
    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether there is none.
    #[inline(always)]
    pub const fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// Whether `channel` is among them.
    #[inline(always)]
    pub const fn contains(&self, channel: Channel) -> bool {
        self.0 & (1 << channel.index) != 0
    }

    /// The channels, lowest number first.
    pub const fn iter(&self) -> ChannelSetIter {
        ChannelSetIter(self.0)
    }

    /// The set in the form `{1, 2}`.
    pub const fn display(&self) -> DisplayChannelSet<'_> {
        DisplayChannelSet(self)
    }
}

impl IntoIterator for ChannelSet {
    type Item = Channel;
    type IntoIter = ChannelSetIter;

    fn into_iter(self) -> ChannelSetIter {
        self.iter()
    }
}

/// Iterator over a [`ChannelSet`].
#[derive(Debug, Clone)]
pub struct ChannelSetIter(u64);

impl Iterator for ChannelSetIter {
    type Item = Channel;

    #[inline]
    fn next(&mut self) -> Option<Channel> {
        if self.0 == 0 {
            return None;
        }
        let index = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some(Channel { index })
    }
}

/// Prints a [`ChannelSet`].
#[derive(Debug)]
pub struct DisplayChannelSet<'a>(&'a ChannelSet);

impl fmt::Display for DisplayChannelSet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        let mut separator = "";
        for channel in self.0.iter() {
            write!(f, "{separator}{}", channel.index)?;
            separator = ", ";
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_iterates_in_ascending_order_and_ends() {
        let set = ChannelSet::from_badge((1 << 61) | (1 << 3) | 1);
        assert!(set.iter().map(|channel| channel.index()).eq([0, 3, 61]));
        assert!(set.contains(Channel::new(3)));
        assert!(!set.contains(Channel::new(4)));
        assert_eq!(set.display().to_string(), "{0, 3, 61}");
        assert_eq!(ChannelSet::from_badge(0).display().to_string(), "{}");
    }

    #[test]
    #[should_panic(expected = "notify: not valid for channel 5")]
    fn channel_that_the_tool_did_not_set_up_panics_with_its_number() {
        Channel::new(5).notify();
    }
}
