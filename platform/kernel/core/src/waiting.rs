// SPDX-License-Identifier: BSD-2-Clause
//! Queues of threads that wait in an endpoint or a notification: best priority first, first come first served among equals.
//!
//! The last threads of the priorities are linked among each other, too, so that whoever comes finds its place from priority to
//! priority, however many threads wait: a queue has a list of threads and a list of ranks, a rank being known by its last thread.

use crate::kernel::Kernel;
use crate::layout::{Endpoint, Notification, State, Tcb, queue_state};
use crate::machine::Machine;

/// First and last thread of a queue.
pub(crate) type Ends = (Option<Tcb>, Option<Tcb>);

impl<M: Machine> Kernel<M> {
    /// Links `tcb` into a queue; returns its new ends.
    pub(crate) fn queue_insert(&mut self, (head, tail): Ends, tcb: Tcb) -> Ends {
        let priority = tcb.priority(&self.m);
        // The last thread of the worst rank that is not worse, and of the rank behind that.
        let (mut before, mut worse) = (tail, None);
        while let Some(last) = before
            && last.priority(&self.m) < priority
        {
            (before, worse) = (last.better_rank(&self.m), before);
        }
        let joins = before.filter(|last| last.priority(&self.m) == priority);
        let better = match joins {
            Some(last) => last.better_rank(&self.m),
            None => before,
        };
        if let Some(last) = joins {
            last.set_better_rank(&mut self.m, None);
            last.set_worse_rank(&mut self.m, None);
        }
        self.link_ranks(better, Some(tcb));
        self.link_ranks(Some(tcb), worse);

        let after = match before {
            Some(last) => last.queue_next(&self.m),
            None => head,
        };
        self.link_threads(before, Some(tcb));
        self.link_threads(Some(tcb), after);
        (if before.is_none() { Some(tcb) } else { head }, if after.is_none() { Some(tcb) } else { tail })
    }

    /// Takes `tcb`, whose priority is still that with which it came, out of a queue; returns its new ends.
    pub(crate) fn queue_remove(&mut self, (head, tail): Ends, tcb: Tcb) -> Ends {
        let (before, after) = (tcb.queue_prev(&self.m), tcb.queue_next(&self.m));
        let equal = |other: &Tcb| other.priority(&self.m) == tcb.priority(&self.m);
        if after.filter(equal).is_none() {
            // The last of its rank: the one before is that now, or there is no such rank any more.
            let (better, worse) = (tcb.better_rank(&self.m), tcb.worse_rank(&self.m));
            match before.filter(equal) {
                Some(last) => {
                    self.link_ranks(better, Some(last));
                    self.link_ranks(Some(last), worse);
                }
                None => self.link_ranks(better, worse),
            }
            tcb.set_better_rank(&mut self.m, None);
            tcb.set_worse_rank(&mut self.m, None);
        }
        self.link_threads(before, after);
        tcb.set_queue_prev(&mut self.m, None);
        tcb.set_queue_next(&mut self.m, None);
        (if before.is_none() { after } else { head }, if after.is_none() { before } else { tail })
    }

    /// These threads of a queue are neighbours; `None` is beyond its end.
    fn link_threads(&mut self, before: Option<Tcb>, after: Option<Tcb>) {
        if let Some(before) = before {
            before.set_queue_next(&mut self.m, after);
        }
        if let Some(after) = after {
            after.set_queue_prev(&mut self.m, before);
        }
    }

    /// These are the last threads of neighbouring ranks.
    fn link_ranks(&mut self, better: Option<Tcb>, worse: Option<Tcb>) {
        if let Some(better) = better {
            better.set_worse_rank(&mut self.m, worse);
        }
        if let Some(worse) = worse {
            worse.set_better_rank(&mut self.m, better);
        }
    }

    /// The thread gets another priority, and the place of that in the queue in which it waits, if it does.
    pub(crate) fn change_waiting_priority(&mut self, tcb: Tcb, priority: u64) {
        let object = crate::PhysAddr(tcb.blocked_on(&self.m));
        match tcb.state(&self.m) {
            State::BlockedOnSend | State::BlockedOnReceive => {
                if let Some(endpoint) = Endpoint::at(object) {
                    let state = endpoint.head_word(&self.m) & queue_state::MASK;
                    self.endpoint_remove(endpoint, tcb);
                    tcb.set_priority(&mut self.m, priority);
                    self.endpoint_insert(endpoint, state, tcb);
                    return;
                }
            }
            State::BlockedOnNotification => {
                if let Some(ntfn) = Notification::at(object) {
                    self.notification_remove(ntfn, tcb);
                    tcb.set_priority(&mut self.m, priority);
                    self.notification_insert(ntfn, tcb);
                    return;
                }
            }
            _ => {}
        }
        tcb.set_priority(&mut self.m, priority);
    }
}
