// SPDX-License-Identifier: BSD-2-Clause
//! Kernel entries: system calls, faults, interrupts (manual 2.2).

use crate::cap::Cap;
use crate::error::{Error, Lookup};
use crate::fault::Fault;
use crate::state::{Obj, Slot, State, ThreadState};
use kernel_abi::context::stored;
use kernel_abi::{CapRights, Invocation as Label, MessageInfo, Syscall, ipc};

/// Why the kernel was entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// `svc` with this number in x7.
    Syscall(i64),
    /// The running thread faulted.
    Fault(Fault),
    /// The running thread executed an instruction under single stepping.
    Step,
    /// A device interrupt.
    Interrupt(u64),
    /// The deadline that the kernel set has come (or something else woke it; nothing depends on it).
    Timer,
}

/// Words of an answer.
pub type Words = Vec<u64>;

/// An invocation, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invocation {
    /// Who.
    pub caller: Obj,
    /// What; `None`: no such label.
    pub label: Option<Label>,
    /// Its number.
    pub number: u64,
    /// Message words.
    pub words: Vec<u64>,
    /// Slots of the extra capabilities.
    pub extra: Vec<Slot>,
    /// Whether an answer is wanted.
    pub is_call: bool,
}

impl Invocation {
    /// Refuses a message with too few words or capabilities.
    pub fn needs(&self, words: usize, caps: usize) -> Result<(), Error> {
        if self.words.len() < words || self.extra.len() < caps {
            Err(Error::TruncatedMessage)
        } else {
            Ok(())
        }
    }
}

/// How a message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SendKind {
    /// Wait for a receiver, and fault when the capability is invalid.
    pub blocking: bool,
    /// Wait for a reply or an answer.
    pub call: bool,
    /// Lend or give the scheduling context to a passive receiver.
    pub donate: bool,
    /// A receive follows in the same system call.
    pub first_phase: bool,
}

const NB: SendKind = SendKind { blocking: false, call: false, donate: false, first_phase: false };
const SEND: SendKind = SendKind { blocking: true, ..NB };
const CALL: SendKind = SendKind { blocking: true, call: true, donate: true, first_phase: false };
const NB_FIRST: SendKind = SendKind { donate: true, first_phase: true, ..NB };

impl State {
    /// One kernel entry at time `now`: what happened is dealt with, then the scheduler says who runs on.
    ///
    /// A system call or fault of a thread whose budget is used up is not dealt with; the thread will do it again
    /// when it has budget.
    ///
    /// Changes: see the operations.
    pub fn event(&mut self, now: u64, event: Event) {
        self.uncharged += now.saturating_sub(self.now);
        self.now = now;
        if let Some(current) = self.current {
            let tcb = self.tcb_mut(current);
            let back = if matches!(event, Event::Syscall(_)) { 4 } else { 0 };
            tcb.fault_ip = tcb.regs[stored::PC].wrapping_sub(back);
        }
        match event {
            Event::Syscall(number) => {
                if self.has_budget_or_restarts() {
                    self.system_call(number);
                }
            }
            Event::Fault(fault) => {
                if self.has_budget_or_restarts()
                    && let Some(current) = self.current
                {
                    self.raise_fault(current, fault);
                }
            }
            Event::Step => {
                // The fault is told even if the budget ends now: nothing would tell of it again.
                if let Some(current) = self.current
                    && let Some(fault) = self.step_done(current)
                {
                    self.raise_fault(current, fault);
                }
                self.has_budget_or_restarts();
            }
            Event::Interrupt(irq) => {
                self.charge_or_drop();
                self.interrupt(irq);
            }
            Event::Timer => {
                self.charge_or_drop();
                self.charge = true;
                self.end_turn_if_over();
            }
        }
        self.schedule();
        self.forget_dead_objects();
    }

    /// A system call of the running thread. x0 is the capability of most; x6 the reply object, or the destination
    /// of NBSendWait; x8 the destination of NBSendRecv. Other numbers are faults.
    fn system_call(&mut self, number: i64) {
        let Some(current) = self.current else { return };
        let reg = |state: &Self, index| state.tcb(current).regs[index];
        let target = reg(self, 0);
        match Syscall::from_number(number) {
            Some(Syscall::Send) => self.send(SEND, target),
            Some(Syscall::NBSend) => self.send(NB, target),
            Some(Syscall::Call) => self.send(CALL, target),
            Some(Syscall::Recv) => self.receive(true, true),
            Some(Syscall::NBRecv) => self.receive(false, true),
            Some(Syscall::Wait) => self.receive(true, false),
            Some(Syscall::NBWait) => self.receive(false, false),
            Some(Syscall::ReplyRecv) => {
                self.send(NB_FIRST, reg(self, 6));
                self.receive(true, true);
            }
            Some(Syscall::NBSendRecv) => {
                self.send(NB_FIRST, reg(self, 8));
                self.receive(true, true);
            }
            Some(Syscall::NBSendWait) => {
                self.send(NB_FIRST, reg(self, 6));
                self.receive(true, false);
            }
            Some(Syscall::Yield) => self.yield_budget(),
            Some(call) if self.config.benchmark && self.benchmark_call(current, call) => {}
            _ => self.raise_fault(current, Fault::UnknownSyscall { number: number as u64 }),
        }
    }

    /// A system call of configuration `benchmark`, which tracks utilisation and keeps no log: start, stop and null answer
    /// no error, a log buffer is refused. What the counts are is not specified. Returns whether it was one.
    ///
    /// Changes: x0; the counts; by `GetThreadUtilisation`, the first 13 words of the caller's buffer.
    fn benchmark_call(&mut self, current: Obj, call: Syscall) -> bool {
        let x0 = &mut self.tcb_mut(current).regs[0];
        match call {
            Syscall::BenchmarkResetLog | Syscall::BenchmarkFinalizeLog => *x0 = 0,
            Syscall::BenchmarkSetLogBuffer => *x0 = kernel_abi::error::ILLEGAL_OPERATION,
            Syscall::BenchmarkFlushCaches
            | Syscall::BenchmarkNullSyscall
            | Syscall::BenchmarkGetThreadUtilisation
            | Syscall::BenchmarkResetThreadUtilisation => {}
            _ => return false,
        }
        true
    }

    /// The send half of a system call: a message through the capability at `address`.
    ///
    /// An invalid address, of the capability or of an extra one, is a fault of a blocking send and ignored
    /// otherwise. A message of more words than fit into registers is cut when there is no IPC buffer.
    fn send(&mut self, kind: SendKind, address: u64) {
        let Some(caller) = self.current else { return };
        let info = MessageInfo(self.tcb(caller).regs[1]);
        let slot = match self.lookup_slot(caller, address) {
            Ok(slot) => slot,
            Err(why) => return self.send_fault(kind, caller, address, why),
        };
        let extra = match self.extra_caps(caller, info) {
            Ok(extra) => extra,
            Err((address, why)) => return self.send_fault(kind, caller, address, why),
        };
        let words = self.message_words(caller, info);
        let call = Invocation {
            caller,
            label: Label::from_label(info.label(), self.config.hw_debug),
            number: info.label(),
            words,
            extra,
            is_call: kind.call,
        };
        self.set_thread_state(caller, ThreadState::Restart);
        let outcome = self.invoke(slot, &call, kind);
        // Whoever is neither blocked nor stopped now gets its answer and goes on.
        if !self.tcbs.get(&caller).is_some_and(|t| t.state == ThreadState::Restart) {
            return;
        }
        if kind.call {
            let (label, words) = match outcome {
                Ok(words) => (kernel_abi::error::NONE, words),
                Err(error) => error.answer(),
            };
            self.answer(caller, label, &words);
        }
        self.set_thread_state(caller, ThreadState::Running);
    }

    fn send_fault(&mut self, kind: SendKind, caller: Obj, address: u64, why: Lookup) {
        if kind.blocking {
            self.raise_fault(caller, Fault::Cap { address, receiving: false, why });
        }
    }

    /// An invocation of whatever is in `slot`.
    ///
    /// In the first phase of a combined system call thread, CNode, scheduling and domain capabilities cannot be
    /// invoked: they could stop the caller before its second phase.
    fn invoke(&mut self, slot: Slot, call: &Invocation, kind: SendKind) -> Result<Words, Error> {
        let cap = self.cap(slot).ok_or(Error::InvalidCapability(0))?;
        match cap {
            Cap::Endpoint { rights, .. } | Cap::Notification { rights, .. }
                if rights & CapRights::WRITE == 0 =>
            {
                Err(Error::InvalidCapability(0))
            }
            Cap::Endpoint { obj, badge, rights } => {
                self.send_ipc(call.caller, obj, badge, rights, kind);
                Ok(vec![])
            }
            Cap::Notification { obj, badge, .. } => {
                self.signal(obj, badge);
                Ok(vec![])
            }
            Cap::Reply { obj, can_grant } => {
                self.reply_to(call.caller, obj, can_grant);
                Ok(vec![])
            }
            Cap::Tcb { .. }
            | Cap::CNode { .. }
            | Cap::SchedContext { .. }
            | Cap::SchedControl
            | Cap::Domain
                if kind.first_phase =>
            {
                Err(Error::InvalidCapability(0))
            }
            Cap::Untyped { .. } => match call.label {
                Some(Label::UntypedRetype) => self.untyped_retype(slot, cap, call),
                _ => Err(Error::IllegalOperation),
            },
            Cap::CNode { .. } => self.cnode_invocation(cap, call),
            Cap::Tcb { obj } => self.tcb_invocation(slot, obj, call),
            Cap::SchedContext { obj, .. } => self.sched_context_invocation(obj, call),
            Cap::SchedControl => self.sched_control_invocation(call),
            Cap::IrqControl => self.irq_control_invocation(slot, call),
            Cap::IrqHandler { irq } => self.irq_handler_invocation(irq, call),
            Cap::SgiSignal { .. } => Ok(vec![]),
            Cap::Domain => self.domain_invocation(call),
            Cap::Frame { .. } => self.frame_invocation(slot, cap, call),
            Cap::PageTable { .. } => self.table_invocation(slot, cap, call),
            Cap::VSpace { .. } => self.vspace_invocation(cap, call),
            Cap::AsidControl => self.asid_control_invocation(call),
            Cap::AsidPool { obj, base } => self.asid_pool_invocation(obj, base, call),
            Cap::Vcpu { obj } => self.vcpu_invocation(obj, call),
            Cap::Smc { badge } => self.smc_invocation(badge, call),
            Cap::Zombie { .. } => Err(Error::InvalidCapability(0)),
        }
    }

    /// The receive half: from the endpoint or notification at x0; `with_reply`: with the reply object at x6.
    ///
    /// What cannot be received from is a fault, also without blocking (manual 6.2.1).
    fn receive(&mut self, blocking: bool, with_reply: bool) {
        let Some(thread) = self.current else { return };
        // The send half may have stopped it.
        if !self.tcbs.get(&thread).is_some_and(|t| t.state.is_runnable()) {
            return;
        }
        let address = self.tcb(thread).regs[0];
        let fault = |why| Fault::Cap { address, receiving: true, why };
        let nothing = Lookup::MissingCapability { bits_left: 0 };
        let cap = match self.lookup_slot(thread, address) {
            Ok(slot) => self.cap(slot),
            Err(why) => return self.raise_fault(thread, fault(why)),
        };
        match cap {
            Some(Cap::Endpoint { obj, rights, .. }) if rights & CapRights::READ != 0 => {
                let mut reply = None;
                if with_reply {
                    let address = self.tcb(thread).regs[6];
                    let fault = |why| Fault::Cap { address, receiving: true, why };
                    match self.lookup_slot(thread, address) {
                        Err(why) => return self.raise_fault(thread, fault(why)),
                        Ok(slot) => match self.cap(slot) {
                            Some(Cap::Reply { obj, .. }) => reply = Some(obj),
                            _ => return self.raise_fault(thread, fault(nothing)),
                        },
                    }
                }
                self.receive_ipc(thread, obj, blocking, reply);
            }
            Some(Cap::Notification { obj, rights, .. })
                if rights & CapRights::READ != 0
                    && self.notifications[&obj].tcb.is_none_or(|bound| bound == thread) =>
            {
                self.receive_signal(thread, obj, blocking);
            }
            _ => self.raise_fault(thread, fault(nothing)),
        }
    }

    /// Writes an answer of the kernel: badge 0, label, words (those beyond the registers need an IPC buffer).
    ///
    /// Changes: the caller's message registers and IPC buffer.
    pub(crate) fn answer(&mut self, caller: Obj, label: u64, words: &[u64]) {
        let length = self.write_words(caller, words);
        let tcb = self.tcb_mut(caller);
        tcb.regs[0] = 0;
        tcb.regs[1] = MessageInfo::new(label, 0, 0, length).0;
    }

    /// `ARMSMCCall`: eight words to the firmware, eight back; a badged capability allows only the function with
    /// that number. What the firmware answers is not specified: here it echoes.
    fn smc_invocation(&mut self, badge: u64, call: &Invocation) -> Result<Words, Error> {
        if call.label != Some(Label::ArmSmcCall) {
            return Err(Error::IllegalOperation);
        }
        call.needs(8, 0)?;
        if badge != 0 && badge != call.words[0] {
            return Err(Error::IllegalOperation);
        }
        Ok(call.words[..8].to_vec())
    }
}

/// Words of a message that fit into registers.
pub(crate) const REGISTER_WORDS: usize = ipc::MSG_REGISTERS as usize;
