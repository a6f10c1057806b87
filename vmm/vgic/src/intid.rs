// SPDX-License-Identifier: BSD-2-Clause
//! Interrupt numbers (INTIDs) of GICv2, and of GICv3 without LPIs: SGI 0 to 15, PPI 16 to 31, SPI from 32 (IHI 0048B.b, 2.2.1).

use serde::{Deserialize, Serialize};

/// An interrupt number below 1020. Whether a particular guest's distributor has it is checked where it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IntId(u16);

impl IntId {
    /// The virtual timer's PPI.
    pub const VTIMER: Self = Self(27);

    /// Numbers per bank: the width of a register with one bit an interrupt.
    pub(crate) const PER_BANK: u16 = 32;

    /// The interrupt with this INTID; `None` for 1020 and above (special numbers).
    pub const fn new(intid: u16) -> Option<Self> {
        if intid < 1020 { Some(Self(intid)) } else { None }
    }

    /// Shared peripheral interrupt `number` (device trees count from 0 here; the INTID is 32 more).
    pub const fn spi(number: u16) -> Option<Self> {
        match number.checked_add(32) {
            Some(intid) => Self::new(intid),
            None => None,
        }
    }

    /// The INTID.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// Software-generated interrupt?
    pub const fn is_sgi(self) -> bool {
        self.0 < 16
    }

    /// Private peripheral interrupt?
    pub const fn is_ppi(self) -> bool {
        self.0 >= 16 && self.0 < 32
    }

    /// Shared peripheral interrupt?
    pub const fn is_spi(self) -> bool {
        self.0 >= 32
    }

    /// Which bank of 32 interrupts: 0 is private to a vCPU, 1 and up are shared.
    pub(crate) const fn bank(self) -> usize {
        (self.0 / Self::PER_BANK) as usize
    }

    /// Position in the bank, below 32.
    pub(crate) const fn slot(self) -> usize {
        (self.0 % Self::PER_BANK) as usize
    }

    /// The bit of this interrupt in a register with one bit an interrupt.
    pub(crate) const fn bit(self) -> u32 {
        1u32.wrapping_shl((self.0 % Self::PER_BANK) as u32)
    }

    /// The interrupt at `slot` of `bank`; the caller keeps both in the range of its tables.
    pub(crate) fn at(bank: usize, slot: u32) -> Option<Self> {
        let first = u16::try_from(bank).ok()?.checked_mul(Self::PER_BANK)?;
        Self::new(first.checked_add(u16::try_from(slot).ok()?)?)
    }
}
