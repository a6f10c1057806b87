// SPDX-License-Identifier: BSD-2-Clause
//! Reply objects: who waits for an answer, and the chain of calls along which a scheduling context travels.
//!
//! While a context is lent along calls A to B to C, its `reply` is the object through which B waits (the top), whose
//! `prev` is the one through which A waits. Answering through the top brings the context back; an object taken out
//! of the middle breaks the chain, and the context stays where it is.

use crate::kernel::Kernel;
use crate::layout::{Above, Reply, State, Tcb};
use crate::machine::Machine;
use kernel_abi::fault;

impl<M: Machine> Kernel<M> {
    /// `caller` waits through `reply` for an answer of `callee`, and lends its context to one that has none.
    pub fn push_reply(&mut self, caller: Tcb, callee: Tcb, reply: Reply, can_donate: bool) {
        let sc = caller.sched_context(&self.m);
        reply.set_tcb(&mut self.m, Some(caller));
        caller.set_reply(&mut self.m, Some(reply));
        caller.set_state(&mut self.m, State::BlockedOnReply);
        self.leave_if_current(caller);
        if let Some(sc) = sc
            && can_donate
            && callee.sched_context(&self.m).is_none()
        {
            let below = sc.reply(&self.m);
            reply.set_prev(&mut self.m, below);
            if let Some(below) = below {
                below.set_above(&mut self.m, Above::Reply(reply));
            }
            reply.set_above(&mut self.m, Above::SchedContext(sc));
            sc.set_reply(&mut self.m, Some(reply));
            self.donate(sc, callee);
        }
    }

    /// Takes the top of a chain off: the context goes back to the caller.
    fn pop_reply(&mut self, reply: Reply, caller: Tcb, sc: crate::layout::SchedContext) {
        let below = reply.prev(&self.m);
        sc.set_reply(&mut self.m, below);
        if let Some(below) = below {
            below.set_above(&mut self.m, Above::SchedContext(sc));
        }
        reply.set_prev(&mut self.m, None);
        reply.set_above(&mut self.m, Above::Nothing);
        if caller.sched_context(&self.m).is_none() {
            self.donate(sc, caller);
        }
    }

    /// Breaks the chain at `reply`.
    fn break_chain(&mut self, reply: Reply) {
        match reply.above(&self.m) {
            Above::Reply(above) => above.set_prev(&mut self.m, None),
            Above::SchedContext(sc) => sc.set_reply(&mut self.m, None),
            Above::Nothing => {}
        }
        if let Some(below) = reply.prev(&self.m) {
            below.set_above(&mut self.m, Above::Nothing);
        }
        reply.set_prev(&mut self.m, None);
        reply.set_above(&mut self.m, Above::Nothing);
    }

    /// `reply` and `tcb` know each other no more.
    pub fn unlink_reply(&mut self, reply: Reply, tcb: Tcb) {
        reply.set_tcb(&mut self.m, None);
        tcb.set_reply(&mut self.m, None);
    }

    /// A thread that had given a reply object with its receive waits no more.
    pub fn unlink_reply_of(&mut self, tcb: Tcb) {
        if let Some(reply) = tcb.reply(&self.m) {
            self.unlink_reply(reply, tcb);
        }
    }

    /// A caller stops waiting for its answer: its place in the chain goes.
    pub fn remove_reply_of(&mut self, tcb: Tcb) {
        if let Some(reply) = tcb.reply(&self.m) {
            self.break_chain(reply);
            self.unlink_reply(reply, tcb);
        }
    }

    /// Takes `reply`, through which `caller` waits, out of use; at the top of a chain the context comes back.
    fn remove_reply(&mut self, reply: Reply, caller: Tcb) {
        match reply.above(&self.m) {
            Above::SchedContext(sc) => self.pop_reply(reply, caller, sc),
            Above::Reply(_) | Above::Nothing => self.break_chain(reply),
        }
        self.unlink_reply(reply, caller);
    }

    /// The last capability to a reply object went away.
    pub fn clear_reply(&mut self, reply: Reply) {
        let Some(tcb) = reply.tcb(&self.m) else { return };
        match tcb.state(&self.m) {
            State::BlockedOnReply => {
                // Nobody can answer any more: the caller stops; its context comes back to it.
                self.remove_reply(reply, tcb);
                tcb.set_fault_label(&mut self.m, fault::NULL);
                tcb.set_state(&mut self.m, State::Inactive);
            }
            State::BlockedOnReceive => self.cancel_ipc(tcb),
            _ => self.unlink_reply(reply, tcb),
        }
    }

    /// `sender` answers through `reply`.
    pub fn reply(&mut self, sender: Tcb, reply: Reply, grant: bool) {
        let Some(receiver) = reply.tcb(&self.m) else { return };
        if receiver.state(&self.m) != State::BlockedOnReply {
            return;
        }
        self.remove_reply(reply, receiver);
        if let Some(sc) = receiver.sched_context(&self.m)
            && sc != self.current_sc
            && sc.sporadic(&self.m)
        {
            self.unblock_check(sc);
        }
        let fault = receiver.fault_label(&self.m);
        if fault == fault::NULL {
            self.transfer(sender, None, 0, grant, receiver);
            receiver.set_state(&mut self.m, State::Running);
        } else {
            let resumes = self.apply_fault_reply(sender, receiver);
            receiver.set_fault_label(&mut self.m, fault::NULL);
            receiver.set_state(&mut self.m, if resumes { State::Restart } else { State::Inactive });
        }
        let Some(sc) = receiver.sched_context(&self.m) else { return };
        if !receiver.state(&self.m).is_runnable() || sc.refill_max(&self.m) == 0 {
            return;
        }
        if self.refill_ready(sc) && self.refill_sufficient(sc, 0) {
            self.possible_switch_to(receiver);
        } else if fault != fault::TIMEOUT && self.has_timeout_handler(receiver) {
            self.timeout_fault(receiver, sc);
        } else {
            self.postpone(sc);
        }
    }
}
