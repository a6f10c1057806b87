// SPDX-License-Identifier: BSD-2-Clause
//! Invariants of the whole state: of every capability and of the object that it names.
//!
//! From the slots of the first task's CNode all derivation lists are walked to their ends. That reaches every object
//! there is as long as the first task keeps its untyped memory: all objects are derived from it.

use super::{Broken, MOST, ensure};
use crate::cap::Cap;
use crate::cspace::slot_of;
use crate::kernel::Kernel;
use crate::layout::{Endpoint, Notification, Reply, SchedContext, Slot, State, Tcb, queue_state, queued};
use crate::machine::Machine;

impl<M: Machine> Kernel<M> {
    /// Checks everything that hangs together with the capabilities in so many slots from `root` on. Returns how many
    /// capabilities there are.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check_everything(&self, root: Slot, slots: u64) -> Result<u64, Broken> {
        let mut caps = 0;
        for index in 0..slots {
            let head = slot_of(root, index);
            if head.is_empty(&self.m) || head.prev(&self.m).is_some() {
                continue;
            }
            let mut next = Some(head);
            for _ in 0..MOST {
                let Some(slot) = next else { break };
                self.check_slot(slot)?;
                self.check_object(slot.cap(&self.m))?;
                next = slot.next(&self.m);
                if let Some(behind) = next {
                    self.check_neighbours(slot, behind)?;
                }
                caps += 1;
            }
            ensure(next.is_none(), "derivation list: no end")?;
        }
        Ok(caps)
    }

    /// Of two that follow each other in the derivation list: the second is of the same object, within the first or, since
    /// memory is handed out upwards and new children go in front, below it. So no two objects share memory. A child of an
    /// untyped is within what that has handed out, and no child says more than its parent.
    fn check_neighbours(&self, slot: Slot, behind: Slot) -> Result<(), Broken> {
        let (cap, next) = (slot.cap(&self.m), behind.cap(&self.m));
        let sizes = self.sizes();
        if let (Some((at, bits)), Some((next_at, next_bits))) = (cap.memory(sizes), next.memory(sizes)) {
            let end = next_at.0 + (1 << next_bits);
            let same = at == next_at && bits == next_bits;
            let inside = matches!(cap, Cap::Untyped { .. }) && cap.covers(next, sizes);
            ensure(same || inside || end <= at.0, "memory in two objects")?;
            if let Cap::Untyped { at, used, .. } = cap
                && inside
                && !same
            {
                ensure(end <= at.0 + used, "an object above what was handed out")?;
            }
        }
        if !self.is_ancestor(slot, behind) {
            return Ok(());
        }
        let more = match (cap, next) {
            (Cap::Endpoint { rights: a, .. }, Cap::Endpoint { rights: b, .. })
            | (Cap::Notification { rights: a, .. }, Cap::Notification { rights: b, .. }) => b & !a != 0,
            (Cap::Frame { rights: a, .. }, Cap::Frame { rights: b, .. }) => {
                b.read && !a.read || b.write && !a.write
            }
            (Cap::Reply { can_grant: a, .. }, Cap::Reply { can_grant: b, .. }) => b && !a,
            (
                Cap::Untyped { device: a, .. },
                Cap::Untyped { device: b, .. } | Cap::Frame { device: b, .. },
            ) => a != b,
            _ => false,
        };
        ensure(!more, "more rights than what it was derived from")
    }

    fn check_object(&self, cap: Cap) -> Result<(), Broken> {
        let m = &self.m;
        match cap {
            Cap::Thread { at } => self.check_thread(at),
            Cap::SchedContext { at, .. } => {
                ensure(
                    at.tcb(m).is_none_or(|tcb| tcb.sched_context(m) == Some(at)),
                    "a context and its thread",
                )?;
                let ntfn = at.notification(m).is_none_or(|ntfn| ntfn.sched_context(m) == Some(at));
                ensure(ntfn, "a context and its notification")?;
                ensure(
                    at.yield_from(m).is_none_or(|tcb| tcb.yield_to(m) == Some(at)),
                    "a context and who yielded",
                )?;
                if !at.is_configured(m) { Ok(()) } else { self.check_refills(at) }
            }
            Cap::Notification { at, .. } => {
                let thread = at.bound_tcb(m).is_none_or(|tcb| tcb.bound_notification(m) == Some(at));
                ensure(thread, "a notification and its thread")?;
                let context = at.sched_context(m).is_none_or(|sc| sc.notification(m) == Some(at));
                ensure(context, "a notification and its context")?;
                self.check_queue(at.head(m), at.tail(m), at.addr().0, State::BlockedOnNotification)
            }
            Cap::Endpoint { at, .. } => self.check_endpoint(at),
            Cap::Reply { at, .. } => self.check_reply(at),
            Cap::Vcpu { at } => {
                ensure(at.tcb(m).is_none_or(|tcb| tcb.vcpu(m) == Some(at)), "a virtual CPU and its thread")
            }
            _ => Ok(()),
        }
    }

    fn check_thread(&self, tcb: Tcb) -> Result<(), Broken> {
        let (m, state) = (&self.m, tcb.state(&self.m));
        let context = tcb.sched_context(m).is_none_or(|sc: SchedContext| sc.tcb(m) == Some(tcb));
        ensure(context, "a thread and its context")?;
        let ntfn = tcb.bound_notification(m).is_none_or(|ntfn: Notification| ntfn.bound_tcb(m) == Some(tcb));
        ensure(ntfn, "a thread and its notification")?;
        ensure(tcb.vcpu(m).is_none_or(|vcpu| vcpu.tcb(m) == Some(tcb)), "a thread and its virtual CPU")?;
        ensure(
            tcb.yield_to(m).is_none_or(|sc| sc.yield_from(m) == Some(tcb)),
            "a thread and what it yielded to",
        )?;
        let ready = tcb.queued(m) == queued::READY;
        ensure(
            self.is_schedulable(tcb) == (ready || tcb == self.current),
            "a thread could run and is not ready",
        )?;
        self.check_lender(tcb)?;
        match state {
            State::BlockedOnReply => ensure(
                tcb.reply(m).is_some_and(|reply| reply.tcb(m) == Some(tcb)),
                "a caller and its reply object",
            ),
            State::BlockedOnReceive => {
                ensure(
                    tcb.reply(m).is_none_or(|reply| reply.tcb(m) == Some(tcb)),
                    "a receiver and its reply object",
                )?;
                ensure(tcb.blocked_on(m) != 0, "waits in nothing")
            }
            State::BlockedOnSend | State::BlockedOnNotification => {
                ensure(tcb.blocked_on(m) != 0, "waits in nothing")
            }
            _ => ensure(
                tcb.queue_next(m).is_none() && tcb.queue_prev(m).is_none() && tcb.better_rank(m).is_none(),
                "is in a queue and does not wait",
            ),
        }
    }

    /// A caller and its neighbours among those who have lent a context; nobody else is one.
    fn check_lender(&self, tcb: Tcb) -> Result<(), Broken> {
        let m = &self.m;
        let (lent, newer, older) = (tcb.lent(m), tcb.newer_lender(m), tcb.older_lender(m));
        ensure(
            self.lends_nothing(tcb) || tcb.state(m) == State::BlockedOnReply,
            "lends and waits for no answer",
        )?;
        ensure(lent.is_none_or(|sc| sc.newest_lender(m) == Some(tcb)), "a context and its newest lender")?;
        ensure(lent.is_none() || newer.is_none(), "two newest lenders")?;
        ensure(newer.is_none_or(|newer| newer.older_lender(m) == Some(tcb)), "a lender and the newer one")?;
        ensure(older.is_none_or(|older| older.newer_lender(m) == Some(tcb)), "a lender and the older one")
    }

    fn check_endpoint(&self, endpoint: Endpoint) -> Result<(), Broken> {
        let word = endpoint.head_word(&self.m);
        let head = crate::layout::Word::from_word(word & !queue_state::MASK);
        let waits = if word & queue_state::MASK == queue_state::SEND {
            State::BlockedOnSend
        } else {
            State::BlockedOnReceive
        };
        self.check_queue(head, endpoint.tail(&self.m), endpoint.addr().0, waits)
    }

    /// The threads that wait in `object`: linked both ways, best first, all in the same state.
    fn check_queue(
        &self,
        head: Option<Tcb>,
        tail: Option<Tcb>,
        object: u64,
        waits: State,
    ) -> Result<(), Broken> {
        let m = &self.m;
        let (mut before, mut next, mut priority) = (None, head, u64::MAX);
        let mut better = None;
        for _ in 0..MOST {
            let Some(tcb) = next else { break };
            ensure(tcb.queue_prev(m) == before, "queue: link back")?;
            ensure(
                tcb.state(m) == waits && tcb.blocked_on(m) == object,
                "queue: somebody who does not wait in it",
            )?;
            ensure(tcb.priority(m) <= priority, "queue: order")?;
            (before, next, priority) = (Some(tcb), tcb.queue_next(m), tcb.priority(m));
            if next.is_some_and(|next| next.priority(m) == priority) {
                ensure(tcb.better_rank(m).is_none() && tcb.worse_rank(m).is_none(), "queue: not the last")?;
            } else {
                ensure(tcb.better_rank(m) == better, "queue: link to the better rank")?;
                ensure(better.is_none_or(|b| b.worse_rank(m) == before), "queue: link to the worse rank")?;
                better = before;
            }
        }
        ensure(next.is_none(), "queue: no end")?;
        ensure(tail.is_none_or(|tail| tail.worse_rank(m).is_none()), "queue: worse than the worst")?;
        ensure(tail == before, "queue: tail")
    }

    fn check_reply(&self, reply: Reply) -> Result<(), Broken> {
        let m = &self.m;
        if let Some(tcb) = reply.tcb(m) {
            let waits = matches!(tcb.state(m), State::BlockedOnReply | State::BlockedOnReceive);
            ensure(waits && tcb.reply(m) == Some(reply), "a reply object and its caller")?;
        }
        Ok(())
    }
}
