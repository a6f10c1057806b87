// SPDX-License-Identifier: BSD-2-Clause
//! The system registers of a vCPU that trap, and what each access does.
//!
//! A guest has no hardware breakpoints and no performance counters of its own, because the hypervisor does not switch
//! them: the registers exist (the architecture requires them), read as zero and ignore writes. The OS lock, the cache
//! selection register and the physical timer keep their state here. Implementation-defined registers and everything
//! unknown are UNDEFINED, as on a processor that has none.

use crate::pstate::Pstate;
use crate::sysreg::{SysReg, SysRegAccess};
use crate::timer::PhysicalTimer;
use serde::{Deserialize, Serialize};

/// What the VMM has to do about an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Put the value into the register, go on after the instruction.
    Read(u64),
    /// Go on after the instruction.
    Written,
    /// As [`Outcome::Written`]; level and deadline of the physical timer may have changed.
    TimerWritten,
    /// Inject an Undefined Instruction exception.
    Undefined,
    /// EL0 may not do this: trap to EL1 with the same syndrome.
    TrapToEl1,
}

/// State of the trapped registers of one vCPU.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemRegisters {
    /// CNTP.
    pub timer: PhysicalTimer,
    cache_select: u64,
    os_unlocked: bool,
}

/// Geometry that the cache registers show where reading them traps: 64-byte lines and the levels of a Cortex-A53,
/// true for every supported board in what software relies on (line size).
const CTR: u64 = 0x8444_8004;
const CLIDR: u64 = 0x0a20_0023;
const CCSIDR: [u64; 3] = [0x700f_e01a, 0x201f_e00a, 0x707f_e07a];

/// OSLSR_EL1.OSLM: the OS lock is implemented.
const OSLSR_OSLM: u64 = 1 << 3;
/// OSLSR_EL1.OSLK: the OS lock is locked.
const OSLSR_OSLK: u64 = 1 << 1;

impl SystemRegisters {
    /// As after reset: OS lock locked, timer disabled.
    pub const fn new() -> Self {
        Self { timer: PhysicalTimer::new(), cache_select: 0, os_unlocked: false }
    }

    /// Performs `access`. `value` is what a write writes, `now` the physical count in ticks, `pstate` the guest's.
    pub fn access(&mut self, access: SysRegAccess, value: u64, now: u64, pstate: Pstate) -> Outcome {
        match access.reg {
            SysReg::CNTP_CTL_EL0 | SysReg::CNTP_CVAL_EL0 | SysReg::CNTP_TVAL_EL0 => {
                self.access_timer(access, value, now)
            }
            SysReg::CNTPCT_EL0 => read_only(access, now),
            SysReg::OSLAR_EL1 if access.read => Outcome::Undefined,
            SysReg::OSLAR_EL1 => {
                self.os_unlocked = value & 1 == 0;
                Outcome::Written
            }
            SysReg::OSLSR_EL1 => {
                read_only(access, if self.os_unlocked { OSLSR_OSLM } else { OSLSR_OSLM | OSLSR_OSLK })
            }
            SysReg::CSSELR_EL1 if access.read => Outcome::Read(self.cache_select),
            SysReg::CSSELR_EL1 => {
                self.cache_select = value & 0xf;
                Outcome::Written
            }
            SysReg::CTR_EL0 => read_only(access, CTR),
            SysReg::CLIDR_EL1 => read_only(access, CLIDR),
            SysReg::CCSIDR_EL1 => read_only(access, self.cache_size()),
            SysReg::ACTLR_EL1 => read_zero(access),
            reg if is_pmu(reg) && pstate.is_el0() => Outcome::TrapToEl1,
            reg if is_pmu(reg) || is_debug(reg) => read_zero(access),
            reg if is_id_register(reg) => read_only(access, 0),
            reg if is_set_way(reg) && !access.read => Outcome::Written,
            _ => Outcome::Undefined,
        }
    }

    fn access_timer(&mut self, access: SysRegAccess, value: u64, now: u64) -> Outcome {
        match (access.reg, access.read) {
            (SysReg::CNTP_CTL_EL0, true) => return Outcome::Read(self.timer.control(now)),
            (SysReg::CNTP_CVAL_EL0, true) => return Outcome::Read(self.timer.compare()),
            (_, true) => return Outcome::Read(self.timer.value(now)),
            (SysReg::CNTP_CTL_EL0, false) => self.timer.set_control(value),
            (SysReg::CNTP_CVAL_EL0, false) => self.timer.set_compare(value),
            (_, false) => self.timer.set_value(value, now),
        }
        Outcome::TimerWritten
    }

    /// CCSIDR_EL1 for the selected cache: level in bits 3:1, instruction in bit 0. Zero for a cache that is not there.
    fn cache_size(&self) -> u64 {
        CCSIDR.get(self.cache_select as usize).copied().unwrap_or(0)
    }
}

fn read_only(access: SysRegAccess, value: u64) -> Outcome {
    if access.read { Outcome::Read(value) } else { Outcome::Undefined }
}

fn read_zero(access: SysRegAccess) -> Outcome {
    if access.read { Outcome::Read(0) } else { Outcome::Written }
}

/// Performance monitors: PMCR_EL0 to PMOVSSET_EL0, PMINTEN*_EL1, PMEVCNTRn, PMEVTYPERn, PMCCFILTR.
fn is_pmu(reg: SysReg) -> bool {
    matches!(reg.fields(), (3, 0 | 3, 9, 12..=14, _) | (3, 3, 14, 8..=15, _))
}

/// Self-hosted debug and the debug communications channel. Trace registers (op1 = 1) are not implemented.
fn is_debug(reg: SysReg) -> bool {
    match reg.fields() {
        // MDCCINT, MDSCR, OSDTRRX, OSDTRTX, OSECCR; breakpoints and watchpoints 0 to 15.
        (2, 0, 0, crm, op2) => matches!((crm, op2), (0 | 2, 0) | (0 | 2 | 3 | 6, 2) | (_, 4..=7)),
        // MDRAR, OSDLR, DBGPRCR.
        (2, 0, 1, crm, op2) => matches!((crm, op2), (0, 0) | (3 | 4, 4)),
        // DBGCLAIMSET, DBGCLAIMCLR, DBGAUTHSTATUS.
        (2, 0, 7, 8 | 9 | 14, 6) => true,
        // MDCCSR, DBGDTR, DBGDTRRX/TX.
        (2, 3, 0, 1 | 4 | 5, 0) => true,
        _ => false,
    }
}

/// Identification registers: unallocated ones of this space read as zero, and so do REVIDR_EL1 and AIDR_EL1.
fn is_id_register(reg: SysReg) -> bool {
    matches!(reg.fields(), (3, 0, 0, 0, 6) | (3, 0, 0, 1..=7, _) | (3, 1, 0, 0, 7))
}

/// DC ISW, CSW, CISW, should the platform trap them (ours does not: HCR_EL2.TSW is 0, and with stage 2 on, ISW cleans
/// as well, DDI 0487 D7.5.9): nothing to do, stage 2 memory is coherent.
fn is_set_way(reg: SysReg) -> bool {
    matches!(reg.fields(), (1, 0, 7, 6 | 10 | 14, 2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syndrome::Gpr;

    const EL1: Pstate = Pstate::new(0x3c5);
    const EL0: Pstate = Pstate::new(0);

    fn reg(op0: u16, op1: u16, crn: u16, crm: u16, op2: u16) -> SysReg {
        SysReg::new(op0, op1, crn, crm, op2)
    }

    fn read(regs: &mut SystemRegisters, reg: SysReg) -> Outcome {
        regs.access(SysRegAccess { reg, register: Gpr::new(0), read: true }, 0, 0, EL1)
    }

    fn write(regs: &mut SystemRegisters, reg: SysReg, value: u64) -> Outcome {
        regs.access(SysRegAccess { reg, register: Gpr::new(0), read: false }, value, 0, EL1)
    }

    #[test]
    fn debug_and_performance_registers_read_zero_and_ignore_writes() {
        let mut regs = SystemRegisters::new();
        for reg in [
            reg(2, 0, 0, 2, 2),   // MDSCR
            reg(2, 0, 0, 0, 4),   // DBGBVR0
            reg(2, 0, 0, 15, 7),  // DBGWCR15
            reg(2, 0, 1, 3, 4),   // OSDLR
            reg(2, 3, 0, 1, 0),   // MDCCSR_EL0
            reg(3, 3, 9, 12, 0),  // PMCR
            reg(3, 3, 9, 13, 0),  // PMCCNTR
            reg(3, 3, 9, 14, 0),  // PMUSERENR
            reg(3, 0, 9, 14, 1),  // PMINTENSET
            reg(3, 3, 14, 15, 7), // PMCCFILTR
            SysReg::ACTLR_EL1,
        ] {
            assert_eq!(write(&mut regs, reg, u64::MAX), Outcome::Written, "{reg}");
            assert_eq!(read(&mut regs, reg), Outcome::Read(0), "{reg}");
        }
    }

    #[test]
    fn unknown_and_implementation_defined_registers_are_undefined() {
        let mut regs = SystemRegisters::new();
        for reg in [
            reg(3, 1, 11, 0, 2),  // L2CTLR_EL1 of a Cortex-A53
            reg(3, 0, 15, 0, 0),  // implementation defined
            reg(1, 0, 15, 0, 0),  // implementation-defined instruction
            reg(2, 1, 0, 0, 0),   // trace
            reg(2, 0, 0, 1, 0),   // unallocated debug
            reg(3, 0, 10, 4, 0),  // LORSA_EL1
            reg(3, 4, 1, 1, 0),   // HCR_EL2
            reg(3, 7, 14, 2, 1),  // CNTPS_CTL_EL1
            reg(3, 0, 12, 12, 0), // ICC_IAR1_EL1: a GICv2 machine
        ] {
            assert_eq!(read(&mut regs, reg), Outcome::Undefined, "{reg}");
            assert_eq!(write(&mut regs, reg, 0), Outcome::Undefined, "{reg}");
        }
    }

    #[test]
    fn performance_registers_trap_to_el1_from_el0() {
        let access = SysRegAccess { reg: reg(3, 3, 9, 13, 0), register: Gpr::new(0), read: true };
        assert_eq!(SystemRegisters::new().access(access, 0, 0, EL0), Outcome::TrapToEl1);
    }

    #[test]
    fn os_lock_is_locked_until_unlocked() {
        let mut regs = SystemRegisters::new();
        assert_eq!(read(&mut regs, SysReg::OSLSR_EL1), Outcome::Read(0b1010));
        assert_eq!(write(&mut regs, SysReg::OSLAR_EL1, 0), Outcome::Written);
        assert_eq!(read(&mut regs, SysReg::OSLSR_EL1), Outcome::Read(0b1000));
        assert_eq!(write(&mut regs, SysReg::OSLSR_EL1, 0), Outcome::Undefined);
        assert_eq!(read(&mut regs, SysReg::OSLAR_EL1), Outcome::Undefined);
    }

    #[test]
    fn cache_selection_is_kept_and_bounded() {
        let mut regs = SystemRegisters::new();
        assert_eq!(write(&mut regs, SysReg::CSSELR_EL1, u64::MAX), Outcome::Written);
        assert_eq!(read(&mut regs, SysReg::CSSELR_EL1), Outcome::Read(0xf));
        assert_eq!(read(&mut regs, SysReg::CCSIDR_EL1), Outcome::Read(0));
        write(&mut regs, SysReg::CSSELR_EL1, 2);
        assert_eq!(read(&mut regs, SysReg::CCSIDR_EL1), Outcome::Read(CCSIDR[2]));
    }

    #[test]
    fn identification_space_reads_zero_and_refuses_writes() {
        let mut regs = SystemRegisters::new();
        assert_eq!(read(&mut regs, reg(3, 0, 0, 7, 7)), Outcome::Read(0));
        assert_eq!(write(&mut regs, reg(3, 0, 0, 4, 0), 1), Outcome::Undefined);
    }

    #[test]
    fn set_way_maintenance_is_a_no_op() {
        let mut regs = SystemRegisters::new();
        assert_eq!(write(&mut regs, reg(1, 0, 7, 14, 2), 0), Outcome::Written);
        assert_eq!(read(&mut regs, reg(1, 0, 7, 14, 2)), Outcome::Undefined);
    }

    #[test]
    fn timer_writes_are_reported() {
        let mut regs = SystemRegisters::new();
        assert_eq!(write(&mut regs, SysReg::CNTP_CVAL_EL0, 77), Outcome::TimerWritten);
        assert_eq!(write(&mut regs, SysReg::CNTP_CTL_EL0, 1), Outcome::TimerWritten);
        assert_eq!(read(&mut regs, SysReg::CNTP_TVAL_EL0), Outcome::Read(77));
        assert_eq!(regs.timer.deadline(), Some(77));
    }

    #[test]
    fn every_encoding_has_an_answer() {
        let mut regs = SystemRegisters::new();
        for bits in 0..=u16::MAX {
            let reg = reg(bits >> 14, bits >> 11, bits >> 7, bits >> 3, bits);
            let _ = read(&mut regs, reg);
            let _ = write(&mut regs, reg, u64::MAX);
        }
    }
}
