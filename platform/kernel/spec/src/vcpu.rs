// SPDX-License-Identifier: BSD-2-Clause
//! Virtual CPUs (manual 6.4; `seL4_ARM_VCPU_*`).
//!
//! What the registers and list registers do is the hardware's; here is who may touch them, and which arguments are
//! refused. A list register that still holds an active interrupt cannot be written, which only the hardware knows.

use crate::cap::Cap;
use crate::error::Error;
use crate::state::{Obj, State};
use crate::syscall::{Invocation, Words};
use kernel_abi::Invocation as Label;
use kernel_abi::context::stored;
use kernel_abi::extension::vcpu as extension;
use kernel_abi::vcpu::VcpuReg;

impl State {
    /// Undoes the binding of a virtual CPU to its thread, if there is one. Without it the thread is a user's again.
    ///
    /// Changes: both, the thread's processor state.
    pub(crate) fn unbind_vcpu(&mut self, vcpu: Obj) {
        if let Some(tcb) = self.vcpus.get_mut(&vcpu).and_then(|v| v.tcb.take()) {
            self.tcb_mut(tcb).vcpu = None;
            let spsr = self.tcb(tcb).regs[stored::SPSR];
            self.set_user_register(tcb, stored::SPSR, spsr);
        }
    }

    /// Undoes the binding of a thread to its virtual CPU, if there is one.
    ///
    /// Changes: both.
    pub(crate) fn unbind_vcpu_of(&mut self, tcb: Obj) {
        if let Some(vcpu) = self.tcb(tcb).vcpu {
            self.unbind_vcpu(vcpu);
        }
    }

    /// An invocation of a virtual CPU.
    ///
    /// Changes: `ARMVCPUSetTCB(tcb)`: the bindings of both, one-to-one, older ones end. `ARMVCPUInjectIRQ(request)`,
    /// `ARMVCPUReadReg(index) -> value`, `ARMVCPUWriteReg(index, value)`, `ARMVCPUAckVPPI(irq)`: the virtual CPU's
    /// state in the machine.
    pub(crate) fn vcpu_invocation(&mut self, vcpu: Obj, call: &Invocation) -> Result<Words, Error> {
        match call.label {
            Some(Label::ArmVcpuSetTcb) => {
                call.needs(0, 1)?;
                let Some(Cap::Tcb { obj: tcb }) = self.cap(call.extra[0]) else {
                    return Err(Error::IllegalOperation);
                };
                self.unbind_vcpu(vcpu);
                self.unbind_vcpu_of(tcb);
                self.tcb_mut(tcb).vcpu = Some(vcpu);
                if let Some(vcpu) = self.vcpus.get_mut(&vcpu) {
                    vcpu.tcb = Some(tcb);
                }
            }
            Some(Label::ArmVcpuInjectIrq) => {
                call.needs(1, 0)?;
                self.inject(vcpu, call.words[0] & 0xff_ffff_ffff)?;
            }
            Some(Label::ArmVcpuReadReg) => {
                call.needs(1, 0)?;
                let register = register(call.words[0])?;
                let value = self.vcpu_register(vcpu, register);
                return Ok(vec![value]);
            }
            Some(Label::ArmVcpuWriteReg) => {
                call.needs(2, 0)?;
                let register = register(call.words[0])?;
                if let Some(v) = self.vcpus.get_mut(&vcpu) {
                    v.registers.insert(register, call.words[1]);
                }
            }
            Some(Label::ArmVcpuAckVppi) => {
                call.needs(1, 0)?;
                if call.words[0] > self.config.max_irq {
                    return Err(Error::Range(0, self.config.max_irq));
                }
                if !self.config.virtual_ppis.contains(&call.words[0]) {
                    return Err(Error::InvalidArgument(0));
                }
            }
            _ => return self.vcpu_extension(vcpu, call),
        }
        Ok(vec![])
    }

    /// An invocation of a virtual CPU by the kernel extension (`docs/kernel-extension.md`).
    ///
    /// Changes: the virtual CPU's state in the machine.
    fn vcpu_extension(&mut self, vcpu: Obj, call: &Invocation) -> Result<Words, Error> {
        match call.number {
            extension::INJECT => {
                call.needs(1, 0)?;
                self.inject(vcpu, call.words[0] & (0xff_ffff_ffff | 7 << 48))?;
            }
            extension::LIST_REGISTER => {
                call.needs(2, 0)?;
                let (index, last) = (call.words[0], self.config.list_registers - 1);
                if index > last {
                    return Err(Error::Range(0, last));
                }
                let list_registers = self.vcpus.get_mut(&vcpu).map(|v| &mut v.list_registers);
                let held = list_registers.and_then(|list_registers| {
                    // Whether it is active, and therefore stays, only hardware knows.
                    let held = list_registers.get(&index).copied();
                    if call.words[1] != 0 {
                        list_registers.remove(&index);
                    }
                    held
                });
                return Ok(vec![held.unwrap_or(0)]);
            }
            extension::READ_STATE => {
                call.needs(2, 0)?;
                let range = state_range(call.words[0], call.words[1])?;
                return Ok(range.map(|index| self.vcpu_register(vcpu, index)).collect());
            }
            extension::WRITE_STATE => {
                call.needs(1, 0)?;
                let range = state_range(call.words[0], call.words.len() as u64 - 1)?;
                if let Some(v) = self.vcpus.get_mut(&vcpu) {
                    v.registers.extend(range.zip(call.words[1..].iter().copied()));
                }
            }
            _ => return Err(Error::IllegalOperation),
        }
        Ok(vec![])
    }

    /// Puts an interrupt into a list register: number 15:0, priority 23:16, group 31:24, list register 39:32, and of a
    /// software-generated interrupt the CPU that sent it, 50:48.
    ///
    /// Changes: that list register.
    fn inject(&mut self, vcpu: Obj, word: u64) -> Result<(), Error> {
        let field = |shift: u64, bits: u64| word >> shift & ((1 << bits) - 1);
        let (number, index) = (field(0, 16), field(32, 8));
        for (value, most) in [
            (number, 1023),
            (field(16, 8), 31),
            (field(24, 8), 1),
            (index, self.config.list_registers - 1),
            (field(48, 3), if number < 16 { 7 } else { 0 }),
        ] {
            if value > most {
                return Err(Error::Range(0, most));
            }
        }
        if let Some(v) = self.vcpus.get_mut(&vcpu) {
            v.list_registers.insert(index, word & !(0xff << 32) | extension::PENDING);
        }
        Ok(())
    }

    /// A register of a virtual CPU: what was last written, where a guest has not run since.
    pub fn vcpu_register(&self, vcpu: Obj, register: u64) -> u64 {
        self.vcpus.get(&vcpu).and_then(|v| v.registers.get(&register)).copied().unwrap_or(0)
    }
}

/// The words of a virtual CPU's state that are meant.
fn state_range(first: u64, count: u64) -> Result<core::ops::Range<u64>, Error> {
    if first >= extension::STATE_WORDS {
        return Err(Error::InvalidArgument(0));
    }
    let left = extension::STATE_WORDS - first;
    if count == 0 || count > left {
        return Err(Error::Range(1, left));
    }
    Ok(first..first + count)
}

fn register(index: u64) -> Result<u64, Error> {
    VcpuReg::from_index(index).map(|r| r as u64).ok_or(Error::InvalidArgument(1))
}
