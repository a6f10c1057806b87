// SPDX-License-Identifier: BSD-2-Clause
//! The distributor's registers: one table row each, and the generic code that decodes an access.
//!
//! IHI 0048B.b, 4.1.2 (register map) and 4.1.4 (access sizes): every register takes aligned words; those with a byte
//! an interrupt also take bytes, and here aligned halfwords. All else reads as zero and is ignored.

use crate::bank::{Bank, PRIORITY_MASK};
use crate::delivery::ListRegisters;
use crate::model::{VcpuSet, Vgic};

/// Bytes of the distributor's register page.
pub const DISTRIBUTOR_SIZE: u64 = 0x1000;

/// GICD_IIDR of a GIC-400 r0p1: implementer Arm, product 2.
const IIDR: u32 = 0x0200_143b;

/// GICD_PIDR4 to 7, 0 to 3 and GICD_CIDR0 to 3 of a GIC-400 (architecture version 2 in PIDR2), a byte in each word.
const IDENTIFICATION: [u8; 12] = [0x04, 0, 0, 0, 0x90, 0xb4, 0x2b, 0, 0x0d, 0xf0, 0x05, 0xb1];

/// Implemented bits of GICD_CTLR: EnableGrp0, EnableGrp1.
const CTLR_MASK: u32 = 0b11;

/// Size of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 8 bits.
    Byte,
    /// 16 bits.
    Half,
    /// 32 bits.
    Word,
    /// 64 bits; no distributor register has it.
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
}

/// A register, or an array of equal ones.
pub(crate) struct Row {
    pub name: &'static str,
    pub start: u16,
    /// One past the last byte.
    pub end: u16,
    access: Access,
}

const fn words(
    name: &'static str,
    start: u16,
    end: u16,
    read: fn(&Vgic, usize, usize) -> u32,
    write: fn(&mut Vgic, usize, usize, u32) -> VcpuSet,
) -> Row {
    Row { name, start, end, access: Access::Words { read, write } }
}

const fn bytes(
    name: &'static str,
    start: u16,
    end: u16,
    read: fn(&Vgic, usize, usize) -> u8,
    write: fn(&mut Vgic, usize, usize, u8) -> VcpuSet,
) -> Row {
    Row { name, start, end, access: Access::Bytes { read, write } }
}

/// Sorted and disjoint. What lies between rows is reserved (GICD_NSACR exists only with the security extensions).
pub(crate) const REGISTERS: [Row; 18] = [
    words("GICD_CTLR", 0x000, 0x004, |gic, _, _| gic.ctlr, write_ctlr),
    words("GICD_TYPER", 0x004, 0x008, read_typer, ignore),
    words("GICD_IIDR", 0x008, 0x00c, |_, _, _| IIDR, ignore),
    words("GICD_IGROUPR", 0x080, 0x100, |gic, cpu, n| gic.word(cpu, n, |bank| bank.group), write_group),
    words("GICD_ISENABLER", 0x100, 0x180, read_enabled, write_set_enable),
    words("GICD_ICENABLER", 0x180, 0x200, read_enabled, write_clear_enable),
    words("GICD_ISPENDR", 0x200, 0x280, read_pending, write_set_pending),
    words("GICD_ICPENDR", 0x280, 0x300, read_pending, write_clear_pending),
    words("GICD_ISACTIVER", 0x300, 0x380, read_active, write_set_active),
    words("GICD_ICACTIVER", 0x380, 0x400, read_active, write_clear_active),
    bytes("GICD_IPRIORITYR", 0x400, 0x7fc, read_priority, write_priority),
    bytes("GICD_ITARGETSR", 0x800, 0xbfc, read_targets, write_targets),
    words("GICD_ICFGR", 0xc00, 0xd00, read_config, write_config),
    words("GICD_SGIR", 0xf00, 0xf04, |_, _, _| 0, write_sgi),
    bytes("GICD_CPENDSGIR", 0xf10, 0xf20, read_sgi_sources, clear_sgi_sources),
    bytes("GICD_SPENDSGIR", 0xf20, 0xf30, read_sgi_sources, set_sgi_sources),
    words("GICD_PIDR", 0xfd0, 0xff0, |_, _, n| identification(n), ignore),
    words("GICD_CIDR", 0xff0, 0x1000, |_, _, n| identification(n.saturating_add(8)), ignore),
];

/// The architectural name of the register at `offset`, for messages; `None` where nothing is defined.
pub fn register_name(offset: u64) -> Option<&'static str> {
    decode(offset & !3, Width::Word).map(|(row, _)| row.name)
}

/// The row that an access falls into, and the byte offset in it; `None` when the architecture does not define the access.
fn decode(offset: u64, width: Width) -> Option<(&'static Row, u16)> {
    let offset = u16::try_from(offset).ok()?;
    let size = width.bytes();
    if !offset.is_multiple_of(size) {
        return None;
    }
    let after = REGISTERS.partition_point(|row| row.start <= offset);
    let row = REGISTERS.get(after.checked_sub(1)?)?;
    let within = offset.checked_sub(row.start)?;
    let fits = match row.access {
        Access::Words { .. } => size == 4,
        Access::Bytes { .. } => size <= 4,
    };
    (fits && offset < row.end).then_some((row, within))
}

impl Vgic {
    /// A load by `vcpu` from `offset` in the distributor page. Undefined accesses give 0.
    pub fn mmio_read(&mut self, vcpu: usize, offset: u64, width: Width) -> u64 {
        let (Some((row, within)), Ok(())) = (decode(offset, width), self.check_vcpu(vcpu)) else {
            self.wild = self.wild.saturating_add(1);
            return 0;
        };
        match row.access {
            Access::Words { read, .. } => u64::from(read(self, vcpu, usize::from(within / 4))),
            Access::Bytes { read, .. } => {
                let first = usize::from(within);
                let mut value = 0u64;
                for item in (0..usize::from(width.bytes())).rev() {
                    value = value.wrapping_shl(8) | u64::from(read(self, vcpu, first.saturating_add(item)));
                }
                value
            }
        }
    }

    /// A store by `vcpu` of `value` (its low bits, as many as `width` has) to `offset` in the distributor page. Undefined
    /// accesses do nothing.
    pub fn mmio_write(
        &mut self,
        vcpu: usize,
        offset: u64,
        width: Width,
        value: u64,
        out: &mut impl ListRegisters,
    ) {
        let (Some((row, within)), Ok(())) = (decode(offset, width), self.check_vcpu(vcpu)) else {
            self.wild = self.wild.saturating_add(1);
            return;
        };
        let concerned = match row.access {
            Access::Words { write, .. } => write(self, vcpu, usize::from(within / 4), value as u32),
            Access::Bytes { write, .. } => {
                let first = usize::from(within);
                let items = value.to_le_bytes().into_iter().take(usize::from(width.bytes()));
                items.enumerate().fold(VcpuSet::NONE, |set, (item, byte)| {
                    set.union(write(self, vcpu, first.saturating_add(item), byte))
                })
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

/// Bits that may be written: in the private bank, enable, pending and configuration of SGIs are fixed.
const fn writable(bank: usize) -> u32 {
    if bank == 0 { !Bank::SGIS } else { u32::MAX }
}

fn ignore(_: &mut Vgic, _: usize, _: usize, _: u32) -> VcpuSet {
    VcpuSet::NONE
}

fn write_ctlr(gic: &mut Vgic, _: usize, _: usize, value: u32) -> VcpuSet {
    gic.ctlr = value & CTLR_MASK;
    VcpuSet::ALL
}

/// ITLinesNumber in bits 4:0, CPUNumber in bits 7:5; no security extensions.
fn read_typer(gic: &Vgic, _: usize, _: usize) -> u32 {
    let lines = u32::from(gic.config.spis / 32);
    let cpus = u32::from(gic.config.vcpus).saturating_sub(1);
    (lines & 0x1f) | (cpus & 7).wrapping_shl(5)
}

fn write_group(gic: &mut Vgic, vcpu: usize, n: usize, value: u32) -> VcpuSet {
    gic.change(vcpu, n, |bank| bank.group = value)
}

fn read_enabled(gic: &Vgic, vcpu: usize, n: usize) -> u32 {
    gic.word(vcpu, n, |bank| bank.enabled)
}

fn write_set_enable(gic: &mut Vgic, vcpu: usize, n: usize, value: u32) -> VcpuSet {
    gic.change(vcpu, n, |bank| bank.enabled |= value & writable(n))
}

fn write_clear_enable(gic: &mut Vgic, vcpu: usize, n: usize, value: u32) -> VcpuSet {
    gic.change(vcpu, n, |bank| bank.enabled &= !(value & writable(n)));
    VcpuSet::NONE
}

/// What is in a list register counts as pending: it cannot be known whether the guest has acknowledged it.
fn read_pending(gic: &Vgic, vcpu: usize, n: usize) -> u32 {
    gic.word(vcpu, n, |bank| bank.pending() | bank.in_list)
}

fn write_set_pending(gic: &mut Vgic, vcpu: usize, n: usize, value: u32) -> VcpuSet {
    gic.change(vcpu, n, |bank| bank.latch |= value & writable(n))
}

fn write_clear_pending(gic: &mut Vgic, vcpu: usize, n: usize, value: u32) -> VcpuSet {
    gic.change(vcpu, n, |bank| bank.latch &= !(value & writable(n)));
    VcpuSet::NONE
}

fn read_active(gic: &Vgic, vcpu: usize, n: usize) -> u32 {
    gic.word(vcpu, n, |bank| bank.active)
}

fn write_set_active(gic: &mut Vgic, vcpu: usize, n: usize, value: u32) -> VcpuSet {
    gic.change(vcpu, n, |bank| bank.active |= value);
    VcpuSet::NONE
}

fn write_clear_active(gic: &mut Vgic, vcpu: usize, n: usize, value: u32) -> VcpuSet {
    gic.change(vcpu, n, |bank| bank.active &= !value)
}

fn read_priority(gic: &Vgic, vcpu: usize, item: usize) -> u8 {
    gic.bank(vcpu, item / 32).map_or(0, |bank| bank.priority_of(item % 32))
}

/// Away from the lowest priority an interrupt becomes deliverable; else only the order changes, which costs nothing more.
fn write_priority(gic: &mut Vgic, vcpu: usize, item: usize, value: u8) -> VcpuSet {
    gic.change(vcpu, item / 32, |bank| {
        if let Some(priority) = bank.priority.get_mut(item % 32) {
            *priority = value & PRIORITY_MASK;
        }
    })
}

/// Private interrupts show the reading vCPU. A uniprocessor's target registers read as zero.
fn read_targets(gic: &Vgic, vcpu: usize, item: usize) -> u8 {
    match item {
        _ if gic.config.vcpus == 1 => 0,
        0..32 => VcpuSet::one(vcpu).bits(),
        _ => gic.bank(vcpu, item / 32).and_then(|bank| bank.targets.get(item % 32)).copied().unwrap_or(0),
    }
}

fn write_targets(gic: &mut Vgic, vcpu: usize, item: usize, value: u8) -> VcpuSet {
    if item < 32 || gic.config.vcpus == 1 {
        return VcpuSet::NONE;
    }
    let targets = VcpuSet::from_bits(value).intersection(gic.config_vcpus());
    let changed = gic.change(vcpu, item / 32, |bank| {
        if let Some(place) = bank.targets.get_mut(item % 32) {
            *place = targets.bits();
        }
    });
    changed.intersection(targets)
}

/// Position in a bank's words of the half that GICD_ICFGR word `n` describes.
const fn half_shift(n: usize) -> u32 {
    if n.is_multiple_of(2) { 0 } else { 16 }
}

/// Two bits an interrupt, the upper one set for edge; a word covers half a bank.
fn read_config(gic: &Vgic, vcpu: usize, n: usize) -> u32 {
    let edge = gic.word(vcpu, n / 2, |bank| bank.edge).wrapping_shr(half_shift(n));
    (0..16u32).fold(0, |value, i| value | (edge.wrapping_shr(i) & 1).wrapping_shl(i.wrapping_mul(2) | 1))
}

fn write_config(gic: &mut Vgic, vcpu: usize, n: usize, value: u32) -> VcpuSet {
    if n == 0 {
        return VcpuSet::NONE;
    }
    let edge = (0..16u32)
        .fold(0u32, |bits, i| bits | (value.wrapping_shr(i.wrapping_mul(2) | 1) & 1).wrapping_shl(i));
    let shift = half_shift(n);
    let mask = 0xffffu32.wrapping_shl(shift);
    gic.change(vcpu, n / 2, |bank| bank.edge = (bank.edge & !mask) | edge.wrapping_shl(shift))
}

/// SGIINTID in bits 3:0, CPUTargetList in bits 23:16, TargetListFilter in bits 25:24.
fn write_sgi(gic: &mut Vgic, vcpu: usize, _: usize, value: u32) -> VcpuSet {
    let own = VcpuSet::one(vcpu);
    let targets = match value.wrapping_shr(24) & 3 {
        0 => VcpuSet::from_bits(value.wrapping_shr(16) as u8),
        1 => VcpuSet::ALL.without(own),
        2 => own,
        _ => VcpuSet::NONE,
    }
    .intersection(gic.config_vcpus());
    for target in targets.iter() {
        set_sgi_sources(gic, target, (value & 0xf) as usize, own.bits());
    }
    targets
}

fn read_sgi_sources(gic: &Vgic, vcpu: usize, sgi: usize) -> u8 {
    gic.vcpus.get(vcpu).and_then(|cpu| cpu.sgi_sources.get(sgi)).copied().unwrap_or(0)
}

fn set_sgi_sources(gic: &mut Vgic, vcpu: usize, sgi: usize, sources: u8) -> VcpuSet {
    let sources = sources & gic.config_vcpus().bits();
    change_sgi_sources(gic, vcpu, sgi, |pending| pending | sources);
    VcpuSet::one(vcpu)
}

fn clear_sgi_sources(gic: &mut Vgic, vcpu: usize, sgi: usize, sources: u8) -> VcpuSet {
    change_sgi_sources(gic, vcpu, sgi, |pending| pending & !sources);
    VcpuSet::NONE
}

/// Keeps the pending bit of an SGI what it is by definition: some source is pending.
fn change_sgi_sources(gic: &mut Vgic, vcpu: usize, sgi: usize, change: impl FnOnce(u8) -> u8) {
    let Some(cpu) = gic.vcpus.get_mut(vcpu) else { return };
    let Some(sources) = cpu.sgi_sources.get_mut(sgi) else { return };
    *sources = change(*sources);
    let bit = 1u32.wrapping_shl(sgi as u32);
    if *sources == 0 {
        cpu.private.latch &= !bit;
    } else {
        cpu.private.latch |= bit;
    }
}

/// Identification bytes: GICD_PIDR4 to 7, GICD_PIDR0 to 3, GICD_CIDR0 to 3.
fn identification(word: usize) -> u32 {
    IDENTIFICATION.get(word).copied().map_or(0, u32::from)
}
