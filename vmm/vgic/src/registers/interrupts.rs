// SPDX-License-Identifier: BSD-2-Clause
//! Registers with a bit, two bits or a byte for each interrupt, which both versions have: the same banks, at the same offsets in
//! a distributor or, private ones of a GICv3, in a redistributor.

use crate::bank::{Bank, PRIORITY_MASK};
use crate::model::{VcpuSet, Version, Vgic};

/// Bits that may be written: in the private bank of a GICv2, enable and pending of SGIs are fixed.
fn writable(gic: &Vgic, bank: usize) -> u32 {
    if bank == 0 && gic.config.version == Version::V2 { !Bank::SGIS } else { u32::MAX }
}

pub(super) fn read_group(gic: &Vgic, vcpu: usize, n: usize) -> u32 {
    gic.word(vcpu, n, |bank| bank.group)
}

pub(super) fn write_group(gic: &mut Vgic, vcpu: usize, n: usize, value: u32) -> VcpuSet {
    gic.change(vcpu, n, |bank| bank.group = value)
}

pub(super) fn read_enabled(gic: &Vgic, vcpu: usize, n: usize) -> u32 {
    gic.word(vcpu, n, |bank| bank.enabled)
}

pub(super) fn write_set_enable(gic: &mut Vgic, vcpu: usize, n: usize, value: u32) -> VcpuSet {
    let value = value & writable(gic, n);
    gic.change(vcpu, n, |bank| bank.enabled |= value)
}

pub(super) fn write_clear_enable(gic: &mut Vgic, vcpu: usize, n: usize, value: u32) -> VcpuSet {
    let value = value & writable(gic, n);
    gic.change(vcpu, n, |bank| bank.enabled &= !value);
    VcpuSet::NONE
}

/// What is in a list register counts as pending: it cannot be known whether the guest has acknowledged it.
pub(super) fn read_pending(gic: &Vgic, vcpu: usize, n: usize) -> u32 {
    gic.word(vcpu, n, |bank| bank.pending() | bank.in_list)
}

pub(super) fn write_set_pending(gic: &mut Vgic, vcpu: usize, n: usize, value: u32) -> VcpuSet {
    let value = value & writable(gic, n);
    gic.change(vcpu, n, |bank| bank.latch |= value)
}

pub(super) fn write_clear_pending(gic: &mut Vgic, vcpu: usize, n: usize, value: u32) -> VcpuSet {
    let value = value & writable(gic, n);
    gic.change(vcpu, n, |bank| bank.latch &= !value);
    VcpuSet::NONE
}

pub(super) fn read_active(gic: &Vgic, vcpu: usize, n: usize) -> u32 {
    gic.word(vcpu, n, |bank| bank.active)
}

pub(super) fn write_set_active(gic: &mut Vgic, vcpu: usize, n: usize, value: u32) -> VcpuSet {
    gic.change(vcpu, n, |bank| bank.active |= value);
    VcpuSet::NONE
}

pub(super) fn write_clear_active(gic: &mut Vgic, vcpu: usize, n: usize, value: u32) -> VcpuSet {
    gic.change(vcpu, n, |bank| bank.active &= !value)
}

pub(super) fn read_priority(gic: &Vgic, vcpu: usize, item: usize) -> u8 {
    gic.bank(vcpu, item / 32).map_or(0, |bank| bank.priority_of(item % 32))
}

/// Away from the lowest priority an interrupt becomes deliverable; else only the order changes, which costs nothing more.
pub(super) fn write_priority(gic: &mut Vgic, vcpu: usize, item: usize, value: u8) -> VcpuSet {
    gic.change(vcpu, item / 32, |bank| {
        if let Some(priority) = bank.priority.get_mut(item % 32) {
            *priority = value & PRIORITY_MASK;
        }
    })
}

/// Position in a bank's words of the half that GICD_ICFGR word `n` describes.
const fn half_shift(n: usize) -> u32 {
    if n.is_multiple_of(2) { 0 } else { 16 }
}

/// Two bits an interrupt, the upper one set for edge; a word covers half a bank. Those of SGIs are fixed.
pub(super) fn read_config(gic: &Vgic, vcpu: usize, n: usize) -> u32 {
    let edge = gic.word(vcpu, n / 2, |bank| bank.edge).wrapping_shr(half_shift(n));
    (0..16u32).fold(0, |value, i| value | (edge.wrapping_shr(i) & 1).wrapping_shl(i.wrapping_mul(2) | 1))
}

pub(super) fn write_config(gic: &mut Vgic, vcpu: usize, n: usize, value: u32) -> VcpuSet {
    if n == 0 {
        return VcpuSet::NONE;
    }
    let edge = (0..16u32)
        .fold(0u32, |bits, i| bits | (value.wrapping_shr(i.wrapping_mul(2) | 1) & 1).wrapping_shl(i));
    let shift = half_shift(n);
    let mask = 0xffffu32.wrapping_shl(shift);
    gic.change(vcpu, n / 2, |bank| bank.edge = (bank.edge & !mask) | edge.wrapping_shl(shift))
}
