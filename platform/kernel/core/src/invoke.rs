// SPDX-License-Identifier: BSD-2-Clause
//! Invocations: a message sent to a capability that the kernel itself answers.
//!
//! Every object's module has one decode function: it checks the message completely, changes nothing before it is
//! sure, and then performs the operation. It returns how many message words the answer has.

use crate::cap::Cap;
use crate::error::{Error, Stop};
use crate::kernel::Kernel;
use crate::layout::{Slot, State, Tcb};
use crate::machine::Machine;
use crate::{PhysAddr, cspace};
use kernel_abi::{CapRights, Invocation, MessageInfo, ipc};

/// Words of the answer of a performed invocation; they were written by [`Kernel::answer`].
pub type Outcome = Result<u64, Stop>;

/// The message of an invocation, as the caller gave it.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// Who invokes.
    pub caller: Tcb,
    /// What it asks for; `None` when the label is no invocation.
    pub invocation: Option<Invocation>,
    /// The label.
    pub label: u64,
    /// Message words that are there.
    pub length: u64,
    /// Slots of the extra capabilities.
    pub extra: [Option<Slot>; ipc::MSG_MAX_EXTRA_CAPS as usize],
    /// The caller's IPC buffer.
    pub buffer: Option<PhysAddr>,
    /// Whether the caller waits for the answer.
    pub is_call: bool,
}

/// Properties of the send in which an invocation travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendKind {
    /// The sender waits for the answer.
    pub call: bool,
    /// The sender waits for a receiver, and wants to know of failed lookups.
    pub blocking: bool,
    /// The sender's scheduling context may go along.
    pub can_donate: bool,
    /// First half of a send-and-receive.
    pub first_phase: bool,
}

impl<M: Machine> Kernel<M> {
    /// Message word `index` (the caller checked the length).
    #[inline]
    pub fn arg(&self, msg: &Message, index: u64) -> u64 {
        self.message_word(msg.caller, msg.buffer, index)
    }

    /// Refuses messages with fewer than `words` words or `caps` extra capabilities.
    #[inline]
    pub fn require(&self, msg: &Message, words: u64, caps: usize) -> Result<(), Error> {
        let have = msg.extra.iter().take_while(|c| c.is_some()).count();
        if msg.length < words || have < caps { Err(Error::TruncatedMessage) } else { Ok(()) }
    }

    /// Extra capability `index` with its slot (the caller checked that it is there).
    #[inline]
    pub fn extra(&self, msg: &Message, index: usize) -> Result<(Slot, Cap), Error> {
        let slot = msg.extra.get(index).copied().flatten().ok_or(Error::TruncatedMessage)?;
        Ok((slot, slot.cap(&self.m)))
    }

    /// Writes word `index` of the answer, if the caller waits for one. Words beyond the registers need a buffer;
    /// without one they are lost.
    #[inline]
    pub fn answer(&mut self, msg: &Message, index: u64, value: u64) {
        if msg.is_call {
            // Not the buffer it sent from: that one may be read-only.
            let to = if index < ipc::MSG_REGISTERS { None } else { self.ipc_buffer(msg.caller, true) };
            self.set_message_word(msg.caller, to, index, value);
        }
    }

    /// How many of `words` words of an answer arrive.
    #[inline]
    fn arriving(&self, thread: Tcb, words: u64) -> u64 {
        if words <= ipc::MSG_REGISTERS || self.ipc_buffer(thread, true).is_some() {
            words
        } else {
            ipc::MSG_REGISTERS
        }
    }

    /// Handles a send by the current thread through the capability at `address`.
    pub fn handle_invocation(&mut self, kind: SendKind, address: u64) {
        let thread = self.current;
        let info = MessageInfo(thread.reg(&self.m, 1));
        let slot = match self.lookup_slot(thread, address) {
            Ok(slot) => slot,
            Err(lookup) => {
                if kind.blocking {
                    self.cap_fault(thread, address, false, lookup);
                }
                return;
            }
        };
        if info.extra_caps() == 0 && self.send_without_caps(thread, slot, kind) {
            return;
        }
        self.invoke(thread, info, slot, kind);
    }

    /// A message without capabilities to an endpoint, notification or reply object: nothing else of the message
    /// matters here. Returns false for what is not one, or may not be sent to.
    #[inline]
    fn send_without_caps(&mut self, thread: Tcb, slot: Slot, kind: SendKind) -> bool {
        if let Some((at, badge, rights)) = slot.endpoint(&self.m)
            && rights & CapRights::WRITE != 0
        {
            self.send_ipc(thread, at, badge, rights, kind);
            return true;
        }
        if kind.call {
            return false;
        }
        if let Some((at, badge, rights)) = slot.notification(&self.m)
            && rights & CapRights::WRITE != 0
        {
            self.signal(at, badge);
            return true;
        }
        if let Some((at, can_grant)) = slot.reply(&self.m) {
            self.answer_caller(thread, at, can_grant);
            return true;
        }
        false
    }

    /// An invocation, or any message with capabilities.
    fn invoke(&mut self, thread: Tcb, info: MessageInfo, slot: Slot, kind: SendKind) {
        let cap = slot.cap(&self.m);
        let buffer = self.send_buffer(thread);
        let extra = match self.lookup_extra_caps(thread, buffer, info) {
            Ok(extra) => extra,
            Err((address, lookup)) => {
                if kind.blocking {
                    self.cap_fault(thread, address, false, lookup);
                }
                return;
            }
        };
        let length = if buffer.is_none() { info.length().min(ipc::MSG_REGISTERS) } else { info.length() };
        let msg = Message {
            caller: thread,
            invocation: Invocation::from_label(info.label(), M::HW_DEBUG),
            label: info.label(),
            length,
            extra,
            buffer,
            is_call: kind.call,
        };
        // Until it is done the invocation is something to start again.
        thread.set_state(&mut self.m, State::Restart);
        match self.decode(slot, cap, &msg, kind) {
            Ok(words) => {
                if thread.state(&self.m) == State::Restart {
                    if kind.call {
                        thread.set_reg(&mut self.m, 0, 0);
                        let words = self.arriving(thread, words);
                        let info = MessageInfo::new(kernel_abi::error::NONE, 0, 0, words);
                        thread.set_reg(&mut self.m, 1, info.0);
                    }
                    thread.set_state(&mut self.m, State::Running);
                }
            }
            Err(Stop::Error(error)) => {
                if kind.call {
                    self.answer_error(&msg, error);
                }
                if thread.state(&self.m) == State::Restart {
                    thread.set_state(&mut self.m, State::Running);
                }
            }
            Err(Stop::Preempted) => {}
        }
    }

    fn answer_error(&mut self, msg: &Message, error: Error) {
        use kernel_abi::error as code;
        let (label, words) = match error {
            Error::InvalidArgument(n) => (code::INVALID_ARGUMENT, self.answer_words(msg, &[n])),
            Error::InvalidCapability(n) => (code::INVALID_CAPABILITY, self.answer_words(msg, &[n])),
            Error::IllegalOperation => (code::ILLEGAL_OPERATION, 0),
            Error::Range(least, greatest) => (code::RANGE_ERROR, self.answer_words(msg, &[least, greatest])),
            Error::Alignment => (code::ALIGNMENT_ERROR, 0),
            Error::FailedLookup(source, lookup) => {
                let (l, count) = lookup.words();
                let words = [u64::from(source), l[0], l[1], l[2], l[3]];
                let words = words.get(..=count as usize).unwrap_or(&words);
                (code::FAILED_LOOKUP, self.answer_words(msg, words))
            }
            Error::TruncatedMessage => (code::TRUNCATED_MESSAGE, 0),
            Error::DeleteFirst => (code::DELETE_FIRST, 0),
            Error::RevokeFirst => (code::REVOKE_FIRST, 0),
            Error::NotEnoughMemory(left) => (code::NOT_ENOUGH_MEMORY, self.answer_words(msg, &[left])),
        };
        msg.caller.set_reg(&mut self.m, 0, 0);
        msg.caller.set_reg(&mut self.m, 1, MessageInfo::new(label, 0, 0, words).0);
    }

    fn answer_words(&mut self, msg: &Message, words: &[u64]) -> u64 {
        for (index, &word) in (0..).zip(words) {
            self.answer(msg, index, word);
        }
        self.arriving(msg.caller, words.len() as u64)
    }

    fn decode(&mut self, slot: Slot, cap: Cap, msg: &Message, kind: SendKind) -> Outcome {
        match cap {
            Cap::Endpoint { at, badge, rights } => {
                if rights & CapRights::WRITE == 0 {
                    return Err(Error::InvalidCapability(0).into());
                }
                self.send_ipc(msg.caller, at, badge, rights, kind);
                Ok(0)
            }
            Cap::Notification { at, badge, rights } => {
                if rights & CapRights::WRITE == 0 {
                    return Err(Error::InvalidCapability(0).into());
                }
                self.signal(at, badge);
                Ok(0)
            }
            Cap::Reply { at, can_grant } => {
                self.answer_caller(msg.caller, at, can_grant);
                Ok(0)
            }
            Cap::Thread { .. }
            | Cap::CNode { .. }
            | Cap::SchedContext { .. }
            | Cap::SchedControl { .. }
            | Cap::Domain
                if kind.first_phase =>
            {
                Err(Error::InvalidCapability(0).into())
            }
            Cap::Thread { at } => self.decode_tcb(at, slot, msg),
            Cap::CNode { .. } => self.decode_cnode(cap, msg),
            Cap::Untyped { .. } => self.decode_untyped(slot, cap, msg),
            Cap::SchedContext { at, .. } => self.decode_sched_context(at, msg),
            Cap::SchedControl { .. } => self.decode_sched_control(msg),
            Cap::IrqControl => self.decode_irq_control(slot, msg),
            Cap::IrqHandler { irq } => self.decode_irq_handler(irq, msg),
            Cap::SgiSignal { sgi, target } => {
                self.m.send_sgi(sgi, target);
                Ok(0)
            }
            Cap::Domain => self.decode_domain(msg),
            Cap::Frame { .. }
            | Cap::PageTable { .. }
            | Cap::VSpace { .. }
            | Cap::AsidControl
            | Cap::AsidPool { .. } => self.decode_vspace(slot, cap, msg),
            Cap::Vcpu { at } => self.decode_vcpu(at, msg),
            Cap::Smc { badge } => self.decode_smc(badge, msg),
            Cap::Null | Cap::Zombie(_) => Err(Error::InvalidCapability(0).into()),
        }
    }

    fn decode_smc(&mut self, badge: u64, msg: &Message) -> Outcome {
        if msg.invocation != Some(Invocation::ArmSmcCall) {
            return Err(Error::IllegalOperation.into());
        }
        self.require(msg, 8, 0)?;
        let mut args = [0; 8];
        for (index, arg) in (0..).zip(args.iter_mut()) {
            *arg = self.arg(msg, index);
        }
        if badge != 0 && badge != args[0] {
            return Err(Error::IllegalOperation.into());
        }
        let results = self.m.smc(args);
        for (index, &result) in (0..).zip(results.iter()) {
            self.answer(msg, index, result);
        }
        Ok(8)
    }

    /// Refuses a slot that is not empty.
    pub fn require_empty(&self, slot: Slot) -> Result<(), Error> {
        if slot.is_empty(&self.m) { Ok(()) } else { Err(Error::DeleteFirst) }
    }

    /// Refuses a range of slots that are not all empty.
    pub fn require_empty_range(&self, first: Slot, count: u64) -> Result<(), Error> {
        (0..count).try_for_each(|i| self.require_empty(cspace::slot_of(first, i)))
    }
}
