// SPDX-License-Identifier: BSD-2-Clause
//! Endpoints: synchronous message passing.

use crate::error::Stop;
use crate::invoke::SendKind;
use crate::kernel::Kernel;
use crate::layout::Word;
use crate::layout::{Endpoint, Reply, Slot, State, Tcb, blocked, queue_state};
use crate::machine::Machine;
use crate::waiting::Ends;
use kernel_abi::{CapRights, fault};

/// Senders that `CancelBadgedSends` passes over without looking whether it has to stop.
const PASSED_AT_ONCE: u32 = 32;

/// A `CancelBadgedSends` that was stopped: nobody in front of `next` sends with the badge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelling {
    /// Where.
    pub endpoint: Endpoint,
    /// Which.
    pub badge: u64,
    /// The sender that is to be looked at next.
    pub next: Tcb,
}

/// What a sender brings along besides the message.
#[derive(Clone, Copy, Debug)]
struct Sent {
    /// Of the capability through which it sends.
    badge: u64,
    /// See [`blocked`].
    flags: u64,
}

impl Sent {
    fn new(badge: u64, rights: u64, call: bool) -> Self {
        let flag = |is: bool, flag| if is { flag } else { 0 };
        let flags = flag(rights & CapRights::GRANT != 0, blocked::CAN_GRANT)
            | flag(rights & CapRights::GRANT_REPLY != 0, blocked::CAN_GRANT_REPLY)
            | flag(call, blocked::IS_CALL);
        Self { badge, flags }
    }

    /// Whether one of these flags is set.
    const fn has(self, flags: u64) -> bool {
        self.flags & flags != 0
    }
}

impl<M: Machine> Kernel<M> {
    #[inline]
    fn endpoint_head(&self, endpoint: Endpoint) -> (u64, Option<Tcb>) {
        let word = endpoint.head_word(&self.m);
        (word & queue_state::MASK, Word::from_word(word & !queue_state::MASK))
    }

    #[inline]
    fn set_endpoint(&mut self, endpoint: Endpoint, state: u64, (head, tail): Ends) {
        let word = match head {
            Some(head) => head.addr().0 | state,
            None => queue_state::IDLE,
        };
        endpoint.set_head_word(&mut self.m, word);
        endpoint.set_tail(&mut self.m, tail);
    }

    /// Lets `tcb` wait in `endpoint` as `state` says.
    pub fn endpoint_insert(&mut self, endpoint: Endpoint, state: u64, tcb: Tcb) {
        if self
            .cancelling
            .is_some_and(|begun| begun.endpoint == endpoint && begun.badge == tcb.blocked_badge(&self.m))
        {
            // Maybe in front of where it was.
            self.cancelling = None;
        }
        let (_, head) = self.endpoint_head(endpoint);
        let ends = self.queue_insert((head, endpoint.tail(&self.m)), tcb);
        self.set_endpoint(endpoint, state, ends);
    }

    /// Takes `tcb` out of `endpoint`.
    pub fn endpoint_remove(&mut self, endpoint: Endpoint, tcb: Tcb) {
        if let Some(begun) = self.cancelling.filter(|begun| begun.next == tcb) {
            self.cancelling = tcb.queue_next(&self.m).map(|next| Cancelling { next, ..begun });
        }
        let (state, head) = self.endpoint_head(endpoint);
        let ends = self.queue_remove((head, endpoint.tail(&self.m)), tcb);
        self.set_endpoint(endpoint, state, ends);
    }

    /// The thread that waits first in `endpoint` as `state` says, taken out of it.
    fn take_waiting(&mut self, endpoint: Endpoint, state: u64) -> Option<Tcb> {
        let (is, head) = self.endpoint_head(endpoint);
        let waiting = head.filter(|_| is == state)?;
        self.endpoint_remove(endpoint, waiting);
        waiting.set_blocked_on(&mut self.m, 0);
        Some(waiting)
    }

    /// `thread` waits in `endpoint` as `state` says.
    fn wait_in(&mut self, endpoint: Endpoint, state: u64, thread: Tcb) {
        let waits = if state == queue_state::SEND { State::BlockedOnSend } else { State::BlockedOnReceive };
        self.block(thread, waits);
        thread.set_blocked_on(&mut self.m, endpoint.addr().0);
        self.endpoint_insert(endpoint, state, thread);
    }

    /// `thread` sends its message, or the fault it waits with, through a capability to `endpoint`.
    pub fn send_ipc(&mut self, thread: Tcb, endpoint: Endpoint, badge: u64, rights: u64, kind: SendKind) {
        let sent = Sent::new(badge, rights, kind.call);
        let Some(receiver) = self.take_waiting(endpoint, queue_state::RECEIVE) else {
            if kind.blocking {
                thread.set_blocked_badge(&mut self.m, sent.badge);
                thread.set_blocked_flags(&mut self.m, sent.flags);
                self.wait_in(endpoint, queue_state::SEND, thread);
            }
            return;
        };
        let reply = self.detach_reply(receiver);
        let waits = self.meet(endpoint, thread, sent, receiver, reply, kind.can_donate);
        if !waits
            && kind.can_donate
            && receiver.sched_context(&self.m).is_none()
            && let Some(sc) = thread.sched_context(&self.m)
        {
            self.donate(sc, receiver);
        }
        self.note_unblocked(receiver);
        receiver.set_state(&mut self.m, State::Running);
        self.possible_switch_to(receiver);
    }

    /// `thread` receives from `endpoint`, with `reply` to answer calls by.
    pub fn receive_ipc(&mut self, thread: Tcb, endpoint: Endpoint, blocking: bool, reply: Option<Reply>) {
        if let Some(other) = reply.and_then(|reply| reply.tcb(&self.m))
            && other != thread
        {
            // The object is in use: whoever waits through it is let go.
            self.cancel_ipc(other);
        }
        if let Some(ntfn) = thread.bound_notification(&self.m) {
            if self.take_active_badge(ntfn, thread) {
                return;
            }
            if blocking {
                self.return_notification_sc(thread, ntfn);
            }
        }
        let Some(sender) = self.take_waiting(endpoint, queue_state::SEND) else {
            if blocking {
                if let Some(reply) = reply {
                    self.attach_reply(thread, reply);
                }
                self.wait_in(endpoint, queue_state::RECEIVE, thread);
            } else {
                thread.set_reg(&mut self.m, 0, 0);
            }
            return;
        };
        self.note_unblocked(sender);
        let sent = Sent { badge: sender.blocked_badge(&self.m), flags: sender.blocked_flags(&self.m) };
        // Who tells that its time is up has none to lend.
        let lends = sender.fault_label(&self.m) != fault::TIMEOUT;
        if !self.meet(endpoint, sender, sent, thread, reply, lends) {
            sender.set_state(&mut self.m, State::Running);
            self.possible_switch_to(sender);
        }
    }

    /// What `sender` has to say goes to `receiver`. Gives whether the sender does not go on, since it was a call or a fault:
    /// it waits for the answer, and with `lends` its context goes along; or it stops if nobody could ever answer.
    fn meet(
        &mut self,
        endpoint: Endpoint,
        sender: Tcb,
        sent: Sent,
        receiver: Tcb,
        reply: Option<Reply>,
        lends: bool,
    ) -> bool {
        self.transfer(sender, Some(endpoint), sent.badge, sent.has(blocked::CAN_GRANT), receiver);
        if !sent.has(blocked::IS_CALL) && sender.fault_label(&self.m) == fault::NULL {
            return false;
        }
        match reply {
            Some(reply) if sent.has(blocked::CAN_GRANT | blocked::CAN_GRANT_REPLY) => {
                self.wait_for_answer(sender, receiver, reply, lends);
            }
            _ => self.block(sender, State::Inactive),
        }
        true
    }

    /// The endpoint goes away: whoever waits in it tries again (and finds no capability). Who is left when it is stopped is
    /// found again.
    pub fn cancel_all_ipc(&mut self, endpoint: Endpoint) -> Result<(), Stop> {
        while let (_, Some(tcb)) = self.endpoint_head(endpoint) {
            self.endpoint_remove(endpoint, tcb);
            self.let_go(tcb);
            self.preemption_point()?;
        }
        Ok(())
    }

    /// A thread taken out of the endpoint's queue starts its operation again; one that waited with a fault stops at it, to run
    /// into it again.
    fn let_go(&mut self, tcb: Tcb) {
        self.detach_reply(tcb);
        if tcb.fault_label(&self.m) == fault::NULL {
            self.try_again(tcb);
        } else {
            tcb.set_blocked_on(&mut self.m, 0);
            tcb.set_state(&mut self.m, State::Inactive);
            self.reschedule();
        }
    }

    /// Senders with `badge` try again. Stopped half-way it goes on, when it is called again, where it was.
    pub fn cancel_badged_sends(&mut self, endpoint: Endpoint, badge: u64) -> Result<(), Stop> {
        let (state, head) = self.endpoint_head(endpoint);
        if state != queue_state::SEND {
            return Ok(());
        }
        let begun = self.cancelling.take().filter(|begun| begun.endpoint == endpoint && begun.badge == badge);
        let mut next = begun.map_or(head, |begun| Some(begun.next));
        let mut passed = 0;
        while let Some(tcb) = next {
            next = tcb.queue_next(&self.m);
            let look = if tcb.blocked_badge(&self.m) == badge {
                self.endpoint_remove(endpoint, tcb);
                self.let_go(tcb);
                self.preemption_point()
            } else {
                passed += 1;
                if passed % PASSED_AT_ONCE == 0 { self.preemption_check() } else { Ok(()) }
            };
            if let (Err(stop), Some(next)) = (look, next) {
                self.cancelling = Some(Cancelling { endpoint, badge, next });
                return Err(stop);
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
