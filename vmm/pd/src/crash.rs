// SPDX-License-Identifier: BSD-2-Clause
//! The report of a guest that had to be stopped.

use crate::vcpu::{REGISTERS, SystemRegister, Vcpu, general, position};
use core::fmt;
use vmm_arm::Gpr;

/// Registers and reason, to be printed.
pub struct Report<'a> {
    index: usize,
    reason: &'a str,
    registers: [u64; REGISTERS],
    system: [(&'static str, u64); 10],
}

impl<'a> Report<'a> {
    /// Takes down the registers of `vcpu`, which is vCPU `index` and in an exit.
    pub fn new(vcpu: &impl Vcpu, index: usize, reason: &'a str) -> Self {
        let mut registers = [0; REGISTERS];
        vcpu.load(&mut registers, REGISTERS);
        let values: [u64; SystemRegister::ALL.len()] = vcpu.read_from(SystemRegister::Sctlr);
        let system = [
            ("esr", SystemRegister::Esr),
            ("far", SystemRegister::Far),
            ("elr", SystemRegister::Elr),
            ("spsr", SystemRegister::Spsr),
            ("sp_el1", SystemRegister::SpEl1),
            ("vbar", SystemRegister::Vbar),
            ("sctlr", SystemRegister::Sctlr),
            ("tcr", SystemRegister::Tcr),
            ("ttbr0", SystemRegister::Ttbr0),
            ("ttbr1", SystemRegister::Ttbr1),
        ]
        .map(|(name, register)| (name, values.get(register as usize).copied().unwrap_or(0)));
        Self { index, reason, registers, system }
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [pc, sp, pstate] = [position::PC, position::SP, position::PSTATE].map(|at| self.registers[at]);
        writeln!(f, "crash of vCPU {}: {}", self.index, self.reason)?;
        write!(f, "  pc {pc:016x}  sp_el0 {sp:016x}  pstate {pstate:08x}")?;
        for number in 0..31u32 {
            let separator = if number.is_multiple_of(4) { "\n " } else { "" };
            write!(f, "{separator} x{number:<2} {:016x}", general(&self.registers, Gpr::new(number)))?;
        }
        for (number, (name, value)) in self.system.iter().enumerate() {
            let separator = if number.is_multiple_of(3) { "\n " } else { "" };
            write!(f, "{separator} {name:<6} {value:016x}")?;
        }
        Ok(())
    }
}
