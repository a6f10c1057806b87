// SPDX-License-Identifier: BSD-2-Clause
//! Fast paths of signals: sent by a thread or by an interrupt, and waited for in an event loop.
//!
//! * a signal, whoever waits: nobody, the bound thread in its endpoint, a thread in the notification;
//! * an interrupt that signals;
//! * receive from an endpoint or notification with a signal already there, or with nothing there and somebody else ready
//!   to run;
//! * both in one: signal or acknowledge an interrupt, then receive.
//!
//! A thread woken has its own, plain scheduling context; all else is the slow paths'.

use super::Path;
use crate::PhysAddr;
use crate::cap::tag;
use crate::kernel::{IrqState, Kernel};
use crate::layout::{Endpoint, Notification, Reply, State, Tcb, notification_state, queue_state};
use crate::machine::Machine;
use kernel_abi::{CapRights, Invocation, MessageInfo};

/// Register of a receive's reply object.
const REPLY_REGISTER: usize = 6;
/// Register of NBSendRecv's destination.
const DEST_REGISTER: usize = 8;

/// What a signal does.
#[derive(Clone, Copy)]
enum Signal {
    /// Its badge joins those that are there.
    Add,
    /// Its badge is the first; nobody waits.
    Mark,
    /// It wakes a thread that waits in the notification.
    Wake(Tcb),
    /// It wakes the bound thread, which waits in an endpoint.
    WakeBound(Tcb),
}

impl Signal {
    #[inline(always)]
    fn woken(self) -> Option<Tcb> {
        match self {
            Self::Wake(tcb) | Self::WakeBound(tcb) => Some(tcb),
            Self::Add | Self::Mark => None,
        }
    }
}

/// How a receive ends.
#[derive(Clone, Copy)]
enum Receive {
    /// At once, with the badge of the bound notification.
    Signalled(Notification),
    /// The thread waits in an endpoint.
    Wait(Endpoint, Reply),
    /// The thread waits in a notification.
    WaitSignal(Notification),
}

/// Where a woken thread goes.
#[derive(Clone, Copy)]
enum Place {
    /// It runs.
    Runs,
    /// To the front of its queue.
    First,
    /// To the end of its queue.
    Last,
}

impl<M: Machine> Kernel<M> {
    /// Send or NBSend to a notification.
    #[inline(always)]
    pub(crate) fn fast_signal(&mut self, thread: Tcb) -> Option<Tcb> {
        let slot = self.find_slot(thread, thread.reg(&self.m, 0))?;
        let (ntfn, badge, rights) = slot.notification(&self.m)?;
        if MessageInfo(thread.reg(&self.m, 1)).extra_caps() != 0 || rights & CapRights::WRITE == 0 {
            return None;
        }
        self.signal_and_choose(ntfn, badge, thread)
    }

    /// An interrupt, while `thread` (or the idle thread) ran. Returns whether it was handled.
    #[inline(always)]
    pub(crate) fn fast_interrupt(&mut self, irq: u64) -> bool {
        let thread = self.current;
        if self.irq_state_of(irq) != IrqState::Signal {
            return false;
        }
        let Some(slot) = self.irq_slot(irq) else { return false };
        let Some((ntfn, badge, rights)) = slot.notification(&self.m) else { return false };
        if rights & CapRights::WRITE == 0 {
            return false;
        }
        let Some(next) = self.signal_and_choose(ntfn, badge, thread) else { return false };
        self.m.irq_set_masked(irq, true);
        self.load_next(next);
        self.took(Path::Interrupt);
        true
    }

    /// Recv, or Wait on a notification.
    #[inline(always)]
    pub(crate) fn fast_receive(&mut self, thread: Tcb) -> Option<Tcb> {
        match self.can_receive(thread)? {
            Receive::Signalled(ntfn) => {
                self.take_badge(ntfn, thread);
                Some(thread)
            }
            wait => {
                self.ready.highest()?;
                self.wait_as(wait, thread);
                self.run_best()
            }
        }
    }

    /// NBSendRecv of a signal or of the acknowledgement of an interrupt.
    #[inline(always)]
    pub(crate) fn fast_send_receive(&mut self, thread: Tcb) -> Option<Tcb> {
        let info = MessageInfo(thread.reg(&self.m, 1));
        if info.extra_caps() != 0 {
            return None;
        }
        let receive = self.can_receive(thread)?;
        let slot = self.find_slot(thread, thread.reg(&self.m, DEST_REGISTER))?;
        let mut woken = None;
        if let Some((ntfn, badge, rights)) = slot.notification(&self.m) {
            // What it signals to itself is received at once.
            let watched = match receive {
                Receive::Wait(..) => thread.bound_notification(&self.m),
                Receive::Signalled(watched) | Receive::WaitSignal(watched) => Some(watched),
            };
            if rights & CapRights::WRITE == 0 || watched == Some(ntfn) {
                return None;
            }
            let signal = self.signal_does(ntfn)?;
            woken = signal.woken();
            match (receive, woken) {
                (Receive::Signalled(_), Some(_)) => return None,
                (Receive::Signalled(_), None) | (_, Some(_)) => {}
                _ => _ = self.ready.highest()?,
            }
            self.do_signal(ntfn, badge, signal);
        } else {
            if slot.word0(&self.m) >> crate::cap::TAG_SHIFT != tag::IRQ_HANDLER
                || Some(info.label()) != const { Invocation::IrqAckIrq.label(M::HW_DEBUG) }
            {
                return None;
            }
            if !matches!(receive, Receive::Signalled(_)) {
                self.ready.highest()?;
            }
            let irq = slot.word1(&self.m);
            self.m.irq_set_masked(irq, false);
        }
        self.took(Path::SendReceive);
        match receive {
            Receive::Signalled(ntfn) => {
                self.take_badge(ntfn, thread);
                Some(thread)
            }
            wait => {
                self.wait_as(wait, thread);
                match woken {
                    Some(woken) => {
                        let priority = woken.priority(&self.m);
                        if self.ready.highest().is_some_and(|best| best > priority) {
                            self.enqueue_first(woken);
                            self.run_best()
                        } else {
                            self.run_woken(woken);
                            Some(woken)
                        }
                    }
                    None => self.run_best(),
                }
            }
        }
    }

    // ---- what has to be so

    /// What a signal would do. `None`: more than is known here.
    #[inline(always)]
    fn signal_does(&self, ntfn: Notification) -> Option<Signal> {
        let signal = match ntfn.state_word(&self.m) {
            notification_state::ACTIVE => Signal::Add,
            notification_state::WAITING => Signal::Wake(ntfn.head(&self.m)?),
            _ => match ntfn.bound_tcb(&self.m) {
                Some(tcb) if tcb.state(&self.m) == State::BlockedOnReceive => Signal::WakeBound(tcb),
                _ => Signal::Mark,
            },
        };
        if let Some(woken) = signal.woken() {
            let own = woken.sched_context(&self.m)?;
            if !self.can_run_on(woken, own) || !self.in_turn(woken) {
                return None;
            }
        }
        Some(signal)
    }

    /// Where a thread goes that `thread` has woken. `None`: neither of them would run.
    #[inline(always)]
    fn place_of(&self, woken: Tcb, thread: Tcb) -> Option<Place> {
        let its = woken.priority(&self.m);
        let best = self.ready.highest();
        if thread == self.idle {
            return if best.is_none() { Some(Place::Runs) } else { None };
        }
        let mine = thread.priority(&self.m);
        if best.is_some_and(|best| best > its.max(mine)) {
            return None;
        }
        Some(match its.cmp(&mine) {
            core::cmp::Ordering::Greater => Place::Runs,
            core::cmp::Ordering::Less => Place::First,
            // Among equals the interrupted thread goes first.
            core::cmp::Ordering::Equal => Place::Last,
        })
    }

    /// What a blocking receive of the current thread with a reply object comes to. `None`: more than is known here.
    #[inline(always)]
    fn can_receive(&mut self, thread: Tcb) -> Option<Receive> {
        let slot = self.find_slot(thread, thread.reg(&self.m, 0))?;
        let sc = self.current_sc;
        let Some((endpoint, _, rights)) = slot.endpoint(&self.m) else {
            let (ntfn, _, rights) = slot.notification(&self.m)?;
            if rights & CapRights::READ == 0 || ntfn.bound_tcb(&self.m).is_some_and(|bound| bound != thread) {
                return None;
            }
            return if ntfn.state_word(&self.m) == notification_state::ACTIVE {
                Some(Receive::Signalled(ntfn))
            } else {
                (ntfn.sched_context(&self.m) != Some(sc)).then_some(Receive::WaitSignal(ntfn))
            };
        };
        let slot = self.find_slot(thread, thread.reg(&self.m, REPLY_REGISTER))?;
        let (reply, _) = slot.reply(&self.m)?;
        if rights & CapRights::READ == 0 || reply.tcb(&self.m).is_some() {
            return None;
        }
        if let Some(ntfn) = thread.bound_notification(&self.m) {
            if ntfn.state_word(&self.m) == notification_state::ACTIVE {
                return Some(Receive::Signalled(ntfn));
            }
            if ntfn.sched_context(&self.m) == Some(sc) {
                return None;
            }
        }
        (endpoint.head_word(&self.m) & queue_state::MASK != queue_state::SEND)
            .then_some(Receive::Wait(endpoint, reply))
    }

    // ---- what is done

    /// A signal, and who runs then.
    #[inline(always)]
    fn signal_and_choose(&mut self, ntfn: Notification, badge: u64, thread: Tcb) -> Option<Tcb> {
        let signal = self.signal_does(ntfn)?;
        let Some(woken) = signal.woken() else {
            self.do_signal(ntfn, badge, signal);
            self.took(Path::SignalMark);
            return Some(thread);
        };
        let place = self.place_of(woken, thread)?;
        self.do_signal(ntfn, badge, signal);
        match place {
            Place::Runs => {
                if thread != self.idle {
                    self.enqueue_first(thread);
                }
                self.run_woken(woken);
                self.took(Path::SignalSwitch);
                return Some(woken);
            }
            Place::First => self.enqueue_first(woken),
            Place::Last => self.enqueue_last(woken),
        }
        self.took(Path::SignalStay);
        Some(thread)
    }

    #[inline(always)]
    fn do_signal(&mut self, ntfn: Notification, badge: u64, signal: Signal) {
        let woken = match signal {
            Signal::Add => {
                let all = ntfn.badge(&self.m) | badge;
                return ntfn.set_badge(&mut self.m, all);
            }
            Signal::Mark => {
                ntfn.set_badge(&mut self.m, badge);
                return ntfn.set_state_word(&mut self.m, notification_state::ACTIVE);
            }
            Signal::Wake(tcb) => {
                if ntfn.tail(&self.m) == Some(tcb) {
                    ntfn.set_head(&mut self.m, None);
                    ntfn.set_tail(&mut self.m, None);
                    ntfn.set_state_word(&mut self.m, notification_state::IDLE);
                } else {
                    self.notification_remove(ntfn, tcb);
                }
                tcb.set_blocked_on(&mut self.m, 0);
                tcb
            }
            Signal::WakeBound(tcb) => {
                self.stop_receiving(tcb);
                tcb
            }
        };
        woken.set_state(&mut self.m, State::Running);
        woken.set_reg(&mut self.m, 0, badge);
    }

    /// A receiver leaves its endpoint, wherever it is in the queue, without a message.
    #[inline(always)]
    fn stop_receiving(&mut self, tcb: Tcb) {
        if let Some(endpoint) = Endpoint::at(PhysAddr(tcb.blocked_on(&self.m))) {
            if endpoint.tail(&self.m) == Some(tcb) && tcb.queue_prev(&self.m).is_none() {
                endpoint.set_head_word(&mut self.m, queue_state::IDLE);
                endpoint.set_tail(&mut self.m, None);
            } else {
                self.endpoint_remove(endpoint, tcb);
            }
        }
        self.detach_reply(tcb);
        tcb.set_blocked_on(&mut self.m, 0);
    }

    /// The badge that is there goes to `thread`.
    #[inline(always)]
    fn take_badge(&mut self, ntfn: Notification, thread: Tcb) {
        let badge = ntfn.badge(&self.m);
        ntfn.set_badge(&mut self.m, 0);
        ntfn.set_state_word(&mut self.m, notification_state::IDLE);
        thread.set_reg(&mut self.m, 0, badge);
        self.took(Path::ReceiveBadge);
    }

    /// `thread` waits.
    #[inline(always)]
    fn wait_as(&mut self, how: Receive, thread: Tcb) {
        match how {
            Receive::Wait(endpoint, reply) => {
                self.start_receiving(endpoint, reply, thread);
                self.took(Path::ReceiveWait);
            }
            Receive::WaitSignal(ntfn) => {
                thread.set_state(&mut self.m, State::BlockedOnNotification);
                thread.set_blocked_on(&mut self.m, ntfn.addr().0);
                if ntfn.state_word(&self.m) == notification_state::IDLE {
                    thread.set_queue_next(&mut self.m, None);
                    thread.set_queue_prev(&mut self.m, None);
                    ntfn.set_head(&mut self.m, Some(thread));
                    ntfn.set_tail(&mut self.m, Some(thread));
                    ntfn.set_state_word(&mut self.m, notification_state::WAITING);
                } else {
                    self.notification_insert(ntfn, thread);
                }
                self.took(Path::ReceiveWaitSignal);
            }
            Receive::Signalled(_) => {}
        }
    }

    /// The CPU goes to `woken`, which has a context of its own.
    #[inline(always)]
    fn run_woken(&mut self, woken: Tcb) {
        if let Some(own) = woken.sched_context(&self.m) {
            let head = own.first(&self.m);
            self.run_on_own_time(woken, own, head);
        }
    }

    /// The first of the best ready queue runs; it has to be loaded.
    #[inline(always)]
    fn run_best(&mut self) -> Option<Tcb> {
        let next = self.take_best()?;
        self.current = next;
        self.switch_time();
        if next.state(&self.m) != State::Running || next.yield_to(&self.m).is_some() {
            self.start(next);
        }
        Some(next)
    }
}
