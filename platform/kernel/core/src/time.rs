// SPDX-License-Identifier: BSD-2-Clause
//! Whose time passes: the clock as of this kernel entry, what the current scheduling context is charged, and the end of its
//! budget.

use crate::budget::Bounds;
use crate::kernel::Kernel;
use crate::layout::{SchedContext, Tcb};
use crate::machine::Machine;

impl<M: Machine> Kernel<M> {
    /// The least amount that a first refill may have: enough for a way into the kernel and one out of it.
    #[inline(always)]
    pub(crate) fn min_budget(&self) -> u64 {
        2 * self.m.wcet_ticks()
    }

    fn bounds(&self) -> Bounds {
        let end_of_time = u64::MAX - 5 * self.m.us_to_ticks(self.m.max_period_us());
        Bounds { least: self.min_budget(), end_of_time }
    }

    /// Whether the first refill may be used now.
    #[inline]
    pub fn is_due(&self, sc: SchedContext) -> bool {
        sc.first_time(&self.m) <= self.now
    }

    /// Whether the first refill may be used now and is enough to run on.
    #[inline]
    pub fn has_time_now(&self, sc: SchedContext) -> bool {
        self.is_due(sc) && sc.has(&self.m, self.min_budget(), 0)
    }

    /// Whether the current thread can go on.
    #[inline]
    pub fn current_has_time(&self) -> bool {
        let sc = self.current_sc;
        sc == self.idle_sc || !sc.is_configured(&self.m) || sc.has(&self.m, self.min_budget(), self.consumed)
    }

    /// Reads the clock; the time since the last reading is the current context's.
    #[inline]
    pub fn update_time(&mut self) {
        let now = self.m.now();
        self.consumed += now.saturating_sub(self.now);
        self.now = now;
    }

    /// Whether, when the clock was read last, nothing was due: the current context can go on, and no thread's waiting
    /// for time is over. Asked at the start of a kernel entry.
    #[inline(always)]
    pub(crate) fn is_quiet(&self) -> bool {
        self.now < self.quiet_before
    }

    /// `sc` begins to be used: its budget counts from now, if it is due.
    #[inline(always)]
    pub fn start_budget(&mut self, sc: SchedContext) {
        if sc != self.idle_sc && !sc.is_round_robin(&self.m) && self.is_due(sc) {
            sc.start(&mut self.m, self.now);
            self.reprogram = true;
        }
    }

    /// A thread stops waiting: a sporadic budget counts from now.
    pub fn note_unblocked(&mut self, tcb: Tcb) {
        if let Some(sc) = tcb.sched_context(&self.m)
            && sc != self.current_sc
            && sc.sporadic(&self.m)
        {
            self.start_budget(sc);
        }
    }

    /// Charges the current context for what it has used so far.
    #[inline]
    pub fn charge_time(&mut self) {
        let (sc, used) = (self.current_sc, core::mem::take(&mut self.consumed));
        if used != 0 && sc != self.idle_sc && sc.is_configured(&self.m) {
            let bounds = self.bounds();
            sc.charge(&mut self.m, used, bounds);
            self.count_consumed(sc, used);
        }
    }

    /// Adds to what users can ask for ([`take_consumed`](Self::take_consumed)).
    #[inline(always)]
    pub(crate) fn count_consumed(&mut self, sc: SchedContext, used: u64) {
        // So many ticks do not pass.
        let total = sc.consumed(&self.m).wrapping_add(used);
        sc.set_consumed(&mut self.m, total);
    }

    /// Ends the current thread's turn if its budget is used up, as of the last reading of the clock. Gives whether it goes on.
    #[inline]
    pub fn check_budget(&mut self) -> bool {
        if self.current_has_time() {
            return true;
        }
        self.end_turn(true);
        false
    }

    /// The current thread's turn is over: its context is charged, and the thread waits for its next refill, or for its next
    /// turn. With `tells` its time-out handler hears of it, if it has one.
    pub fn end_turn(&mut self, tells: bool) {
        let (sc, used) = (self.current_sc, core::mem::take(&mut self.consumed));
        if sc != self.idle_sc && sc.is_configured(&self.m) {
            if sc.is_round_robin(&self.m) {
                sc.renew(&mut self.m);
            } else {
                let bounds = self.bounds();
                sc.charge(&mut self.m, used, bounds);
            }
            self.count_consumed(sc, used);
        }
        self.reprogram = true;
        let thread = self.current;
        if !self.is_schedulable(thread) {
            // It has stopped in this very entry; whoever it lent its time to has to wait for more.
            return self.wait_for_time_if_needed(sc);
        }
        if tells && !sc.is_round_robin(&self.m) && self.has_timeout_handler(thread) {
            self.timeout_fault(thread, sc);
        } else if self.has_time_now(sc) {
            self.enqueue_last(thread);
        } else {
            self.wait_for_time(sc);
        }
        self.reschedule();
    }

    /// The thread of `sc` waits for the next refill.
    pub fn wait_for_time(&mut self, sc: SchedContext) {
        if let Some(tcb) = sc.tcb(&self.m) {
            self.dequeue(tcb);
            let time = sc.first_time(&self.m);
            self.release_insert(tcb, time);
            self.reprogram = true;
        }
    }

    /// If the thread of `sc` could run but for time, it waits for that.
    pub fn wait_for_time_if_needed(&mut self, sc: SchedContext) {
        if let Some(tcb) = sc.tcb(&self.m)
            && self.is_schedulable(tcb)
            && !self.has_time_now(sc)
        {
            self.wait_for_time(sc);
        }
    }
}
