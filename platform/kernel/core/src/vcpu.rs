// SPDX-License-Identifier: BSD-2-Clause
//! Virtual CPUs: binding to threads, and their invocations (seL4 manual, section 10.4).
//!
//! A thread with a virtual CPU runs at EL1. What the virtual CPU consists of (system registers, list registers, timer)
//! is the machine's; here is who may change it and when.

use crate::cap::Cap;
use crate::error::Error;
use crate::invoke::{Message, Outcome};
use crate::kernel::Kernel;
use crate::layout::{Tcb, Vcpu};
use crate::machine::{ListRegisterActive, Machine, VirtualInterrupt};
use kernel_abi::context::stored;
use kernel_abi::vcpu::VcpuReg;
use kernel_abi::{Invocation, extension};

/// Greatest virtual interrupt number, priority and group that can be injected.
const MAX_VIRQ: u64 = 1023;
const MAX_PRIORITY: u64 = 31;
const MAX_GROUP: u64 = 1;

/// Whether `count` words from `first` on are in a virtual CPU's state.
#[inline]
pub(crate) fn check_state(first: u64, count: u64) -> Result<(), Error> {
    let Some(left @ 1..) = extension::vcpu::STATE_WORDS.checked_sub(first) else {
        return Err(Error::InvalidArgument(0));
    };
    if (1..=left).contains(&count) { Ok(()) } else { Err(Error::Range(1, left)) }
}

impl<M: Machine> Kernel<M> {
    /// Handles an invocation of the virtual CPU `at`.
    pub fn decode_vcpu(&mut self, at: Vcpu, msg: &Message) -> Outcome {
        match msg.invocation {
            Some(Invocation::ArmVcpuSetTcb) => {
                self.require(msg, 0, 1)?;
                let (_, Cap::Thread { at: tcb }) = self.extra(msg, 0)? else {
                    return Err(Error::IllegalOperation.into());
                };
                self.bind_vcpu(at, tcb);
                Ok(0)
            }
            Some(Invocation::ArmVcpuInjectIrq) => {
                self.require(msg, 1, 0)?;
                self.vcpu_inject(at, self.arg(msg, 0), false)
            }
            Some(Invocation::ArmVcpuReadReg) => {
                self.require(msg, 1, 0)?;
                let reg = VcpuReg::from_index(self.arg(msg, 0)).ok_or(Error::InvalidArgument(1))?;
                let value = self.m.vcpu_read(at, reg);
                self.answer(msg, 0, value);
                Ok(1)
            }
            Some(Invocation::ArmVcpuWriteReg) => {
                self.require(msg, 2, 0)?;
                let reg = VcpuReg::from_index(self.arg(msg, 0)).ok_or(Error::InvalidArgument(1))?;
                let value = self.arg(msg, 1);
                self.m.vcpu_write(at, reg, value);
                Ok(0)
            }
            Some(Invocation::ArmVcpuAckVppi) => {
                self.require(msg, 1, 0)?;
                let irq = self.arg(msg, 0);
                if irq > M::MAX_IRQ {
                    return Err(Error::Range(0, M::MAX_IRQ).into());
                }
                if !self.m.vcpu_ack_vppi(at, irq) {
                    return Err(Error::InvalidArgument(0).into());
                }
                Ok(0)
            }
            _ if M::EXTENSION => self.decode_vcpu_extension(at, msg),
            _ => Err(Error::IllegalOperation.into()),
        }
    }

    /// The invocations of the kernel extension ([`extension::vcpu`]).
    fn decode_vcpu_extension(&mut self, at: Vcpu, msg: &Message) -> Outcome {
        match msg.label {
            extension::vcpu::INJECT => {
                self.require(msg, 1, 0)?;
                self.vcpu_inject(at, self.arg(msg, 0), true)
            }
            extension::vcpu::LIST_REGISTER => {
                self.require(msg, 2, 0)?;
                let (lr, last) = (self.arg(msg, 0), self.last_list_register());
                if lr > last {
                    return Err(Error::Range(0, last).into());
                }
                let withdraw = self.arg(msg, 1) != 0;
                let (held, pending, active) = self.m.vcpu_list_register(at, lr, withdraw);
                let flag = |set, flag| if set { flag } else { 0 };
                let word = held.number
                    | held.priority << 16
                    | held.group << 24
                    | flag(pending, extension::vcpu::PENDING)
                    | flag(active, extension::vcpu::ACTIVE)
                    | held.source << extension::vcpu::SOURCE_SHIFT;
                self.answer(msg, 0, word);
                Ok(1)
            }
            extension::vcpu::READ_STATE => {
                self.require(msg, 2, 0)?;
                let (first, count) = (self.arg(msg, 0), self.arg(msg, 1));
                check_state(first, count)?;
                for index in 0..count {
                    let word = self.vcpu_state_word(at, first + index);
                    self.answer(msg, index, word);
                }
                Ok(count)
            }
            extension::vcpu::WRITE_STATE => {
                self.require(msg, 1, 0)?;
                let (first, count) = (self.arg(msg, 0), msg.length - 1);
                check_state(first, count)?;
                for index in 0..count {
                    let value = self.arg(msg, 1 + index);
                    match VcpuReg::from_index(first + index) {
                        Some(reg) => self.m.vcpu_write(at, reg, value),
                        None => self.m.vcpu_write_more(at, first + index, value),
                    }
                }
                Ok(0)
            }
            _ => Err(Error::IllegalOperation.into()),
        }
    }

    /// Word `index` of a virtual CPU's state.
    #[inline]
    pub(crate) fn vcpu_state_word(&mut self, at: Vcpu, index: u64) -> u64 {
        match VcpuReg::from_index(index) {
            Some(reg) => self.m.vcpu_read(at, reg),
            None => self.m.vcpu_read_more(at, index),
        }
    }

    fn last_list_register(&self) -> u64 {
        self.m.vcpu_list_registers().saturating_sub(1)
    }

    /// Injects the virtual interrupt that `word` describes (`ARM_VCPU_InjectIRQ`), `with_source` that of the kernel
    /// extension. Changes nothing when it fails.
    pub(crate) fn vcpu_inject(&mut self, at: Vcpu, word: u64, with_source: bool) -> Outcome {
        let (number, priority, group, lr) = (
            word & 0xffff,
            word >> 16 & 0xff,
            word >> 24 & 0xff,
            word >> extension::vcpu::INDEX_SHIFT & 0xff,
        );
        let source = if with_source {
            word >> extension::vcpu::SOURCE_SHIFT & extension::vcpu::SOURCE_MASK
        } else {
            0
        };
        let has_sources = number < extension::vcpu::FIRST_WITH_ONE_SOURCE;
        for (value, most) in [
            (number, MAX_VIRQ),
            (priority, MAX_PRIORITY),
            (group, MAX_GROUP),
            (lr, self.last_list_register()),
            (source, if has_sources { extension::vcpu::SOURCE_MASK } else { 0 }),
        ] {
            if value > most {
                return Err(Error::Range(0, most).into());
            }
        }
        match self.m.vcpu_inject(at, lr, VirtualInterrupt { number, priority, group, source }) {
            Ok(()) => Ok(0),
            Err(ListRegisterActive) => Err(Error::DeleteFirst.into()),
        }
    }

    /// Binds a virtual CPU and a thread to each other; earlier bindings of either end.
    fn bind_vcpu(&mut self, vcpu: Vcpu, tcb: Tcb) {
        if let Some(old) = tcb.vcpu(&self.m) {
            self.dissociate_vcpu(old, tcb);
        }
        if let Some(old) = vcpu.tcb(&self.m) {
            self.dissociate_vcpu(vcpu, old);
        }
        tcb.set_vcpu(&mut self.m, Some(vcpu));
        vcpu.set_tcb(&mut self.m, Some(tcb));
        self.reload(tcb);
    }

    /// Ends the binding of a virtual CPU to a thread. The thread is at EL0 from now on.
    pub fn dissociate_vcpu(&mut self, vcpu: Vcpu, tcb: Tcb) {
        self.m.vcpu_save(vcpu, true);
        vcpu.set_tcb(&mut self.m, None);
        tcb.set_vcpu(&mut self.m, None);
        let spsr = self.sanitise_spsr(tcb, tcb.reg(&self.m, stored::SPSR));
        tcb.set_reg(&mut self.m, stored::SPSR, spsr);
        self.reload(tcb);
    }

    /// A virtual CPU is being destroyed.
    pub fn finalise_vcpu(&mut self, vcpu: Vcpu) {
        match vcpu.tcb(&self.m) {
            Some(tcb) => self.dissociate_vcpu(vcpu, tcb),
            None => self.m.vcpu_save(vcpu, true),
        }
    }
}
