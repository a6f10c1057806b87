// SPDX-License-Identifier: BSD-2-Clause
//! Aborts of a guest on its way through stage 2: which access it was, when the syndrome says so.

use crate::syndrome::{Gpr, Syndrome};

/// Bytes of one access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Width {
    /// 8 bits.
    Byte,
    /// 16 bits.
    Half,
    /// 32 bits.
    Word,
    /// 64 bits.
    Double,
}

impl Width {
    /// 1, 2, 4 or 8.
    pub const fn bytes(self) -> u64 {
        1 << self as u32
    }

    /// Ones in the bits that the access moves.
    pub const fn mask(self) -> u64 {
        match self {
            Self::Byte => 0xff,
            Self::Half => 0xffff,
            Self::Word => 0xffff_ffff,
            Self::Double => u64::MAX,
        }
    }

    /// Whether an access of this width at `address` is naturally aligned.
    pub const fn aligned(self, address: u64) -> bool {
        address & (self.bytes() - 1) == 0
    }
}

/// A load or store that the syndrome describes in full (ISV = 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Bytes moved.
    pub width: Width,
    /// A load's value is sign extended.
    pub signed: bool,
    /// The register loaded or stored.
    pub register: Gpr,
    /// The register is an X register; else a W register, whose upper half a load clears.
    pub wide: bool,
    /// A store.
    pub write: bool,
}

impl Access {
    /// What a load leaves in the register when the device answers `value`.
    pub const fn loaded(&self, value: u64) -> u64 {
        let value = value & self.width.mask();
        let unused = 64 - 8 * self.width.bytes() as u32;
        let extended = if self.signed { (((value << unused) as i64) >> unused) as u64 } else { value };
        if self.wide { extended } else { extended & 0xffff_ffff }
    }

    /// Whether this is a load that leaves 16-bit values in the register as they are.
    pub const fn is_plain_load(&self) -> bool {
        !self.write && !self.signed && matches!(self.width, Width::Half | Width::Word)
    }

    /// What a store hands to the device when the register holds `register`.
    pub const fn stored(&self, register: u64) -> u64 {
        register & self.width.mask()
    }
}

/// A data abort's syndrome (class 0x24).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataAbort {
    iss: u32,
}

impl DataAbort {
    /// From a syndrome of class [`crate::Class::DataAbort`].
    pub const fn new(syndrome: Syndrome) -> Self {
        Self { iss: syndrome.iss() }
    }

    /// The access, or `None` when the syndrome does not describe it (ISV = 0: pairs, write-back forms, atomics,
    /// vector registers, cache maintenance, table walks).
    pub const fn access(self) -> Option<Access> {
        if self.iss & (1 << 24) == 0 {
            return None;
        }
        Some(Access {
            width: match (self.iss >> 22) & 3 {
                0 => Width::Byte,
                1 => Width::Half,
                2 => Width::Word,
                _ => Width::Double,
            },
            signed: self.iss & (1 << 21) != 0,
            register: self.register(),
            wide: self.iss & (1 << 15) != 0,
            write: self.is_write(),
        })
    }

    /// The register loaded or stored, where [`access`](Self::access) knows it.
    pub const fn register(self) -> Gpr {
        Gpr::new(self.iss >> 16)
    }

    /// Caused by a write (WnR), as far as known.
    pub const fn is_write(self) -> bool {
        self.iss & (1 << 6) != 0
    }

    /// A cache-maintenance instruction (CM), which moves no data.
    pub const fn is_cache_maintenance(self) -> bool {
        self.iss & (1 << 8) != 0
    }

    /// The guest's own translation table is where nothing is (S1PTW).
    pub const fn is_table_walk(self) -> bool {
        self.iss & (1 << 7) != 0
    }

    /// Fault status, DFSC.
    pub const fn status(self) -> FaultStatus {
        FaultStatus((self.iss & 0x3f) as u8)
    }
}

/// An instruction abort's syndrome (class 0x20).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstructionAbort {
    iss: u32,
}

impl InstructionAbort {
    /// From a syndrome of class [`crate::Class::InstructionAbort`].
    pub const fn new(syndrome: Syndrome) -> Self {
        Self { iss: syndrome.iss() }
    }

    /// The guest's own translation table is where nothing is (S1PTW).
    pub const fn is_table_walk(self) -> bool {
        self.iss & (1 << 7) != 0
    }

    /// Fault status, IFSC.
    pub const fn status(self) -> FaultStatus {
        FaultStatus((self.iss & 0x3f) as u8)
    }
}

/// DFSC or IFSC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultStatus(u8);

impl FaultStatus {
    /// Translation, access-flag or permission fault: what an access to an emulated device or to nothing looks like.
    pub const fn is_stage2_miss(self) -> bool {
        matches!(self.0 >> 2, 1..=3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISV: u32 = 1 << 24;

    fn abort(iss: u32) -> DataAbort {
        DataAbort::new(Syndrome::new(u64::from(0x9200_0000 | iss)))
    }

    #[test]
    fn word_store_as_linux_writes_a_uart_register() {
        // strh w1, [x0]: ISV, SAS = 1, SRT = 1, WnR, translation fault level 3
        let access = abort(ISV | 1 << 22 | 1 << 16 | 1 << 6 | 7).access().expect("described");
        assert_eq!(
            access,
            Access { width: Width::Half, signed: false, register: Gpr::new(1), wide: false, write: true }
        );
        assert_eq!(access.stored(0x1234_5678), 0x5678);
    }

    #[test]
    fn without_isv_nothing_is_known() {
        assert_eq!(abort(1 << 6 | 7).access(), None);
        assert!(abort(1 << 6 | 7).is_write());
    }

    #[test]
    fn loads_extend_as_the_instruction_says() {
        let load = |sas: u32, signed: u32, wide: u32| {
            abort(ISV | sas << 22 | signed << 21 | wide << 15 | 7).access().expect("described")
        };
        assert_eq!(load(0, 0, 0).loaded(0xfff), 0xff); // ldrb
        assert_eq!(load(0, 1, 0).loaded(0x80), 0xffff_ff80); // ldrsb w
        assert_eq!(load(0, 1, 1).loaded(0x80), 0xffff_ffff_ffff_ff80); // ldrsb x
        assert_eq!(load(1, 1, 1).loaded(0x7fff), 0x7fff); // ldrsh x
        assert_eq!(load(2, 0, 0).loaded(u64::MAX), 0xffff_ffff); // ldr w
        assert_eq!(load(2, 1, 1).loaded(0x8000_0000), 0xffff_ffff_8000_0000); // ldrsw
        assert_eq!(load(3, 0, 1).loaded(u64::MAX), u64::MAX); // ldr x
        assert_eq!(load(3, 1, 1).loaded(u64::MAX), u64::MAX); // not an instruction, must not panic
        assert_eq!(load(3, 1, 0).loaded(u64::MAX), 0xffff_ffff);
    }

    #[test]
    fn every_syndrome_decodes_without_panic() {
        for high in 0..1u32 << 12 {
            for low in [0, 7, 0x10, 0x3f, 0x140, 0x1ff] {
                let abort = abort(high << 13 | low);
                if let Some(access) = abort.access() {
                    let _ =
                        (access.loaded(u64::MAX), access.stored(u64::MAX), access.width.aligned(high.into()));
                }
            }
        }
    }

    #[test]
    fn stage2_misses_are_told_from_external_aborts() {
        for (status, miss) in
            [(0x04, true), (0x07, true), (0x0b, true), (0x0f, true), (0x00, false), (0x10, false)]
        {
            assert_eq!(abort(status).status().is_stage2_miss(), miss, "{status:#x}");
        }
    }

    #[test]
    fn alignment_is_natural() {
        assert!(Width::Byte.aligned(3));
        assert!(!Width::Half.aligned(3));
        assert!(Width::Word.aligned(4));
        assert!(!Width::Double.aligned(4));
    }
}
