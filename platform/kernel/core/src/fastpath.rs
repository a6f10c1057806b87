// SPDX-License-Identifier: BSD-2-Clause
//! Fast paths: the common system calls and faults, with everything checked first and nothing decoded twice.
//!
//! A fast path either does exactly what the slow one would and returns the thread that runs now, or changes nothing
//! and returns `None`. Refinement tests run both from the same states (`kernel/refine`). They run after the clock was
//! read and the budget checked, as the slow paths do.
//!
//! * call to a server that waits with a reply object, passive (the caller's time goes along) or active;
//! * reply to such a caller, or to one that waits with a fault that has nothing to be written back, and receive from an
//!   endpoint in which nobody waits;
//! * a translation fault or a virtual CPU's trap, to a handler that waits.

use crate::PhysAddr;
use crate::fault::Fault;
use crate::kernel::Kernel;
use crate::layout::{
    Above, Endpoint, Reply, SchedContext, State, Tcb, TcbSlot, notification_state, queue_state, queued,
};
use crate::machine::Machine;
use crate::sched::Action;
use kernel_abi::{CapRights, MessageInfo, fault, ipc};

/// A message word that says more than that up to four words are sent: more, or capabilities.
const NOT_SHORT: u64 = 0x1ff;

impl<M: Machine> Kernel<M> {
    /// Call through an endpoint in which a server waits with a reply object.
    #[inline(always)]
    pub fn fast_call(&mut self, thread: Tcb) -> Option<Tcb> {
        let info = self.short_message(thread)?;
        let slot = self.lookup_slot(thread, thread.reg(&self.m, 0)).ok()?;
        let (endpoint, badge, rights) = slot.endpoint(&self.m)?;
        let (server, reply) = self.waiting_server(endpoint, rights)?;
        let sc = thread.sched_context(&self.m).filter(|&sc| sc == self.current_sc)?;
        let servers = server.sched_context(&self.m);
        if servers.is_some_and(|servers| !self.can_run_on(server, servers)) || !self.runs_next(server) {
            return None;
        }

        // Nothing can fail from here on.
        self.leave_endpoint(endpoint, server);
        self.wait_for_reply(thread, reply);
        self.fast_transfer(thread, server, info, badge);
        if servers.is_some() {
            self.run_on_own_time(server);
        } else {
            // The caller lends its time.
            let below = sc.reply(&self.m);
            reply.set_prev(&mut self.m, below);
            reply.set_above(&mut self.m, Above::SchedContext(sc));
            if let Some(below) = below {
                below.set_above(&mut self.m, Above::Reply(reply));
            }
            sc.set_reply(&mut self.m, Some(reply));
            self.move_time(sc, thread, server);
        }
        Some(server)
    }

    /// Reply to a caller or faulting thread, and receive from an endpoint in which nobody waits.
    #[inline(always)]
    pub fn fast_reply_receive(&mut self, thread: Tcb) -> Option<Tcb> {
        let info = self.short_message(thread)?;
        let slot = self.lookup_slot(thread, thread.reg(&self.m, 6)).ok()?;
        let (reply, _) = slot.reply(&self.m)?;
        let caller = reply.tcb(&self.m)?;
        if caller.state(&self.m) != State::BlockedOnReply {
            return None;
        }
        // Answers to these faults say nothing but "go on".
        let label = caller.fault_label(&self.m);
        if label != fault::NULL && (label < fault::VM_FAULT) {
            return None;
        }
        let sc = thread.sched_context(&self.m).filter(|&sc| sc == self.current_sc)?;
        let callers = caller.sched_context(&self.m);
        let can_run = match (reply.above(&self.m), callers) {
            (Above::SchedContext(lent), None) => lent == sc && self.has_time(sc),
            (Above::Nothing, Some(own)) => {
                reply.prev(&self.m).is_none() && self.can_run_on(caller, own) && self.has_time(own)
            }
            _ => false,
        };
        if !can_run {
            return None;
        }
        let slot = self.lookup_slot(thread, thread.reg(&self.m, 0)).ok()?;
        let (endpoint, _, rights) = slot.endpoint(&self.m)?;
        if rights & CapRights::READ == 0 || endpoint.head_word(&self.m) != queue_state::IDLE {
            return None;
        }
        if let Some(ntfn) = thread.bound_notification(&self.m)
            && (ntfn.state_word(&self.m) == notification_state::ACTIVE
                || callers.is_some() && ntfn.sched_context(&self.m).is_some())
        {
            return None;
        }
        if !self.runs_next(caller) {
            return None;
        }

        // Nothing can fail from here on.
        caller.set_reply(&mut self.m, None);
        if label == fault::NULL {
            self.fast_transfer(thread, caller, info, 0);
        } else {
            caller.set_fault_label(&mut self.m, fault::NULL);
            let pc = caller.restart_pc(&self.m);
            caller.set_reg(&mut self.m, kernel_abi::context::stored::PC, pc);
        }
        reply.set_tcb(&mut self.m, Some(thread));
        thread.set_reply(&mut self.m, Some(reply));
        thread.set_state(&mut self.m, State::BlockedOnReceive);
        thread.set_blocked_on(&mut self.m, endpoint.addr().0);
        thread.set_queue_next(&mut self.m, None);
        thread.set_queue_prev(&mut self.m, None);
        endpoint.set_head_word(&mut self.m, thread.addr().0 | queue_state::RECEIVE);
        endpoint.set_tail(&mut self.m, Some(thread));
        if callers.is_some() {
            self.run_on_own_time(caller);
        } else {
            // The time goes back.
            let below = reply.prev(&self.m);
            sc.set_reply(&mut self.m, below);
            if let Some(below) = below {
                below.set_above(&mut self.m, Above::SchedContext(sc));
            }
            reply.set_prev(&mut self.m, None);
            reply.set_above(&mut self.m, Above::Nothing);
            self.move_time(sc, thread, caller);
        }
        Some(caller)
    }

    /// A fault of the current thread whose handler waits and has time of its own.
    #[inline(always)]
    pub fn fast_fault(&mut self, thread: Tcb, what: Fault) -> Option<Tcb> {
        let (label, kept, length) = match what {
            Fault::Vm { address, fsr, prefetch } => (fault::VM_FAULT, [address, fsr, u64::from(prefetch)], 4),
            Fault::Vcpu { syndrome } => (fault::VCPU_FAULT, [syndrome, 0, 0], 1),
            _ => return None,
        };
        let (endpoint, badge, rights) = thread.slot(TcbSlot::FaultHandler).endpoint(&self.m)?;
        let (handler, reply) = self.waiting_server(endpoint, rights)?;
        let own = handler.sched_context(&self.m)?;
        if thread.state(&self.m) != State::Running
            || !self.can_run_on(handler, own)
            || !self.runs_next(handler)
        {
            return None;
        }

        // Nothing can fail from here on.
        thread.set_fault_label(&mut self.m, label);
        thread.set_fault0(&mut self.m, kept[0]);
        thread.set_fault1(&mut self.m, kept[1]);
        thread.set_fault2(&mut self.m, kept[2]);
        self.leave_endpoint(endpoint, handler);
        self.wait_for_reply(thread, reply);
        let words = if length == 1 {
            [kept[0], 0, 0, 0]
        } else {
            [thread.restart_pc(&self.m), kept[0], kept[2], kept[1]]
        };
        for (register, &word) in (2..).zip(words.iter().take(length)) {
            handler.set_reg(&mut self.m, register, word);
        }
        handler.set_reg(&mut self.m, 0, badge);
        handler.set_reg(&mut self.m, 1, MessageInfo::new(label, 0, 0, length as u64).0);
        self.run_on_own_time(handler);
        Some(handler)
    }

    // ---- what has to be so

    /// The message word of a thread that sends up to four words and no capabilities.
    #[inline(always)]
    fn short_message(&self, thread: Tcb) -> Option<MessageInfo> {
        let info = MessageInfo(thread.reg(&self.m, 1));
        (info.0 & NOT_SHORT <= ipc::MSG_REGISTERS && thread.fault_label(&self.m) == fault::NULL)
            .then_some(info)
    }

    /// The thread that waits first in an endpoint, with its reply object, for a caller with these rights.
    #[inline(always)]
    fn waiting_server(&self, endpoint: Endpoint, rights: u64) -> Option<(Tcb, Reply)> {
        if rights & CapRights::WRITE == 0 || rights & (CapRights::GRANT | CapRights::GRANT_REPLY) == 0 {
            return None;
        }
        let head = endpoint.head_word(&self.m);
        if head & queue_state::MASK != queue_state::RECEIVE {
            return None;
        }
        let server = Tcb::at(PhysAddr(head & !queue_state::MASK))?;
        Some((server, server.reply(&self.m)?))
    }

    /// Whether `sc` has budget now.
    #[inline(always)]
    fn has_time(&self, sc: SchedContext) -> bool {
        self.refill_ready(sc) && self.refill_sufficient(sc, 0)
    }

    /// Whether a waiting thread can go on with its own, plain context.
    #[inline(always)]
    fn can_run_on(&self, tcb: Tcb, own: SchedContext) -> bool {
        own != self.current_sc
            && own.refill_max(&self.m) != 0
            && !own.sporadic(&self.m)
            && tcb.queued(&self.m) == queued::NONE
    }

    /// Whether `tcb` would be chosen once the current thread blocks, and nothing else is to be looked at when the
    /// kernel is left.
    #[inline(always)]
    fn runs_next(&self, tcb: Tcb) -> bool {
        let best = match self.ready.highest() {
            None => true,
            Some(best) => tcb.priority(&self.m) >= best,
        };
        best && self.action == Action::ResumeCurrent
            && !self.reprogram
            && match self.release_head {
                None => true,
                Some(tcb) => tcb.sched_context(&self.m).is_some_and(|sc| !self.refill_ready(sc)),
            }
    }

    // ---- what is done

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

    /// The first receiver leaves its endpoint.
    #[inline(always)]
    fn leave_endpoint(&mut self, endpoint: Endpoint, receiver: Tcb) {
        match receiver.queue_next(&self.m) {
            Some(next) => {
                next.set_queue_prev(&mut self.m, None);
                endpoint.set_head_word(&mut self.m, next.addr().0 | queue_state::RECEIVE);
                receiver.set_queue_next(&mut self.m, None);
            }
            None => {
                endpoint.set_head_word(&mut self.m, queue_state::IDLE);
                endpoint.set_tail(&mut self.m, None);
            }
        }
        receiver.set_blocked_on(&mut self.m, 0);
        receiver.set_reply(&mut self.m, None);
    }

    /// `thread` waits for its answer.
    #[inline(always)]
    fn wait_for_reply(&mut self, thread: Tcb, reply: Reply) {
        reply.set_tcb(&mut self.m, Some(thread));
        thread.set_reply(&mut self.m, Some(reply));
        thread.set_state(&mut self.m, State::BlockedOnReply);
    }

    /// `sc` and the CPU go from the current thread to `to`.
    #[inline(always)]
    fn move_time(&mut self, sc: SchedContext, from: Tcb, to: Tcb) {
        from.set_sched_context(&mut self.m, None);
        to.set_sched_context(&mut self.m, Some(sc));
        sc.set_tcb(&mut self.m, Some(to));
        to.set_state(&mut self.m, State::Running);
        self.current = to;
    }

    /// The CPU goes to `to`, which has a context of its own.
    #[inline(always)]
    fn run_on_own_time(&mut self, to: Tcb) {
        to.set_state(&mut self.m, State::Running);
        self.current = to;
        self.switch_time();
    }
}
