// SPDX-License-Identifier: BSD-2-Clause
//! Scheduling contexts: binding, donation and their invocations (manual 6.1.6, 6.1.8; `seL4_SchedContext_*`,
//! `seL4_SchedControl_*`).

use crate::cap::Cap;
use crate::error::Error;
use crate::state::{Obj, State};
use crate::syscall::{Invocation, Words};
use kernel_abi::{Invocation as Label, object};

impl State {
    /// `sc` goes to the passive thread `to`; the thread that had it is passive from now on.
    ///
    /// Changes: both threads' scheduling context, the queues, the scheduler.
    pub(crate) fn donate(&mut self, sc: Obj, to: Obj) {
        if let Some(from) = self.sc(sc).tcb {
            self.leave_ready_queue(from);
            self.leave_release_queue(from);
            self.tcb_mut(from).sched_context = None;
            if self.current == Some(from) || self.action == crate::state::Action::SwitchTo(from) {
                self.reschedule();
            }
        }
        self.sc_mut(sc).tcb = Some(to);
        self.tcb_mut(to).sched_context = Some(sc);
    }

    /// Binds a thread; if it can run it is queued in front of its priority.
    ///
    /// Changes: both, the refills (a sporadic budget counts from now), the scheduler.
    pub(crate) fn bind_thread(&mut self, sc: Obj, tcb: Obj) {
        self.sc_mut(sc).tcb = Some(tcb);
        self.tcb_mut(tcb).sched_context = Some(sc);
        self.note_unblocked(tcb);
        self.wait_for_budget_if_needed(sc);
        if self.is_schedulable(tcb) {
            self.enqueue_first(tcb);
            self.reschedule();
        }
    }

    /// Unbinds the thread that runs on `sc`, however it got there.
    ///
    /// Changes: both, the queues, the scheduler.
    pub(crate) fn unbind_thread(&mut self, sc: Obj) {
        let Some(tcb) = self.sc(sc).tcb else { return };
        if self.current == Some(tcb) {
            self.reschedule();
        }
        self.leave_ready_queue(tcb);
        self.leave_release_queue(tcb);
        self.tcb_mut(tcb).sched_context = None;
        self.sc_mut(sc).tcb = None;
    }

    fn unbind_notification_of(&mut self, sc: Obj) {
        if let Some(notification) = self.sc_mut(sc).notification.take() {
            self.ntfn_mut(notification).sched_context = None;
        }
    }

    /// Unbinds everything: thread, notification, call chain.
    ///
    /// Changes: all of these, the scheduler.
    pub(crate) fn unbind_all(&mut self, sc: Obj) {
        self.unbind_thread(sc);
        self.unbind_notification_of(sc);
        self.sc_mut(sc).replies.clear();
    }

    /// Consumed time in microseconds; counted from zero again.
    ///
    /// Changes: the consumed time.
    pub(crate) fn take_consumed(&mut self, sc: Obj) -> u64 {
        let ticks = std::mem::take(&mut self.sc_mut(sc).consumed);
        ticks / self.config.ticks_per_us
    }

    /// If `tcb` waits since a YieldTo: it gets its answer, the time consumed on the other scheduling context.
    ///
    /// Changes: the thread's message registers, the link between both, the consumed time.
    pub(crate) fn complete_yield_to(&mut self, tcb: Obj) {
        if let Some(sc) = self.tcb(tcb).yield_to {
            let consumed = self.take_consumed(sc);
            self.answer(tcb, kernel_abi::error::NONE, &[consumed]);
            self.cancel_yield_to(tcb);
        }
    }

    /// `tcb` no longer waits since a YieldTo.
    ///
    /// Changes: the link between both.
    pub(crate) fn cancel_yield_to(&mut self, tcb: Obj) {
        if let Some(sc) = self.tcb_mut(tcb).yield_to.take() {
            self.sc_mut(sc).yield_from = None;
        }
    }

    /// An invocation of a scheduling context.
    ///
    /// Changes: see the operation.
    pub(crate) fn sched_context_invocation(&mut self, sc: Obj, call: &Invocation) -> Result<Words, Error> {
        match call.label {
            Some(Label::SchedContextConsumed) => return Ok(vec![self.take_consumed(sc)]),
            Some(Label::SchedContextBind) => self.sched_context_bind(sc, call)?,
            Some(Label::SchedContextUnbindObject) => self.sched_context_unbind_object(sc, call)?,
            Some(Label::SchedContextUnbind) => {
                if self.sc(sc).tcb == self.current {
                    return Err(Error::IllegalOperation);
                }
                self.unbind_all(sc);
            }
            Some(Label::SchedContextYieldTo) => return self.sched_context_yield_to(sc, call),
            _ => return Err(Error::IllegalOperation),
        }
        Ok(vec![])
    }

    /// `SchedContextBind(tcb or notification)`: to something that has none yet. A blocked thread can only be
    /// bound when there is budget now.
    fn sched_context_bind(&mut self, sc: Obj, call: &Invocation) -> Result<(), Error> {
        call.needs(0, 1)?;
        match self.cap(call.extra[0]) {
            Some(Cap::Tcb { obj }) => {
                let tcb = self.tcb(obj);
                if self.sc(sc).tcb.is_some()
                    || tcb.sched_context.is_some()
                    || tcb.state.is_blocked() && !self.is_released(sc)
                {
                    return Err(Error::IllegalOperation);
                }
                self.bind_thread(sc, obj);
            }
            Some(Cap::Notification { obj, .. }) => {
                if self.sc(sc).notification.is_some() || self.notifications[&obj].sched_context.is_some() {
                    return Err(Error::IllegalOperation);
                }
                self.sc_mut(sc).notification = Some(obj);
                self.ntfn_mut(obj).sched_context = Some(sc);
            }
            _ => return Err(Error::InvalidCapability(1)),
        }
        Ok(())
    }

    /// `SchedContextUnbindObject(tcb or notification)`; not the running thread.
    fn sched_context_unbind_object(&mut self, sc: Obj, call: &Invocation) -> Result<(), Error> {
        call.needs(0, 1)?;
        match self.cap(call.extra[0]) {
            Some(Cap::Tcb { obj }) => {
                if self.sc(sc).tcb != Some(obj) || self.current == Some(obj) {
                    return Err(Error::IllegalOperation);
                }
                self.unbind_thread(sc);
            }
            Some(Cap::Notification { obj, .. }) => {
                if self.sc(sc).notification != Some(obj) {
                    return Err(Error::IllegalOperation);
                }
                self.unbind_notification_of(sc);
            }
            _ => return Err(Error::InvalidCapability(1)),
        }
        Ok(())
    }

    /// `SchedContextYieldTo() -> consumed`: the thread of `sc` comes to the front of its priority. If it is of
    /// this domain and not of lower priority than the caller it runs now, and the caller gets its answer when it runs again; else at once.
    ///
    /// Changes: the queues, the scheduler, consumed time; a thread that already waits for this scheduling context
    /// gets its answer.
    fn sched_context_yield_to(&mut self, sc: Obj, call: &Invocation) -> Result<Words, Error> {
        let caller = call.caller;
        let Some(target) = self.sc(sc).tcb else { return Err(Error::IllegalOperation) };
        if target == caller
            || self.tcb(target).priority > self.tcb(caller).mcp
            || self.tcb(caller).yield_to.is_some()
        {
            return Err(Error::IllegalOperation);
        }
        if let Some(waiting) = self.sc(sc).yield_from {
            self.complete_yield_to(waiting);
        }
        self.wait_for_budget_if_needed(sc);
        if !self.is_schedulable(target) {
            return Ok(vec![self.take_consumed(sc)]);
        }
        self.leave_ready_queue(target);
        if self.tcb(target).domain != self.domains.domain
            || self.tcb(target).priority < self.tcb(caller).priority
        {
            self.enqueue_first(target);
            return Ok(vec![self.take_consumed(sc)]);
        }
        self.tcb_mut(caller).yield_to = Some(sc);
        self.sc_mut(sc).yield_from = Some(caller);
        self.enqueue_first(caller);
        self.enqueue_first(target);
        self.reschedule();
        Ok(vec![])
    }

    /// `SchedControlConfigureFlags(sc; budget, period, extra_refills, badge, flags)`, times in microseconds.
    /// Budget equal to period means round robin. Extra refills must fit into the object.
    ///
    /// A context whose thread could run keeps what is left of its first refill, so that the new bound holds at once;
    /// else everything is available from now on.
    ///
    /// Changes: the scheduling context, its thread's place in the queues, the scheduler.
    pub(crate) fn sched_control_invocation(&mut self, call: &Invocation) -> Result<Words, Error> {
        if call.label != Some(Label::SchedControlConfigureFlags) {
            return Err(Error::IllegalOperation);
        }
        call.needs(5, 1)?;
        let (budget_us, period_us, extra_refills) = (call.words[0], call.words[1], call.words[2]);
        let (badge, flags) = (call.words[3], call.words[4]);
        let (ticks, min_budget, max) =
            (self.config.ticks_per_us, self.config.min_budget, self.config.max_period_us);
        let out_of_range = Error::Range(min_budget / ticks, max);
        if budget_us > max || period_us > max {
            return Err(out_of_range);
        }
        let (budget, period) = (budget_us * ticks, period_us * ticks);
        if budget < min_budget || period < min_budget {
            return Err(out_of_range);
        }
        if budget > period {
            return Err(Error::Range(min_budget / ticks, period_us));
        }
        let Some(Cap::SchedContext { obj: sc, bits }) = self.cap(call.extra[0]) else {
            return Err(Error::InvalidCapability(1));
        };
        let most_extra = ((1 << bits) - object::SCHED_CONTEXT_CORE_BYTES) / object::REFILL_BYTES;
        if extra_refills > most_extra {
            return Err(Error::Range(0, most_extra));
        }

        let thread = self.sc(sc).tcb;
        if let Some(tcb) = thread {
            self.leave_release_queue(tcb);
            self.leave_ready_queue(tcb);
            if self.current_sc == Some(sc) {
                self.charge_time();
            }
        }
        let can_run = thread.is_some_and(|t| self.tcb(t).state.is_runnable());
        let now = self.now;
        let max_refills = (object::MIN_REFILLS + extra_refills) as usize;
        let context = self.sc_mut(sc);
        if budget == period {
            context.configure(budget, 0, object::MIN_REFILLS as usize, now);
        } else if context.is_active() && can_run {
            context.reconfigure(budget, period, max_refills, now);
        } else {
            context.configure(budget, period, max_refills, now);
        }
        if let Some(tcb) = thread {
            self.wait_for_budget_if_needed(sc);
            if self.current == Some(tcb) {
                self.reschedule();
            } else if can_run {
                self.possible_switch_to(tcb);
            }
        }
        let context = self.sc_mut(sc);
        context.badge = badge;
        context.sporadic = flags & 1 != 0;
        Ok(vec![])
    }
}
