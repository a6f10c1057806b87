// SPDX-License-Identifier: BSD-2-Clause
//! A pretended machine under the model: list registers with their hardware states, and a guest that acknowledges and
//! ends interrupts. It checks on every load what the model has promised never to do.

use crate::{InjectError, Injection, IntId, ListRegisters};

/// A list register as the hardware has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hardware {
    Invalid,
    Pending(Injection),
    Active(Injection),
    /// Ended by the guest; its maintenance event has not been taken.
    Ended(Injection),
}

/// All vCPUs' list registers, and what the model asked for.
#[derive(Debug)]
pub(super) struct Machine {
    pub registers: Vec<Vec<Hardware>>,
    pub injected: Vec<(usize, Injection)>,
    pub kicked: Vec<usize>,
    /// Answers to give instead of success, first to last.
    pub refusals: Vec<InjectError>,
}

impl Machine {
    pub fn new(vcpus: usize, list_registers: usize) -> Self {
        Self {
            registers: vec![vec![Hardware::Invalid; list_registers]; vcpus],
            injected: Vec::new(),
            kicked: Vec::new(),
            refusals: Vec::new(),
        }
    }

    /// What was injected since the last call: (vCPU, INTID).
    pub fn take_injected(&mut self) -> Vec<(usize, u16)> {
        self.injected.drain(..).map(|(vcpu, injection)| (vcpu, injection.irq.number())).collect()
    }

    /// The guest reads GICV_IAR: the pending entry of highest priority becomes active, unless something at least as
    /// urgent is running.
    pub fn acknowledge(&mut self, vcpu: usize) -> Option<IntId> {
        let running = self.registers[vcpu].iter().filter_map(|lr| match lr {
            Hardware::Active(injection) => Some(injection.priority),
            _ => None,
        });
        let running = running.min().unwrap_or(u8::MAX);
        let next = self.registers[vcpu]
            .iter_mut()
            .filter(|lr| matches!(lr, Hardware::Pending(injection) if injection.priority < running))
            .min_by_key(|lr| match lr {
                Hardware::Pending(injection) => (injection.priority, injection.irq),
                _ => unreachable!(),
            })?;
        let Hardware::Pending(injection) = *next else { unreachable!() };
        *next = Hardware::Active(injection);
        Some(injection.irq)
    }

    /// The guest writes GICV_EOIR for the most urgent active interrupt.
    pub fn end(&mut self, vcpu: usize) -> Option<IntId> {
        let active = self.registers[vcpu]
            .iter_mut()
            .filter(|lr| matches!(lr, Hardware::Active(_)))
            .min_by_key(|lr| match lr {
                Hardware::Active(injection) => (injection.priority, injection.irq),
                _ => unreachable!(),
            })?;
        let Hardware::Active(injection) = *active else { unreachable!() };
        *active = Hardware::Ended(injection);
        Some(injection.irq)
    }

    /// The kernel takes one maintenance event: the lowest list register that has ended.
    pub fn take_maintenance(&mut self, vcpu: usize) -> Option<usize> {
        let lr = self.registers[vcpu].iter().position(|lr| matches!(lr, Hardware::Ended(_)))?;
        self.registers[vcpu][lr] = Hardware::Invalid;
        Some(lr)
    }
}

impl ListRegisters for Machine {
    fn inject(&mut self, vcpu: usize, injection: Injection) -> Result<(), InjectError> {
        if !self.refusals.is_empty() {
            return Err(self.refusals.remove(0));
        }
        let lr = usize::from(injection.list_register);
        assert_eq!(
            self.registers[vcpu][lr],
            Hardware::Invalid,
            "list register reused before its maintenance event"
        );
        assert!(injection.priority < 32 && injection.group < 2);
        for (other, registers) in self.registers.iter().enumerate() {
            for held in registers {
                if let Hardware::Pending(held) | Hardware::Active(held) | Hardware::Ended(held) = held {
                    let same = held.irq == injection.irq && (other == vcpu || injection.irq.is_spi());
                    assert!(!same, "{:?} is in two list registers", injection.irq);
                }
            }
        }
        self.registers[vcpu][lr] = Hardware::Pending(injection);
        self.injected.push((vcpu, injection));
        Ok(())
    }

    fn withdraw(&mut self, vcpu: usize, list_register: u8) -> bool {
        let register = &mut self.registers[vcpu][usize::from(list_register)];
        let pending = matches!(register, Hardware::Pending(_));
        if pending {
            *register = Hardware::Invalid;
        }
        pending
    }

    fn kick(&mut self, vcpu: usize) {
        self.kicked.push(vcpu);
    }
}
