// SPDX-License-Identifier: BSD-2-Clause
//! Endpoints: synchronous message passing.

use crate::error::Stop;
use crate::invoke::SendKind;
use crate::kernel::Kernel;
use crate::layout::Word;
use crate::layout::{Endpoint, Reply, Slot, State, Tcb, blocked, queue_state};
use crate::machine::Machine;
use kernel_abi::{CapRights, fault};

impl<M: Machine> Kernel<M> {
    #[inline]
    fn endpoint_head(&self, endpoint: Endpoint) -> (u64, Option<Tcb>) {
        let word = endpoint.head_word(&self.m);
        (word & queue_state::MASK, Word::from_word(word & !queue_state::MASK))
    }

    #[inline]
    fn set_endpoint(&mut self, endpoint: Endpoint, state: u64, head: Option<Tcb>, tail: Option<Tcb>) {
        let word = match head {
            Some(head) => head.addr().0 | state,
            None => queue_state::IDLE,
        };
        endpoint.set_head_word(&mut self.m, word);
        endpoint.set_tail(&mut self.m, tail);
    }

    /// Lets `tcb` wait in `endpoint` as `state` says.
    pub fn endpoint_insert(&mut self, endpoint: Endpoint, state: u64, tcb: Tcb) {
        let (_, head) = self.endpoint_head(endpoint);
        let tail = endpoint.tail(&self.m);
        let (head, tail) = self.queue_insert(head, tail, tcb);
        self.set_endpoint(endpoint, state, head, tail);
    }

    /// Takes `tcb` out of `endpoint`.
    pub fn endpoint_remove(&mut self, endpoint: Endpoint, tcb: Tcb) {
        let (state, head) = self.endpoint_head(endpoint);
        let tail = endpoint.tail(&self.m);
        let (head, tail) = self.queue_remove(head, tail, tcb);
        self.set_endpoint(endpoint, state, head, tail);
    }

    /// `thread` sends its message, or the fault it waits with, through a capability to `endpoint`.
    pub fn send_ipc(&mut self, thread: Tcb, endpoint: Endpoint, badge: u64, rights: u64, kind: SendKind) {
        let grant = rights & CapRights::GRANT != 0;
        let grant_reply = rights & CapRights::GRANT_REPLY != 0;
        let (state, head) = self.endpoint_head(endpoint);
        let receiver = match head {
            Some(receiver) if state == queue_state::RECEIVE => receiver,
            _ => {
                if kind.blocking {
                    let flags = if grant { blocked::CAN_GRANT } else { 0 }
                        | if grant_reply { blocked::CAN_GRANT_REPLY } else { 0 }
                        | if kind.call { blocked::IS_CALL } else { 0 };
                    thread.set_state(&mut self.m, State::BlockedOnSend);
                    thread.set_blocked_on(&mut self.m, endpoint.addr().0);
                    thread.set_blocked_badge(&mut self.m, badge);
                    thread.set_blocked_flags(&mut self.m, flags);
                    self.leave_if_current(thread);
                    self.endpoint_insert(endpoint, queue_state::SEND, thread);
                }
                return;
            }
        };
        self.endpoint_remove(endpoint, receiver);
        receiver.set_blocked_on(&mut self.m, 0);
        self.transfer(thread, Some(endpoint), badge, grant, receiver);
        let reply = receiver.reply(&self.m);
        if let Some(reply) = reply {
            self.unlink_reply(reply, receiver);
        }
        if kind.call || thread.fault_label(&self.m) != fault::NULL {
            match reply {
                Some(reply) if grant || grant_reply => {
                    self.push_reply(thread, receiver, reply, kind.can_donate);
                }
                _ => self.stop_unanswered(thread),
            }
        } else if kind.can_donate
            && receiver.sched_context(&self.m).is_none()
            && let Some(sc) = thread.sched_context(&self.m)
        {
            self.donate(sc, receiver);
        }
        self.unblock_receiver(receiver);
    }

    /// A receiver that got its message runs on.
    fn unblock_receiver(&mut self, receiver: Tcb) {
        if let Some(sc) = receiver.sched_context(&self.m)
            && sc != self.current_sc
            && sc.sporadic(&self.m)
        {
            self.unblock_check(sc);
        }
        receiver.set_state(&mut self.m, State::Running);
        self.possible_switch_to(receiver);
    }

    /// Nobody can ever answer this sender: it stops.
    fn stop_unanswered(&mut self, thread: Tcb) {
        thread.set_state(&mut self.m, State::Inactive);
        self.leave_if_current(thread);
    }

    /// A thread that stops running lets the scheduler choose.
    #[inline]
    pub fn leave_if_current(&mut self, thread: Tcb) {
        if thread == self.current && self.action == crate::sched::Action::ResumeCurrent {
            self.action = crate::sched::Action::Choose;
        }
    }

    /// `thread` receives from `endpoint`, with `reply` to answer calls by.
    pub fn receive_ipc(&mut self, thread: Tcb, endpoint: Endpoint, blocking: bool, reply: Option<Reply>) {
        if let Some(reply) = reply
            && let Some(waiting) = reply.tcb(&self.m)
            && waiting != thread
        {
            // The object is in use: whoever waits through it is let go.
            self.cancel_ipc(waiting);
        }
        let bound = thread.bound_notification(&self.m);
        if let Some(ntfn) = bound {
            if self.take_active_badge(ntfn, thread) {
                return;
            }
            if blocking {
                self.return_notification_sc(thread, ntfn);
            }
        }
        let (state, head) = self.endpoint_head(endpoint);
        let sender = match head {
            Some(sender) if state == queue_state::SEND => sender,
            _ => {
                if blocking {
                    thread.set_state(&mut self.m, State::BlockedOnReceive);
                    thread.set_blocked_on(&mut self.m, endpoint.addr().0);
                    thread.set_reply(&mut self.m, reply);
                    if let Some(reply) = reply {
                        reply.set_tcb(&mut self.m, Some(thread));
                    }
                    self.leave_if_current(thread);
                    self.endpoint_insert(endpoint, queue_state::RECEIVE, thread);
                } else {
                    thread.set_reg(&mut self.m, 0, 0);
                }
                return;
            }
        };
        self.endpoint_remove(endpoint, sender);
        sender.set_blocked_on(&mut self.m, 0);
        let badge = sender.blocked_badge(&self.m);
        let flags = sender.blocked_flags(&self.m);
        self.transfer(sender, Some(endpoint), badge, flags & blocked::CAN_GRANT != 0, thread);
        if let Some(sc) = sender.sched_context(&self.m)
            && sc != self.current_sc
            && sc.sporadic(&self.m)
        {
            self.unblock_check(sc);
        }
        let fault = sender.fault_label(&self.m);
        if flags & blocked::IS_CALL != 0 || fault != fault::NULL {
            match reply {
                Some(reply) if flags & (blocked::CAN_GRANT | blocked::CAN_GRANT_REPLY) != 0 => {
                    let donates = sender.sched_context(&self.m).is_some() && fault != fault::TIMEOUT;
                    self.push_reply(sender, thread, reply, donates);
                }
                _ => sender.set_state(&mut self.m, State::Inactive),
            }
        } else {
            sender.set_state(&mut self.m, State::Running);
            self.possible_switch_to(sender);
        }
    }

    /// The endpoint goes away: whoever waits in it tries again (and finds no capability). Who is left when it is stopped is
    /// found again.
    pub fn cancel_all_ipc(&mut self, endpoint: Endpoint) -> Result<(), Stop> {
        while let (_, Some(tcb)) = self.endpoint_head(endpoint) {
            self.endpoint_remove(endpoint, tcb);
            self.restart_waiting(tcb);
            self.reschedule();
            self.preemption_point()?;
        }
        Ok(())
    }

    /// A thread taken out of an endpoint's queue starts its operation again; one that waited with a fault stays
    /// stopped at it, to run into it again.
    fn restart_waiting(&mut self, tcb: Tcb) {
        tcb.set_blocked_on(&mut self.m, 0);
        self.unlink_reply_of(tcb);
        if tcb.fault_label(&self.m) == fault::NULL {
            tcb.set_state(&mut self.m, State::Restart);
            if let Some(sc) = tcb.sched_context(&self.m) {
                if sc != self.current_sc && sc.sporadic(&self.m) {
                    self.unblock_check(sc);
                }
                if self.is_schedulable(tcb) {
                    if self.refill_ready(sc) && self.refill_sufficient(sc, 0) {
                        self.enqueue_first(tcb);
                    } else {
                        self.postpone(sc);
                    }
                }
            }
        } else {
            tcb.set_state(&mut self.m, State::Inactive);
        }
    }

    /// Senders with `badge` try again.
    pub fn cancel_badged_sends(&mut self, endpoint: Endpoint, badge: u64) -> Result<(), Stop> {
        let (state, mut next) = self.endpoint_head(endpoint);
        if state != queue_state::SEND {
            return Ok(());
        }
        while let Some(tcb) = next {
            next = tcb.queue_next(&self.m);
            if tcb.blocked_badge(&self.m) == badge {
                self.endpoint_remove(endpoint, tcb);
                self.restart_waiting(tcb);
                self.reschedule();
                // What is left is found again when the call is restarted.
                self.preemption_point()?;
            }
        }
        Ok(())
    }

    /// Sends the current fault of `thread` through the handler capability. Returns whether there was one.
    pub fn send_fault(&mut self, thread: Tcb, handler: Slot, can_donate: bool) -> bool {
        let Some((at, badge, rights)) = handler.endpoint(&self.m) else { return false };
        if rights & CapRights::WRITE == 0 || rights & (CapRights::GRANT | CapRights::GRANT_REPLY) == 0 {
            return false;
        }
        let kind = SendKind { call: false, blocking: true, can_donate, first_phase: false };
        self.send_ipc(thread, at, badge, rights, kind);
        true
    }
}
