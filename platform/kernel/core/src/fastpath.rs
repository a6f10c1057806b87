// SPDX-License-Identifier: BSD-2-Clause
//! Fast paths: the common system calls with everything checked first and nothing decoded twice.
//!
//! A fast path either does exactly what the slow one would and returns the thread that runs now, or changes nothing
//! and returns `None`.
//! Refinement tests run both from the same states (`kernel/refine`). They run after the clock was read and the
//! budget checked, as the slow paths do.

use crate::PhysAddr;
use crate::kernel::Kernel;
use crate::layout::{Above, Notification, SchedContext, State, Tcb, notification_state, queue_state};
use crate::machine::Machine;
use crate::sched::Action;
use kernel_abi::{CapRights, MessageInfo, fault, ipc};

impl<M: Machine> Kernel<M> {
    /// Whether nothing but the two threads of a call is to be looked at when the kernel is left.
    #[inline(always)]
    fn nothing_else_is_due(&self) -> bool {
        self.action == Action::ResumeCurrent
            && !self.reprogram
            && match self.release_head {
                None => true,
                Some(tcb) => tcb.sched_context(&self.m).is_some_and(|sc| !self.refill_ready(sc)),
            }
    }

    /// Whether `tcb` would be chosen once the current thread blocks.
    #[inline(always)]
    fn is_next(&self, tcb: Tcb) -> bool {
        match self.ready.highest() {
            None => true,
            Some(best) => tcb.priority(&self.m) >= best,
        }
    }

    /// Copies a short message that carries no capabilities.
    #[inline(always)]
    fn fast_transfer(&mut self, from: Tcb, to: Tcb, info: MessageInfo, badge: u64) {
        for register in 2..2 + ipc::MSG_REGISTERS as usize {
            if (register as u64 - 2) < info.length() {
                let word = from.reg(&self.m, register);
                to.set_reg(&mut self.m, register, word);
            }
        }
        to.set_reg(&mut self.m, 0, badge);
        to.set_reg(&mut self.m, 1, MessageInfo::new(info.label(), 0, 0, info.length()).0);
    }

    /// Call through an endpoint in which a passive server waits with a reply object.
    #[inline(always)]
    pub fn fast_call(&mut self, thread: Tcb) -> Option<Tcb> {
        let info = MessageInfo(thread.reg(&self.m, 1));
        if info.0 & 0x1ff > ipc::MSG_REGISTERS || thread.fault_label(&self.m) != fault::NULL {
            return None;
        }
        let slot = self.lookup_slot(thread, thread.reg(&self.m, 0)).ok()?;
        let (endpoint, badge, rights) = slot.endpoint(&self.m)?;
        if rights & CapRights::WRITE == 0 || rights & (CapRights::GRANT | CapRights::GRANT_REPLY) == 0 {
            return None;
        }
        let head = endpoint.head_word(&self.m);
        if head & queue_state::MASK != queue_state::RECEIVE {
            return None;
        }
        let server = Tcb::at(PhysAddr(head & !queue_state::MASK))?;
        let (Some(reply), Some(sc)) = (server.reply(&self.m), thread.sched_context(&self.m)) else {
            return None;
        };
        if server.sched_context(&self.m).is_some()
            || sc != self.current_sc
            || !self.is_next(server)
            || !self.nothing_else_is_due()
        {
            return None;
        }

        // Nothing can fail from here on. The server leaves the endpoint.
        let next = server.queue_next(&self.m);
        match next {
            Some(next) => {
                next.set_queue_prev(&mut self.m, None);
                endpoint.set_head_word(&mut self.m, next.addr().0 | queue_state::RECEIVE);
                server.set_queue_next(&mut self.m, None);
            }
            None => {
                endpoint.set_head_word(&mut self.m, queue_state::IDLE);
                endpoint.set_tail(&mut self.m, None);
            }
        }
        server.set_blocked_on(&mut self.m, 0);
        server.set_reply(&mut self.m, None);
        // The caller waits, and lends its time.
        let below = sc.reply(&self.m);
        reply.set_tcb(&mut self.m, Some(thread));
        reply.set_prev(&mut self.m, below);
        reply.set_above(&mut self.m, Above::SchedContext(sc));
        if let Some(below) = below {
            below.set_above(&mut self.m, Above::Reply(reply));
        }
        sc.set_reply(&mut self.m, Some(reply));
        thread.set_reply(&mut self.m, Some(reply));
        thread.set_state(&mut self.m, State::BlockedOnReply);
        self.fast_switch(sc, thread, server);
        self.fast_transfer(thread, server, info, badge);
        Some(server)
    }

    /// Reply of a passive server to the caller that lent its time, and receive from an endpoint in which nobody
    /// waits.
    #[inline(always)]
    pub fn fast_reply_receive(&mut self, thread: Tcb) -> Option<Tcb> {
        let info = MessageInfo(thread.reg(&self.m, 1));
        if info.0 & 0x1ff > ipc::MSG_REGISTERS || thread.fault_label(&self.m) != fault::NULL {
            return None;
        }
        let slot = self.lookup_slot(thread, thread.reg(&self.m, 6)).ok()?;
        let (reply, _) = slot.reply(&self.m)?;
        let caller = reply.tcb(&self.m)?;
        let Above::SchedContext(sc) = reply.above(&self.m) else { return None };
        if caller.state(&self.m) != State::BlockedOnReply
            || caller.fault_label(&self.m) != fault::NULL
            || caller.sched_context(&self.m).is_some()
            || thread.sched_context(&self.m) != Some(sc)
            || sc != self.current_sc
            || !self.refill_ready(sc)
            || !self.refill_sufficient(sc, 0)
        {
            return None;
        }
        let slot = self.lookup_slot(thread, thread.reg(&self.m, 0)).ok()?;
        let (endpoint, _, rights) = slot.endpoint(&self.m)?;
        if rights & CapRights::READ == 0 {
            return None;
        }
        if endpoint.head_word(&self.m) != queue_state::IDLE {
            return None;
        }
        if let Some(ntfn) = thread.bound_notification(&self.m)
            && self.is_active(ntfn)
        {
            return None;
        }
        if !self.is_next(caller) || !self.nothing_else_is_due() {
            return None;
        }

        // Nothing can fail from here on. The time goes back.
        let below = reply.prev(&self.m);
        sc.set_reply(&mut self.m, below);
        if let Some(below) = below {
            below.set_above(&mut self.m, Above::SchedContext(sc));
        }
        reply.set_prev(&mut self.m, None);
        reply.set_above(&mut self.m, Above::Nothing);
        reply.set_tcb(&mut self.m, Some(thread));
        caller.set_reply(&mut self.m, None);
        self.fast_transfer(thread, caller, info, 0);
        // The server waits.
        thread.set_reply(&mut self.m, Some(reply));
        thread.set_state(&mut self.m, State::BlockedOnReceive);
        thread.set_blocked_on(&mut self.m, endpoint.addr().0);
        thread.set_queue_next(&mut self.m, None);
        thread.set_queue_prev(&mut self.m, None);
        endpoint.set_head_word(&mut self.m, thread.addr().0 | queue_state::RECEIVE);
        endpoint.set_tail(&mut self.m, Some(thread));
        self.fast_switch(sc, thread, caller);
        Some(caller)
    }

    /// `sc` and the CPU go from the current thread to `to`.
    #[inline(always)]
    fn fast_switch(&mut self, sc: SchedContext, from: Tcb, to: Tcb) {
        from.set_sched_context(&mut self.m, None);
        to.set_sched_context(&mut self.m, Some(sc));
        sc.set_tcb(&mut self.m, Some(to));
        to.set_state(&mut self.m, State::Running);
        self.current = to;
    }

    fn is_active(&self, ntfn: Notification) -> bool {
        ntfn.state_word(&self.m) == notification_state::ACTIVE
    }
}
