// SPDX-License-Identifier: BSD-2-Clause
//! Notifications (manual 5).

use crate::state::{Obj, State, ThreadState};

impl State {
    /// A signal with `badge`: the bound thread gets it if it waits for a message, else the first thread waiting for
    /// the notification, else it is added to what is signalled.
    ///
    /// A passive thread gets the notification's scheduling context, if that is free.
    ///
    /// Changes: the notification, the thread that gets it (badge register, state, scheduling context), the
    /// scheduler.
    pub(crate) fn signal(&mut self, notification: Obj, badge: u64) {
        let state = &self.notifications[&notification];
        let bound = state.tcb.filter(|&t| matches!(self.tcb(t).state, ThreadState::BlockedOnReceive { .. }));
        let waiting = state.queue.first().copied();
        match (waiting, state.signalled, bound) {
            (Some(tcb), ..) => {
                self.ntfn_mut(notification).queue.remove(0);
                self.wake_with_badge(tcb, notification, badge);
            }
            (None, Some(before), _) => self.ntfn_mut(notification).signalled = Some(before | badge),
            (None, None, Some(tcb)) => {
                self.cancel_ipc(tcb);
                self.wake_with_badge(tcb, notification, badge);
            }
            (None, None, None) => self.ntfn_mut(notification).signalled = Some(badge),
        }
    }

    fn wake_with_badge(&mut self, tcb: Obj, notification: Obj, badge: u64) {
        self.set_thread_state(tcb, ThreadState::Running);
        self.tcb_mut(tcb).regs[0] = badge;
        self.lend_from_notification(tcb, notification);
        if self.is_schedulable(tcb) {
            self.possible_switch_to(tcb);
        }
        self.note_unblocked(tcb);
    }

    /// `tcb` waits for, or asks about, a notification.
    ///
    /// Changes: the thread; the notification's word (back to nothing signalled) or queue; the notification's
    /// scheduling context is given back by a thread that waits, and lent to a passive one that does not have to.
    pub(crate) fn receive_signal(&mut self, tcb: Obj, notification: Obj, blocking: bool) {
        if let Some(badge) = self.ntfn_mut(notification).signalled.take() {
            self.tcb_mut(tcb).regs[0] = badge;
            self.lend_from_notification(tcb, notification);
            self.note_unblocked(tcb);
        } else if blocking {
            self.set_thread_state(tcb, ThreadState::BlockedOnNotification { notification });
            let at = self.queue_position(&self.notifications[&notification].queue, tcb);
            self.ntfn_mut(notification).queue.insert(at, tcb);
            self.give_back_to_notification(tcb, notification);
        } else {
            self.tcb_mut(tcb).regs[0] = 0;
        }
    }

    /// A receiver on an endpoint takes what is signalled on its bound notification instead.
    ///
    /// Changes: as the first case of [`State::receive_signal`].
    pub(crate) fn take_signal(&mut self, tcb: Obj, notification: Obj) {
        let badge = self.ntfn_mut(notification).signalled.take().unwrap_or(0);
        self.tcb_mut(tcb).regs[0] = badge;
        self.lend_from_notification(tcb, notification);
        let own = self.tcb(tcb).sched_context;
        if own.is_some() && own == self.notifications[&notification].sched_context {
            self.note_unblocked(tcb);
        }
    }

    /// The notification's scheduling context goes to a passive thread, unless somebody runs on it (manual 6.1.8).
    ///
    /// Changes: thread and scheduling context, the release queue.
    fn lend_from_notification(&mut self, tcb: Obj, notification: Obj) {
        if self.tcb(tcb).sched_context.is_none()
            && let Some(sc) = self.notifications[&notification].sched_context
            && self.sc(sc).tcb.is_none()
        {
            self.donate(sc, tcb);
            self.wait_for_budget_if_needed(sc);
        }
    }

    /// A thread that runs on the notification's scheduling context gives it back and is passive again.
    ///
    /// Changes: thread and scheduling context, the scheduler.
    pub(crate) fn give_back_to_notification(&mut self, tcb: Obj, notification: Obj) {
        let sc = self.notifications[&notification].sched_context;
        if let Some(sc) = sc
            && self.tcb(tcb).sched_context == Some(sc)
        {
            self.tcb_mut(tcb).sched_context = None;
            self.sc_mut(sc).tcb = None;
            if self.current == Some(tcb) {
                self.reschedule();
            }
        }
    }

    /// The notification ends: all who wait there try again what they did.
    ///
    /// Changes: the waiting threads, the queue, the scheduler.
    pub(crate) fn cancel_all_signals(&mut self, notification: Obj) {
        let waiting = std::mem::take(&mut self.ntfn_mut(notification).queue);
        if waiting.is_empty() {
            return;
        }
        for tcb in waiting {
            self.set_thread_state(tcb, ThreadState::Restart);
            self.note_unblocked(tcb);
            self.possible_switch_to(tcb);
        }
        self.reschedule();
    }

    /// Undoes the binding of a thread to its notification, if there is one.
    ///
    /// Changes: both.
    pub(crate) fn unbind_notification(&mut self, tcb: Obj) {
        if let Some(notification) = self.tcb_mut(tcb).notification.take() {
            self.ntfn_mut(notification).tcb = None;
        }
    }
}
