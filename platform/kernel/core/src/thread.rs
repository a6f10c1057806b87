// SPDX-License-Identifier: BSD-2-Clause
//! Threads: their life (start, suspend, restart), and what is loaded into the machine.

use crate::kernel::Kernel;
use crate::layout::{Endpoint, Notification, State, Tcb};
use crate::lending::Lent;
use crate::machine::Machine;
use kernel_abi::context::stored;

/// Processor state of a user thread at EL0: no flags, FIQ masked.
const SPSR_EL0: u64 = 0x40;
/// SError masked.
const SPSR_A: u64 = 0x100;

impl<M: Machine> Kernel<M> {
    /// What users see, in registers and faults, as seL4's builds have it: SError is masked in all but those for debugging.
    /// An SError comes to EL2 whatever it says (DDI 0487, D1.3.6, HCR_EL2.AMO).
    const USER_SPSR: u64 = if M::DEBUG { SPSR_EL0 } else { SPSR_EL0 | SPSR_A };

    /// Prepares a fresh, zeroed thread.
    pub fn init_thread(&mut self, tcb: Tcb) {
        tcb.set_state(&mut self.m, State::Inactive);
        tcb.set_reg(&mut self.m, stored::SPSR, Self::USER_SPSR);
    }

    /// The address a thread goes on at, as users see it: of the system call while it is in one.
    pub fn user_pc(&self, tcb: Tcb) -> u64 {
        tcb.restart_pc(&self.m)
    }

    /// Makes a thread go on at `pc`.
    pub fn set_user_pc(&mut self, tcb: Tcb, pc: u64) {
        tcb.set_restart_pc(&mut self.m, pc);
        tcb.set_reg(&mut self.m, stored::PC, pc);
    }

    /// A processor state that a user asked for, made harmless: EL0, or EL1 for a thread with a virtual CPU; 64-bit
    /// for a plain thread.
    pub fn sanitise_spsr(&self, tcb: Tcb, spsr: u64) -> u64 {
        const NZCV: u64 = 0xf << 28;
        const MODE: u64 = 0x1f;
        let fits = tcb.vcpu(&self.m).is_some() && matches!(spsr & MODE, 0b0_0000 | 0b0_0100 | 0b0_0101);
        if fits { spsr & 0xffff_ffff } else { spsr & NZCV | Self::USER_SPSR }
    }

    /// Stops a thread, whatever it is doing.
    pub fn suspend(&mut self, tcb: Tcb) {
        self.cancel_ipc(tcb);
        if tcb.state(&self.m) == State::Running {
            // It goes on behind the system call, should it be resumed.
            let pc = tcb.reg(&self.m, stored::PC);
            tcb.set_restart_pc(&mut self.m, pc);
        }
        tcb.set_state(&mut self.m, State::Inactive);
        self.dequeue(tcb);
        self.cancel_yield_of(tcb);
        if tcb == self.current || self.action == crate::sched::Action::SwitchTo(tcb) {
            self.reschedule();
        }
    }

    /// Lets a stopped or waiting thread go on.
    pub fn restart(&mut self, tcb: Tcb) {
        if tcb.state(&self.m).is_runnable() || tcb.state(&self.m) == State::Idle {
            return;
        }
        self.cancel_ipc(tcb);
        tcb.set_state(&mut self.m, State::Restart);
        self.note_unblocked(tcb);
        if let Some(sc) = tcb.sched_context(&self.m) {
            self.wait_for_time_if_needed(sc);
        }
        self.possible_switch_to(tcb);
    }

    /// A thread taken out of the queue it has waited in does what it was doing once more.
    pub(crate) fn try_again(&mut self, tcb: Tcb) {
        tcb.set_blocked_on(&mut self.m, 0);
        tcb.set_state(&mut self.m, State::Restart);
        self.note_unblocked(tcb);
        self.possible_switch_to(tcb);
        // Others may be waiting as well: who of them runs is chosen when all of them are ready.
        self.reschedule();
    }

    /// `tcb` does not run, but is in `state`. If it is the current thread, another one has to be chosen.
    #[inline]
    pub(crate) fn block(&mut self, tcb: Tcb, state: State) {
        tcb.set_state(&mut self.m, state);
        if tcb == self.current && self.action == crate::sched::Action::ResumeCurrent {
            self.action = crate::sched::Action::Choose;
        }
    }

    /// Ends what a thread waits for.
    pub fn cancel_ipc(&mut self, tcb: Tcb) {
        tcb.set_fault_label(&mut self.m, kernel_abi::fault::NULL);
        match tcb.state(&self.m) {
            State::BlockedOnSend | State::BlockedOnReceive => {
                if let Some(endpoint) = Endpoint::at(crate::PhysAddr(tcb.blocked_on(&self.m))) {
                    self.endpoint_remove(endpoint, tcb);
                }
                self.detach_reply(tcb);
            }
            State::BlockedOnNotification => {
                if let Some(ntfn) = Notification::at(crate::PhysAddr(tcb.blocked_on(&self.m))) {
                    self.notification_remove(ntfn, tcb);
                }
            }
            State::BlockedOnReply => self.stop_waiting_for_answer(tcb, Lent::Stays),
            State::Inactive | State::Running | State::Restart | State::Idle => return,
        }
        tcb.set_blocked_on(&mut self.m, 0);
        tcb.set_state(&mut self.m, State::Inactive);
    }

    /// The thread is being destroyed: nothing may point at it any more.
    pub fn forget_thread(&mut self, tcb: Tcb) {
        if let Some(vcpu) = tcb.vcpu(&self.m) {
            self.dissociate_vcpu(vcpu, tcb);
        }
        self.m.fpu_release(tcb, true);
        self.forget_counts(tcb);
        if self.loaded == Some(tcb) {
            self.loaded = None;
            self.m.set_vspace(None);
            self.m.switch_thread(None, None);
        }
    }

    /// Brings the thread that is to run into the state in which the kernel can be left.
    #[inline]
    pub fn activate(&mut self) {
        let tcb = self.current;
        self.start(tcb);
        if self.loaded != Some(tcb) {
            self.load_thread(tcb);
        }
    }

    /// The part of [`activate`](Self::activate) that is the thread's own.
    #[inline]
    pub(crate) fn start(&mut self, tcb: Tcb) {
        if tcb.state(&self.m) == State::Restart {
            let pc = tcb.restart_pc(&self.m);
            tcb.set_reg(&mut self.m, stored::PC, pc);
            tcb.set_state(&mut self.m, State::Running);
        }
        if tcb.yield_to(&self.m).is_some() {
            self.complete_yield(tcb);
        }
    }

    /// The registers and the translation of a thread become the machine's.
    pub fn load_thread(&mut self, tcb: Tcb) {
        if tcb == self.idle {
            // Nobody's registers: whatever is loaded stays, it cannot run.
            return;
        }
        let vcpu = tcb.vcpu(&self.m);
        let key = if vcpu.is_none() { self.switch_key } else { !self.switch_key };
        if tcb.switch_key(&self.m) == key {
            let space = tcb.switch_space(&self.m);
            self.m.set_space(space);
        } else {
            let space = self.load_vspace(tcb);
            tcb.set_switch_key(&mut self.m, key);
            tcb.set_switch_space(&mut self.m, space);
        }
        self.m.switch_thread(Some(tcb), vcpu);
        self.loaded = Some(tcb);
    }

    /// As [`load_thread`](Self::load_thread), from the thread that is loaded and has no virtual CPU to another, if that is
    /// little: returns whether it was.
    #[inline(always)]
    pub(crate) fn switch_from_plain(&mut self, from: Tcb, to: Tcb) -> bool {
        let (key, space) = (to.switch_key(&self.m), to.switch_space(&self.m));
        if key == self.switch_key {
            self.m.switch_plain(from, to, space);
        } else if key == !self.switch_key
            && let Some(vcpu) = to.vcpu(&self.m)
            && self.m.can_enter_vcpu(vcpu)
        {
            self.m.enter_vcpu(from, to, vcpu, space);
        } else {
            return false;
        }
        self.loaded = Some(to);
        true
    }

    /// The same from whatever thread is loaded, to one without a virtual CPU.
    #[inline(always)]
    pub(crate) fn switch_to_plain(&mut self, from: Tcb, to: Tcb) -> bool {
        if to.switch_key(&self.m) != self.switch_key {
            return false;
        }
        let space = to.switch_space(&self.m);
        if self.m.is_plain() {
            self.m.switch_plain(from, to, space);
        } else {
            self.m.leave_vcpu(from, to, space);
        }
        self.loaded = Some(to);
        true
    }

    /// Translations or who has which change: threads are looked at anew before they run.
    pub(crate) fn forget_switches(&mut self) {
        self.switch_key += 1;
    }

    /// The address space, virtual CPU or TLS registers of a thread change: what the machine holds of it goes to its
    /// TCB, and it has to be loaded again before it runs.
    pub fn reload(&mut self, tcb: Tcb) {
        tcb.set_switch_key(&mut self.m, 0);
        if self.loaded == Some(tcb) {
            self.loaded = None;
            self.m.switch_thread(None, None);
        }
    }
}
