// SPDX-License-Identifier: BSD-2-Clause
//! Threads that wait for their next refill: a leftist heap through the threads, by time, first come first served among equals.
//!
//! Of each thread the two subtrees behind it come due no earlier. Its *reach* is the way to the nearest place where a subtree is
//! missing, and goes to the right; so the way down the right is at most the logarithm of the number of threads, and with it all
//! that is done here (C. A. Crane, "Linear lists and priority queues as balanced binary trees", 1972).

use crate::kernel::Kernel;
use crate::layout::{Tcb, queued};
use crate::machine::Machine;

impl<M: Machine> Kernel<M> {
    /// `tcb`, which is in no queue, waits until `time`.
    pub(crate) fn release_insert(&mut self, tcb: Tcb, time: u64) {
        tcb.set_release_time(&mut self.m, time);
        tcb.set_release_order(&mut self.m, self.releases);
        self.releases += 1;
        tcb.set_release_reach(&mut self.m, 1);
        tcb.set_queued(&mut self.m, queued::RELEASE);
        let root = self.release_merge(self.release_root, Some(tcb));
        self.release_set_root(root);
    }

    /// `tcb`, which waits for time, does so no more.
    pub(crate) fn release_remove(&mut self, tcb: Tcb) {
        let up = tcb.release_up(&self.m);
        let rest = self.release_merge(tcb.release_left(&self.m), tcb.release_right(&self.m));
        match up {
            None => self.release_set_root(rest),
            Some(up) => {
                if up.release_left(&self.m) == Some(tcb) {
                    up.set_release_left(&mut self.m, rest);
                } else {
                    up.set_release_right(&mut self.m, rest);
                }
                if let Some(rest) = rest {
                    rest.set_release_up(&mut self.m, Some(up));
                }
                self.release_mend(up);
            }
        }
        tcb.set_release_up(&mut self.m, None);
        tcb.set_release_left(&mut self.m, None);
        tcb.set_release_right(&mut self.m, None);
        tcb.set_queued(&mut self.m, queued::NONE);
    }

    fn release_set_root(&mut self, root: Option<Tcb>) {
        if let Some(root) = root {
            root.set_release_up(&mut self.m, None);
        }
        if self.release_root != root {
            self.release_root = root;
            self.reprogram = true;
        }
    }

    /// When a thread comes due, and which of those that come due together.
    fn release_key(&self, tcb: Tcb) -> (u64, u64) {
        (tcb.release_time(&self.m), tcb.release_order(&self.m))
    }

    fn release_reach(&self, tcb: Option<Tcb>) -> u64 {
        tcb.map_or(0, |tcb| tcb.release_reach(&self.m))
    }

    /// One heap of two: down the right sides of both, the earlier one first, then back up.
    fn release_merge(&mut self, mut one: Option<Tcb>, mut other: Option<Tcb>) -> Option<Tcb> {
        let (mut root, mut bottom) = (None, None);
        loop {
            let next = match (one, other) {
                (Some(a), Some(b)) => {
                    let (first, second) =
                        if self.release_key(a) <= self.release_key(b) { (a, b) } else { (b, a) };
                    (one, other) = (first.release_right(&self.m), Some(second));
                    Some(first)
                }
                (rest, None) | (None, rest) => {
                    (one, other) = (None, None);
                    rest
                }
            };
            match bottom {
                None => root = next,
                Some(above) => Tcb::set_release_right(above, &mut self.m, next),
            }
            let Some(next) = next else { break };
            next.set_release_up(&mut self.m, bottom);
            if one.is_none() && other.is_none() {
                break;
            }
            bottom = Some(next);
        }
        while let Some(tcb) = bottom {
            self.release_balance(tcb);
            bottom = tcb.release_up(&self.m);
        }
        root
    }

    /// The subtree that reaches further comes to the left. Gives whether the reach of `tcb` is another than it was.
    fn release_balance(&mut self, tcb: Tcb) -> bool {
        let (left, right) = (tcb.release_left(&self.m), tcb.release_right(&self.m));
        let (mut least, most) = (self.release_reach(right), self.release_reach(left));
        if least > most {
            tcb.set_release_left(&mut self.m, right);
            tcb.set_release_right(&mut self.m, left);
            least = most;
        }
        let was = tcb.release_reach(&self.m);
        tcb.set_release_reach(&mut self.m, least + 1);
        was != least + 1
    }

    /// A subtree of `tcb` has become smaller. It ends where the reach stays what it was; on the way the new reaches are 1, 2, 3 and so
    /// on, so it is no longer than the greatest.
    fn release_mend(&mut self, tcb: Tcb) {
        let mut next = Some(tcb);
        while let Some(tcb) = next {
            next = if self.release_balance(tcb) { tcb.release_up(&self.m) } else { None };
        }
    }
}
