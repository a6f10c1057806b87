// SPDX-License-Identifier: BSD-2-Clause
//! The registers in memory: the generic code that decodes an access into a table row. The tables are in `v2` and `v3`, what
//! both have in common in `interrupts`.
//!
//! Every register takes aligned words; those with a byte an interrupt also take bytes, and here aligned halfwords, and those
//! of 64 bits also both at once (IHI 0048B.b, 4.1.4; IHI 0069H, chapter 12). All else reads as zero and is ignored.

mod interrupts;
pub(crate) mod v2;
pub(crate) mod v3;

use crate::bank::Bank;
use crate::delivery::ListRegisters;
use crate::model::{VcpuSet, Version, Vgic};

/// Size of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// From a number of bytes: 1, 2, 4 or 8.
    pub const fn from_bytes(bytes: usize) -> Option<Self> {
        match bytes {
            1 => Some(Self::Byte),
            2 => Some(Self::Half),
            4 => Some(Self::Word),
            8 => Some(Self::Double),
            _ => None,
        }
    }

    /// Number of bytes.
    pub const fn bytes(self) -> u16 {
        match self {
            Self::Byte => 1,
            Self::Half => 2,
            Self::Word => 4,
            Self::Double => 8,
        }
    }
}

/// How a row's registers are laid out, and the functions that read and write one item.
///
/// A write returns the vCPUs to which something may have become deliverable.
enum Access {
    /// Whole words; the functions get (vCPU, index of the word in the row).
    Words { read: fn(&Vgic, usize, usize) -> u32, write: fn(&mut Vgic, usize, usize, u32) -> VcpuSet },
    /// A byte an item; the functions get (vCPU, index of the byte in the row).
    Bytes { read: fn(&Vgic, usize, usize) -> u8, write: fn(&mut Vgic, usize, usize, u8) -> VcpuSet },
    /// 64 bits an item, also in two words; the functions get (vCPU, index of the item in the row).
    Doubles { read: fn(&Vgic, usize, usize) -> u64, write: fn(&mut Vgic, usize, usize, u64) -> VcpuSet },
}

/// A register, or an array of equal ones.
pub(crate) struct Row {
    pub name: &'static str,
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
    /// Index of the first item.
    first: usize,
    access: Access,
}

impl Row {
    /// Items are counted from `first` on: what belongs to others is not in this table.
    const fn from(self, first: usize) -> Self {
        Self { first, ..self }
    }

    /// The item at byte `within`.
    const fn item(&self, within: u32) -> usize {
        let item = match self.access {
            Access::Words { .. } => within / 4,
            Access::Bytes { .. } => within,
            Access::Doubles { .. } => within / 8,
        };
        self.first.saturating_add(item as usize)
    }
}

const fn words(
    name: &'static str,
    start: u32,
    end: u32,
    read: fn(&Vgic, usize, usize) -> u32,
    write: fn(&mut Vgic, usize, usize, u32) -> VcpuSet,
) -> Row {
    Row { name, start, end, first: 0, access: Access::Words { read, write } }
}

const fn bytes(
    name: &'static str,
    start: u32,
    end: u32,
    read: fn(&Vgic, usize, usize) -> u8,
    write: fn(&mut Vgic, usize, usize, u8) -> VcpuSet,
) -> Row {
    Row { name, start, end, first: 0, access: Access::Bytes { read, write } }
}

const fn doubles(
    name: &'static str,
    start: u32,
    end: u32,
    read: fn(&Vgic, usize, usize) -> u64,
    write: fn(&mut Vgic, usize, usize, u64) -> VcpuSet,
) -> Row {
    Row { name, start, end, first: 0, access: Access::Doubles { read, write } }
}

/// The row of `table` that an access falls into, and the byte offset in it; `None` when the architecture does not define the
/// access. Tables are sorted and disjoint; what lies between rows is reserved.
fn decode(table: &'static [Row], offset: u64, width: Width) -> Option<(&'static Row, u32)> {
    let offset = u32::try_from(offset).ok()?;
    let size = u32::from(width.bytes());
    if !offset.is_multiple_of(size) {
        return None;
    }
    let after = table.partition_point(|row| row.start <= offset);
    let row = table.get(after.checked_sub(1)?)?;
    let within = offset.checked_sub(row.start)?;
    let fits = match row.access {
        Access::Words { .. } => size == 4,
        Access::Bytes { .. } => size <= 4,
        Access::Doubles { .. } => size >= 4,
    };
    (fits && offset < row.end).then_some((row, within))
}

impl Version {
    const fn distributor(self) -> &'static [Row] {
        match self {
            Self::V2 => &v2::REGISTERS,
            Self::V3 => &v3::DISTRIBUTOR,
        }
    }

    /// The architectural name of the distributor's register at `offset`, for messages; `None` where nothing is defined.
    pub fn register_name(self, offset: u64) -> Option<&'static str> {
        decode(self.distributor(), offset & !3, Width::Word).map(|(row, _)| row.name)
    }

    /// Bytes of the distributor's registers.
    pub const fn distributor_size(self) -> u64 {
        match self {
            Self::V2 => 0x1000,
            Self::V3 => 0x1_0000,
        }
    }
}

impl Vgic {
    /// A load by `vcpu` from `offset` in the distributor. Undefined accesses give 0.
    pub fn mmio_read(&mut self, vcpu: usize, offset: u64, width: Width) -> u64 {
        self.read_in(self.config.version.distributor(), vcpu, offset, width)
    }

    /// A store by `vcpu` of `value` (its low bits, as many as `width` has) to `offset` in the distributor. Undefined accesses
    /// do nothing.
    pub fn mmio_write(
        &mut self,
        vcpu: usize,
        offset: u64,
        width: Width,
        value: u64,
        out: &mut impl ListRegisters,
    ) {
        self.write_in(self.config.version.distributor(), vcpu, offset, width, value, out);
    }

    /// A load from a register of `vcpu` by `table`.
    fn read_in(&mut self, table: &'static [Row], vcpu: usize, offset: u64, width: Width) -> u64 {
        let (Some((row, within)), Ok(())) = (decode(table, offset, width), self.check_vcpu(vcpu)) else {
            self.wild = self.wild.saturating_add(1);
            return 0;
        };
        let item = row.item(within);
        match row.access {
            Access::Words { read, .. } => u64::from(read(self, vcpu, item)),
            Access::Bytes { read, .. } => {
                let mut value = 0u64;
                for byte in (0..usize::from(width.bytes())).rev() {
                    value = value.wrapping_shl(8) | u64::from(read(self, vcpu, item.saturating_add(byte)));
                }
                value
            }
            Access::Doubles { read, .. } => {
                let value = read(self, vcpu, item);
                match width {
                    Width::Double => value,
                    _ => u64::from(value.wrapping_shr(half(within)) as u32),
                }
            }
        }
    }

    /// A store to a register of `vcpu` by `table`.
    fn write_in(
        &mut self,
        table: &'static [Row],
        vcpu: usize,
        offset: u64,
        width: Width,
        value: u64,
        out: &mut impl ListRegisters,
    ) {
        let (Some((row, within)), Ok(())) = (decode(table, offset, width), self.check_vcpu(vcpu)) else {
            self.wild = self.wild.saturating_add(1);
            return;
        };
        let item = row.item(within);
        let concerned = match row.access {
            Access::Words { write, .. } => write(self, vcpu, item, value as u32),
            Access::Bytes { write, .. } => {
                let bytes = value.to_le_bytes().into_iter().take(usize::from(width.bytes()));
                bytes.enumerate().fold(VcpuSet::NONE, |set, (byte, value)| {
                    set.union(write(self, vcpu, item.saturating_add(byte), value))
                })
            }
            Access::Doubles { read, write } => {
                let shift = half(within);
                let value = match width {
                    Width::Double => value,
                    _ => {
                        let kept = read(self, vcpu, item) & !u64::from(u32::MAX).wrapping_shl(shift);
                        kept | u64::from(value as u32).wrapping_shl(shift)
                    }
                };
                write(self, vcpu, item, value)
            }
        };
        self.deliver(concerned, out);
    }

    /// A word of one bank, 0 for interrupts that the guest does not have.
    fn word(&self, vcpu: usize, bank: usize, get: fn(&Bank) -> u32) -> u32 {
        self.bank(vcpu, bank).map_or(0, get)
    }

    /// Changes one bank, if the guest has it; then its interrupts may be deliverable to the vCPU or, shared, to anyone.
    fn change(&mut self, vcpu: usize, bank: usize, change: impl FnOnce(&mut Bank)) -> VcpuSet {
        match self.bank_mut(vcpu, bank) {
            Some(found) => {
                change(found);
                if bank == 0 { VcpuSet::one(vcpu) } else { VcpuSet::ALL }
            }
            None => VcpuSet::NONE,
        }
    }
}

/// Position in a register of 64 bits of the word at byte `within` of its row.
const fn half(within: u32) -> u32 {
    if within.is_multiple_of(8) { 0 } else { 32 }
}

fn ignore(_: &mut Vgic, _: usize, _: usize, _: u32) -> VcpuSet {
    VcpuSet::NONE
}

/// An identification register: a byte of `bytes` in each word.
fn identification(bytes: &[u8], word: usize) -> u32 {
    bytes.get(word).copied().map_or(0, u32::from)
}
