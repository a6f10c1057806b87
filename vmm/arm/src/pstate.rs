// SPDX-License-Identifier: BSD-2-Clause
//! Processor state as a saved program status register (SPSR) holds it.

/// PSTATE in SPSR format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pstate(u64);

/// Which quarter of the vector table an exception into EL1 uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vector {
    /// From EL1 using SP_EL0.
    CurrentSp0,
    /// From EL1 using SP_EL1.
    CurrentSpx,
    /// From EL0 in AArch64.
    Lower64,
    /// From EL0 in AArch32.
    Lower32,
}

impl Vector {
    /// Offset of its synchronous entry from VBAR_EL1, in bytes.
    pub const fn synchronous_offset(self) -> u64 {
        self as u64 * 0x200
    }
}

/// SPSR.M bit 4: AArch32.
const AARCH32: u64 = 1 << 4;
/// D, A, I and F masks.
const DAIF: u64 = 0xf << 6;
/// EL1 with SP_EL1.
const EL1H: u64 = 0b0101;
/// The next instruction is a single step (SS).
const STEP: u64 = 1 << 21;
/// Condition flags.
const NZCV: u64 = 0xf << 28;
/// Data independent timing, AArch64 position.
const DIT: u64 = 1 << 24;
/// Privileged access never, same position in both states.
const PAN: u64 = 1 << 22;
/// Speculative store bypass safe, AArch64 position.
const SSBS: u64 = 1 << 12;

impl Pstate {
    /// What a vCPU starts with: EL1h, interrupts masked (Linux `booting.rst`, PSCI CPU_ON: DEN 0022, 6.4).
    pub const EL1_MASKED: Self = Self(DAIF | EL1H);

    /// From an SPSR value.
    pub const fn new(bits: u64) -> Self {
        Self(bits)
    }

    /// SPSR value.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Executing in AArch32 (only EL0 can, EL1 being AArch64).
    pub const fn is_aarch32(self) -> bool {
        self.0 & AARCH32 != 0
    }

    /// Executing at EL0.
    pub const fn is_el0(self) -> bool {
        self.is_aarch32() || self.0 & 0b1100 == 0
    }

    /// The vectors that an exception into EL1 uses from here.
    pub const fn vector(self) -> Vector {
        if self.is_aarch32() {
            Vector::Lower32
        } else if self.is_el0() {
            Vector::Lower64
        } else if self.0 & 1 == 0 {
            Vector::CurrentSp0
        } else {
            Vector::CurrentSpx
        }
    }

    /// The state in which an exception is taken to EL1 (DDI 0487, AArch64.TakeException): masked, EL1h, flags kept;
    /// PAN and SSBS follow SCTLR_EL1.SPAN and DSSBS.
    pub const fn on_entry(self, sctlr: u64) -> Self {
        const SPAN: u64 = 1 << 23;
        const DSSBS: u64 = 1 << 44;
        let mut bits = DAIF | EL1H | self.0 & (NZCV | PAN);
        if !self.is_aarch32() {
            bits |= self.0 & DIT;
        }
        if sctlr & SPAN == 0 {
            bits |= PAN;
        }
        if sctlr & DSSBS != 0 {
            bits |= SSBS;
        }
        Self(bits)
    }

    /// Whether skipping an instruction leaves the state as it is, without a look at what
    /// [`after_instruction`](Self::after_instruction) would change.
    pub const fn is_kept_by_skip(self) -> bool {
        self.0 & (AARCH32 | STEP) == 0
    }

    /// The state after an instruction was skipped: a T32 IT block moves on (ITAdvance), single step is done.
    pub const fn after_instruction(self) -> Self {
        if !self.is_aarch32() {
            return Self(self.0 & !STEP);
        }
        // IT[1:0] are bits 26:25, IT[7:2] bits 15:10.
        let it = (self.0 >> 25) & 0b11 | (self.0 >> 8) & 0b1111_1100;
        let it = if it & 0b111 == 0 { 0 } else { it & 0b1110_0000 | (it << 1) & 0b0001_1111 };
        Self(self.0 & !(0b11 << 25 | 0b11_1111 << 10) | (it & 0b11) << 25 | (it & 0b1111_1100) << 8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_follow_the_interrupted_state() {
        for (bits, vector, offset) in [
            (0b00100, Vector::CurrentSp0, 0x000),
            (0b00101, Vector::CurrentSpx, 0x200),
            (0b00000, Vector::Lower64, 0x400),
            (0b10000, Vector::Lower32, 0x600),
        ] {
            assert_eq!(Pstate::new(bits).vector(), vector);
            assert_eq!(vector.synchronous_offset(), offset);
        }
    }

    #[test]
    fn entry_masks_and_keeps_flags() {
        let entered = Pstate::new(0x6000_0000).on_entry(1 << 23);
        assert_eq!(entered.bits(), 0x6000_03c5);
        assert!(!entered.is_el0());
    }

    #[test]
    fn entry_sets_pan_only_when_asked() {
        assert_eq!(Pstate::new(0).on_entry(0).bits() & PAN, PAN);
        assert_eq!(Pstate::new(0).on_entry(1 << 23).bits() & PAN, 0);
        assert_eq!(Pstate::new(PAN).on_entry(1 << 23).bits() & PAN, PAN);
    }

    #[test]
    fn entry_follows_dssbs() {
        assert_eq!(Pstate::new(0).on_entry(1 << 44 | 1 << 23).bits() & SSBS, SSBS);
        assert_eq!(Pstate::new(SSBS).on_entry(1 << 23).bits() & SSBS, 0);
    }

    #[test]
    fn it_block_advances_with_the_instruction() {
        // ITTE EQ: IT[7:0] = 0000_0110 -> 0000_1100 -> 0001_1000 -> 0.
        let with = |it: u64| Pstate::new(0x30 | (it & 3) << 25 | (it & 0xfc) << 8);
        assert_eq!(with(0b0000_0110).after_instruction(), with(0b0000_1100));
        assert_eq!(with(0b0000_1100).after_instruction(), with(0b0001_1000));
        assert_eq!(with(0b0001_1000).after_instruction(), with(0));
        assert_eq!(with(0).after_instruction(), with(0));
    }

    #[test]
    fn aarch64_state_only_loses_the_step_bit() {
        assert_eq!(Pstate::new(0x8020_03c5).after_instruction().bits(), 0x8000_03c5);
        assert_eq!(Pstate::new(0x8000_03c5).after_instruction().bits(), 0x8000_03c5);
    }
}
