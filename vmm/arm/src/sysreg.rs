// SPDX-License-Identifier: BSD-2-Clause
//! Names of system registers, and the decoding of a trapped MSR, MRS or system instruction (class 0x18).

use crate::syndrome::{Gpr, Syndrome};

/// A system register or instruction by its encoding.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SysReg(u16);

impl SysReg {
    /// From the fields as the manual prints them: `S<op0>_<op1>_C<crn>_C<crm>_<op2>`.
    pub const fn new(op0: u16, op1: u16, crn: u16, crm: u16, op2: u16) -> Self {
        Self((op0 & 3) << 14 | (op1 & 7) << 11 | (crn & 15) << 7 | (crm & 15) << 3 | (op2 & 7))
    }

    /// The fields: op0, op1, CRn, CRm, op2.
    pub const fn fields(self) -> (u8, u8, u8, u8, u8) {
        (
            (self.0 >> 14) as u8,
            (self.0 >> 11 & 7) as u8,
            (self.0 >> 7 & 15) as u8,
            (self.0 >> 3 & 15) as u8,
            (self.0 & 7) as u8,
        )
    }

    /// OS lock access, write only.
    pub const OSLAR_EL1: Self = Self::new(2, 0, 1, 0, 4);
    /// OS lock status, read only.
    pub const OSLSR_EL1: Self = Self::new(2, 0, 1, 1, 4);
    /// Auxiliary control.
    pub const ACTLR_EL1: Self = Self::new(3, 0, 1, 0, 1);
    /// Selects what CCSIDR_EL1 describes.
    pub const CSSELR_EL1: Self = Self::new(3, 2, 0, 0, 0);
    /// Geometry of the selected cache.
    pub const CCSIDR_EL1: Self = Self::new(3, 1, 0, 0, 0);
    /// Cache levels.
    pub const CLIDR_EL1: Self = Self::new(3, 1, 0, 0, 1);
    /// Cache line sizes.
    pub const CTR_EL0: Self = Self::new(3, 3, 0, 0, 1);
    /// Physical count.
    pub const CNTPCT_EL0: Self = Self::new(3, 3, 14, 0, 1);
    /// Physical timer, downcounting view.
    pub const CNTP_TVAL_EL0: Self = Self::new(3, 3, 14, 2, 0);
    /// Physical timer control.
    pub const CNTP_CTL_EL0: Self = Self::new(3, 3, 14, 2, 1);
    /// Physical timer compare value.
    pub const CNTP_CVAL_EL0: Self = Self::new(3, 3, 14, 2, 2);
    /// GICv3: which interface to the interrupt controller is used.
    pub const ICC_SRE_EL1: Self = Self::new(3, 0, 12, 12, 5);
    /// GICv3: sends an interrupt of group 1.
    pub const ICC_SGI1R_EL1: Self = Self::new(3, 0, 12, 11, 5);
    /// GICv3: sends an interrupt of group 1 of the other security state.
    pub const ICC_ASGI1R_EL1: Self = Self::new(3, 0, 12, 11, 6);
    /// GICv3: sends an interrupt of group 0.
    pub const ICC_SGI0R_EL1: Self = Self::new(3, 0, 12, 11, 7);
}

impl core::fmt::Debug for SysReg {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

impl core::fmt::Display for SysReg {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (op0, op1, crn, crm, op2) = self.fields();
        write!(f, "S{op0}_{op1}_C{crn}_C{crm}_{op2}")
    }
}

/// A trapped access to a system register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SysRegAccess {
    /// Which one.
    pub reg: SysReg,
    /// The general-purpose register that gives or takes the value.
    pub register: Gpr,
    /// MRS; else MSR or a system instruction.
    pub read: bool,
}

impl SysRegAccess {
    /// From a syndrome of class [`crate::Class::SysReg`].
    pub const fn new(syndrome: Syndrome) -> Self {
        let iss = syndrome.iss();
        Self {
            reg: SysReg::new(
                (iss >> 20) as u16,
                (iss >> 14) as u16,
                (iss >> 10) as u16,
                (iss >> 1) as u16,
                (iss >> 17) as u16,
            ),
            register: Gpr::new(iss >> 5),
            read: iss & 1 != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_keep_their_fields() {
        for fields in [(2, 0, 1, 0, 4), (3, 3, 14, 2, 2), (3, 7, 15, 15, 7), (1, 0, 7, 14, 2)] {
            let (op0, op1, crn, crm, op2) = fields;
            let reg = SysReg::new(op0, op1, crn, crm, op2);
            assert_eq!(reg.fields(), (op0 as u8, op1 as u8, crn as u8, crm as u8, op2 as u8));
        }
        assert_eq!(SysReg::CNTP_CVAL_EL0.to_string(), "S3_3_C14_C2_2");
    }

    #[test]
    fn trapped_msr_is_decoded() {
        // msr oslar_el1, xzr: Op0 = 2, Op2 = 4, Op1 = 0, CRn = 1, Rt = 31, CRm = 0, write
        let access = SysRegAccess::new(Syndrome::new(0x6200_0000 | 2 << 20 | 4 << 17 | 1 << 10 | 31 << 5));
        assert_eq!(access, SysRegAccess { reg: SysReg::OSLAR_EL1, register: Gpr::XZR, read: false });
    }

    #[test]
    fn trapped_mrs_is_decoded() {
        // mrs x3, cntp_ctl_el0
        let iss = 3 << 20 | 1 << 17 | 3 << 14 | 14 << 10 | 3 << 5 | 2 << 1 | 1;
        let access = SysRegAccess::new(Syndrome::new(0x6200_0000 | iss));
        assert_eq!(access, SysRegAccess { reg: SysReg::CNTP_CTL_EL0, register: Gpr::new(3), read: true });
    }
}
