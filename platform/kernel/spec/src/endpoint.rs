// SPDX-License-Identifier: BSD-2-Clause
//! Endpoints: synchronous messages (manual 4.2).

use crate::reply::Lent;
use crate::state::{Endpoint, Obj, State, ThreadState};
use crate::syscall::SendKind;
use kernel_abi::CapRights;

impl State {
    fn endpoint_mut(&mut self, endpoint: Obj) -> &mut Endpoint {
        self.endpoints.get_mut(&endpoint).expect("endpoint exists")
    }

    /// Queues a thread on an endpoint, in order of priority.
    fn wait_at_endpoint(&mut self, tcb: Obj, endpoint: Obj, sending: bool) {
        let at = self.queue_position(&self.endpoints[&endpoint].queue, tcb);
        let endpoint = self.endpoint_mut(endpoint);
        endpoint.queue.insert(at, tcb);
        endpoint.sending = sending;
    }

    fn leave_endpoint(&mut self, tcb: Obj, endpoint: Obj) {
        self.endpoint_mut(endpoint).queue.retain(|&t| t != tcb);
    }

    /// The first thread that waits to send (`sending`) or to receive.
    fn first_waiting(&self, endpoint: Obj, sending: bool) -> Option<Obj> {
        let endpoint = &self.endpoints[&endpoint];
        if endpoint.sending == sending { endpoint.queue.first().copied() } else { None }
    }

    /// `sender` sends its message (or its fault, which is a call) through a capability with `badge` and `rights`.
    ///
    /// With a receiver there, the message is handed over and the receiver goes on. A call makes the sender wait for
    /// the reply through the receiver's reply object, and lends its scheduling context to a passive receiver; a call
    /// without a Grant right, or to a receiver without reply object, stops the sender for good. Other sends give the
    /// scheduling context away when they donate (manual 6.1.8 "NBSendRecv"). Without receiver, a blocking sender
    /// waits, and others do nothing.
    ///
    /// Changes: both threads, the endpoint's queue, the receiver's IPC buffer and receive slot, the reply object,
    /// the sender's scheduling context, the scheduler.
    pub(crate) fn send_ipc(&mut self, sender: Obj, endpoint: Obj, badge: u64, rights: u64, kind: SendKind) {
        let can_grant = rights & CapRights::GRANT != 0;
        let can_grant_reply = rights & CapRights::GRANT_REPLY != 0;
        let Some(receiver) = self.first_waiting(endpoint, false) else {
            if kind.blocking {
                self.set_thread_state(
                    sender,
                    ThreadState::BlockedOnSend {
                        endpoint,
                        badge,
                        can_grant,
                        can_grant_reply,
                        is_call: kind.call,
                    },
                );
                self.wait_at_endpoint(sender, endpoint, true);
            }
            return;
        };
        self.leave_endpoint(receiver, endpoint);
        self.transfer(sender, Some(endpoint), badge, can_grant, receiver);
        let reply = self.drop_reply_object(receiver);
        if kind.call || self.tcb(sender).fault.is_some() {
            match reply {
                Some(reply) if can_grant || can_grant_reply => {
                    self.wait_for_reply(sender, receiver, reply, kind.donate);
                }
                _ => self.set_thread_state(sender, ThreadState::Inactive),
            }
        } else if kind.donate
            && self.tcb(receiver).sched_context.is_none()
            && let Some(sc) = self.tcb(sender).sched_context
        {
            self.donate(sc, receiver);
        }
        self.set_thread_state(receiver, ThreadState::Running);
        self.note_unblocked(receiver);
        self.possible_switch_to(receiver);
    }

    /// `receiver` receives, with a reply object or without.
    ///
    /// A caller that waits behind the reply object is given up. A signal on the bound notification comes before
    /// messages. With a sender there, its message is handed over; without, a blocking receiver waits (and gives the
    /// scheduling context of its bound notification back), and others get badge 0.
    ///
    /// Changes: as [`State::send_ipc`], and the bound notification.
    pub(crate) fn receive_ipc(&mut self, receiver: Obj, endpoint: Obj, blocking: bool, reply: Option<Obj>) {
        if let Some(reply) = reply
            && let Some(waiting) = self.replies[&reply]
            && waiting != receiver
        {
            self.cancel_ipc(waiting);
        }
        let bound = self.tcb(receiver).notification;
        if let Some(bound) = bound
            && self.notifications[&bound].signalled.is_some()
        {
            self.take_signal(receiver, bound);
            return;
        }
        if let Some(bound) = bound
            && blocking
        {
            self.give_back_to_notification(receiver, bound);
        }
        let Some(sender) = self.first_waiting(endpoint, true) else {
            if blocking {
                self.set_thread_state(receiver, ThreadState::BlockedOnReceive { endpoint, reply });
                if let Some(reply) = reply {
                    self.replies.insert(reply, Some(receiver));
                }
                self.wait_at_endpoint(receiver, endpoint, false);
            } else {
                self.tcb_mut(receiver).regs[0] = 0;
            }
            return;
        };
        self.leave_endpoint(sender, endpoint);
        let ThreadState::BlockedOnSend { badge, can_grant, can_grant_reply, is_call, .. } =
            self.tcb(sender).state
        else {
            unreachable!("who waits to send is in that state")
        };
        self.transfer(sender, Some(endpoint), badge, can_grant, receiver);
        self.note_unblocked(sender);
        let fault = self.tcb(sender).fault;
        if is_call || fault.is_some() {
            match reply {
                Some(reply) if can_grant || can_grant_reply => {
                    let donate = !matches!(fault, Some(crate::fault::Fault::Timeout { .. }));
                    self.wait_for_reply(sender, receiver, reply, donate);
                }
                _ => self.set_thread_state(sender, ThreadState::Inactive),
            }
        } else {
            self.set_thread_state(sender, ThreadState::Running);
            self.possible_switch_to(sender);
        }
    }

    /// Takes a receiver's reply object from it, before it goes on or stops.
    fn drop_reply_object(&mut self, tcb: Obj) -> Option<Obj> {
        match self.tcb(tcb).state {
            ThreadState::BlockedOnReceive { reply: Some(reply), .. } => {
                self.replies.insert(reply, None);
                self.set_thread_state(tcb, ThreadState::Inactive);
                Some(reply)
            }
            _ => None,
        }
    }

    /// Whatever `tcb` waits for, it no longer does: it becomes inactive, and its fault is forgotten. A thread that
    /// waits for a reply leaves its call chain, which is cut there. No effect on others but for the fault.
    ///
    /// Changes: the thread, the queue it is in, its reply object and call chain.
    pub(crate) fn cancel_ipc(&mut self, tcb: Obj) {
        self.tcb_mut(tcb).fault = None;
        match self.tcb(tcb).state {
            ThreadState::BlockedOnSend { endpoint, .. } => {
                self.leave_endpoint(tcb, endpoint);
                self.set_thread_state(tcb, ThreadState::Inactive);
            }
            ThreadState::BlockedOnReceive { endpoint, .. } => {
                self.leave_endpoint(tcb, endpoint);
                self.drop_reply_object(tcb);
                self.set_thread_state(tcb, ThreadState::Inactive);
            }
            ThreadState::BlockedOnNotification { notification } => {
                self.ntfn_mut(notification).queue.retain(|&t| t != tcb);
                self.set_thread_state(tcb, ThreadState::Inactive);
            }
            ThreadState::BlockedOnReply { reply } => self.end_wait_for_reply(reply, tcb, Lent::Stays),
            _ => {}
        }
    }

    /// The endpoint ends: all who wait there try again what they did, and will find the capability gone. Faulting
    /// threads stop.
    ///
    /// Changes: the waiting threads, the endpoint's queue, their reply objects, the scheduler.
    pub(crate) fn cancel_all_ipc(&mut self, endpoint: Obj) {
        let waiting = self.endpoints[&endpoint].queue.clone();
        if waiting.is_empty() {
            return;
        }
        for tcb in waiting {
            self.drop_reply_object(tcb);
            self.start_again(tcb, endpoint);
        }
        self.reschedule();
    }

    /// `CNode_CancelBadgedSends`: all who wait to send with this badge try again.
    ///
    /// Changes: as [`State::cancel_all_ipc`], for them.
    pub(crate) fn cancel_badged_sends(&mut self, endpoint: Obj, badge: u64) {
        if self.first_waiting(endpoint, true).is_none() {
            return;
        }
        for tcb in self.endpoints[&endpoint].queue.clone() {
            if matches!(self.tcb(tcb).state, ThreadState::BlockedOnSend { badge: b, .. } if b == badge) {
                self.start_again(tcb, endpoint);
            }
        }
        self.reschedule();
    }

    fn start_again(&mut self, tcb: Obj, endpoint: Obj) {
        self.leave_endpoint(tcb, endpoint);
        if self.tcb(tcb).fault.is_some() {
            self.set_thread_state(tcb, ThreadState::Inactive);
        } else {
            self.set_thread_state(tcb, ThreadState::Restart);
            self.note_unblocked(tcb);
            self.possible_switch_to(tcb);
        }
    }
}
