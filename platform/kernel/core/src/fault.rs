// SPDX-License-Identifier: BSD-2-Clause
//! Faults: kept in the faulting thread, sent to its handler as a message, undone by the answer.

use crate::error::Lookup;
use crate::kernel::Kernel;
use crate::layout::{SchedContext, State, Tcb, TcbSlot};
use crate::machine::Machine;
use kernel_abi::context::{self, stored};
use kernel_abi::{CapRights, MessageInfo, debug, extension, fault, ipc};

/// A fault and its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A capability address in a system call led nowhere.
    Cap {
        /// The address.
        address: u64,
        /// Whether it was the one to receive from.
        in_receive: bool,
        /// How the lookup failed.
        lookup: Lookup,
    },
    /// An unknown system call, or a guest's hypervisor call.
    UnknownSyscall {
        /// x7.
        number: u64,
    },
    /// An exception that is nothing else.
    UserException {
        /// Number: the syndrome.
        number: u64,
        /// Code.
        code: u64,
    },
    /// A hardware debug event ([`hardware_debug`](crate::hardware_debug)).
    Debug {
        /// Why ([`kernel_abi::debug`]).
        reason: u64,
        /// Address of the instruction or access, of a breakpoint or watchpoint.
        address: u64,
        /// Number of the breakpoint or watchpoint.
        number: u64,
    },
    /// The budget ran out.
    Timeout {
        /// Badge of the scheduling context.
        badge: u64,
    },
    /// Translation or permission fault.
    Vm {
        /// Address; of a guest, the intermediate physical one.
        address: u64,
        /// Syndrome.
        fsr: u64,
        /// Whether it was an instruction fetch.
        prefetch: bool,
    },
    /// A list register ended; `None`: none did.
    VgicMaintenance {
        /// Which.
        index: Option<u64>,
    },
    /// A trapped event of a virtual CPU.
    Vcpu {
        /// ESR_EL2.
        syndrome: u64,
    },
    /// A private interrupt of a virtual CPU.
    VppiEvent {
        /// Which.
        irq: u64,
    },
    /// `Vm` or `Vcpu` of a thread that tells them so (kernel extension).
    Exit {
        /// Address; 0 for a trapped event.
        address: u64,
        /// ESR_EL2.
        syndrome: u64,
    },
}

impl<M: Machine> Kernel<M> {
    /// A fault of `thread` in the form in which it tells it.
    #[inline(always)]
    pub(crate) fn as_told(&self, thread: Tcb, what: Fault) -> Fault {
        if !M::EXTENSION || thread.flags(&self.m) & extension::EXITS == 0 {
            return what;
        }
        match what {
            Fault::Vm { address, fsr, .. } => Fault::Exit { address, syndrome: fsr },
            Fault::Vcpu { syndrome } => Fault::Exit { address: 0, syndrome },
            other => other,
        }
    }

    /// The words of an exit's message.
    #[inline(always)]
    pub(crate) fn exit_words(&self, thread: Tcb, address: u64, syndrome: u64) -> [u64; 4] {
        let spsr = thread.reg(&self.m, stored::SPSR);
        let register = extension::register_of(syndrome);
        let value =
            if register == extension::NO_REGISTER { 0 } else { thread.reg(&self.m, register as usize) };
        let state = syndrome & extension::SYNDROME_MASK | spsr << extension::SPSR_SHIFT;
        [self.user_pc(thread), address, state, value]
    }

    /// Stops `thread` at a fault and tells its handler; without one, it just stops.
    pub fn fault(&mut self, thread: Tcb, what: Fault) {
        let (label, words) = match what {
            Fault::Cap { address, in_receive, lookup } => {
                let (l, _) = lookup.words();
                (fault::CAP_FAULT, [address, u64::from(in_receive), l[0], l[1], l[2], l[3]])
            }
            Fault::UnknownSyscall { number } => (fault::UNKNOWN_SYSCALL, [number, 0, 0, 0, 0, 0]),
            Fault::UserException { number, code } => (fault::USER_EXCEPTION, [number, code, 0, 0, 0, 0]),
            Fault::Debug { reason, address, number } => {
                (fault::DEBUG_EXCEPTION, [reason, address, number, 0, 0, 0])
            }
            Fault::Timeout { badge } => (fault::TIMEOUT, [badge, 0, 0, 0, 0, 0]),
            Fault::Vm { address, fsr, prefetch } => {
                (fault::VM_FAULT, [address, fsr, u64::from(prefetch), 0, 0, 0])
            }
            Fault::VgicMaintenance { index } => {
                (fault::VGIC_MAINTENANCE, [index.unwrap_or(u64::MAX), 0, 0, 0, 0, 0])
            }
            Fault::Vcpu { syndrome } => (fault::VCPU_FAULT, [syndrome, 0, 0, 0, 0, 0]),
            Fault::VppiEvent { irq } => (fault::VPPI_EVENT, [irq, 0, 0, 0, 0, 0]),
            Fault::Exit { address, syndrome } => (extension::VCPU_EXIT, [address, syndrome, 0, 0, 0, 0]),
        };
        thread.set_fault_label(&mut self.m, label);
        thread.set_fault0(&mut self.m, words[0]);
        thread.set_fault1(&mut self.m, words[1]);
        thread.set_fault2(&mut self.m, words[2]);
        if label == fault::CAP_FAULT {
            thread.set_fault3(&mut self.m, words[3]);
            thread.set_fault4(&mut self.m, words[4]);
            thread.set_fault5(&mut self.m, words[5]);
        }
        let (slot, can_donate) = if label == fault::TIMEOUT {
            (TcbSlot::TimeoutHandler, false)
        } else {
            (TcbSlot::FaultHandler, thread.sched_context(&self.m).is_some())
        };
        let handler = thread.slot(slot);
        if !self.send_fault(thread, handler, can_donate) {
            thread.set_fault_label(&mut self.m, fault::NULL);
            self.block(thread, State::Inactive);
        }
    }

    /// A capability fault of a system call.
    pub fn cap_fault(&mut self, thread: Tcb, address: u64, in_receive: bool, lookup: Lookup) {
        self.fault(thread, Fault::Cap { address, in_receive, lookup });
    }

    /// Whether a time-out fault of `thread` would reach somebody.
    pub fn has_timeout_handler(&self, thread: Tcb) -> bool {
        match thread.slot(TcbSlot::TimeoutHandler).cap(&self.m) {
            crate::Cap::Endpoint { rights, .. } => {
                rights & CapRights::WRITE != 0 && rights & (CapRights::GRANT | CapRights::GRANT_REPLY) != 0
            }
            _ => false,
        }
    }

    /// The budget of `sc`, on which `thread` runs, ran out.
    pub fn timeout_fault(&mut self, thread: Tcb, sc: SchedContext) {
        let badge = sc.badge(&self.m);
        self.fault(thread, Fault::Timeout { badge });
    }

    /// Writes the fault that `sender` waits with as a message to `receiver`. What does not fit into registers needs
    /// a buffer; without one it is lost.
    pub fn fault_message(&mut self, sender: Tcb, receiver: Tcb) -> MessageInfo {
        let label = sender.fault_label(&self.m);
        let (f0, f1, f2) = (sender.fault0(&self.m), sender.fault1(&self.m), sender.fault2(&self.m));
        let length = match label {
            fault::VM_FAULT => self.put_words(receiver, &[self.user_pc(sender), f0, f2, f1]),
            extension::VCPU_EXIT => {
                let words = self.exit_words(sender, f0, f1);
                self.put_words(receiver, &words)
            }
            fault::CAP_FAULT => {
                let (f3, f4, f5) = (sender.fault3(&self.m), sender.fault4(&self.m), sender.fault5(&self.m));
                let words = [self.user_pc(sender), f0, f1, f2, f3, f4, f5];
                let count = match f2 {
                    fault::lookup::INVALID_ROOT => 4,
                    fault::lookup::MISSING_CAPABILITY => 5,
                    fault::lookup::DEPTH_MISMATCH => 6,
                    _ => 7,
                };
                self.put_words(receiver, &words[..count])
            }
            fault::UNKNOWN_SYSCALL => {
                let mut words = [f0; fault::UNKNOWN_SYSCALL_LENGTH as usize];
                for (word, &reg) in words.iter_mut().zip(&fault::UNKNOWN_SYSCALL_REGS) {
                    *word = self.fault_register(sender, reg);
                }
                self.put_words(receiver, &words)
            }
            fault::USER_EXCEPTION => {
                let [pc, sp, spsr] = fault::USER_EXCEPTION_REGS.map(|reg| self.fault_register(sender, reg));
                self.put_words(receiver, &[pc, sp, spsr, f0, f1])
            }
            fault::DEBUG_EXCEPTION => {
                let words = [self.user_pc(sender), f0, f1, f2];
                let all = matches!(f0, debug::DATA | debug::INSTRUCTION);
                self.put_words(receiver, if all { &words } else { &words[..2] })
            }
            fault::TIMEOUT => {
                // A thread that lost its context meanwhile has consumed nothing that could be told.
                match sender.sched_context(&self.m) {
                    Some(sc) => {
                        let consumed = self.take_consumed(sc);
                        self.put_words(receiver, &[f0, consumed])
                    }
                    None => self.put_words(receiver, &[f0]),
                }
            }
            _ => self.put_words(receiver, &[f0]),
        };
        MessageInfo::new(label, 0, 0, length)
    }

    /// Writes a message's words; returns how many arrived.
    #[inline(always)]
    fn put_words(&mut self, receiver: Tcb, words: &[u64]) -> u64 {
        let needs_buffer = words.len() as u64 > ipc::MSG_REGISTERS;
        let to = if needs_buffer { self.ipc_buffer(receiver, true) } else { None };
        for (index, &word) in (0..).zip(words) {
            self.set_message_word(receiver, to, index, word);
        }
        if needs_buffer && to.is_none() { ipc::MSG_REGISTERS } else { words.len() as u64 }
    }

    fn fault_register(&self, tcb: Tcb, reg: usize) -> u64 {
        if reg == stored::PC { self.user_pc(tcb) } else { tcb.reg(&self.m, reg) }
    }

    /// Sets a register as a user asks: the processor state is made harmless, the PC is where the thread goes on.
    pub fn set_user_register(&mut self, tcb: Tcb, reg: usize, value: u64) {
        match reg {
            stored::PC => self.set_user_pc(tcb, value),
            stored::SPSR => {
                let spsr = self.sanitise_spsr(tcb, value);
                tcb.set_reg(&mut self.m, stored::SPSR, spsr);
            }
            _ => tcb.set_reg(&mut self.m, reg, value),
        }
    }

    /// Applies the answer of `sender` to the exit of `receiver`.
    #[inline(always)]
    pub(crate) fn answer_exit(&mut self, sender: Tcb, receiver: Tcb, info: MessageInfo) {
        let word = |kernel: &Self, index| kernel.message_word(sender, None, index);
        if info.length() >= extension::ANSWER_PC {
            let pc = word(self, 0);
            self.set_user_pc(receiver, pc);
        }
        if info.length() >= extension::ANSWER_REGISTER {
            let (register, value) = (word(self, 1), word(self, 2));
            if register < extension::NO_REGISTER {
                receiver.set_reg(&mut self.m, register as usize, value);
            }
        }
    }

    /// Applies the answer of `sender` to the fault of `receiver`. Returns whether the thread goes on.
    pub fn apply_fault_reply(&mut self, sender: Tcb, receiver: Tcb) -> bool {
        self.apply_fault_answer(sender, receiver, receiver.fault_label(&self.m))
    }

    /// The same to a fault with this label.
    pub(crate) fn apply_fault_answer(&mut self, sender: Tcb, receiver: Tcb, label: u64) -> bool {
        let info = MessageInfo(sender.reg(&self.m, 1));
        let registers: &[usize] = match label {
            extension::VCPU_EXIT => {
                self.answer_exit(sender, receiver, info);
                return true;
            }
            fault::UNKNOWN_SYSCALL => &fault::UNKNOWN_SYSCALL_REGS,
            fault::USER_EXCEPTION => &fault::USER_EXCEPTION_REGS,
            fault::TIMEOUT => &context::ORDER[..fault::TIMEOUT_REPLY_WORDS],
            fault::DEBUG_EXCEPTION => {
                if receiver.fault0(&self.m) == debug::SINGLE_STEP && info.length() > 0 {
                    self.reload(receiver);
                    let steps = self.message_word(sender, None, 0);
                    receiver.set_steps(&mut self.m, steps);
                }
                &[]
            }
            _ => return true,
        };
        let buffer = self.send_buffer(sender);
        let length = if buffer.is_none() { info.length().min(ipc::MSG_REGISTERS) } else { info.length() };
        for (index, &reg) in (0..length).zip(registers) {
            let value = self.message_word(sender, buffer, index);
            self.set_user_register(receiver, reg, value);
        }
        info.label() == 0
    }
}
