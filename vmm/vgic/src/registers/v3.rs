// SPDX-License-Identifier: BSD-2-Clause
//! The distributor and the redistributors of a GICv3 (IHI 0069H, chapter 12): one security state, affinity routing always on,
//! no LPIs. Identification is Arm's GIC-500's, as on QEMU's `virt`.
//!
//! Each vCPU has a redistributor: a frame for itself, then one with its private interrupts. A guest may access all of them
//! from any vCPU.

use super::interrupts::{
    read_active, read_config, read_enabled, read_group, read_pending, read_priority, write_clear_active,
    write_clear_enable, write_clear_pending, write_config, write_group, write_priority, write_set_active,
    write_set_enable, write_set_pending,
};
use super::{Row, Width, bytes, doubles, identification, ignore, words};
use crate::delivery::ListRegisters;
use crate::model::{VcpuSet, Version, Vgic};

/// GICD_IIDR and GICR_IIDR: implementer Arm.
const IIDR: u32 = 0x43b;

/// PIDR4 to 7, 0 to 3 and CIDR0 to 3 (architecture version 3 in PIDR2) of the distributor, a byte in each word.
const DISTRIBUTOR_IDENTIFICATION: [u8; 12] = [0x44, 0, 0, 0, 0x92, 0xb4, 0x3b, 0, 0x0d, 0xf0, 0x05, 0xb1];
/// The same of a redistributor.
const REDISTRIBUTOR_IDENTIFICATION: [u8; 12] = [0x44, 0, 0, 0, 0x93, 0xb4, 0x3b, 0, 0x0d, 0xf0, 0x05, 0xb1];

/// GICD_CTLR: EnableGrp0, EnableGrp1.
const CTLR_MASK: u32 = 0b11;
/// GICD_CTLR: affinity routing (ARE), one security state (DS); both fixed.
const CTLR_FIXED: u32 = 1 << 4 | 1 << 6;
/// GICD_TYPER: IDbits, one less than the width of an INTID, from bit 19 on; No1N (25): an interrupt goes to one vCPU.
const TYPER_FIXED: u32 = 9 << 19 | 1 << 25;
/// GICR_TYPER: the last redistributor.
const TYPER_LAST: u64 = 1 << 4;
/// GICR_WAKER: ProcessorSleep, ChildrenAsleep.
const WAKER_SLEEP: u32 = 1 << 1;
const WAKER_ASLEEP: u32 = 1 << 2;
/// GICD_IROUTER: affinity levels 2, 1, 0. (GICD_TYPER.A3V and No1N leave the rest reserved.)
const AFFINITY: u32 = 0x00ff_ffff;

/// Bytes of a redistributor's frame.
const FRAME: u64 = 0x1_0000;

/// The distributor's. Private interrupts are the redistributors', registers of security states and of GICv2 are reserved.
pub(crate) const DISTRIBUTOR: [Row; 15] = [
    words("GICD_CTLR", 0x000, 0x004, |gic, _, _| gic.ctlr | CTLR_FIXED, write_ctlr),
    words("GICD_TYPER", 0x004, 0x008, read_typer, ignore),
    words("GICD_IIDR", 0x008, 0x00c, |_, _, _| IIDR, ignore),
    words("GICD_IGROUPR", 0x084, 0x100, read_group, write_group).from(1),
    words("GICD_ISENABLER", 0x104, 0x180, read_enabled, write_set_enable).from(1),
    words("GICD_ICENABLER", 0x184, 0x200, read_enabled, write_clear_enable).from(1),
    words("GICD_ISPENDR", 0x204, 0x280, read_pending, write_set_pending).from(1),
    words("GICD_ICPENDR", 0x284, 0x300, read_pending, write_clear_pending).from(1),
    words("GICD_ISACTIVER", 0x304, 0x380, read_active, write_set_active).from(1),
    words("GICD_ICACTIVER", 0x384, 0x400, read_active, write_clear_active).from(1),
    bytes("GICD_IPRIORITYR", 0x420, 0x7fc, read_priority, write_priority).from(32),
    words("GICD_ICFGR", 0xc08, 0xd00, read_config, write_config).from(2),
    doubles("GICD_IROUTER", 0x6100, 0x7fe0, read_route, write_route).from(32),
    words("GICD_PIDR", 0xffd0, 0xfff0, |_, _, n| identification(&DISTRIBUTOR_IDENTIFICATION, n), ignore),
    words("GICD_CIDR", 0xfff0, 0x1_0000, |_, _, n| identification(&DISTRIBUTOR_IDENTIFICATION, n), ignore)
        .from(8),
];

/// A redistributor's first frame.
pub(crate) const REDISTRIBUTOR: [Row; 6] = [
    words("GICR_CTLR", 0x000, 0x004, |_, _, _| 0, ignore),
    words("GICR_IIDR", 0x004, 0x008, |_, _, _| IIDR, ignore),
    doubles("GICR_TYPER", 0x008, 0x010, read_redistributor_typer, |_, _, _, _| VcpuSet::NONE),
    words("GICR_WAKER", 0x014, 0x018, read_waker, write_waker),
    words("GICR_PIDR", 0xffd0, 0xfff0, |_, _, n| identification(&REDISTRIBUTOR_IDENTIFICATION, n), ignore),
    words("GICR_CIDR", 0xfff0, 0x1_0000, |_, _, n| identification(&REDISTRIBUTOR_IDENTIFICATION, n), ignore)
        .from(8),
];

/// Its second one: SGIs and PPIs.
pub(crate) const PRIVATE: [Row; 9] = [
    words("GICR_IGROUPR0", 0x080, 0x084, read_group, write_group),
    words("GICR_ISENABLER0", 0x100, 0x104, read_enabled, write_set_enable),
    words("GICR_ICENABLER0", 0x180, 0x184, read_enabled, write_clear_enable),
    words("GICR_ISPENDR0", 0x200, 0x204, read_pending, write_set_pending),
    words("GICR_ICPENDR0", 0x280, 0x284, read_pending, write_clear_pending),
    words("GICR_ISACTIVER0", 0x300, 0x304, read_active, write_set_active),
    words("GICR_ICACTIVER0", 0x380, 0x384, read_active, write_clear_active),
    bytes("GICR_IPRIORITYR", 0x400, 0x420, read_priority, write_priority),
    words("GICR_ICFGR", 0xc00, 0xc08, read_config, write_config),
];

impl Version {
    /// Bytes of one vCPU's redistributor; 0 when there is none.
    pub const fn redistributor_size(self) -> u64 {
        match self {
            Self::V2 => 0,
            Self::V3 => 2 * FRAME,
        }
    }
}

impl Vgic {
    /// Bytes of all redistributors, one behind the other.
    pub const fn redistributors_size(&self) -> u64 {
        self.config.version.redistributor_size().wrapping_mul(self.config.vcpus as u64)
    }

    /// A load from `offset` in the redistributors. Undefined accesses give 0.
    pub fn redistributor_read(&mut self, offset: u64, width: Width) -> u64 {
        let (table, vcpu, offset) = self.frame(offset);
        self.read_in(table, vcpu, offset, width)
    }

    /// A store of `value` (its low bits, as many as `width` has) to `offset` in the redistributors. Undefined accesses do
    /// nothing.
    pub fn redistributor_write(
        &mut self,
        offset: u64,
        width: Width,
        value: u64,
        out: &mut impl ListRegisters,
    ) {
        let (table, vcpu, offset) = self.frame(offset);
        self.write_in(table, vcpu, offset, width, value, out);
    }

    /// The table of a frame, the vCPU whose it is, and the offset in it. A frame that does not exist has no registers.
    fn frame(&self, offset: u64) -> (&'static [Row], usize, u64) {
        let table: &'static [Row] = match offset / FRAME % 2 {
            _ if offset >= self.redistributors_size() => &[],
            0 => &REDISTRIBUTOR,
            _ => &PRIVATE,
        };
        (table, usize::try_from(offset / (2 * FRAME)).unwrap_or(usize::MAX), offset % FRAME)
    }
}

fn write_ctlr(gic: &mut Vgic, _: usize, _: usize, value: u32) -> VcpuSet {
    gic.ctlr = value & CTLR_MASK;
    VcpuSet::ALL
}

/// ITLinesNumber in bits 4:0. CPUNumber is that of a GICv2 without affinity routing.
fn read_typer(gic: &Vgic, _: usize, _: usize) -> u32 {
    u32::from(gic.config.spis / 32) & 0x1f | TYPER_FIXED
}

fn read_route(gic: &Vgic, vcpu: usize, irq: usize) -> u64 {
    let bank = gic.bank(vcpu, irq / 32);
    bank.and_then(|bank| bank.routes.get(irq % 32)).copied().map_or(0, u64::from)
}

/// An affinity that no vCPU has is kept; the interrupt then goes nowhere.
fn write_route(gic: &mut Vgic, vcpu: usize, irq: usize, value: u64) -> VcpuSet {
    let route = value as u32 & AFFINITY;
    let target = gic.vcpu_at(route);
    gic.change(vcpu, irq / 32, |bank| {
        if let (Some(place), Some(targets)) = (bank.routes.get_mut(irq % 32), bank.targets.get_mut(irq % 32))
        {
            *place = route;
            *targets = target.bits();
        }
    })
    .intersection(target)
}

/// Affinity in bits 63:32, number in bits 23:8.
fn read_redistributor_typer(gic: &Vgic, vcpu: usize, _: usize) -> u64 {
    let number = vcpu as u64;
    let last = number.wrapping_add(1) == u64::from(gic.config.vcpus);
    number.wrapping_shl(32) | number.wrapping_shl(8) | if last { TYPER_LAST } else { 0 }
}

fn read_waker(gic: &Vgic, vcpu: usize, _: usize) -> u32 {
    let asleep = gic.vcpus.get(vcpu).is_some_and(|cpu| cpu.asleep);
    if asleep { WAKER_SLEEP | WAKER_ASLEEP } else { 0 }
}

/// The redistributor of a vCPU that sleeps asks the machine to wake it when it has an interrupt; here it delivers it, which
/// does.
fn write_waker(gic: &mut Vgic, vcpu: usize, _: usize, value: u32) -> VcpuSet {
    if let Some(cpu) = gic.vcpus.get_mut(vcpu) {
        cpu.asleep = value & WAKER_SLEEP != 0;
    }
    VcpuSet::NONE
}
