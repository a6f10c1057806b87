// SPDX-License-Identifier: BSD-2-Clause
//! The interrupt controller against a guest that writes anything anywhere, on list registers that behave, or do not.

use crate::steps::Steps;
use vgic::{Config, InjectError, Injection, IntId, ListRegisters, Vgic, Width};

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
    let vcpus = 1 + usize::from(steps.byte() % 8);
    let config = Config { vcpus: vcpus as u8, list_registers: LIST_REGISTERS as u8, spis: 64 };
    let mut gic = Vgic::new(config).expect("a configuration that exists");
    let mut hardware = Hardware { held: vec![[None; LIST_REGISTERS]; vcpus] };
    while !steps.is_empty() {
        let vcpu = usize::from(steps.byte()) % vcpus;
        let width = steps.pick(&[Width::Word, Width::Byte, Width::Half, Width::Double, Width::Word]);
        let offset = u64::from(steps.half()) % 0x1008;
        match steps.byte() % 8 {
            0..=2 => gic.mmio_write(vcpu, offset, width, steps.word().into(), &mut hardware),
            3 => {
                gic.mmio_read(vcpu, offset, width);
            }
            4 => {
                if let Some(irq) = IntId::new(steps.half() % 128) {
                    // Private ones and those that do not exist are refused.
                    let _ = gic.set_level(irq, steps.byte() & 1 != 0, &mut hardware);
                    let _ = gic.pulse(irq, &mut hardware);
                }
            }
            5 => {
                let _ = gic.pulse_ppi(vcpu, IntId::VTIMER, &mut hardware);
            }
            // The guest ends an interrupt that it has.
            6 => {
                let register = usize::from(steps.byte()) % LIST_REGISTERS;
                if hardware.held[vcpu][register].take().is_some() {
                    let _ = gic.maintenance(vcpu, Some(register), &mut hardware);
                }
            }
            _ => {
                let _ = gic.has_pending(vcpu);
                assert!(gic.held(vcpu).count() <= LIST_REGISTERS);
            }
        }
    }
}
