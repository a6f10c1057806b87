// SPDX-License-Identifier: BSD-2-Clause
//! Scheduling contexts: what they are bound to, yielding to one, and their invocations. Their budgets are
//! [`budget`](crate::budget)'s, and when they are charged [`time`](crate::time)'s.

use crate::budget::Refill;
use crate::cap::Cap;
use crate::error::{Error, Stop};
use crate::invoke::{Message, Outcome};
use crate::kernel::Kernel;
use crate::layout::{Notification, SchedContext, State, Tcb};
use crate::machine::Machine;
use kernel_abi::object::{MIN_REFILLS, REFILL_BYTES, SCHED_CONTEXT_CORE_BYTES};
use kernel_abi::{Invocation, MessageInfo};

/// `SchedControl_ConfigureFlags`: sporadic replenishment.
const FLAG_SPORADIC: u64 = 1;

/// What a scheduling context is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Configuration {
    /// Time in every period, in ticks.
    budget: u64,
    /// In ticks; 0: round robin, the budget is the time slice.
    period: u64,
    /// Most refills that the budget is in at a time.
    max_refills: u64,
    /// Told in time-out faults.
    badge: u64,
    /// What is not used while the thread waits does not come later.
    sporadic: bool,
}

impl Configuration {
    /// Time slices of so many ticks.
    pub(crate) const fn round_robin(slice: u64) -> Self {
        Self { budget: slice, period: 0, max_refills: MIN_REFILLS, badge: 0, sporadic: false }
    }
}

impl<M: Machine> Kernel<M> {
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

    /// A thread without a context that is signalled takes the notification's.
    pub fn take_notification_sc(&mut self, tcb: Tcb, ntfn: Notification) {
        if tcb.sched_context(&self.m).is_none()
            && let Some(sc) = ntfn.sched_context(&self.m)
            && sc.tcb(&self.m).is_none()
        {
            self.donate(sc, tcb);
            self.note_unblocked(tcb);
            self.wait_for_time_if_needed(sc);
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
        self.wait_for_time_if_needed(sc);
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
        sc.set_max_refills(&mut self.m, 0);
        sc.set_later_count(&mut self.m, 0);
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
        !blocked || sc.is_configured(&self.m) && self.is_due(sc)
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
        self.wait_for_time_if_needed(sc);
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
        let (sc, to) = self.configuration(msg)?;
        self.configure(sc, &to);
        Ok(0)
    }

    /// The context to be configured, and how: what `SchedControl_ConfigureFlags` says in microseconds, checked.
    fn configuration(&self, msg: &Message) -> Result<(SchedContext, Configuration), Stop> {
        self.require(msg, 5, 1)?;
        let [budget, period, extra_refills, badge, flags] = [0, 1, 2, 3, 4].map(|i| self.arg(msg, i));
        let (least, most) = (self.m.ticks_to_us(self.min_budget()), self.m.max_period_us());
        let within = |us: u64, most: u64| {
            if (least..=most).contains(&us) { Ok(()) } else { Err(Error::Range(least, most)) }
        };
        within(budget, most)?;
        within(period, most)?;
        within(budget, period)?;
        let Cap::SchedContext { at, bits } = self.extra(msg, 0)?.1 else {
            return Err(Error::InvalidCapability(1).into());
        };
        let room = ((1u64 << bits) - SCHED_CONTEXT_CORE_BYTES) / REFILL_BYTES;
        if extra_refills > room {
            return Err(Error::Range(0, room).into());
        }
        let (period, max_refills) = if budget == period {
            (0, MIN_REFILLS)
        } else {
            (self.m.us_to_ticks(period), MIN_REFILLS + extra_refills)
        };
        let sporadic = flags & FLAG_SPORADIC != 0;
        let budget = self.m.us_to_ticks(budget);
        Ok((at, Configuration { budget, period, max_refills, badge, sporadic }))
    }

    /// Configures a context. If its thread could run, what is left of the first refill stays, up to the new budget, and the rest
    /// comes a period later: no window of time sees more than the new budget. Otherwise all of it is there now.
    pub(crate) fn configure(&mut self, sc: SchedContext, to: &Configuration) {
        let thread = sc.tcb(&self.m);
        if let Some(thread) = thread {
            self.dequeue(thread);
            if sc == self.current_sc {
                self.charge_time();
            }
        }
        let runs = thread.is_some_and(|thread| thread.state(&self.m).is_runnable());
        let first = if runs && to.period != 0 && sc.is_configured(&self.m) {
            let left = sc.first(&self.m);
            Refill { time: left.time.max(self.now), amount: left.amount.min(to.budget) }
        } else {
            Refill { time: self.now, amount: to.budget }
        };
        sc.set_up(&mut self.m, to.budget, to.period, to.max_refills, first);
        sc.set_badge(&mut self.m, to.badge);
        sc.set_sporadic(&mut self.m, to.sporadic);
        let Some(thread) = thread else { return };
        self.wait_for_time_if_needed(sc);
        if thread == self.current {
            // The deadline was that of the old budget.
            self.reprogram = true;
            self.reschedule();
        } else if runs {
            self.possible_switch_to(thread);
        }
    }
}
