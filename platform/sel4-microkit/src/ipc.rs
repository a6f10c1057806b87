// SPDX-License-Identifier: BSD-2-Clause
//! Receiving and replying on the PD's input, as the event loop does it. Hidden: for code that needs a loop of its own.

use sel4_sys::{
    Message, seL4_MessageInfo, sys_nb_send_recv, sys_recv, sys_send, sys_send_null, sys_send_recv, sys_wait,
    syscall_id,
};

use crate::defer::PreparedDeferredAction;
use crate::{Channel, ChannelSet, Child, MessageInfo, ipc_buffer, slots};

/// What the PD has received.
#[derive(Debug, Clone, Copy)]
pub enum Event {
    /// Notifications and interrupts.
    Notified(ChannelSet),
    /// A protected call, to be answered.
    Protected(Channel, MessageInfo),
    /// A fault of a child or vCPU.
    Fault(Child, MessageInfo),
}

impl Event {
    /// Sorts a message by its badge. The fast message registers go to the IPC buffer, where `get_mr` finds them; a
    /// notification has none.
    #[inline(always)]
    pub(crate) fn from_message(message: Message) -> Self {
        let info = MessageInfo::from_inner(message.info);
        if message.badge & slots::PROTECTED_CALL_BADGE != 0 {
            ipc_buffer::with(|buffer| buffer.set_fast_registers(message.mrs));
            Self::Protected(Channel::from_badge(message.badge), info)
        } else if message.badge & slots::FAULT_BADGE != 0 {
            ipc_buffer::with(|buffer| buffer.set_fast_registers(message.mrs));
            Self::Fault(Child::from_badge(message.badge), info)
        } else {
            Self::Notified(ChannelSet::from_badge(message.badge))
        }
    }
}

/// Answers the caller or faulter received last.
pub fn reply(info: MessageInfo) {
    let mrs = ipc_buffer::with(|buffer| buffer.fast_registers());
    sys_send(syscall_id::Send, slots::REPLY, info.into_inner(), mrs);
}

/// Waits for the next event.
#[inline(always)]
pub fn recv() -> Event {
    Event::from_message(sys_recv(syscall_id::Recv, slots::INPUT, slots::REPLY))
}

/// What has been notified, without waiting: for a PD that nobody calls.
pub fn poll() -> ChannelSet {
    ChannelSet::from_badge(sys_wait(syscall_id::NBWait, slots::INPUT).badge)
}

/// Answers, then waits for the next event.
#[inline(always)]
pub fn reply_recv(info: MessageInfo) -> Event {
    let mrs = ipc_buffer::with(|buffer| buffer.fast_registers());
    Event::from_message(sys_send_recv(
        syscall_id::ReplyRecv,
        slots::INPUT,
        info.into_inner(),
        mrs,
        slots::REPLY,
    ))
}

/// Performs a deferred action and waits for the next event in one system call.
#[inline(always)]
pub(crate) fn nb_send_recv(action: PreparedDeferredAction) -> Event {
    Event::from_message(sys_nb_send_recv(action.cap, action.info, slots::INPUT, [0; 4], slots::REPLY))
}

/// Performs a deferred action.
#[inline(always)]
pub(crate) fn send(action: PreparedDeferredAction) {
    sys_send_null(syscall_id::Send, action.cap, action.info);
}

/// The first action of a passive PD: tells the monitor that initialisation is over; the monitor then takes the PD's
/// scheduling context away.
pub(crate) const fn forfeit_sc() -> PreparedDeferredAction {
    PreparedDeferredAction { cap: slots::MONITOR, info: seL4_MessageInfo::new(0, 0, 0, 0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(badge: u64) -> Event {
        Event::from_message(Message { info: seL4_MessageInfo::new(7, 0, 0, 1), badge, mrs: [42, 0, 0, 0] })
    }

    #[test]
    fn badge_tells_calls_faults_and_notifications_apart() {
        assert!(matches!(event((1 << 63) | 5), Event::Protected(channel, info)
            if channel.index() == 5 && info.label() == 7));
        assert!(matches!(event((1 << 62) | 3), Event::Fault(child, _) if child.index() == 3));
        assert!(matches!(event(0b101), Event::Notified(set) if set.iter().count() == 2));
    }

    #[test]
    fn registers_of_a_call_reach_get_mr() {
        event(1 << 63);
        assert_eq!(crate::get_mr(0), 42);
    }
}
