// SPDX-License-Identifier: BSD-2-Clause
//! The exception syndrome (ESR_EL2, called HSR in a vCPU fault message): class, instruction length, specifics.

/// A general-purpose register number of a load, store, MSR or MRS; 31 is XZR there, never SP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gpr(u8);

impl Gpr {
    /// The zero register.
    pub const XZR: Self = Self(31);

    /// The register that the low five bits of `number` name.
    pub const fn new(number: u32) -> Self {
        Self((number & 31) as u8)
    }

    /// As the instruction names it: 0 to 30 for X0 to X30, 31 for XZR.
    pub const fn number(self) -> u64 {
        self.0 as u64
    }

    /// 0 to 30 for X0 to X30; `None` for XZR, which reads as zero and ignores writes.
    pub const fn index(self) -> Option<usize> {
        if self.0 == 31 { None } else { Some(self.0 as usize) }
    }
}

/// ESR_EL2.EC, as far as a VMM tells the classes apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// 0x00: no more is known.
    Unknown,
    /// 0x01: WFI or WFE.
    Wait,
    /// 0x16: HVC from AArch64.
    Hvc64,
    /// 0x17: SMC from AArch64.
    Smc64,
    /// 0x18: MSR, MRS or system instruction from AArch64.
    SysReg,
    /// 0x20: instruction abort from a lower exception level.
    InstructionAbort,
    /// 0x24: data abort from a lower exception level.
    DataAbort,
    /// Any other.
    Other(u8),
}

/// Which hint trapped (ISS of class [`Class::Wait`], field TI).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitKind {
    /// WFI, or WFI with time-out: the vCPU may be held until something is pending.
    Interrupt,
    /// WFE, or WFE with time-out: only a hint to give the processor away; never held.
    Event,
}

/// A syndrome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syndrome(u32);

impl Syndrome {
    /// From ESR_EL2; bits above 31 (ISS2) are not used.
    pub const fn new(esr: u64) -> Self {
        Self(esr as u32)
    }

    /// The 32 bits as reported.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The exception class.
    pub const fn class(self) -> Class {
        match (self.0 >> 26) as u8 {
            0x00 => Class::Unknown,
            0x01 => Class::Wait,
            0x16 => Class::Hvc64,
            0x17 => Class::Smc64,
            0x18 => Class::SysReg,
            0x20 => Class::InstructionAbort,
            0x24 => Class::DataAbort,
            other => Class::Other(other),
        }
    }

    /// Bytes from the trapped instruction to the next one: 4, or 2 for a 16-bit T32 instruction.
    pub const fn instruction_bytes(self) -> u64 {
        if self.0 & (1 << 25) != 0 { 4 } else { 2 }
    }

    /// Instruction-specific syndrome, 25 bits.
    pub const fn iss(self) -> u32 {
        self.0 & 0x01ff_ffff
    }

    /// The general-purpose register that the instruction transfers, for a data abort (ISS.SRT, where ISV is set) or a
    /// system register access (ISS.Rt); XZR for any other.
    pub const fn register(self) -> Gpr {
        match self.class() {
            Class::DataAbort => Gpr::new(self.iss() >> 16),
            Class::SysReg => Gpr::new(self.iss() >> 5),
            _ => Gpr::XZR,
        }
    }

    /// Which hint trapped; only meaningful for [`Class::Wait`].
    pub const fn wait_kind(self) -> WaitKind {
        if self.0 & 1 == 0 { WaitKind::Interrupt } else { WaitKind::Event }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_told_apart() {
        for (esr, class) in [
            (0x0200_0000, Class::Unknown),
            (0x07e0_0000, Class::Wait),
            (0x5a00_0000, Class::Hvc64),
            (0x5e00_0000, Class::Smc64),
            (0x6232_c003, Class::SysReg),
            (0x8200_0007, Class::InstructionAbort),
            (0x9200_0047, Class::DataAbort),
            (0x1fe0_0000, Class::Other(0x07)),
        ] {
            assert_eq!(Syndrome::new(esr).class(), class, "{esr:#x}");
        }
    }

    #[test]
    fn upper_half_of_the_register_is_ignored() {
        assert_eq!(Syndrome::new(0xffff_ffff_9200_0047), Syndrome::new(0x9200_0047));
    }

    #[test]
    fn thumb_instructions_are_two_bytes() {
        assert_eq!(Syndrome::new(0x07e0_0000).instruction_bytes(), 4);
        assert_eq!(Syndrome::new(0x05e0_0000).instruction_bytes(), 2);
    }

    #[test]
    fn wfe_is_not_wfi() {
        assert_eq!(Syndrome::new(0x07e0_0000).wait_kind(), WaitKind::Interrupt);
        assert_eq!(Syndrome::new(0x07e0_0001).wait_kind(), WaitKind::Event);
        assert_eq!(Syndrome::new(0x07e0_0002).wait_kind(), WaitKind::Interrupt); // WFIT
        assert_eq!(Syndrome::new(0x07e0_0003).wait_kind(), WaitKind::Event); // WFET
    }

    #[test]
    fn register_31_is_the_zero_register() {
        assert_eq!(Gpr::new(30).index(), Some(30));
        assert_eq!(Gpr::new(31).index(), None);
        assert_eq!(Gpr::new(31), Gpr::XZR);
    }
}
