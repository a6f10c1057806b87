// SPDX-License-Identifier: BSD-2-Clause
//! The same distributor written a second time, as plainly as possible: one record an interrupt, registers taken apart
//! bit by bit, everything looked at after every event. Shares nothing with the model but the public types.

use crate::{Config, IntId, Version, Width};

#[derive(Clone, Debug, Default)]
pub(super) struct Interrupt {
    pub group: bool,
    pub enabled: bool,
    pub edge: bool,
    pub latch: bool,
    event: bool,
    sources: [bool; 8],
    line: bool,
    pub active: bool,
    pub in_list: bool,
    pub priority: u8,
    targets: u8,
    /// Of a GICv3: affinity.
    pub route: u32,
}

impl Interrupt {
    pub fn pending(&self) -> bool {
        self.latch || self.event || self.sources.contains(&true) || (self.line && !self.edge)
    }

    fn line(&mut self, asserted: bool) {
        if asserted && !self.line && self.edge {
            self.latch = true;
        }
        self.line = asserted;
    }
}

/// (vCPU, INTID, priority, group, source)
pub(super) type Delivery = (usize, u16, u8, u8, u8);

#[derive(Debug)]
pub(super) struct Reference {
    pub config: Config,
    pub forward: [bool; 2],
    pub private: Vec<Vec<Interrupt>>,
    shared: Vec<Interrupt>,
    /// INTID and priority in each list register.
    held: Vec<Vec<Option<(u16, u8)>>>,
    /// Of a GICv3: redistributors that sleep.
    pub asleep: Vec<bool>,
}

impl Reference {
    pub fn new(config: Config) -> Self {
        let mut bank = vec![Interrupt::default(); 32];
        for sgi in &mut bank[..16] {
            (sgi.enabled, sgi.edge) = (config.version == Version::V2, true);
        }
        let vcpus = usize::from(config.vcpus);
        Self {
            config,
            forward: [false; 2],
            private: vec![bank; vcpus],
            shared: vec![Interrupt::default(); config.spis.into()],
            held: vec![vec![None; config.list_registers.into()]; vcpus],
            asleep: vec![true; vcpus],
        }
    }

    pub fn irq(&mut self, vcpu: usize, number: usize) -> Option<&mut Interrupt> {
        if number < 32 { self.private[vcpu].get_mut(number) } else { self.shared.get_mut(number - 32) }
    }

    pub fn set_level(&mut self, vcpu: usize, irq: IntId, asserted: bool) {
        self.irq(vcpu, irq.number().into()).unwrap().line(asserted);
    }

    pub fn pulse(&mut self, vcpu: usize, irq: IntId) {
        self.irq(vcpu, irq.number().into()).unwrap().latch = true;
    }

    pub fn event(&mut self, vcpu: usize, irq: IntId) {
        self.irq(vcpu, irq.number().into()).unwrap().event = true;
    }

    /// The interrupt that was in the list register.
    pub fn maintenance(&mut self, vcpu: usize, lr: usize) -> Option<u16> {
        let (number, _) = self.held[vcpu].get_mut(lr)?.take()?;
        self.irq(vcpu, number.into()).unwrap().in_list = false;
        Some(number)
    }

    /// All that goes to list registers now, in order.
    pub fn deliver(&mut self) -> Vec<Delivery> {
        let mut all = Vec::new();
        for vcpu in 0..usize::from(self.config.vcpus) {
            while let Some(lr) = self.held[vcpu].iter().position(Option::is_none) {
                let Some((priority, number)) = self.deliverable(vcpu).into_iter().min() else { break };
                let held: Vec<u8> = self.held[vcpu].iter().flatten().map(|(_, priority)| *priority).collect();
                let last = held.len() + 1 == self.held[vcpu].len();
                if last && held.iter().min().is_some_and(|most_urgent| *most_urgent <= priority) {
                    break;
                }
                self.held[vcpu][lr] = Some((number, priority));
                let irq = self.irq(vcpu, number.into()).unwrap();
                let source = irq.sources.iter().position(|pending| *pending);
                match source {
                    Some(source) => irq.sources[source] = false,
                    None => (irq.latch, irq.event) = (false, false),
                }
                irq.in_list = true;
                all.push((vcpu, number, priority >> 3, irq.group.into(), source.unwrap_or(0) as u8));
            }
        }
        all
    }

    /// What could go to a list register of `vcpu` if one were free: (priority, INTID).
    pub fn deliverable(&self, vcpu: usize) -> Vec<(u8, u16)> {
        let numbered = (0u16..).zip(self.private[vcpu].iter().chain(&self.shared));
        numbered
            .filter(|(number, irq)| {
                let ready = irq.pending() && irq.enabled && !irq.active && !irq.in_list;
                let lowest_target = (0..8).find(|cpu| irq.targets & (1 << cpu) != 0);
                let here = match self.config.version {
                    _ if *number < 32 => true,
                    Version::V2 => self.config.vcpus == 1 || lowest_target == Some(vcpu),
                    Version::V3 => irq.route as usize == vcpu,
                };
                ready && irq.priority < 0xf8 && here && self.forward[usize::from(irq.group)]
            })
            .map(|(number, irq)| (irq.priority, number))
            .collect()
    }

    pub fn waiting(&self, vcpu: usize) -> bool {
        !self.deliverable(vcpu).is_empty() || self.held[vcpu].iter().any(Option::is_some)
    }

    pub fn read(&mut self, vcpu: usize, offset: u64, width: Width) -> u64 {
        let size = u64::from(width.bytes());
        if !defined(offset, size) {
            return 0;
        }
        let one_vcpu = self.config.vcpus == 1;
        let mut bit = |number: u64, get: fn(&Interrupt) -> bool| {
            u64::from(self.irq(vcpu, number as usize).is_some_and(|irq| get(irq)))
        };
        let bits = |base: u64, get: &mut dyn FnMut(u64) -> u64| {
            (0..32).map(|i| get((offset - base) * 8 + i) << i).sum::<u64>()
        };
        match offset {
            0x000 => u64::from(self.forward[0]) | u64::from(self.forward[1]) << 1,
            0x004 => (u64::from(self.config.spis) / 32) + ((u64::from(self.config.vcpus) - 1) << 5),
            0x008 => 0x0200_143b,
            0x080..0x100 => bits(0x080, &mut |n| bit(n, |irq| irq.group)),
            0x100..0x180 => bits(0x100, &mut |n| bit(n, |irq| irq.enabled)),
            0x180..0x200 => bits(0x180, &mut |n| bit(n, |irq| irq.enabled)),
            0x200..0x280 => bits(0x200, &mut |n| bit(n, |irq| irq.pending() || irq.in_list)),
            0x280..0x300 => bits(0x280, &mut |n| bit(n, |irq| irq.pending() || irq.in_list)),
            0x300..0x380 => bits(0x300, &mut |n| bit(n, |irq| irq.active)),
            0x380..0x400 => bits(0x380, &mut |n| bit(n, |irq| irq.active)),
            0x400..0x7fc => {
                self.bytes(offset - 0x400, size, |gic, n| gic.irq(vcpu, n).map_or(0, |irq| irq.priority))
            }
            0x800..0xbfc => self.bytes(offset - 0x800, size, |gic, n| match n {
                _ if one_vcpu => 0,
                0..32 => 1 << vcpu,
                _ => gic.irq(vcpu, n).map_or(0, |irq| irq.targets),
            }),
            0xc00..0xd00 => {
                (0..16).map(|i| bit((offset - 0xc00) * 4 + i, |irq| irq.edge) << (2 * i + 1)).sum()
            }
            0xf10..0xf30 => self.bytes(offset % 16, size, |gic, n| {
                let sources = gic.private[vcpu][n].sources;
                (0..8).map(|cpu| u8::from(sources[cpu]) << cpu).sum()
            }),
            0xfd0 => 0x04,
            0xfe0 => 0x90,
            0xfe4 => 0xb4,
            0xfe8 => 0x2b,
            0xff0 => 0x0d,
            0xff4 => 0xf0,
            0xff8 => 0x05,
            0xffc => 0xb1,
            _ => 0,
        }
    }

    fn bytes(&mut self, first: u64, size: u64, mut get: impl FnMut(&mut Self, usize) -> u8) -> u64 {
        (0..size).map(|i| u64::from(get(self, (first + i) as usize)) << (8 * i)).sum()
    }

    pub fn write(&mut self, vcpu: usize, offset: u64, width: Width, value: u64) {
        let size = u64::from(width.bytes());
        if !defined(offset, size) {
            return;
        }
        let own = [0x01u8, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80][vcpu];
        let present = ((1u16 << self.config.vcpus) - 1) as u8;
        match offset {
            0x000 => self.forward = [value & 1 != 0, value & 2 != 0],
            0x080..0x400 => {
                for i in 0..32 {
                    let number = ((offset % 0x80) * 8 + i) as usize;
                    let one = value & (1 << i) != 0;
                    let Some(irq) = self.irq(vcpu, number) else { continue };
                    let sgi = number < 16;
                    match offset & !0x7f {
                        0x080 => irq.group = one,
                        0x100 => irq.enabled |= one,
                        0x180 => irq.enabled &= !one || sgi,
                        0x200 => irq.latch |= one && !sgi,
                        0x280 => irq.latch &= !one || sgi,
                        0x300 => irq.active |= one,
                        _ => irq.active &= !one,
                    }
                }
            }
            0x400..0xbfc => {
                for i in 0..size {
                    let byte = (value >> (8 * i)) as u8;
                    let number = ((offset & 0x3ff) + i) as usize;
                    let one_vcpu = self.config.vcpus == 1;
                    let Some(irq) = self.irq(vcpu, number) else { continue };
                    if offset < 0x800 {
                        irq.priority = byte & !7;
                    } else if number >= 32 && !one_vcpu {
                        irq.targets = byte & present;
                    }
                }
            }
            0xc00..0xd00 => {
                for i in 0..16 {
                    let number = (offset - 0xc00) * 4 + i;
                    if number >= 16
                        && let Some(irq) = self.irq(vcpu, number as usize)
                    {
                        irq.edge = value & (2 << (2 * i)) != 0;
                    }
                }
            }
            0xf00 => {
                let list = match (value >> 24) & 3 {
                    0 => (value >> 16) as u8,
                    1 => !own,
                    2 => own,
                    _ => 0,
                };
                for target in 0..usize::from(self.config.vcpus) {
                    if list & (1 << target) != 0 {
                        self.private[target][(value & 15) as usize].sources[vcpu] = true;
                    }
                }
            }
            0xf10..0xf30 => {
                for i in 0..size {
                    let sgi = ((offset + i) % 16) as usize;
                    for source in 0..usize::from(self.config.vcpus) {
                        if value >> (8 * i) & (1 << source) != 0 {
                            self.private[vcpu][sgi].sources[source] = offset >= 0xf20;
                        }
                    }
                }
            }
            _ => {}
        }
    }
}

/// IHI 0048B.b, 4.1.4.
fn defined(offset: u64, size: u64) -> bool {
    let aligned = offset.is_multiple_of(size);
    match offset {
        0x400..0x7fc | 0x800..0xbfc | 0xf10..0xf30 => aligned && size <= 4,
        0x000..0x00c | 0x080..0x400 | 0xc00..0xd00 | 0xf00..0xf04 | 0xfd0..0x1000 => aligned && size == 4,
        _ => false,
    }
}
