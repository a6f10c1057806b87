// SPDX-License-Identifier: BSD-2-Clause
//! What the reference's registers are when it is a GICv3, written as plainly as the rest of it (IHI 0069H, chapter 12).

use super::reference::{Interrupt, Reference};
use crate::{SgiRegister, Version, Width};

/// Offsets from here on are those of redistributors, as in the histories.
const REDISTRIBUTORS: u64 = 0x10_0000;

/// Where an access goes.
enum Place {
    Distributor(u64),
    Redistributor { vcpu: usize, offset: u64 },
    Private { vcpu: usize, offset: u64 },
    Nowhere,
}

impl Reference {
    pub fn read_any(&mut self, vcpu: usize, offset: u64, width: Width) -> u64 {
        if self.config.version == Version::V2 {
            return if offset >= REDISTRIBUTORS { 0 } else { self.read(vcpu, offset, width) };
        }
        let size = u64::from(width.bytes());
        if !offset.is_multiple_of(size) {
            return 0;
        }
        match self.place(offset) {
            Place::Distributor(offset) => match (offset, size) {
                (0, 4) => 0x50 | u64::from(self.forward[0]) | u64::from(self.forward[1]) << 1,
                (4, 4) => u64::from(self.config.spis) / 32 + 0x0248_0000,
                (8, 4) => 0x43b,
                (0x6100..0x7fe0, 4 | 8) => {
                    let number = (offset - 0x6000) / 8;
                    let route = self.irq(0, number as usize).map_or(0, |irq| u64::from(irq.route));
                    match (size, offset % 8) {
                        (8, _) | (4, 0) => route,
                        _ => 0,
                    }
                }
                (0xffd0.., 4) => identification(0x92, offset),
                _ => self.read_interrupts(0, 32..1020, offset, size),
            },
            Place::Redistributor { vcpu, offset } => match (offset, size) {
                (4, 4) => 0x43b,
                (8..16, 4 | 8) => {
                    let last = vcpu + 1 == usize::from(self.config.vcpus);
                    let low = (vcpu as u64) << 8 | u64::from(last) << 4;
                    match (size, offset) {
                        (8, _) => (vcpu as u64) << 32 | low,
                        (_, 8) => low,
                        _ => vcpu as u64,
                    }
                }
                (0x14, 4) => 6 * u64::from(self.asleep[vcpu]),
                (0xffd0.., 4) => identification(0x93, offset),
                _ => 0,
            },
            Place::Private { vcpu, offset } => self.read_interrupts(vcpu, 0..32, offset, size),
            Place::Nowhere => 0,
        }
    }

    pub fn write_any(&mut self, vcpu: usize, offset: u64, width: Width, value: u64) {
        if self.config.version == Version::V2 {
            return if offset < REDISTRIBUTORS {
                self.write(vcpu, offset, width, value)
            };
        }
        let size = u64::from(width.bytes());
        if !offset.is_multiple_of(size) {
            return;
        }
        match self.place(offset) {
            Place::Distributor(0) if size == 4 => self.forward = [value & 1 != 0, value & 2 != 0],
            Place::Distributor(offset @ 0x6100..0x7fe0) if size >= 4 => {
                // The upper word has nothing that can be written.
                if offset % 8 == 0
                    && let Some(irq) = self.irq(0, ((offset - 0x6000) / 8) as usize)
                {
                    irq.route = value as u32 & 0x00ff_ffff;
                }
            }
            Place::Distributor(offset) => self.write_interrupts(0, 32..1020, offset, size, value),
            Place::Redistributor { vcpu, offset: 0x14 } if size == 4 => self.asleep[vcpu] = value & 2 != 0,
            Place::Private { vcpu, offset } => self.write_interrupts(vcpu, 0..32, offset, size, value),
            Place::Redistributor { .. } | Place::Nowhere => {}
        }
    }

    pub fn send(&mut self, vcpu: usize, register: SgiRegister, value: u64) {
        if self.config.version == Version::V2 {
            return;
        }
        let sgi = (value >> 24 & 15) as usize;
        let others = value & 1 << 40 != 0;
        let elsewhere = value & 0x00ff_f0ff_00ff_0000 != 0;
        for target in 0..usize::from(self.config.vcpus) {
            let named = if others { target != vcpu } else { !elsewhere && value & 1 << target != 0 };
            let irq = &mut self.private[target][sgi];
            irq.latch |= named && (register == SgiRegister::Group1 || !irq.group);
        }
    }

    fn place(&self, offset: u64) -> Place {
        let Some(offset) = offset.checked_sub(REDISTRIBUTORS) else {
            return if offset < 0x1_0000 { Place::Distributor(offset) } else { Place::Nowhere };
        };
        let vcpu = (offset / 0x2_0000) as usize;
        if vcpu >= usize::from(self.config.vcpus) {
            Place::Nowhere
        } else if offset % 0x2_0000 < 0x1_0000 {
            Place::Redistributor { vcpu, offset: offset % 0x1_0000 }
        } else {
            Place::Private { vcpu, offset: offset % 0x1_0000 }
        }
    }

    /// Registers with some bits for each interrupt, of those in `own`.
    fn read_interrupts(&mut self, vcpu: usize, own: core::ops::Range<u64>, offset: u64, size: u64) -> u64 {
        let mut one = |number: u64, get: &dyn Fn(&Interrupt) -> bool| {
            own.contains(&number) && self.irq(vcpu, number as usize).is_some_and(|irq| get(irq))
        };
        let mut bits = |get: &dyn Fn(&Interrupt) -> bool| {
            (0..32).map(|i| u64::from(one((offset % 0x80) * 8 + i, get)) << i).sum::<u64>()
        };
        match (offset, size) {
            (0x080..0x100, 4) => bits(&|irq| irq.group),
            (0x100..0x200, 4) => bits(&|irq| irq.enabled),
            (0x200..0x300, 4) => bits(&|irq| irq.pending() || irq.in_list),
            (0x300..0x400, 4) => bits(&|irq| irq.active),
            (0x400..0x7fc, 1 | 2 | 4) => (0..size)
                .map(|i| {
                    let number = offset - 0x400 + i;
                    let irq = own.contains(&number).then(|| self.irq(vcpu, number as usize)).flatten();
                    irq.map_or(0, |irq| u64::from(irq.priority)) << (8 * i)
                })
                .sum(),
            (0xc00..0xd00, 4) => (0..16)
                .map(|i| u64::from(one((offset - 0xc00) * 4 + i, &|irq| irq.edge)) << (2 * i + 1))
                .sum(),
            _ => 0,
        }
    }

    fn write_interrupts(
        &mut self,
        vcpu: usize,
        own: core::ops::Range<u64>,
        offset: u64,
        size: u64,
        value: u64,
    ) {
        let (first, count, shift) = match (offset, size) {
            (0x080..0x400, 4) => ((offset % 0x80) * 8, 32, 1),
            (0x400..0x7fc, 1 | 2 | 4) => (offset - 0x400, size, 8),
            (0xc00..0xd00, 4) => ((offset - 0xc00) * 4, 16, 2),
            _ => return,
        };
        for i in 0..count {
            let number = first + i;
            let field = value >> (shift * i);
            let one = field & 1 != 0;
            let Some(irq) = own.contains(&number).then(|| self.irq(vcpu, number as usize)).flatten() else {
                continue;
            };
            match offset {
                0x080..0x100 => irq.group = one,
                0x100..0x180 => irq.enabled |= one,
                0x180..0x200 => irq.enabled &= !one,
                0x200..0x280 => irq.latch |= one,
                0x280..0x300 => irq.latch &= !one,
                0x300..0x380 => irq.active |= one,
                0x380..0x400 => irq.active &= !one,
                0x400..0x800 => irq.priority = field as u8 & !7,
                _ if number >= 16 => irq.edge = field & 2 != 0,
                _ => {}
            }
        }
    }
}

fn identification(part: u64, offset: u64) -> u64 {
    match offset {
        0xffd0 => 0x44,
        0xffe0 => part,
        0xffe4 => 0xb4,
        0xffe8 => 0x3b,
        0xfff0 => 0x0d,
        0xfff4 => 0xf0,
        0xfff8 => 0x05,
        0xfffc => 0xb1,
        _ => 0,
    }
}
