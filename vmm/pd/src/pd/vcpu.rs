// SPDX-License-Identifier: BSD-2-Clause
//! vCPUs by the kernel: seL4's standard interface, and what the kernel extension does better where there is one.

use sel4_microkit::sel4_sys::Error;
use sel4_microkit::{UserContext, VcpuReg};
use vgic::{InjectError, Injection, IntId};
use vmm::vcpu::Then;
use vmm::{REGISTERS, SystemRegister, Vcpu};

/// A vCPU capability pair: its thread and its virtual CPU.
pub struct KernelVcpu(pub sel4_microkit::Vcpu);

const _: () = assert!(REGISTERS == UserContext::LEN);

impl Vcpu for KernelVcpu {
    #[inline]
    fn load(&self, registers: &mut [u64; REGISTERS], count: usize) {
        self.0.read_registers_into(count, UserContext::from_words_mut(registers));
    }

    #[inline]
    fn store(&self, registers: &[u64; REGISTERS], count: usize, then: Then) {
        self.0.write_registers(then == Then::Run, UserContext::from_words(registers), count);
    }

    #[inline]
    fn read(&self, register: SystemRegister) -> u64 {
        self.0.read_reg(number(register))
    }

    #[inline]
    fn write(&self, register: SystemRegister, value: u64) {
        self.0.write_reg(number(register), value);
    }

    #[inline]
    fn read_from<const N: usize>(&self, first: SystemRegister) -> [u64; N] {
        match self.0.read_regs(number(first)) {
            Some(values) => values,
            None => {
                let mut values = [0; N];
                for (value, &register) in values.iter_mut().zip(SystemRegister::starting_at(first)) {
                    *value = self.read(register);
                }
                values
            }
        }
    }

    fn write_from<const N: usize>(&self, first: SystemRegister, values: &[u64; N]) {
        if !self.0.write_regs(number(first), values) {
            for (value, &register) in values.iter().zip(SystemRegister::starting_at(first)) {
                self.write(register, *value);
            }
        }
    }

    fn withdraw(&self, list_register: u8) -> bool {
        self.0.withdraw_irq(list_register)
    }

    fn inject(&self, injection: &Injection) -> Result<(), InjectError> {
        let Injection { list_register, irq, priority, group, source } = *injection;
        let number = irq.number();
        // The quick one for all that have no source or one that is 0.
        let injected = if source == 0 {
            self.0.inject_irq(number, priority, group, list_register)
        } else {
            self.0.inject_irq_from(number, priority, group, list_register, source)
        };
        injected.map_err(|error| match error {
            Error::DeleteFirst => InjectError::Busy,
            Error::RangeError => InjectError::Absent,
            _ => InjectError::Refused,
        })
    }

    fn rearm_virtual_timer(&self) {
        self.0.ack_vppi(IntId::VTIMER.number().into());
    }

    fn stop(&self) {
        self.0.stop();
    }
}

/// The kernel's number of a system register.
const fn number(register: SystemRegister) -> VcpuReg {
    match register {
        SystemRegister::Sctlr => VcpuReg::Sctlr,
        SystemRegister::Cpacr => VcpuReg::Cpacr,
        SystemRegister::Ttbr0 => VcpuReg::Ttbr0,
        SystemRegister::Ttbr1 => VcpuReg::Ttbr1,
        SystemRegister::Tcr => VcpuReg::Tcr,
        SystemRegister::Mair => VcpuReg::Mair,
        SystemRegister::Amair => VcpuReg::Amair,
        SystemRegister::ContextId => VcpuReg::Cidr,
        SystemRegister::Actlr => VcpuReg::Actlr,
        SystemRegister::Afsr0 => VcpuReg::Afsr0,
        SystemRegister::Afsr1 => VcpuReg::Afsr1,
        SystemRegister::Esr => VcpuReg::Esr,
        SystemRegister::Far => VcpuReg::Far,
        SystemRegister::Par => VcpuReg::Par,
        SystemRegister::Vbar => VcpuReg::Vbar,
        SystemRegister::TpidrEl1 => VcpuReg::TpidrEl1,
        SystemRegister::Vmpidr => VcpuReg::VmpidrEl2,
        SystemRegister::SpEl1 => VcpuReg::SpEl1,
        SystemRegister::Elr => VcpuReg::ElrEl1,
        SystemRegister::Spsr => VcpuReg::SpsrEl1,
        SystemRegister::CntvCtl => VcpuReg::CntvCtl,
        SystemRegister::CntvCval => VcpuReg::CntvCval,
        SystemRegister::CntvOff => VcpuReg::Cntvoff,
        SystemRegister::CntkCtl => VcpuReg::CntkctlEl1,
    }
}
