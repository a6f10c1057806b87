// SPDX-License-Identifier: BSD-2-Clause
//! Fast paths of invocations: those that a virtual machine monitor and a driver make for each exit or interrupt.
//!
//! Called, without capabilities, and successful: registers of a thread read or written without stopping or resuming it,
//! a virtual interrupt injected, a private one acknowledged, a few words of a virtual CPU's state read, a device's
//! interrupt acknowledged.

use super::Path;
use crate::PhysAddr;
use crate::cap::{self, tag};
use crate::kernel::Kernel;
use crate::layout::{Slot, Tcb, Vcpu};
use crate::machine::Machine;
use crate::vcpu::check_state;
use kernel_abi::context::{self, stored};
use kernel_abi::{Invocation, MessageInfo, error, extension, ipc};

/// Register of message word 0.
const MR0: usize = 2;
/// Message words of WriteRegisters before the registers: flags and count.
const WRITE_HEADER: u64 = 2;

impl<M: Machine> Kernel<M> {
    /// A call of the capability in `slot`, no endpoint.
    #[inline(never)]
    pub(crate) fn fast_invocation(&mut self, thread: Tcb, slot: Slot, info: MessageInfo) -> Option<Tcb> {
        if info.extra_caps() != 0 {
            return None;
        }
        let (word0, label) = (slot.word0(&self.m), Some(info.label()));
        let at = PhysAddr(word0 & cap::ADDR_MASK);
        let is = |invocation: Invocation| label == invocation.label(M::HW_DEBUG);
        let mut words = 0;
        match word0 >> cap::TAG_SHIFT {
            tag::THREAD if is(Invocation::TcbReadRegisters) => {
                words = self.fast_read_registers(thread, Tcb::at(at)?, info)?;
                self.took(Path::ReadRegisters);
            }
            tag::THREAD if is(Invocation::TcbWriteRegisters) => {
                self.fast_write_registers(thread, Tcb::at(at)?, info)?;
                self.took(Path::WriteRegisters);
            }
            tag::VCPU if is(Invocation::ArmVcpuInjectIrq) && info.length() >= 1 => {
                let request = thread.reg(&self.m, MR0);
                self.vcpu_inject(Vcpu::at(at)?, request, false).ok()?;
                self.took(Path::Vcpu);
            }
            tag::VCPU if is(Invocation::ArmVcpuAckVppi) && info.length() >= 1 => {
                let irq = thread.reg(&self.m, MR0);
                if irq > M::MAX_IRQ || !self.m.vcpu_ack_vppi(Vcpu::at(at)?, irq) {
                    return None;
                }
                self.took(Path::Vcpu);
            }
            tag::VCPU
                if M::EXTENSION && info.label() == extension::vcpu::READ_STATE && info.length() >= 2 =>
            {
                words = self.fast_read_state(thread, Vcpu::at(at)?)?;
                self.took(Path::VcpuState);
            }
            tag::IRQ_HANDLER if is(Invocation::IrqAckIrq) => {
                let irq = slot.word1(&self.m);
                self.m.irq_set_masked(irq, false);
                self.took(Path::IrqAck);
            }
            _ => return None,
        }
        thread.set_reg(&mut self.m, 0, 0);
        thread.set_reg(&mut self.m, 1, MessageInfo::new(error::NONE, 0, 0, words).0);
        Some(thread)
    }

    /// Returns the words of the answer. (Not in line, so that the others need no registers for its loop.)
    #[inline(never)]
    fn fast_read_state(&mut self, thread: Tcb, vcpu: Vcpu) -> Option<u64> {
        let (first, count) = (thread.reg(&self.m, MR0), thread.reg(&self.m, MR0 + 1));
        check_state(first, count).ok()?;
        if count > ipc::MSG_REGISTERS {
            return None;
        }
        for index in 0..count {
            let word = self.vcpu_state_word(vcpu, first + index);
            thread.set_reg(&mut self.m, MR0 + index as usize, word);
        }
        Some(count)
    }

    /// Returns the words of the answer.
    #[inline(always)]
    fn fast_read_registers(&mut self, thread: Tcb, of: Tcb, info: MessageInfo) -> Option<u64> {
        let (flags, count) = (thread.reg(&self.m, MR0), thread.reg(&self.m, MR0 + 1));
        if info.length() < 2 || flags & 1 != 0 || count < 1 || count > context::WORDS as u64 || of == thread {
            return None;
        }
        let mut to = PhysAddr(0);
        if count > ipc::MSG_REGISTERS {
            to = self.ipc_buffer(thread, true)?.add(ipc::IPC_BUFFER_MSG);
        }
        let (in_registers, in_buffer) = context::ORDER.split_at(ipc::MSG_REGISTERS as usize);
        for (index, &reg) in in_registers.iter().enumerate() {
            if index as u64 == count {
                return Some(count);
            }
            let word = if reg == stored::PC { self.user_pc(of) } else { of.reg(&self.m, reg) };
            thread.set_reg(&mut self.m, MR0 + index, word);
        }
        to = to.add(8 * ipc::MSG_REGISTERS);
        for &reg in in_buffer.get(..(count - ipc::MSG_REGISTERS) as usize)? {
            let word = of.reg(&self.m, reg);
            self.m.store(to, word);
            to = to.add(8);
        }
        Some(count)
    }

    #[inline(always)]
    fn fast_write_registers(&mut self, thread: Tcb, of: Tcb, info: MessageInfo) -> Option<()> {
        let (flags, count) = (thread.reg(&self.m, MR0), thread.reg(&self.m, MR0 + 1));
        let length = info.length();
        if length < WRITE_HEADER
            || flags & 1 != 0
            || count > length - WRITE_HEADER
            || count as usize > context::FRAME_WORDS + context::INTEGER_WORDS
            || of == thread
        {
            return None;
        }
        let mut from = PhysAddr(0);
        if length > ipc::MSG_REGISTERS {
            from = self.send_buffer(thread)?.add(ipc::IPC_BUFFER_MSG + 8 * ipc::MSG_REGISTERS);
        }
        if count > 0 {
            let pc = thread.reg(&self.m, MR0 + 2);
            self.set_user_pc(of, pc);
        }
        if count > 1 {
            let sp = thread.reg(&self.m, MR0 + 3);
            of.set_reg(&mut self.m, stored::SP, sp);
        }
        if count > 2 {
            let spsr = self.sanitise_spsr(of, self.m.load(from));
            of.set_reg(&mut self.m, stored::SPSR, spsr);
            for &reg in context::ORDER.get(3..count as usize)? {
                from = from.add(8);
                let word = self.m.load(from);
                of.set_reg(&mut self.m, reg, word);
            }
        }
        Some(())
    }
}
