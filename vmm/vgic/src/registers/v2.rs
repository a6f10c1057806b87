// SPDX-License-Identifier: BSD-2-Clause
//! The distributor of a GICv2 (IHI 0048B.b, 4.1.2 and 4.3), as Arm's GIC-400 has it. Private interrupts are banked: each vCPU sees
//! its own.

use super::interrupts::{
    read_active, read_config, read_enabled, read_group, read_pending, read_priority, write_clear_active,
    write_clear_enable, write_clear_pending, write_config, write_group, write_priority, write_set_active,
    write_set_enable, write_set_pending,
};
use super::{Row, bytes, identification, ignore, words};
use crate::model::{VcpuSet, Vgic};

/// GICD_IIDR of a GIC-400 r0p1: implementer Arm, product 2.
const IIDR: u32 = 0x0200_143b;

/// GICD_PIDR4 to 7, 0 to 3 and GICD_CIDR0 to 3 of a GIC-400 (architecture version 2 in PIDR2), a byte in each word.
const IDENTIFICATION: [u8; 12] = [0x04, 0, 0, 0, 0x90, 0xb4, 0x2b, 0, 0x0d, 0xf0, 0x05, 0xb1];

/// Implemented bits of GICD_CTLR: EnableGrp0, EnableGrp1.
const CTLR_MASK: u32 = 0b11;

/// The distributor's. (GICD_NSACR exists only with the security extensions.)
pub(crate) const REGISTERS: [Row; 18] = [
    words("GICD_CTLR", 0x000, 0x004, |gic, _, _| gic.ctlr, write_ctlr),
    words("GICD_TYPER", 0x004, 0x008, read_typer, ignore),
    words("GICD_IIDR", 0x008, 0x00c, |_, _, _| IIDR, ignore),
    words("GICD_IGROUPR", 0x080, 0x100, read_group, write_group),
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
    words("GICD_PIDR", 0xfd0, 0xff0, |_, _, n| identification(&IDENTIFICATION, n), ignore),
    words("GICD_CIDR", 0xff0, 0x1000, |_, _, n| identification(&IDENTIFICATION, n.saturating_add(8)), ignore),
];

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
