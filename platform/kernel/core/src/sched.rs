// SPDX-License-Identifier: BSD-2-Clause
//! The scheduler: ready queues by domain ([`domain`](crate::domain)) and priority, and the choice of the next thread.
//!
//! The running thread is in no queue. A decision is only noted ([`Action`]) while an operation goes on, and made once
//! when the kernel is left ([`Kernel::schedule`]).

use crate::budget::Refill;
use crate::fastpath::Path;
use crate::kernel::Kernel;
use crate::layout::{SchedContext, Tcb, queued};
use crate::machine::Machine;
use kernel_abi::NUM_PRIORITIES;

/// What the scheduler has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The current thread goes on.
    ResumeCurrent,
    /// This thread runs unless a better one is ready.
    SwitchTo(Tcb),
    /// The best ready thread runs.
    Choose,
}

/// Most threads that get their time back in one kernel entry.
pub const AWAKENED_AT_ONCE: u32 = 10;

/// First and last of a queue.
#[derive(Clone, Copy, Debug, Default)]
pub struct Queue {
    /// First thread.
    pub head: Option<Tcb>,
    /// Last thread.
    pub tail: Option<Tcb>,
}

/// Runnable threads by priority.
#[derive(Clone, Debug)]
pub struct ReadyQueues {
    queues: [Queue; NUM_PRIORITIES],
    /// A bit for each priority whose queue is not empty.
    occupied: [u64; NUM_PRIORITIES / 64],
    /// A bit for each word of `occupied` that is not 0.
    words: u64,
}

impl ReadyQueues {
    /// Empty queues.
    #[expect(clippy::new_without_default, reason = "one place makes them")]
    pub const fn new() -> Self {
        Self {
            queues: [Queue { head: None, tail: None }; NUM_PRIORITIES],
            occupied: [0; NUM_PRIORITIES / 64],
            words: 0,
        }
    }

    /// The greatest priority at which a thread is ready.
    #[inline(always)]
    pub fn highest(&self) -> Option<u64> {
        let word = self.words.checked_ilog2()?;
        let bit = self.occupied[(word % 4) as usize].checked_ilog2()?;
        Some(u64::from(word * 64 + bit))
    }

    /// The queue of a priority.
    #[inline]
    pub fn queue(&self, priority: u64) -> Queue {
        self.queues[(priority & 255) as usize]
    }

    #[inline]
    pub(crate) fn set(&mut self, priority: u64, queue: Queue) {
        let priority = (priority & 255) as usize;
        self.queues[priority] = queue;
        let bit = 1 << (priority % 64);
        let word = &mut self.occupied[priority / 64];
        *word = if queue.head.is_some() { *word | bit } else { *word & !bit };
        let bit = 1 << (priority / 64);
        self.words = if *word != 0 { self.words | bit } else { self.words & !bit };
    }
}

impl<M: Machine> Kernel<M> {
    /// Puts a runnable thread at the front of its ready queue.
    pub fn enqueue_first(&mut self, tcb: Tcb) {
        if tcb.queued(&self.m) != queued::NONE {
            return;
        }
        let (domain, priority) = (tcb.domain(&self.m), tcb.priority(&self.m));
        let mut queue = self.ready_queue(domain, priority);
        tcb.set_sched_prev(&mut self.m, None);
        tcb.set_sched_next(&mut self.m, queue.head);
        match queue.head {
            Some(head) => head.set_sched_prev(&mut self.m, Some(tcb)),
            None => queue.tail = Some(tcb),
        }
        queue.head = Some(tcb);
        self.set_ready_queue(domain, priority, queue);
        tcb.set_queued(&mut self.m, queued::READY);
    }

    /// Puts a runnable thread at the end of its ready queue.
    pub fn enqueue_last(&mut self, tcb: Tcb) {
        if tcb.queued(&self.m) != queued::NONE {
            return;
        }
        let (domain, priority) = (tcb.domain(&self.m), tcb.priority(&self.m));
        let mut queue = self.ready_queue(domain, priority);
        tcb.set_sched_next(&mut self.m, None);
        tcb.set_sched_prev(&mut self.m, queue.tail);
        match queue.tail {
            Some(tail) => tail.set_sched_next(&mut self.m, Some(tcb)),
            None => queue.head = Some(tcb),
        }
        queue.tail = Some(tcb);
        self.set_ready_queue(domain, priority, queue);
        tcb.set_queued(&mut self.m, queued::READY);
    }

    /// Takes a thread out of its ready queue, or from those that wait for time, if it is among them.
    pub fn dequeue(&mut self, tcb: Tcb) {
        let was = tcb.queued(&self.m);
        if was == queued::NONE {
            return;
        }
        if was == queued::RELEASE {
            return self.release_remove(tcb);
        }
        let (prev, next) = (tcb.sched_prev(&self.m), tcb.sched_next(&self.m));
        let (domain, priority) = (tcb.domain(&self.m), tcb.priority(&self.m));
        let mut queue = self.ready_queue(domain, priority);
        match prev {
            Some(prev) => prev.set_sched_next(&mut self.m, next),
            None => queue.head = next,
        }
        match next {
            Some(next) => next.set_sched_prev(&mut self.m, prev),
            None => queue.tail = prev,
        }
        self.set_ready_queue(domain, priority, queue);
        tcb.set_sched_prev(&mut self.m, None);
        tcb.set_sched_next(&mut self.m, None);
        tcb.set_queued(&mut self.m, queued::NONE);
    }

    /// Whether a thread could run now: runnable, with a configured scheduling context, not waiting for a refill.
    #[inline]
    pub fn is_schedulable(&self, tcb: Tcb) -> bool {
        tcb.state(&self.m).is_runnable()
            && tcb.sched_context(&self.m).is_some_and(|sc| sc.is_configured(&self.m))
            && tcb.queued(&self.m) != queued::RELEASE
    }

    /// `tcb` may have become runnable: if so, it may be the next to run.
    #[inline]
    pub fn possible_switch_to(&mut self, tcb: Tcb) {
        if !self.is_schedulable(tcb) {
            return;
        }
        if !self.in_turn(tcb) {
            self.enqueue_first(tcb);
            return;
        }
        match self.action {
            Action::ResumeCurrent => self.action = Action::SwitchTo(tcb),
            Action::SwitchTo(_) | Action::Choose => {
                self.reschedule();
                self.enqueue_first(tcb);
            }
        }
    }

    /// The current thread may no longer be the one to run.
    pub fn reschedule(&mut self) {
        if let Action::SwitchTo(tcb) = self.action
            && self.is_schedulable(tcb)
        {
            self.enqueue_first(tcb);
        }
        self.action = Action::Choose;
    }

    /// Makes the choice that is due, charges time and sets the deadline.
    #[inline]
    pub fn schedule(&mut self) {
        self.awaken();
        if self.action != Action::ResumeCurrent {
            self.switch();
        }
        self.switch_time();
    }

    /// Charges the context that was used, and goes over to the current thread's.
    pub(crate) fn switch_time(&mut self) {
        let next = self.current.sched_context(&self.m).unwrap_or(self.idle_sc);
        if next != self.current_sc {
            // A sporadic budget counted from when the thread was woken, any other counts from now.
            if !next.sporadic(&self.m) {
                self.start_budget(next);
            }
        } else if !self.reprogram {
            return;
        }
        self.charge_time();
        self.current_sc = next;
        self.program_deadline();
        self.reprogram = false;
    }

    fn switch(&mut self) {
        let goes_on = self.current != self.idle && self.is_schedulable(self.current);
        if goes_on {
            self.enqueue_first(self.current);
        }
        let next = match self.action {
            Action::SwitchTo(candidate) if self.is_schedulable(candidate) => {
                let priority = candidate.priority(&self.m);
                if self.ready.highest().is_some_and(|best| best > priority) {
                    self.enqueue_first(candidate);
                    self.take_best()
                } else if goes_on && priority == self.current.priority(&self.m) {
                    // Among equals the interrupted thread goes first.
                    self.enqueue_last(candidate);
                    self.take_best()
                } else {
                    self.dequeue(candidate);
                    Some(candidate)
                }
            }
            _ => self.take_best(),
        };
        self.current = next.unwrap_or(self.idle);
        self.action = Action::ResumeCurrent;
    }

    /// Takes the first thread of the best queue.
    #[inline]
    pub(crate) fn take_best(&mut self) -> Option<Tcb> {
        let priority = self.ready.highest()?;
        let mut queue = self.ready.queue(priority);
        let best = queue.head?;
        queue.head = best.sched_next(&self.m);
        match queue.head {
            Some(next) => next.set_sched_prev(&mut self.m, None),
            None => queue.tail = None,
        }
        self.ready.set(priority, queue);
        best.set_sched_next(&mut self.m, None);
        best.set_queued(&mut self.m, queued::NONE);
        Some(best)
    }

    /// Threads whose refill is due become runnable: so many at a time. Those that are left are the timer's next interrupt,
    /// which comes at once, since their time is over.
    #[inline]
    fn awaken(&mut self) {
        for _ in 0..AWAKENED_AT_ONCE {
            let Some(tcb) = self.release_root else { break };
            let Some(sc) = tcb.sched_context(&self.m) else { break };
            if !self.is_due(sc) {
                break;
            }
            self.dequeue(tcb);
            self.possible_switch_to(tcb);
        }
    }

    #[inline(always)]
    fn program_deadline(&mut self) {
        let mut horizon = self.domains.end;
        if let Some(sc) = self.release_root.and_then(|tcb| tcb.sched_context(&self.m)) {
            horizon = horizon.min(sc.first_time(&self.m));
        }
        self.horizon = horizon;
        if self.current_sc == self.idle_sc {
            self.quiet_before = horizon;
            self.m.set_deadline(horizon);
        } else {
            let head = self.current_sc.first(&self.m);
            let enough = head.time <= self.now && head.amount >= self.min_budget();
            let end = self.now.saturating_add(head.amount);
            if enough {
                self.run_until(end);
            } else {
                self.quiet_before = 0;
                self.m.set_deadline(end.min(horizon));
            }
        }
    }

    /// The current context is used up at `end`, at least the least budget from now.
    #[inline(always)]
    fn run_until(&mut self, end: u64) {
        self.quiet_before = (end - self.min_budget() + 1).min(self.horizon);
        self.m.set_deadline(end.min(self.horizon));
    }

    /// [`switch_time`](Self::switch_time) to another context, whose first refill is `head`, while
    /// [all is quiet](Self::is_quiet); `enough`: it is known to be due and enough to run on. In line where both are round-robin, which is how virtual CPUs and their monitors run
    /// unless somebody says otherwise.
    #[inline(always)]
    pub(crate) fn hand_over(&mut self, next: SchedContext, head: Refill, enough: bool) {
        let from = self.current_sc;
        let other = from.period(&self.m) | next.period(&self.m);
        let enough = enough || head.time <= self.now && head.amount >= self.min_budget();
        if other != 0 || !enough {
            return self.switch_time();
        }
        self.took(Path::HandOver);
        // Quiet: there is more left than was used.
        let used = core::mem::take(&mut self.consumed);
        let left = from.first_amount(&self.m) - used;
        from.set_first_amount(&mut self.m, left);
        self.count_consumed(from, used);
        self.current_sc = next;
        self.run_until(self.now + head.amount);
    }

    /// The thread gets another priority, in whatever queue it is.
    pub fn set_thread_priority(&mut self, tcb: Tcb, priority: u64) {
        let was = tcb.queued(&self.m);
        if was == queued::READY {
            self.dequeue(tcb);
        }
        self.change_waiting_priority(tcb, priority);
        if was == queued::READY || tcb == self.current && tcb.state(&self.m).is_runnable() {
            self.enqueue_first(tcb);
            self.reschedule();
        }
    }
}
