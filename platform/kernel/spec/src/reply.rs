// SPDX-License-Identifier: BSD-2-Clause
//! Reply objects and call chains (manual 4.2.4, 6.1.8).
//!
//! A scheduling context remembers the reply objects along which it was donated, newest last. The newest one says to
//! whom it goes back next.

use crate::fault::Fault;
use crate::state::{Obj, SchedContext, State, ThreadState};

/// What is asked to become of the scheduling context that a caller has lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lent {
    /// It comes back, as when somebody answers.
    ComesBack,
    /// It stays, as when the caller itself is stopped.
    Stays,
}

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

    /// `tcb`, which waits behind `reply`, does so no more, and becomes inactive. What it lent comes back to it if it asks for that,
    /// nobody called on with it, and it got no other scheduling context meanwhile. Otherwise the context stays where it is, and
    /// neither the thread nor who called before it has a claim to it.
    ///
    /// Changes: thread, reply object, scheduling context.
    pub(crate) fn end_wait_for_reply(&mut self, reply: Obj, tcb: Obj, lent: Lent) {
        let place = |sc: &SchedContext| sc.replies.iter().position(|&other| other == reply);
        let lender = self.sched_contexts.iter().find_map(|(&sc, state)| Some((sc, place(state)?)));
        if let Some((sc, place)) = lender {
            let replies = &mut self.sc_mut(sc).replies;
            if lent == Lent::ComesBack && place + 1 == replies.len() {
                replies.pop();
                if self.tcb(tcb).sched_context.is_none() {
                    self.donate(sc, tcb);
                }
            } else {
                replies.drain(..=place);
            }
        }
        self.replies.insert(reply, None);
        self.set_thread_state(tcb, ThreadState::Inactive);
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
        self.end_wait_for_reply(reply, receiver, Lent::ComesBack);
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
