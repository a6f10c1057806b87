// SPDX-License-Identifier: BSD-2-Clause
//! The interrupt controller, of either version, against a guest that writes anything anywhere, on list registers that behave, or do not.

use crate::steps::Steps;
use vgic::{Config, InjectError, Injection, IntId, ListRegisters, SgiRegister, Version, Vgic, Width};

const LIST_REGISTERS: usize = 4;

/// List registers: which interrupt is in which.
struct Hardware {
    held: Vec<[Option<IntId>; LIST_REGISTERS]>,
}

impl ListRegisters for Hardware {
    fn inject(&mut self, vcpu: usize, injection: Injection) -> Result<(), InjectError> {
        let place = &mut self.held[vcpu][usize::from(injection.list_register)];
        assert_eq!(*place, None, "list register used twice");
        *place = Some(injection.irq);
        Ok(())
    }

    fn kick(&mut self, vcpu: usize) {
        assert!(vcpu < self.held.len());
    }
}

pub fn distributor(data: &[u8]) {
    let mut steps = Steps(data);
    let mut guest = Guest::new(Version::V2, steps.byte());
    while !steps.is_empty() {
        let vcpu = usize::from(steps.byte()) % guest.vcpus;
        let width = steps.pick(WIDTHS);
        let offset = u64::from(steps.half()) % 0x1008;
        match steps.byte() % 8 {
            0..=2 => guest.gic.mmio_write(vcpu, offset, width, steps.word().into(), &mut guest.hardware),
            3 => {
                guest.gic.mmio_read(vcpu, offset, width);
            }
            event => guest.event(event, vcpu, &mut steps),
        }
    }
}

pub fn gicv3(data: &[u8]) {
    let mut steps = Steps(data);
    let mut guest = Guest::new(Version::V3, steps.byte());
    while !steps.is_empty() {
        let vcpu = usize::from(steps.byte()) % guest.vcpus;
        let width = steps.pick(WIDTHS);
        // Which frame: the distributor, or one of two for each redistributor, and one behind.
        let frame = u64::from(steps.byte());
        let offset = u64::from(steps.half());
        let within = offset + 0x1_0000 * (frame / 2 % (2 * guest.vcpus as u64 + 1));
        let Guest { gic, hardware, .. } = &mut guest;
        match (steps.byte() % 9, frame % 2) {
            (0..=2, 0) => gic.mmio_write(vcpu, offset, width, steps.double(), hardware),
            (0..=2, _) => gic.redistributor_write(within, width, steps.double(), hardware),
            (3, 0) => {
                gic.mmio_read(vcpu, offset, width);
            }
            (3, _) => {
                gic.redistributor_read(within, width);
            }
            (8, _) => {
                let register =
                    if frame.is_multiple_of(2) { SgiRegister::Group1 } else { SgiRegister::Group0 };
                gic.send_sgi(vcpu, register, steps.double(), hardware);
            }
            (event, _) => guest.event(event, vcpu, &mut steps),
        }
    }
}

const WIDTHS: &[Width] = &[Width::Word, Width::Byte, Width::Half, Width::Double, Width::Word];

struct Guest {
    gic: Vgic,
    hardware: Hardware,
    vcpus: usize,
}

impl Guest {
    fn new(version: Version, vcpus: u8) -> Self {
        let vcpus = 1 + vcpus % 8;
        let config = Config { version, vcpus, list_registers: LIST_REGISTERS as u8, spis: 64 };
        Self {
            gic: Vgic::new(config).expect("a configuration that exists"),
            hardware: Hardware { held: vec![[None; LIST_REGISTERS]; vcpus.into()] },
            vcpus: vcpus.into(),
        }
    }

    /// What comes from elsewhere.
    fn event(&mut self, event: u8, vcpu: usize, steps: &mut Steps<'_>) {
        let Self { gic, hardware, .. } = self;
        match event {
            4 => {
                if let Some(irq) = IntId::new(steps.half() % 128) {
                    // Private ones and those that do not exist are refused.
                    let _ = gic.set_level(irq, steps.byte() & 1 != 0, hardware);
                    let _ = gic.pulse(irq, hardware);
                }
            }
            5 => {
                let _ = gic.pulse_ppi(vcpu, IntId::VTIMER, hardware);
            }
            // The guest ends an interrupt that it has.
            6 => {
                let register = usize::from(steps.byte()) % LIST_REGISTERS;
                if hardware.held[vcpu][register].take().is_some() {
                    let _ = gic.maintenance(vcpu, Some(register), hardware);
                }
            }
            _ => {
                let _ = gic.has_pending(vcpu);
                assert!(gic.held(vcpu).count() <= LIST_REGISTERS);
            }
        }
    }
}
