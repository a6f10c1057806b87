// SPDX-License-Identifier: BSD-2-Clause
//! Arbitrary histories: guest accesses of every kind, device lines, events, acknowledgements, ends and maintenance
//! events in any order. After every step the model must have loaded exactly the list registers that the reference
//! says, so that nothing is lost, delivered twice or out of order; [`Machine`] checks that none was reused early.

use super::machine::Machine;
use super::reference::Reference;
use crate::{Config, Error, IntId, SgiRegister, Version, Vgic, Width};
use proptest::collection::vec;
use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest,
};
use proptest::test_runner::TestCaseError;

const SPIS: u16 = 64;

/// Offsets from here on are those of redistributors.
const REDISTRIBUTORS: u64 = 0x10_0000;

#[derive(Clone, Debug)]
enum Step {
    Read(usize, u64, Width),
    Write(usize, u64, Width, u64),
    Send(usize, SgiRegister, u64),
    Level(u16, bool),
    Pulse(u16),
    PrivateLevel(usize, u16, bool),
    PrivatePulse(usize, u16),
    /// Acknowledge, and end at once or leave active.
    Take(usize, bool),
    End(usize),
    Maintenance(usize),
    BogusMaintenance(usize, Option<usize>),
}

/// Mostly registers with an effect on the interrupts that exist, sometimes anything at all.
fn offsets() -> impl Strategy<Value = u64> {
    let one_bit = (0u64..7, 0u64..4).prop_map(|(register, word)| 0x080 + register * 0x80 + word * 4);
    let byte_each = (prop_oneof![Just(0x400u64), Just(0x800)], 0u64..100).prop_map(|(base, n)| base + n);
    prop_oneof![
        6 => one_bit,
        4 => byte_each,
        1 => Just(0u64),
        2 => (0u64..8).prop_map(|n| 0xc00 + n * 4),
        4 => Just(0xf00u64),
        2 => 0xf10u64..0xf30,
        3 => (30u64..100, prop_oneof![Just(0u64), Just(4)]).prop_map(|(n, half)| 0x6000 + 8 * n + half),
        3 => (0u64..4, 0u64..0x20).prop_map(|(vcpu, n)| REDISTRIBUTORS + vcpu * 0x2_0000 + 4 * n),
        6 => (0u64..4, 0u64..7).prop_map(|(vcpu, n)| REDISTRIBUTORS + 0x1_0080 + vcpu * 0x2_0000 + 0x80 * n),
        2 => (0u64..4, 0u64..0x22).prop_map(|(vcpu, n)| REDISTRIBUTORS + 0x1_0400 + vcpu * 0x2_0000 + n),
        1 => (0u64..4, 0u64..0x2_0000).prop_map(|(vcpu, n)| REDISTRIBUTORS + vcpu * 0x2_0000 + n),
        1 => 0u64..0x1_0010,
        1 => 0u64..0x1010,
        1 => any::<u64>(),
    ]
}

fn widths() -> impl Strategy<Value = Width> {
    prop_oneof![1 => Just(Width::Byte), 1 => Just(Width::Half), 8 => Just(Width::Word), 1 => Just(Width::Double)]
}

fn values() -> impl Strategy<Value = u64> {
    prop_oneof![
        2 => any::<u64>(),
        2 => Just(u64::MAX),
        2 => (0u32..32).prop_map(|bit| 1 << bit),
        1 => (0u64..4, 0u64..256, 0u64..16).prop_map(|(filter, list, sgi)| filter << 24 | list << 16 | sgi),
        1 => 0u64..4,
    ]
}

/// Mostly to vCPUs that exist, sometimes anything at all.
fn sends() -> impl Strategy<Value = Step> {
    let register = prop_oneof![3 => Just(SgiRegister::Group1), 1 => Just(SgiRegister::Group0)];
    let named = (0u64..16, 0u64..16).prop_map(|(sgi, list)| sgi << 24 | list);
    let value = prop_oneof![
        6 => named.clone(),
        1 => named.clone().prop_map(|value| value | 1 << 40),
        1 => (named, 0u32..56).prop_map(|(value, bit)| value | 1 << bit),
        1 => any::<u64>(),
    ];
    (0usize..3, register, value).prop_map(|(v, register, value)| Step::Send(v, register, value))
}

fn versions() -> impl Strategy<Value = Version> {
    prop_oneof![Just(Version::V2), Just(Version::V3)]
}

fn steps() -> impl Strategy<Value = Step> {
    let vcpu = 0usize..3;
    prop_oneof![
        2 => (vcpu.clone(), offsets(), widths()).prop_map(|(v, o, w)| Step::Read(v, o, w)),
        6 => (vcpu.clone(), offsets(), widths(), values()).prop_map(|(v, o, w, x)| Step::Write(v, o, w, x)),
        3 => sends(),
        3 => (0..SPIS, any::<bool>()).prop_map(|(n, on)| Step::Level(n, on)),
        3 => (0..SPIS).prop_map(Step::Pulse),
        1 => (vcpu.clone(), 16u16..32, any::<bool>()).prop_map(|(v, n, on)| Step::PrivateLevel(v, n, on)),
        1 => (vcpu.clone(), 16u16..32).prop_map(|(v, n)| Step::PrivatePulse(v, n)),
        4 => (vcpu.clone(), any::<bool>()).prop_map(|(v, end)| Step::Take(v, end)),
        2 => vcpu.clone().prop_map(Step::End),
        4 => vcpu.clone().prop_map(Step::Maintenance),
        1 => (vcpu, prop::option::of(0usize..20)).prop_map(|(v, lr)| Step::BogusMaintenance(v, lr)),
    ]
}

fn read(gic: &mut Vgic, vcpu: usize, offset: u64, width: Width) -> u64 {
    match offset.checked_sub(REDISTRIBUTORS) {
        Some(offset) => gic.redistributor_read(offset, width),
        None => gic.mmio_read(vcpu, offset, width),
    }
}

fn write(
    gic: &mut Vgic,
    vcpu: usize,
    offset: u64,
    width: Width,
    value: u64,
    out: &mut impl crate::ListRegisters,
) {
    match offset.checked_sub(REDISTRIBUTORS) {
        Some(offset) => gic.redistributor_write(offset, width, value, out),
        None => gic.mmio_write(vcpu, offset, width, value, out),
    }
}

struct Pair {
    gic: Vgic,
    reference: Reference,
    machine: Machine,
    vcpus: usize,
}

impl Pair {
    fn new(version: Version, vcpus: u8, list_registers: u8, switched_on: bool) -> Self {
        let config = Config { version, vcpus, list_registers, spis: SPIS };
        let mut pair = Self {
            gic: Vgic::new(config).unwrap(),
            reference: Reference::new(config),
            machine: Machine::new(vcpus.into(), list_registers.into()),
            vcpus: vcpus.into(),
        };
        if switched_on {
            pair.switch_everything_on();
        }
        pair
    }

    /// Both groups forwarded, everything enabled, nothing marked active; shared interrupts go round the vCPUs.
    fn switch_everything_on(&mut self) {
        self.write(0, 0, Width::Word, 3);
        let v3 = self.gic.config().version == Version::V3;
        for vcpu in 0..self.vcpus {
            let private = if v3 { REDISTRIBUTORS + 0x1_0000 + 0x2_0000 * vcpu as u64 } else { 0 };
            self.write(vcpu, private + 0x380, Width::Word, u64::MAX);
            self.write(vcpu, private + 0x100, Width::Word, u64::MAX);
        }
        for word in 1..=u64::from(SPIS / 32) {
            self.write(0, 0x380 + 4 * word, Width::Word, u64::MAX);
            self.write(0, 0x100 + 4 * word, Width::Word, u64::MAX);
        }
        for n in 32..u64::from(SPIS) + 32 {
            let vcpu = n as usize % self.vcpus;
            if v3 {
                self.write(0, 0x6000 + 8 * n, Width::Double, vcpu as u64);
            } else {
                self.write(0, 0x800 + n, Width::Byte, 1 << vcpu);
            }
        }
    }

    fn write(&mut self, vcpu: usize, offset: u64, width: Width, value: u64) {
        write(&mut self.gic, vcpu, offset, width, value, &mut self.machine);
        self.reference.write_any(vcpu, offset, width, value);
        self.same_deliveries().unwrap();
    }

    /// The model has loaded what the reference loads, and agrees on who has to run.
    fn same_deliveries(&mut self) -> Result<(), TestCaseError> {
        let expected = self.reference.deliver();
        let done: Vec<_> = self
            .machine
            .injected
            .drain(..)
            .map(|(vcpu, i)| (vcpu, i.irq.number(), i.priority, i.group, i.source))
            .collect();
        prop_assert_eq!(&done, &expected);
        let mut kicked: Vec<_> = done.iter().map(|(vcpu, ..)| *vcpu).collect();
        kicked.dedup();
        prop_assert_eq!(core::mem::take(&mut self.machine.kicked), kicked);
        for vcpu in 0..self.vcpus {
            prop_assert_eq!(self.gic.has_pending(vcpu), self.reference.waiting(vcpu));
        }
        Ok(())
    }

    fn maintain(&mut self, vcpu: usize) -> Result<(), TestCaseError> {
        if let Some(lr) = self.machine.take_maintenance(vcpu) {
            let ended = self.gic.maintenance(vcpu, Some(lr), &mut self.machine).unwrap().unwrap();
            prop_assert_eq!(Some(ended.irq.number()), self.reference.maintenance(vcpu, lr));
        }
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let (gic, machine, reference) = (&mut self.gic, &mut self.machine, &mut self.reference);
        let vcpu = |v: &usize| v % self.vcpus;
        match step {
            Step::Read(v, offset, width) => {
                let value = read(gic, vcpu(v), *offset, *width);
                prop_assert_eq!(value, reference.read_any(vcpu(v), *offset, *width), "{:#x}", offset);
            }
            Step::Write(v, offset, width, value) => {
                write(gic, vcpu(v), *offset, *width, *value, machine);
                reference.write_any(vcpu(v), *offset, *width, *value);
            }
            Step::Send(v, register, value) => {
                gic.send_sgi(vcpu(v), *register, *value, machine);
                reference.send(vcpu(v), *register, *value);
            }
            Step::Level(n, asserted) => {
                let irq = IntId::spi(*n).unwrap();
                gic.set_level(irq, *asserted, machine).unwrap();
                reference.set_level(0, irq, *asserted);
            }
            Step::Pulse(n) => {
                let irq = IntId::spi(*n).unwrap();
                gic.pulse(irq, machine).unwrap();
                reference.pulse(0, irq);
            }
            Step::PrivateLevel(v, n, asserted) => {
                let irq = IntId::new(*n).unwrap();
                gic.set_ppi(vcpu(v), irq, *asserted, machine).unwrap();
                reference.set_level(vcpu(v), irq, *asserted);
            }
            Step::PrivatePulse(v, n) => {
                let irq = IntId::new(*n).unwrap();
                gic.pulse_ppi(vcpu(v), irq, machine).unwrap();
                reference.event(vcpu(v), irq);
            }
            Step::Take(v, end) => {
                if machine.acknowledge(vcpu(v)).is_some() && *end {
                    machine.end(vcpu(v));
                }
            }
            Step::End(v) => {
                machine.end(vcpu(v));
            }
            Step::Maintenance(v) => {
                let vcpu = vcpu(v);
                self.maintain(vcpu)?;
            }
            Step::BogusMaintenance(v, lr) => {
                // Only such as the kernel can send: no list register, or one that holds nothing.
                let used = lr.is_some_and(|lr| {
                    machine.registers[vcpu(v)]
                        .get(lr)
                        .is_some_and(|lr| *lr != super::machine::Hardware::Invalid)
                });
                if !used {
                    prop_assert_eq!(gic.maintenance(vcpu(v), *lr, machine), Err(Error::SpuriousMaintenance));
                }
            }
        }
        self.same_deliveries()
    }

    /// A guest that enables everything and handles interrupts until none is left.
    fn drain(&mut self) -> Result<usize, TestCaseError> {
        self.switch_everything_on();
        for n in 0..SPIS {
            self.step(&Step::Level(n, false))?;
        }
        for vcpu in 0..self.vcpus {
            for n in 16..32 {
                self.step(&Step::PrivateLevel(vcpu, n, false))?;
            }
        }
        let mut handled = 0;
        for turn in 0.. {
            let vcpu = turn % self.vcpus;
            if (0..self.vcpus).all(|vcpu| !self.gic.has_pending(vcpu)) {
                break;
            }
            handled += usize::from(self.machine.acknowledge(vcpu).is_some());
            self.machine.end(vcpu);
            self.step(&Step::Maintenance(vcpu))?;
            prop_assert!(turn < 10_000, "interrupts that never end");
        }
        Ok(handled)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_delivers_what_the_reference_delivers(
        version in versions(),
        vcpus in 1u8..4,
        list_registers in 1u8..5,
        switched_on in prop::bool::weighted(0.8),
        history in vec(steps(), 0..250),
    ) {
        let mut pair = Pair::new(version, vcpus, list_registers, switched_on);
        for step in &history {
            pair.step(step)?;
        }
        pair.drain()?;
        for vcpu in 0..pair.vcpus {
            prop_assert!(pair.reference.deliverable(vcpu).is_empty());
        }
    }

    #[test]
    fn every_edge_is_followed_by_a_delivery(
        version in versions(),
        list_registers in 1u8..4,
        edges in vec((0u16..SPIS, any::<bool>()), 1..100),
    ) {
        let mut pair = Pair::new(version, 2, list_registers, true);
        let mut delivered = [0u32; SPIS as usize];
        let mut raised = [0u32; SPIS as usize];
        let mut owed = [false; SPIS as usize];
        for (n, handle) in &edges {
            pair.step(&Step::Pulse(*n))?;
            raised[usize::from(*n)] += 1;
            owed[usize::from(*n)] = true;
            for vcpu in 0..2 {
                if *handle && let Some(irq) = pair.machine.acknowledge(vcpu) {
                    let n = usize::from(irq.number()) - 32;
                    (delivered[n], owed[n]) = (delivered[n] + 1, false);
                    pair.machine.end(vcpu);
                    pair.step(&Step::Maintenance(vcpu))?;
                }
            }
        }
        while let Some(vcpu) = (0..2).find(|vcpu| pair.gic.has_pending(*vcpu)) {
            let n = usize::from(pair.machine.acknowledge(vcpu).unwrap().number()) - 32;
            (delivered[n], owed[n]) = (delivered[n] + 1, false);
            pair.machine.end(vcpu);
            pair.step(&Step::Maintenance(vcpu))?;
        }
        for n in 0..usize::from(SPIS) {
            prop_assert!(!owed[n], "an edge of {} got no delivery after it", n);
            prop_assert!(delivered[n] <= raised[n], "{} was delivered more often than raised", n);
        }
    }

    #[test]
    fn no_saved_state_however_wrong_makes_it_panic(
        version in versions(),
        flips in vec((any::<prop::sample::Index>(), any::<u8>()), 1..60),
        history in vec(steps(), 0..40),
    ) {
        let mut bytes = postcard::to_allocvec(&Pair::new(version, 3, 4, true).gic).unwrap();
        for (index, value) in &flips {
            let index = index.index(bytes.len());
            bytes[index] = *value;
        }
        if let Ok(mut gic) = postcard::from_bytes::<Vgic>(&bytes) {
            for step in &history {
                match *step {
                    Step::Read(v, offset, width) => { read(&mut gic, v, offset, width); }
                    Step::Write(v, offset, width, x) => write(&mut gic, v, offset, width, x, &mut Anything),
                    Step::Send(v, register, x) => gic.send_sgi(v, register, x, &mut Anything),
                    Step::Level(n, on) => { let _ = gic.set_level(IntId::spi(n).unwrap(), on, &mut Anything); }
                    Step::Pulse(n) => { let _ = gic.pulse(IntId::spi(n).unwrap(), &mut Anything); }
                    Step::BogusMaintenance(v, lr) => { let _ = gic.maintenance(v, lr, &mut Anything); }
                    _ => { gic.has_pending(0); }
                }
            }
            gic.reset();
        }
    }
}

/// A kernel that takes everything.
struct Anything;

impl crate::ListRegisters for Anything {
    fn inject(&mut self, _: usize, _: crate::Injection) -> Result<(), crate::InjectError> {
        Ok(())
    }

    fn kick(&mut self, _: usize) {}
}
