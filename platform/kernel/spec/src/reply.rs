// SPDX-License-Identifier: BSD-2-Clause
//! Reply objects and call chains (manual 4.2.4, 6.1.8).
//!
//! A scheduling context remembers the reply objects along which it was donated, newest last. The newest one says to
//! whom it goes back next.

use crate::fault::Fault;
use crate::state::{Obj, State, ThreadState};

impl State {
    /// `caller` waits for the reply that `callee` will give through `reply`. With `donate`, a passive callee runs on
    /// the caller's scheduling context until then.
    ///
    /// Changes: the caller's state, the reply object, the scheduling context.
    pub(crate) fn wait_for_reply(&mut self, caller: Obj, callee: Obj, reply: Obj, donate: bool) {
        self.replies.insert(reply, Some(caller));
        self.set_thread_state(caller, ThreadState::BlockedOnReply { reply });
        if donate
            && self.tcb(callee).sched_context.is_none()
            && let Some(sc) = self.tcb(caller).sched_context
        {
            self.sc_mut(sc).replies.push(reply);
            self.donate(sc, callee);
        }
    }

    /// The scheduling context in whose call chain a reply object is.
    fn chain_of(&self, reply: Obj) -> Option<Obj> {
        self.sched_contexts.iter().find(|(_, sc)| sc.replies.contains(&reply)).map(|(&sc, _)| sc)
    }

    /// Takes `reply`, behind which `tcb` waits, out of use: the thread becomes inactive. From the top of a call
    /// chain, its scheduling context goes back to the thread, unless that got another one meanwhile. From the
    /// middle, the chain is cut: what is below is no longer part of it.
    ///
    /// Changes: thread, reply object, scheduling context.
    pub(crate) fn take_reply(&mut self, reply: Obj, tcb: Obj) {
        if let Some(sc) = self.chain_of(reply) {
            if self.sc(sc).replies.last() == Some(&reply) {
                self.sc_mut(sc).replies.pop();
                if self.tcb(tcb).sched_context.is_none() {
                    self.donate(sc, tcb);
                }
            } else {
                self.cut_chain(sc, reply);
            }
        }
        self.replies.insert(reply, None);
        self.set_thread_state(tcb, ThreadState::Inactive);
    }

    /// The thread itself stops waiting (it is suspended or its wait cancelled): the chain is cut, and the scheduling
    /// context stays where it is.
    ///
    /// Changes: thread, reply object, call chain.
    pub(crate) fn forget_reply(&mut self, reply: Obj, tcb: Obj) {
        if let Some(sc) = self.chain_of(reply) {
            self.cut_chain(sc, reply);
        }
        self.replies.insert(reply, None);
        self.set_thread_state(tcb, ThreadState::Inactive);
    }

    /// Keeps of a call chain what is above `reply`.
    fn cut_chain(&mut self, sc: Obj, reply: Obj) {
        let replies = &mut self.sc_mut(sc).replies;
        if let Some(at) = replies.iter().position(|&r| r == reply) {
            replies.drain(..=at);
        }
    }

    /// `sender` replies through `reply` with its message. No effect when nobody waits for a reply there.
    ///
    /// A caller gets the message and goes on. A faulting thread goes on if its fault's reply says so. With its
    /// scheduling context back but without budget in it, it waits for budget; if it has a time-out handler, that
    /// one hears of it (but not about a reply to a time-out).
    ///
    /// Changes: the thread that waited, its IPC buffer and receive slot, the reply object, the scheduling context,
    /// the scheduler.
    pub(crate) fn reply_to(&mut self, sender: Obj, reply: Obj, can_grant: bool) {
        let Some(receiver) = self.replies[&reply] else { return };
        if self.tcb(receiver).state != (ThreadState::BlockedOnReply { reply }) {
            return;
        }
        self.take_reply(reply, receiver);
        self.note_unblocked(receiver);
        let fault = self.tcb(receiver).fault;
        match fault {
            None => {
                self.transfer(sender, None, 0, can_grant, receiver);
                self.set_thread_state(receiver, ThreadState::Running);
            }
            Some(fault) => {
                let goes_on = self.fault_reply(sender, receiver, fault);
                self.tcb_mut(receiver).fault = None;
                let state = if goes_on { ThreadState::Restart } else { ThreadState::Inactive };
                self.set_thread_state(receiver, state);
            }
        }
        if let Some(sc) = self.tcb(receiver).sched_context
            && self.tcb(receiver).state.is_runnable()
        {
            if self.is_released(sc) {
                self.possible_switch_to(receiver);
            } else if self.has_timeout_handler(receiver) && !matches!(fault, Some(Fault::Timeout { .. })) {
                self.raise_timeout(receiver);
            } else {
                self.wait_for_budget(sc);
            }
        }
    }
}
