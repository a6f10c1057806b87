// SPDX-License-Identifier: BSD-2-Clause
//! Notifications: words of flags that are signalled and waited for.

use crate::error::Stop;
use crate::kernel::Kernel;
use crate::layout::{Notification, State, Tcb, notification_state as state};
use crate::machine::Machine;

impl<M: Machine> Kernel<M> {
    /// Lets `tcb` wait in `ntfn`.
    pub fn notification_insert(&mut self, ntfn: Notification, tcb: Tcb) {
        let (head, tail) = self.queue_insert((ntfn.head(&self.m), ntfn.tail(&self.m)), tcb);
        ntfn.set_head(&mut self.m, head);
        ntfn.set_tail(&mut self.m, tail);
        ntfn.set_state_word(&mut self.m, state::WAITING);
    }

    /// Takes `tcb` out of `ntfn`.
    pub fn notification_remove(&mut self, ntfn: Notification, tcb: Tcb) {
        let (head, tail) = self.queue_remove((ntfn.head(&self.m), ntfn.tail(&self.m)), tcb);
        ntfn.set_head(&mut self.m, head);
        ntfn.set_tail(&mut self.m, tail);
        if head.is_none() {
            ntfn.set_state_word(&mut self.m, state::IDLE);
        }
    }

    /// Signals `badge`.
    pub fn signal(&mut self, ntfn: Notification, badge: u64) {
        match ntfn.state_word(&self.m) {
            state::ACTIVE => {
                let all = ntfn.badge(&self.m) | badge;
                ntfn.set_badge(&mut self.m, all);
            }
            state::WAITING => {
                if let Some(tcb) = ntfn.head(&self.m) {
                    self.notification_remove(ntfn, tcb);
                    tcb.set_blocked_on(&mut self.m, 0);
                    self.wake(ntfn, tcb, badge);
                }
            }
            _ => match ntfn.bound_tcb(&self.m) {
                Some(tcb) if tcb.state(&self.m) == State::BlockedOnReceive => {
                    self.cancel_ipc(tcb);
                    self.wake(ntfn, tcb, badge);
                }
                _ => {
                    ntfn.set_badge(&mut self.m, badge);
                    ntfn.set_state_word(&mut self.m, state::ACTIVE);
                }
            },
        }
    }

    fn wake(&mut self, ntfn: Notification, tcb: Tcb, badge: u64) {
        tcb.set_state(&mut self.m, State::Running);
        tcb.set_reg(&mut self.m, 0, badge);
        self.take_notification_sc(tcb, ntfn);
        self.note_unblocked(tcb);
        self.possible_switch_to(tcb);
    }

    /// Gives a badge that is there to `thread`. Returns whether there was one.
    pub fn take_active_badge(&mut self, ntfn: Notification, thread: Tcb) -> bool {
        if ntfn.state_word(&self.m) != state::ACTIVE {
            return false;
        }
        let badge = ntfn.badge(&self.m);
        ntfn.set_badge(&mut self.m, 0);
        ntfn.set_state_word(&mut self.m, state::IDLE);
        thread.set_reg(&mut self.m, 0, badge);
        self.take_notification_sc(thread, ntfn);
        true
    }

    /// `thread` waits for a signal, or polls.
    pub fn wait(&mut self, thread: Tcb, ntfn: Notification, blocking: bool) {
        if self.take_active_badge(ntfn, thread) {
            return;
        }
        if !blocking {
            thread.set_reg(&mut self.m, 0, 0);
            return;
        }
        self.block(thread, State::BlockedOnNotification);
        thread.set_blocked_on(&mut self.m, ntfn.addr().0);
        self.return_notification_sc(thread, ntfn);
        self.notification_insert(ntfn, thread);
    }

    /// The notification goes away: whoever waits tries again (and finds no capability). Who is left when it is stopped is
    /// found again.
    pub fn cancel_all_signals(&mut self, ntfn: Notification) -> Result<(), Stop> {
        while let Some(tcb) = ntfn.head(&self.m) {
            self.notification_remove(ntfn, tcb);
            self.try_again(tcb);
            self.preemption_point()?;
        }
        Ok(())
    }

    /// Ends the binding of a notification and its thread, seen from the notification.
    pub fn unbind_notification(&mut self, ntfn: Notification) {
        if let Some(tcb) = ntfn.bound_tcb(&self.m) {
            self.unbind(ntfn, tcb);
        }
    }

    /// Ends the binding of a thread and its notification, seen from the thread.
    pub fn unbind_tcb_notification(&mut self, tcb: Tcb) {
        if let Some(ntfn) = tcb.bound_notification(&self.m) {
            self.unbind(ntfn, tcb);
        }
    }

    fn unbind(&mut self, ntfn: Notification, tcb: Tcb) {
        ntfn.set_bound_tcb(&mut self.m, None);
        tcb.set_bound_notification(&mut self.m, None);
    }
}
