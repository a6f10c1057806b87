// SPDX-License-Identifier: BSD-2-Clause
//! The scheduler (manual 6.1.5 to 6.1.7): who runs, on whose time.

use crate::state::{Action, Obj, State, ThreadState};
use kernel_abi::context::stored;

impl State {
    /// Sets what a thread is doing; when the running thread can no longer run, another one has to be chosen.
    pub(crate) fn set_thread_state(&mut self, tcb: Obj, state: ThreadState) {
        self.tcb_mut(tcb).state = state;
        if self.current == Some(tcb) && self.action == Action::Resume && !self.is_schedulable(tcb) {
            self.action = Action::Choose;
        }
    }

    /// Whether a thread could run: runnable, with a configured scheduling context that does not wait for budget.
    pub fn is_schedulable(&self, tcb: Obj) -> bool {
        self.tcbs.get(&tcb).is_some_and(|t| {
            t.state.is_runnable() && t.sched_context.is_some_and(|sc| self.sc(sc).is_active())
        }) && !self.release.contains(&tcb)
    }

    /// Whether a scheduling context has budget now.
    pub(crate) fn is_released(&self, sc: Obj) -> bool {
        let sc = self.sc(sc);
        sc.is_active() && sc.is_ready(self.now) && sc.is_sufficient(0, &self.config)
    }

    fn queue_of(&mut self, tcb: Obj) -> Option<&mut Vec<Obj>> {
        let thread = self.tcbs.get(&tcb)?;
        let queue = self.ready.entry((thread.domain, thread.priority)).or_default();
        if queue.contains(&tcb) { None } else { Some(queue) }
    }

    /// Puts a thread at the front of the queue of its domain and priority, unless it is queued already.
    pub(crate) fn enqueue_first(&mut self, tcb: Obj) {
        if let Some(queue) = self.queue_of(tcb) {
            queue.insert(0, tcb);
        }
    }

    /// Puts a thread at the end of the queue of its domain and priority, unless it is queued already.
    pub(crate) fn enqueue_last(&mut self, tcb: Obj) {
        if let Some(queue) = self.queue_of(tcb) {
            queue.push(tcb);
        }
    }

    /// Takes a thread out of the queue of those that could run.
    pub(crate) fn leave_ready_queue(&mut self, tcb: Obj) {
        for queue in self.ready.values_mut() {
            queue.retain(|&t| t != tcb);
        }
        self.ready.retain(|_, queue| !queue.is_empty());
    }

    /// Whether a thread is in a queue of those that could run.
    pub(crate) fn is_queued(&self, tcb: Obj) -> bool {
        self.ready.values().any(|queue| queue.contains(&tcb))
    }

    /// Takes a thread out of the queue of those that wait for budget.
    pub(crate) fn leave_release_queue(&mut self, tcb: Obj) {
        if self.release.first() == Some(&tcb) {
            self.charge = true;
        }
        self.release.retain(|&t| t != tcb);
    }

    /// Has the scheduler choose anew. A thread that was to be switched to is queued in front instead.
    pub(crate) fn reschedule(&mut self) {
        if let Action::SwitchTo(tcb) = self.action
            && self.is_schedulable(tcb)
        {
            self.enqueue_first(tcb);
        }
        self.action = Action::Choose;
    }

    /// A thread can run now. In another domain it is queued in front. One such thread of this domain per kernel entry may be switched to directly; with more, all are
    /// queued in front.
    pub(crate) fn possible_switch_to(&mut self, tcb: Obj) {
        if !self.is_schedulable(tcb) {
            return;
        }
        if self.tcb(tcb).domain != self.domains.domain {
            self.enqueue_first(tcb);
        } else if self.action == Action::Resume {
            self.action = Action::SwitchTo(tcb);
        } else {
            self.reschedule();
            self.enqueue_first(tcb);
        }
    }

    /// A thread with a sporadic scheduling context stops waiting: its budget counts from now.
    ///
    /// Changes: the refills of its scheduling context.
    pub(crate) fn note_unblocked(&mut self, tcb: Obj) {
        if let Some(sc) = self.tcb(tcb).sched_context
            && self.sc(sc).sporadic
            && self.current_sc != Some(sc)
        {
            self.start_budget_now(sc);
        }
    }

    fn start_budget_now(&mut self, sc: Obj) {
        let now = self.now;
        if self.sc_mut(sc).start_now(now) {
            self.charge = true;
        }
    }

    /// The thread of `sc` waits for its next refill.
    ///
    /// Changes: the queues.
    pub(crate) fn wait_for_budget(&mut self, sc: Obj) {
        let Some(tcb) = self.sc(sc).tcb else { return };
        self.leave_ready_queue(tcb);
        self.leave_release_queue(tcb);
        let time_of = |t: Obj| self.tcb(t).sched_context.map_or(0, |sc| self.sc(sc).refills[0].time);
        let time = time_of(tcb);
        let at = self.release.iter().position(|&t| time_of(t) > time).unwrap_or(self.release.len());
        self.release.insert(at, tcb);
        self.charge = true;
    }

    /// If the thread of `sc` could run but for budget, it waits for that.
    pub(crate) fn wait_for_budget_if_needed(&mut self, sc: Obj) {
        if let Some(tcb) = self.sc(sc).tcb
            && self.is_schedulable(tcb)
            && !self.is_released(sc)
        {
            self.wait_for_budget(sc);
        }
    }

    /// Charges the time used so far to the current scheduling context. It was checked before that it is enough.
    ///
    /// Changes: its refills and consumed time.
    pub(crate) fn charge_time(&mut self) {
        let used = std::mem::take(&mut self.uncharged);
        let config = self.config.clone();
        if let Some(sc) = self.current_sc
            && let Some(sc) = self.sched_contexts.get_mut(&sc)
            && sc.is_active()
        {
            if used > 0 {
                sc.charge(used, &config);
            }
            sc.consumed += used;
        }
    }

    /// The budget that the current thread runs on is over: `used` is charged. A thread that could still run is told
    /// by its time-out handler (with `tell`; not round robin), goes to the end of its queue when there is budget
    /// already, or waits for it.
    ///
    /// Changes: refills and consumed time of the current scheduling context, the queues, the thread.
    fn end_budget(&mut self, used: u64, tell: bool) {
        let config = self.config.clone();
        if let Some(sc) = self.current_sc
            && let Some(sc) = self.sched_contexts.get_mut(&sc)
        {
            if sc.is_round_robin() {
                sc.renew_slice();
            } else {
                sc.charge(used, &config);
            }
            sc.consumed += used;
        }
        self.uncharged = 0;
        if let (Some(thread), Some(sc)) = (self.current, self.current_sc)
            && self.is_schedulable(thread)
        {
            if tell && !self.sc(sc).is_round_robin() && self.has_timeout_handler(thread) {
                self.raise_timeout(thread);
            } else if self.is_released(sc) {
                self.enqueue_last(thread);
            } else {
                self.wait_for_budget(sc);
            }
            self.reschedule();
            self.charge = true;
        } else if let Some(sc) = self.current_sc {
            // It has stopped in this very entry; whoever it lent its time to has to wait for more.
            self.wait_for_budget_if_needed(sc);
            self.charge = true;
        }
    }

    /// Whether the running thread has budget enough for a system call. If not, its budget ends, and it will do the
    /// call again.
    pub(crate) fn has_budget_or_restarts(&mut self) -> bool {
        let (Some(thread), Some(sc)) = (self.current, self.current_sc) else { return false };
        if self.sc(sc).is_sufficient(self.uncharged, &self.config) {
            return true;
        }
        self.end_budget(self.uncharged, true);
        if self.tcb(thread).state.is_runnable() {
            self.set_thread_state(thread, ThreadState::Restart);
        }
        false
    }

    /// At an interrupt: ends the budget that is used up.
    pub(crate) fn charge_or_drop(&mut self) {
        match (self.current, self.current_sc) {
            (Some(_), Some(sc)) => {
                if !self.sc(sc).is_sufficient(self.uncharged, &self.config) {
                    self.end_budget(self.uncharged, true);
                }
            }
            _ => self.uncharged = 0,
        }
    }

    /// The `Yield` system call: gives up what is left of the first refill. What was really used counts as consumed.
    ///
    /// Changes: refills, consumed time, the queues.
    pub(crate) fn yield_budget(&mut self) {
        let Some(sc) = self.current_sc else { return };
        let consumed = self.sc(sc).consumed + self.uncharged;
        self.end_budget(self.sc(sc).refills[0].amount, false);
        self.sc_mut(sc).consumed = consumed;
    }

    /// The end of a kernel entry: threads whose budget has come can run; if anything asked for it, the best thread
    /// is chosen: in the domain whose turn it is, of the highest priority with threads that can run, the first. A thread that was to be switched to
    /// comes first in its priority, but behind the running one.
    ///
    /// Changes: the running thread, the queues; time is charged when the scheduling context changes or something was
    /// decided by the time.
    pub(crate) fn schedule(&mut self) {
        while let Some(&tcb) = self.release.first()
            && let Some(sc) = self.tcb(tcb).sched_context
            && self.sc(sc).is_ready(self.now)
        {
            self.release.remove(0);
            self.charge = true;
            self.possible_switch_to(tcb);
        }
        if self.action != Action::Resume {
            let running = self.current.filter(|&t| self.is_schedulable(t));
            if let Some(current) = running {
                self.enqueue_first(current);
            }
            if let Action::SwitchTo(tcb) = self.action
                && self.is_schedulable(tcb)
            {
                let same = running.is_some_and(|r| self.tcb(r).priority == self.tcb(tcb).priority);
                if same { self.enqueue_last(tcb) } else { self.enqueue_first(tcb) }
            }
            let domain = self.domains.domain;
            let ready = self.ready.range((domain, 0)..=(domain, u64::MAX));
            self.current = ready.map(|(_, queue)| queue).next_back().and_then(|queue| queue.first()).copied();
            if let Some(next) = self.current {
                self.leave_ready_queue(next);
            }
        }
        self.action = Action::Resume;

        let next_sc = self.current.and_then(|t| self.tcb(t).sched_context);
        if self.current_sc != next_sc {
            self.charge = true;
            if let Some(sc) = next_sc
                && !self.sc(sc).sporadic
            {
                self.start_budget_now(sc);
            }
        }
        if std::mem::take(&mut self.charge) {
            self.charge_time();
        }
        self.current_sc = next_sc;
        self.activate();
    }

    /// The thread that runs now: one that was to start again does so.
    fn activate(&mut self) {
        let Some(current) = self.current else { return };
        self.complete_yield_to(current);
        let tcb = self.tcb_mut(current);
        if tcb.state == ThreadState::Restart {
            tcb.regs[stored::PC] = tcb.fault_ip;
            tcb.state = ThreadState::Running;
        }
    }
}
