// SPDX-License-Identifier: BSD-2-Clause
//! Reply objects: through which a caller waits for its answer. One that is given with a receive knows the receiver, until a
//! call comes; then the caller.

use crate::kernel::Kernel;
use crate::layout::{Reply, State, Tcb};
use crate::lending::Lent;
use crate::machine::Machine;
use kernel_abi::fault;

impl<M: Machine> Kernel<M> {
    /// `tcb` has `reply` from now on.
    #[inline(always)]
    pub(crate) fn attach_reply(&mut self, tcb: Tcb, reply: Reply) {
        reply.set_tcb(&mut self.m, Some(tcb));
        tcb.set_reply(&mut self.m, Some(reply));
    }

    /// Takes the reply object that `tcb` has from it.
    pub(crate) fn detach_reply(&mut self, tcb: Tcb) -> Option<Reply> {
        let reply = tcb.reply(&self.m)?;
        reply.set_tcb(&mut self.m, None);
        tcb.set_reply(&mut self.m, None);
        Some(reply)
    }

    /// `caller` waits through `reply` for what `callee` answers. With `lends`, its context goes to a callee that has none.
    pub fn wait_for_answer(&mut self, caller: Tcb, callee: Tcb, reply: Reply, lends: bool) {
        self.attach_reply(caller, reply);
        self.block(caller, State::BlockedOnReply);
        if lends
            && callee.sched_context(&self.m).is_none()
            && let Some(sc) = caller.sched_context(&self.m)
        {
            self.lend(sc, caller, callee);
        }
    }

    /// `caller` waits for no answer any more.
    pub fn stop_waiting_for_answer(&mut self, caller: Tcb, lent: Lent) {
        self.end_lending(caller, lent);
        self.detach_reply(caller);
    }

    /// The last capability to a reply object went away: nobody can answer any more. Who waits stops, with the time that it
    /// has lent.
    pub fn destroy_reply(&mut self, reply: Reply) {
        let Some(tcb) = reply.tcb(&self.m) else { return };
        if tcb.state(&self.m) == State::BlockedOnReply {
            self.stop_waiting_for_answer(tcb, Lent::ComesBack);
            tcb.set_state(&mut self.m, State::Inactive);
            tcb.set_fault_label(&mut self.m, fault::NULL);
        } else {
            self.cancel_ipc(tcb);
        }
    }

    /// `sender` answers whoever waits through `reply`.
    pub fn answer_caller(&mut self, sender: Tcb, reply: Reply, grant: bool) {
        let waits = |tcb: &Tcb| tcb.state(&self.m) == State::BlockedOnReply;
        let Some(caller) = reply.tcb(&self.m).filter(waits) else { return };
        self.stop_waiting_for_answer(caller, Lent::ComesBack);
        self.note_unblocked(caller);
        let fault = caller.fault_label(&self.m);
        let goes_on = if fault == fault::NULL {
            self.transfer(sender, None, 0, grant, caller);
            State::Running
        } else if self.apply_fault_reply(sender, caller) {
            State::Restart
        } else {
            State::Inactive
        };
        caller.set_fault_label(&mut self.m, fault::NULL);
        caller.set_state(&mut self.m, goes_on);
        if !self.is_schedulable(caller) {
            return;
        }
        let Some(sc) = caller.sched_context(&self.m) else { return };
        if self.has_time_now(sc) {
            self.possible_switch_to(caller);
        } else if fault != fault::TIMEOUT && self.has_timeout_handler(caller) {
            self.timeout_fault(caller, sc);
        } else {
            self.wait_for_time(sc);
        }
    }
}
