// SPDX-License-Identifier: BSD-2-Clause
//! Faults: their messages, and what a reply to them does (manual 6.1.9, 6.2).

use crate::cap::Cap;
use crate::error::Lookup;
use crate::state::{Obj, State, ThreadState, tcb_slot};
use crate::syscall::SendKind;
use kernel_abi::context::{FRAME_WORDS, INTEGER_WORDS, ORDER, stored};
use kernel_abi::{CapRights, MessageInfo, debug, extension, fault};

/// What a thread did that it cannot go on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A capability could not be found.
    Cap {
        /// Its address.
        address: u64,
        /// Whether in the receive half of the system call.
        receiving: bool,
        /// Why.
        why: Lookup,
    },
    /// A system call that is none.
    UnknownSyscall {
        /// x7.
        number: u64,
    },
    /// Another exception.
    UserException {
        /// Kind, the architecture's number.
        number: u64,
        /// Details.
        code: u64,
    },
    /// A hardware debug event.
    Debug {
        /// Why.
        reason: u64,
        /// Where, of a breakpoint or watchpoint.
        address: u64,
        /// Its number.
        number: u64,
    },
    /// The budget is used up.
    Timeout {
        /// Badge of the scheduling context.
        badge: u64,
    },
    /// Memory that it may not use so.
    Vm {
        /// Where.
        address: u64,
        /// Whether it was to be executed.
        prefetch: bool,
        /// The architecture's syndrome.
        syndrome: u64,
    },
    /// A virtual interrupt ended.
    VgicMaintenance {
        /// List register.
        index: u64,
    },
    /// A virtual CPU did what has to be emulated.
    Vcpu {
        /// The architecture's syndrome.
        syndrome: u64,
    },
    /// A private interrupt of a virtual CPU.
    Vppi {
        /// Which.
        irq: u64,
    },
    /// `Vm` or `Vcpu`, of a thread with the flag `EXITS` (`docs/kernel-extension.md`).
    Exit {
        /// Where; 0 for what a virtual CPU did.
        address: u64,
        /// The architecture's syndrome.
        syndrome: u64,
    },
}

impl Fault {
    /// Label of its message.
    pub fn label(self) -> u64 {
        match self {
            Self::Cap { .. } => fault::CAP_FAULT,
            Self::UnknownSyscall { .. } => fault::UNKNOWN_SYSCALL,
            Self::UserException { .. } => fault::USER_EXCEPTION,
            Self::Debug { .. } => fault::DEBUG_EXCEPTION,
            Self::Timeout { .. } => fault::TIMEOUT,
            Self::Vm { .. } => fault::VM_FAULT,
            Self::VgicMaintenance { .. } => fault::VGIC_MAINTENANCE,
            Self::Vcpu { .. } => fault::VCPU_FAULT,
            Self::Vppi { .. } => fault::VPPI_EVENT,
            Self::Exit { .. } => extension::VCPU_EXIT,
        }
    }
}

/// Whether a capability may be a fault or time-out handler: an endpoint with Write and one of the Grants, or none.
pub(crate) fn is_handler(cap: Option<Cap>) -> bool {
    match cap {
        None => true,
        Some(Cap::Endpoint { rights, .. }) => {
            rights & CapRights::WRITE != 0 && rights & (CapRights::GRANT | CapRights::GRANT_REPLY) != 0
        }
        Some(_) => false,
    }
}

impl State {
    /// `tcb` faults: it waits until its handler gets and answers the message, on which it lends its scheduling
    /// context to a passive handler. Without handler it stops.
    ///
    /// Changes: as a Call of the thread on its fault endpoint.
    pub(crate) fn raise_fault(&mut self, tcb: Obj, fault: Fault) {
        let fault = match fault {
            Fault::Vm { address, syndrome, .. } if self.tells_exits(tcb) => Fault::Exit { address, syndrome },
            Fault::Vcpu { syndrome } if self.tells_exits(tcb) => Fault::Exit { address: 0, syndrome },
            other => other,
        };
        let donate = self.tcb(tcb).sched_context.is_some();
        if !self.send_fault_message(tcb, fault, tcb_slot::FAULT, donate) {
            self.set_thread_state(tcb, ThreadState::Inactive);
        }
    }

    /// Whether `tcb` tells memory faults and events of its virtual CPU as exits.
    fn tells_exits(&self, tcb: Obj) -> bool {
        self.tcb(tcb).flags & extension::EXITS != 0
    }

    /// Whether `tcb` wants to hear that its budget is used up.
    pub(crate) fn has_timeout_handler(&self, tcb: Obj) -> bool {
        matches!(self.tcb_cap(tcb, tcb_slot::TIMEOUT), Some(Cap::Endpoint { .. }))
    }

    /// Tells the time-out handler of `tcb`; its own scheduling context, empty as it is, is not lent.
    pub(crate) fn raise_timeout(&mut self, tcb: Obj) {
        if let Some(sc) = self.tcb(tcb).sched_context {
            let badge = self.sc(sc).badge;
            self.send_fault_message(tcb, Fault::Timeout { badge }, tcb_slot::TIMEOUT, false);
        }
    }

    fn send_fault_message(&mut self, tcb: Obj, fault: Fault, handler: u64, donate: bool) -> bool {
        let Some(Cap::Endpoint { obj, badge, rights }) = self.tcb_cap(tcb, handler) else { return false };
        self.tcb_mut(tcb).fault = Some(fault);
        let kind = SendKind { blocking: true, call: false, donate, first_phase: false };
        self.send_ipc(tcb, obj, badge, rights, kind);
        true
    }

    /// The words of a fault message (B.7). Asking for a time-out's consumed time resets it.
    ///
    /// Changes: the consumed time of the scheduling context, for a time-out.
    pub(crate) fn fault_words(&mut self, tcb: Obj, fault: Fault) -> Vec<u64> {
        let thread = self.tcb(tcb);
        let ip = thread.fault_ip;
        let regs = thread.regs;
        match fault {
            Fault::Cap { address, receiving, why } => {
                let mut words = vec![ip, address, u64::from(receiving)];
                words.extend(why.words());
                words
            }
            Fault::UnknownSyscall { number } => {
                let mut words: Vec<u64> = fault::UNKNOWN_SYSCALL_REGS.iter().map(|&r| regs[r]).collect();
                words[8] = ip;
                words.push(number);
                words
            }
            Fault::UserException { number, code } => {
                vec![ip, regs[stored::SP], regs[stored::SPSR], number, code]
            }
            Fault::Debug { reason, .. } if matches!(reason, debug::SINGLE_STEP | debug::BREAK_REQUEST) => {
                vec![ip, reason]
            }
            Fault::Debug { reason, address, number } => vec![ip, reason, address, number],
            Fault::Timeout { badge } => {
                let mut words = vec![badge];
                if let Some(sc) = thread.sched_context {
                    words.push(self.take_consumed(sc));
                }
                words
            }
            Fault::Vm { address, prefetch, syndrome } => vec![ip, address, u64::from(prefetch), syndrome],
            Fault::VgicMaintenance { index } => vec![index],
            Fault::Vcpu { syndrome } => vec![syndrome],
            Fault::Vppi { irq } => vec![irq],
            Fault::Exit { address, syndrome } => {
                // The register that a load or store, or an access to a system register, names.
                let register = match syndrome >> 26 & 63 {
                    0b10_0100 => syndrome >> 16 & 31,
                    0b01_1000 => syndrome >> 5 & 31,
                    _ => 31,
                };
                let value = if register < 31 { regs[register as usize] } else { 0 };
                let state = (syndrome & 0xffff_ffff) + (regs[stored::SPSR] << 32);
                vec![ip, address, state, value]
            }
        }
    }

    /// The reply of `handler` to the fault of `tcb`: may set registers from its words, and says whether the thread
    /// goes on.
    ///
    /// Changes: registers of `tcb`.
    pub(crate) fn fault_reply(&mut self, handler: Obj, tcb: Obj, fault: Fault) -> bool {
        let info = MessageInfo(self.tcb(handler).regs[1]);
        let words = self.message_words(handler, info);
        if let Fault::Exit { .. } = fault {
            if let Some(&pc) = words.first() {
                self.set_user_register(tcb, stored::PC, pc);
            }
            if let [_, register @ 0..31, value, ..] = words[..] {
                self.set_user_register(tcb, register as usize, value);
            }
            return true;
        }
        let timeout_regs = &ORDER[..FRAME_WORDS + INTEGER_WORDS];
        let regs: &[usize] = match fault {
            Fault::UnknownSyscall { .. } => &fault::UNKNOWN_SYSCALL_REGS,
            Fault::UserException { .. } => &fault::USER_EXCEPTION_REGS,
            Fault::Timeout { .. } => timeout_regs,
            Fault::Debug { reason, .. } => {
                // The answer to a step may say how many there are from now on.
                if let (debug::SINGLE_STEP, Some(&steps)) = (reason, words.first()) {
                    self.set_steps(tcb, steps);
                }
                &[]
            }
            _ => return true,
        };
        for (&register, &word) in regs.iter().zip(&words) {
            self.set_user_register(tcb, register, word);
        }
        info.label() == 0
    }
}
