// SPDX-License-Identifier: BSD-2-Clause
//! Scheduling contexts: budgets, refills, donation, and their invocations.
//!
//! A scheduling context holds refills: amounts of time and when each may be used, in order of time; together they
//! are the budget. What is used comes back a period later. When budget and period are equal the period is kept as 0
//! and the context is round-robin: two refills, the first what is left of the time slice and the second what of it
//! was used.

use crate::cap::Cap;
use crate::error::Error;
use crate::invoke::{Message, Outcome};
use crate::kernel::Kernel;
use crate::layout::{Notification, SchedContext, State, Tcb};
use crate::machine::Machine;
use kernel_abi::object::{MIN_REFILLS, REFILL_BYTES, SCHED_CONTEXT_CORE_BYTES};
use kernel_abi::{Invocation, MessageInfo};

/// An amount of time that may be used from a time on (both in ticks).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refill {
    /// When.
    pub time: u64,
    /// How much.
    pub amount: u64,
}

/// `SchedControl_ConfigureFlags`: sporadic replenishment.
const FLAG_SPORADIC: u64 = 1;

impl<M: Machine> Kernel<M> {
    // ---- refills

    /// The refill in place `index` of the ring.
    pub fn refill_in_ring(&self, sc: SchedContext, index: u64) -> Refill {
        self.refill_at(sc, index)
    }

    fn refill_at(&self, sc: SchedContext, index: u64) -> Refill {
        let at = sc.addr().add(REFILL_BYTES * index);
        Refill {
            time: self.m.load_at(at, SchedContext::REFILLS),
            amount: self.m.load_at(at, SchedContext::REFILLS + 8),
        }
    }

    /// Writes the refill in place `index` of the ring.
    pub fn set_refill(&mut self, sc: SchedContext, index: u64, refill: Refill) {
        let at = sc.addr().add(REFILL_BYTES * index);
        self.m.store_at(at, SchedContext::REFILLS, refill.time);
        self.m.store_at(at, SchedContext::REFILLS + 8, refill.amount);
    }

    /// Writes how much the refill in place `index` of the ring is.
    #[inline(always)]
    pub(crate) fn set_refill_amount(&mut self, sc: SchedContext, index: u64, amount: u64) {
        self.m.store_at(sc.addr().add(REFILL_BYTES * index), SchedContext::REFILLS + 8, amount);
    }

    /// The first refill.
    #[inline]
    pub fn head_refill(&self, sc: SchedContext) -> Refill {
        self.refill_at(sc, sc.refill_head(&self.m))
    }

    fn set_head(&mut self, sc: SchedContext, refill: Refill) {
        self.set_refill(sc, sc.refill_head(&self.m), refill);
    }

    /// Place in the ring of the `n`-th refill from the first.
    fn place(&self, sc: SchedContext, n: u64) -> u64 {
        let (place, max) = (sc.refill_head(&self.m) + n, sc.refill_max(&self.m));
        if place >= max { place - max } else { place }
    }

    fn pop_refill(&mut self, sc: SchedContext) -> Refill {
        let head = self.head_refill(sc);
        let next = self.place(sc, 1);
        sc.set_refill_head(&mut self.m, next);
        let count = sc.refill_count(&self.m) - 1;
        sc.set_refill_count(&mut self.m, count);
        head
    }

    /// Adds used time behind the others: to the last one when it touches it or no place is left (then the whole
    /// comes at the later time).
    fn push_refill(&mut self, sc: SchedContext, refill: Refill) {
        let count = sc.refill_count(&self.m);
        if count > 0 {
            let place = self.place(sc, count - 1);
            let tail = self.refill_at(sc, place);
            if tail.time.saturating_add(tail.amount) >= refill.time {
                let amount = tail.amount + refill.amount;
                self.set_refill(sc, place, Refill { time: tail.time, amount });
                return;
            }
            if count == sc.refill_max(&self.m) {
                let time = refill.time.saturating_sub(tail.amount);
                let amount = tail.amount + refill.amount;
                self.set_refill(sc, place, Refill { time, amount });
                return;
            }
        }
        let place = self.place(sc, count);
        self.set_refill(sc, place, refill);
        sc.set_refill_count(&mut self.m, count + 1);
    }

    /// The least amount a head refill may have.
    pub(crate) fn min_budget(&self) -> u64 {
        2 * self.m.wcet_ticks()
    }

    /// Whether the first refill may be used now.
    #[inline]
    pub fn refill_ready(&self, sc: SchedContext) -> bool {
        self.head_refill(sc).time <= self.now
    }

    /// Whether the first refill still has the least budget after `usage`.
    #[inline]
    pub fn refill_sufficient(&self, sc: SchedContext, usage: u64) -> bool {
        self.head_refill(sc).amount.saturating_sub(usage) >= self.min_budget()
    }

    /// Whether the first refill may be used now and has the least budget.
    #[inline]
    pub fn has_time_now(&self, sc: SchedContext) -> bool {
        self.refill_ready(sc) && self.refill_sufficient(sc, 0)
    }

    fn is_round_robin(&self, sc: SchedContext) -> bool {
        sc.period(&self.m) == 0
    }

    /// The context starts to be used: a refill that is due starts now, and those that follow without a gap join it.
    #[inline(always)]
    pub fn unblock_check(&mut self, sc: SchedContext) {
        if sc != self.idle_sc && !self.is_round_robin(sc) && self.refill_ready(sc) {
            self.start_now(sc);
        }
    }

    /// A thread stops waiting: a sporadic budget counts from now.
    pub fn note_unblocked(&mut self, tcb: Tcb) {
        if let Some(sc) = tcb.sched_context(&self.m)
            && sc != self.current_sc
            && sc.sporadic(&self.m)
        {
            self.unblock_check(sc);
        }
    }

    #[inline(never)]
    fn start_now(&mut self, sc: SchedContext) {
        let mut head = self.head_refill(sc);
        head.time = self.now;
        self.reprogram = true;
        while sc.refill_count(&self.m) > 1 {
            let next = self.refill_at(sc, self.place(sc, 1));
            if next.time > head.time.saturating_add(head.amount) {
                break;
            }
            self.pop_refill(sc);
            head.amount += next.amount;
        }
        self.set_head(sc, head);
    }

    /// Takes `usage` from the refills; what is used comes back a period later.
    #[inline(never)]
    fn use_budget(&mut self, sc: SchedContext, mut usage: u64) {
        let period = sc.period(&self.m);
        let latest = u64::MAX - 5 * self.m.us_to_ticks(self.m.max_period_us());
        // After an overrun by whole budgets (the machine was stopped, say) all refills come as many periods later.
        let budget = sc.budget(&self.m).max(1);
        if usage > budget {
            let periods = (usage - 1) / budget;
            self.delay_refills(sc, periods.saturating_mul(period), latest);
            usage -= periods * budget;
        }
        // Taken from the first refill, and, after an overrun, from those to come: once around at most.
        while usage > 0 {
            let head = self.head_refill(sc);
            if head.time >= latest {
                break;
            }
            let taken = usage.min(head.amount);
            usage -= taken;
            if taken == head.amount {
                self.pop_refill(sc);
            } else {
                self.set_head(sc, Refill { time: head.time + taken, amount: head.amount - taken });
            }
            self.push_refill(sc, Refill { time: head.time + period, amount: taken });
        }
        self.mend_head(sc);
    }

    /// All refills come later by `ticks`, but not after `latest`; their order stays.
    #[cold]
    fn delay_refills(&mut self, sc: SchedContext, ticks: u64, latest: u64) {
        let first = self.head_refill(sc).time;
        let ticks = ticks.min(latest.saturating_sub(first));
        for n in 0..sc.refill_count(&self.m) {
            let place = self.place(sc, n);
            let refill = self.refill_at(sc, place);
            self.set_refill(sc, place, Refill { time: refill.time.saturating_add(ticks), ..refill });
        }
    }

    /// A first refill below the least budget waits for the next one.
    fn mend_head(&mut self, sc: SchedContext) {
        while sc.refill_count(&self.m) > 1 && self.head_refill(sc).amount < self.min_budget() {
            let small = self.pop_refill(sc);
            let head = self.head_refill(sc);
            let time = head.time.saturating_sub(small.amount);
            self.set_head(sc, Refill { time, amount: head.amount + small.amount });
        }
    }

    // ---- charging

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
        self.now <= self.quiet_until
    }

    /// Whether the current context can go on.
    #[inline]
    pub fn current_sc_has_budget(&self) -> bool {
        self.current_sc == self.idle_sc
            || (self.current_sc.refill_max(&self.m) == 0)
            || self.refill_sufficient(self.current_sc, self.consumed)
    }

    /// Charges what the current context has used so far.
    #[inline]
    pub fn commit_time(&mut self) {
        let (sc, used) = (self.current_sc, core::mem::take(&mut self.consumed));
        if used == 0 || sc == self.idle_sc || sc.refill_max(&self.m) == 0 {
            return;
        }
        if self.is_round_robin(sc) {
            self.use_time_slice(sc, used);
        } else {
            self.use_budget(sc, used);
        }
        let total = sc.consumed(&self.m).saturating_add(used);
        sc.set_consumed(&mut self.m, total);
    }

    /// Round-robin: moves `used` from the first refill to the second.
    #[inline(always)]
    fn use_time_slice(&mut self, sc: SchedContext, used: u64) {
        let mut left = self.head_refill(sc);
        let moved = used.min(left.amount);
        left.amount -= moved;
        self.set_head(sc, left);
        let second = self.place(sc, 1);
        let mut spent = if sc.refill_count(&self.m) > 1 {
            self.refill_at(sc, second)
        } else {
            Refill { time: left.time, amount: 0 }
        };
        spent.amount += moved;
        self.set_refill(sc, second, spent);
        sc.set_refill_count(&mut self.m, 2);
    }

    /// The current thread's time is up: it is charged, and waits for its next refill or its next turn.
    pub fn end_budget(&mut self, may_fault: bool) {
        let (sc, used) = (self.current_sc, core::mem::take(&mut self.consumed));
        if sc != self.idle_sc && sc.refill_max(&self.m) != 0 {
            if self.is_round_robin(sc) {
                let budget = sc.budget(&self.m);
                let time = self.head_refill(sc).time;
                sc.set_refill_count(&mut self.m, 1);
                self.set_head(sc, Refill { time, amount: budget });
            } else {
                self.use_budget(sc, used);
            }
            let total = sc.consumed(&self.m).saturating_add(used);
            sc.set_consumed(&mut self.m, total);
        }
        self.reprogram = true;
        let thread = self.current;
        if !self.is_schedulable(thread) {
            // It has stopped in this very entry; whoever it lent its time to has to wait for more.
            return self.resume_sched_context(sc);
        }
        if may_fault && !self.is_round_robin(sc) && self.has_timeout_handler(thread) {
            self.timeout_fault(thread, sc);
        } else if self.has_time_now(sc) {
            self.enqueue_last(thread);
        } else {
            self.postpone(sc);
        }
        self.reschedule();
    }

    /// Checks the current thread's budget after [`update_time`](Self::update_time); ends its turn when it is used up.
    #[inline]
    pub fn check_budget(&mut self) -> bool {
        if self.current_sc_has_budget() {
            return true;
        }
        self.end_budget(true);
        false
    }

    // ---- binding

    /// `sc` goes to `tcb`, from whoever has it.
    pub fn donate(&mut self, sc: SchedContext, tcb: Tcb) {
        if let Some(from) = sc.tcb(&self.m) {
            self.dequeue(from);
            from.set_sched_context(&mut self.m, None);
            if from == self.current || self.action == crate::sched::Action::SwitchTo(from) {
                self.reschedule();
            }
        }
        sc.set_tcb(&mut self.m, Some(tcb));
        tcb.set_sched_context(&mut self.m, Some(sc));
    }

    /// A thread that got a context and could run waits first if the context has no budget now.
    pub fn resume_sched_context(&mut self, sc: SchedContext) {
        if let Some(tcb) = sc.tcb(&self.m)
            && self.is_schedulable(tcb)
            && !self.has_time_now(sc)
        {
            self.postpone(sc);
        }
    }

    /// A thread without a context that is signalled takes the notification's.
    pub fn take_notification_sc(&mut self, tcb: Tcb, ntfn: Notification) {
        if tcb.sched_context(&self.m).is_none()
            && let Some(sc) = ntfn.sched_context(&self.m)
            && sc.tcb(&self.m).is_none()
        {
            self.donate(sc, tcb);
            self.note_unblocked(tcb);
            self.resume_sched_context(sc);
        }
    }

    /// A thread that runs on the notification's context gives it back before it waits.
    pub fn return_notification_sc(&mut self, tcb: Tcb, ntfn: Notification) {
        let sc = ntfn.sched_context(&self.m);
        if let Some(sc) = sc
            && tcb.sched_context(&self.m) == Some(sc)
        {
            self.dequeue(tcb);
            tcb.set_sched_context(&mut self.m, None);
            sc.set_tcb(&mut self.m, None);
            if tcb == self.current {
                self.reschedule();
            }
        }
    }

    /// Binds a free context to a thread without one.
    pub fn bind_sc_to_tcb(&mut self, sc: SchedContext, tcb: Tcb) {
        tcb.set_sched_context(&mut self.m, Some(sc));
        sc.set_tcb(&mut self.m, Some(tcb));
        self.note_unblocked(tcb);
        self.resume_sched_context(sc);
        if self.is_schedulable(tcb) {
            self.enqueue_first(tcb);
            self.reschedule();
        }
    }

    /// Takes a context from its thread.
    pub fn unbind_sc_from_tcb(&mut self, sc: SchedContext) {
        let Some(tcb) = sc.tcb(&self.m) else { return };
        if tcb == self.current {
            self.reschedule();
        }
        self.dequeue(tcb);
        tcb.set_sched_context(&mut self.m, None);
        sc.set_tcb(&mut self.m, None);
    }

    /// Takes a context from its notification.
    pub fn unbind_sc_from_notification(&mut self, sc: SchedContext) {
        if let Some(ntfn) = sc.notification(&self.m) {
            ntfn.set_sched_context(&mut self.m, None);
            sc.set_notification(&mut self.m, None);
        }
    }

    /// Takes a context from whatever it is bound to, and out of the calls along which it was lent.
    pub fn unbind_sc(&mut self, sc: SchedContext) {
        self.unbind_sc_from_tcb(sc);
        self.unbind_sc_from_notification(sc);
        self.forget_lenders(sc);
    }

    /// The last capability to a context went away.
    pub fn destroy_sched_context(&mut self, sc: SchedContext) {
        self.unbind_sc(sc);
        self.complete_yield_from(sc);
        sc.set_sporadic(&mut self.m, false);
        sc.set_refill_max(&mut self.m, 0);
        sc.set_refill_count(&mut self.m, 0);
        if sc == self.current_sc {
            self.consumed = 0;
            self.current_sc = self.idle_sc;
        }
    }

    // ---- yielding to another thread

    fn cancel_yield(&mut self, sc: SchedContext) {
        if let Some(tcb) = sc.yield_from(&self.m) {
            tcb.set_yield_to(&mut self.m, None);
            sc.set_yield_from(&mut self.m, None);
        }
    }

    /// Forgets what `tcb` yielded to.
    pub fn cancel_yield_of(&mut self, tcb: Tcb) {
        if let Some(sc) = tcb.yield_to(&self.m) {
            self.cancel_yield(sc);
        }
    }

    /// Tells a thread that runs again after `YieldTo` what was consumed.
    pub fn complete_yield(&mut self, tcb: Tcb) {
        let Some(sc) = tcb.yield_to(&self.m) else { return };
        let consumed = self.take_consumed(sc);
        tcb.set_reg(&mut self.m, 0, 0);
        tcb.set_reg(&mut self.m, 1, MessageInfo::new(kernel_abi::error::NONE, 0, 0, 1).0);
        tcb.set_reg(&mut self.m, 2, consumed);
        self.cancel_yield(sc);
    }

    /// The thread that yielded to `sc` and waits, if there is one, is told what was consumed.
    pub fn complete_yield_from(&mut self, sc: SchedContext) {
        if let Some(tcb) = sc.yield_from(&self.m) {
            self.complete_yield(tcb);
        }
    }

    /// Time consumed since this was last asked, in microseconds.
    pub(crate) fn take_consumed(&mut self, sc: SchedContext) -> u64 {
        let ticks = sc.consumed(&self.m);
        sc.set_consumed(&mut self.m, 0);
        self.m.ticks_to_us(ticks)
    }

    // ---- invocations

    /// Invocations of a scheduling context.
    pub fn decode_sched_context(&mut self, sc: SchedContext, msg: &Message) -> Outcome {
        match msg.invocation {
            Some(Invocation::SchedContextConsumed) => {
                let us = self.take_consumed(sc);
                self.answer(msg, 0, us);
                Ok(1)
            }
            Some(Invocation::SchedContextBind) => {
                self.require(msg, 0, 1)?;
                match self.extra(msg, 0)?.1 {
                    Cap::Thread { at } => {
                        if sc.tcb(&self.m).is_some()
                            || at.sched_context(&self.m).is_some()
                            || !self.may_get_time(at, sc)
                        {
                            return Err(Error::IllegalOperation.into());
                        }
                        self.bind_sc_to_tcb(sc, at);
                    }
                    Cap::Notification { at, .. } => {
                        if sc.notification(&self.m).is_some() || at.sched_context(&self.m).is_some() {
                            return Err(Error::IllegalOperation.into());
                        }
                        at.set_sched_context(&mut self.m, Some(sc));
                        sc.set_notification(&mut self.m, Some(at));
                    }
                    _ => return Err(Error::InvalidCapability(1).into()),
                }
                Ok(0)
            }
            Some(Invocation::SchedContextUnbind) => {
                if sc.tcb(&self.m) == Some(self.current) {
                    return Err(Error::IllegalOperation.into());
                }
                self.unbind_sc(sc);
                Ok(0)
            }
            Some(Invocation::SchedContextUnbindObject) => {
                self.require(msg, 0, 1)?;
                match self.extra(msg, 0)?.1 {
                    Cap::Thread { at } => {
                        if sc.tcb(&self.m) != Some(at) || at == self.current {
                            return Err(Error::IllegalOperation.into());
                        }
                        self.unbind_sc_from_tcb(sc);
                    }
                    Cap::Notification { at, .. } => {
                        if sc.notification(&self.m) != Some(at) {
                            return Err(Error::IllegalOperation.into());
                        }
                        self.unbind_sc_from_notification(sc);
                    }
                    _ => return Err(Error::InvalidCapability(1).into()),
                }
                Ok(0)
            }
            Some(Invocation::SchedContextYieldTo) => self.decode_yield_to(sc, msg),
            _ => Err(Error::IllegalOperation.into()),
        }
    }

    /// A blocked thread must not get a context without budget: it would run on nothing once it is woken.
    pub(crate) fn may_get_time(&self, tcb: Tcb, sc: SchedContext) -> bool {
        let blocked =
            !matches!(tcb.state(&self.m), State::Running | State::Restart | State::Inactive | State::Idle);
        !blocked || sc.refill_max(&self.m) != 0 && self.refill_ready(sc)
    }

    fn decode_yield_to(&mut self, sc: SchedContext, msg: &Message) -> Outcome {
        let target = sc.tcb(&self.m).ok_or(Error::IllegalOperation)?;
        if target == msg.caller || target.priority(&self.m) > msg.caller.max_priority(&self.m) {
            return Err(Error::IllegalOperation.into());
        }
        if msg.caller.yield_to(&self.m).is_some() {
            return Err(Error::IllegalOperation.into());
        }
        self.complete_yield_from(sc);
        self.resume_sched_context(sc);
        if !self.is_schedulable(target) {
            let us = self.take_consumed(sc);
            self.answer(msg, 0, us);
            return Ok(1);
        }
        if !self.in_turn(target) || target.priority(&self.m) < msg.caller.priority(&self.m) {
            // It cannot run before the caller: to the front of its queue, and done.
            self.dequeue(target);
            self.enqueue_first(target);
            let us = self.take_consumed(sc);
            self.answer(msg, 0, us);
            Ok(1)
        } else {
            // It runs now; the caller is told when it runs again.
            self.dequeue(target);
            sc.set_yield_from(&mut self.m, Some(msg.caller));
            msg.caller.set_yield_to(&mut self.m, Some(sc));
            self.enqueue_first(self.current);
            self.enqueue_first(target);
            self.reschedule();
            Ok(0)
        }
    }

    /// Invocations of the scheduling control capability.
    pub fn decode_sched_control(&mut self, msg: &Message) -> Outcome {
        if msg.invocation != Some(Invocation::SchedControlConfigureFlags) {
            return Err(Error::IllegalOperation.into());
        }
        self.require(msg, 5, 1)?;
        let [budget_us, period_us, extra, badge, flags] = [0, 1, 2, 3, 4].map(|i| self.arg(msg, i));
        let (least, most) = (self.m.ticks_to_us(self.min_budget()), self.m.max_period_us());
        if budget_us > most || budget_us < least {
            return Err(Error::Range(least, most).into());
        }
        if period_us > most || period_us < least {
            return Err(Error::Range(least, most).into());
        }
        if budget_us > period_us {
            return Err(Error::Range(least, period_us).into());
        }
        let Cap::SchedContext { at: sc, bits } = self.extra(msg, 0)?.1 else {
            return Err(Error::InvalidCapability(1).into());
        };
        let most_extra = ((1u64 << bits) - SCHED_CONTEXT_CORE_BYTES) / REFILL_BYTES;
        if extra > most_extra {
            return Err(Error::Range(0, most_extra).into());
        }
        let budget = self.m.us_to_ticks(budget_us);
        let (period, max) = if budget_us == period_us {
            (0, MIN_REFILLS)
        } else {
            (self.m.us_to_ticks(period_us), MIN_REFILLS + extra)
        };
        self.configure(sc, budget, period, max);
        sc.set_badge(&mut self.m, badge);
        sc.set_sporadic(&mut self.m, flags & FLAG_SPORADIC != 0);
        Ok(0)
    }

    /// Sets budget, period and number of refills. A context whose thread could run keeps what is left of its first
    /// refill, and gets the rest of its budget a period later: no window of time sees more than the new budget. Any
    /// other has all of its budget now.
    pub(crate) fn configure(&mut self, sc: SchedContext, budget: u64, period: u64, max: u64) {
        let tcb = sc.tcb(&self.m);
        if let Some(tcb) = tcb {
            self.dequeue(tcb);
            if sc == self.current_sc {
                self.commit_time();
            }
        }
        let can_run = tcb.is_some_and(|tcb| tcb.state(&self.m).is_runnable());
        let keeps = period != 0 && can_run && sc.refill_max(&self.m) != 0;
        let old = self.head_refill(sc);
        sc.set_period(&mut self.m, period);
        sc.set_budget(&mut self.m, budget);
        sc.set_refill_max(&mut self.m, max);
        sc.set_refill_head(&mut self.m, 0);
        sc.set_refill_count(&mut self.m, 1);
        if keeps {
            let first = Refill { time: old.time.max(self.now), amount: old.amount.min(budget) };
            self.set_refill(sc, 0, first);
            if first.amount < budget {
                let rest = Refill { time: first.time + period, amount: budget - first.amount };
                self.set_refill(sc, 1, rest);
                sc.set_refill_count(&mut self.m, 2);
            }
        } else {
            self.set_refill(sc, 0, Refill { time: self.now, amount: budget });
        }
        let Some(tcb) = tcb else { return };
        self.resume_sched_context(sc);
        if tcb == self.current {
            // The deadline was that of the old budget.
            self.reprogram = true;
            self.reschedule();
        } else if can_run {
            self.possible_switch_to(tcb);
        }
    }
}
