// SPDX-License-Identifier: BSD-2-Clause
//! What a guest and its devices can rely on, one behaviour a test.

use super::machine::Machine;
use crate::{Config, Ended, Error, InjectError, IntId, Version, Vgic, Width};

const CTLR: u64 = 0x000;
const IGROUPR: u64 = 0x080;
const ISENABLER: u64 = 0x100;
const ICENABLER: u64 = 0x180;
const ISPENDR: u64 = 0x200;
const ICPENDR: u64 = 0x280;
const ISACTIVER: u64 = 0x300;
const ICACTIVER: u64 = 0x380;
const IPRIORITYR: u64 = 0x400;
const ITARGETSR: u64 = 0x800;
const ICFGR: u64 = 0xc00;
const SGIR: u64 = 0xf00;
const CPENDSGIR: u64 = 0xf10;
const SPENDSGIR: u64 = 0xf20;

/// SPI 0 to 2, INTID 32 to 34.
const A: IntId = IntId::spi(0).unwrap();
const B: IntId = IntId::spi(1).unwrap();
const C: IntId = IntId::spi(2).unwrap();

struct Guest {
    gic: Vgic,
    machine: Machine,
}

impl Guest {
    /// 64 SPIs, all enabled, level sensitive, priority 0xa0, for vCPU 0; the distributor is on.
    fn new(vcpus: u8, list_registers: u8) -> Self {
        let gic = Vgic::new(Config { version: Version::V2, vcpus, list_registers, spis: 64 }).unwrap();
        let mut guest = Self { gic, machine: Machine::new(vcpus.into(), list_registers.into()) };
        for n in 0..64 {
            guest.write_byte(0, IPRIORITYR + 32 + n, 0xa0);
            guest.write_byte(0, ITARGETSR + 32 + n, 1);
        }
        guest.write(0, ISENABLER + 4, u32::MAX);
        guest.write(0, ISENABLER + 8, u32::MAX);
        guest.write(0, CTLR, 1);
        guest
    }

    fn write(&mut self, vcpu: usize, offset: u64, value: u32) {
        self.gic.mmio_write(vcpu, offset, Width::Word, value.into(), &mut self.machine);
    }

    fn write_byte(&mut self, vcpu: usize, offset: u64, value: u8) {
        self.gic.mmio_write(vcpu, offset, Width::Byte, value.into(), &mut self.machine);
    }

    fn read(&mut self, vcpu: usize, offset: u64) -> u32 {
        self.gic.mmio_read(vcpu, offset, Width::Word) as u32
    }

    fn level(&mut self, irq: IntId, asserted: bool) {
        self.gic.set_level(irq, asserted, &mut self.machine).unwrap();
    }

    fn pulse(&mut self, irq: IntId) {
        self.gic.pulse(irq, &mut self.machine).unwrap();
    }

    /// The guest takes and ends one interrupt; the model hears of it.
    fn handle(&mut self, vcpu: usize) -> Option<u16> {
        let irq = self.machine.acknowledge(vcpu)?;
        self.machine.end(vcpu);
        self.maintain(vcpu);
        Some(irq.number())
    }

    fn maintain(&mut self, vcpu: usize) -> Option<Ended> {
        let lr = self.machine.take_maintenance(vcpu);
        self.gic.maintenance(vcpu, lr, &mut self.machine).unwrap()
    }

    fn handle_all(&mut self, vcpu: usize) -> Vec<u16> {
        std::iter::from_fn(|| self.handle(vcpu)).take(1000).collect()
    }
}

#[test]
fn an_interrupt_is_injected_once_and_kicks_its_vcpu_once() {
    let mut guest = Guest::new(1, 4);
    guest.pulse(A);
    assert_eq!(guest.machine.kicked, [0]);
    assert_eq!(guest.machine.injected[0].1.priority, 0xa0 >> 3);
    assert_eq!(guest.handle_all(0), [32]);
    assert_eq!(guest.machine.kicked, [0]);
}

#[test]
fn an_edge_while_disabled_is_delivered_when_enabled() {
    let mut guest = Guest::new(1, 4);
    guest.write(0, ICENABLER + 4, 1);
    guest.pulse(A);
    assert_eq!(guest.machine.take_injected(), []);
    assert_eq!(guest.read(0, ISPENDR + 4), 1);
    guest.write(0, ISENABLER + 4, 1);
    assert_eq!(guest.handle_all(0), [32]);
}

#[test]
fn a_switched_off_distributor_keeps_interrupts_pending() {
    let mut guest = Guest::new(2, 4);
    guest.write(0, CTLR, 0);
    guest.pulse(A);
    guest.write(0, SGIR, 0x0002_0003);
    assert_eq!(guest.machine.take_injected(), []);
    guest.write(1, CTLR, 1);
    assert_eq!(guest.machine.take_injected(), [(0, 32), (1, 3)]);
}

#[test]
fn groups_are_forwarded_as_the_control_register_says() {
    let mut guest = Guest::new(1, 4);
    guest.write(0, IGROUPR + 4, 0b10);
    guest.pulse(A);
    guest.pulse(B);
    assert_eq!(guest.machine.take_injected(), [(0, 32)]);
    guest.write(0, CTLR, 2);
    assert_eq!(guest.machine.injected[0].1.group, 1);
    guest.pulse(C);
    assert_eq!(guest.machine.take_injected(), [(0, 33)]);
}

#[test]
fn a_level_that_is_still_asserted_after_the_end_is_injected_again() {
    let mut guest = Guest::new(1, 4);
    guest.level(A, true);
    assert_eq!((guest.handle(0), guest.handle(0)), (Some(32), Some(32)));
    guest.machine.acknowledge(0);
    guest.level(A, false);
    guest.machine.end(0);
    guest.maintain(0);
    assert_eq!(guest.handle(0), None);
}

#[test]
fn a_level_that_drops_while_disabled_is_forgotten() {
    let mut guest = Guest::new(1, 4);
    guest.write(0, ICENABLER + 4, 1);
    guest.level(A, true);
    assert_eq!(guest.read(0, ISPENDR + 4), 1);
    guest.level(A, false);
    assert_eq!(guest.read(0, ISPENDR + 4), 0);
    guest.write(0, ISENABLER + 4, 1);
    assert_eq!(guest.handle(0), None);
}

#[test]
fn an_edge_triggered_line_counts_rising_edges_only() {
    let mut guest = Guest::new(1, 4);
    guest.write(0, ICFGR + 8, 0b10);
    guest.level(A, true);
    guest.level(A, true);
    assert_eq!(guest.handle_all(0), [32]);
    guest.level(A, false);
    assert_eq!(guest.handle(0), None);
    guest.level(A, true);
    assert_eq!(guest.handle_all(0), [32]);
}

#[test]
fn an_edge_during_handling_is_delivered_afterwards() {
    let mut guest = Guest::new(1, 4);
    guest.pulse(A);
    guest.machine.acknowledge(0);
    guest.pulse(A);
    guest.pulse(A);
    guest.machine.end(0);
    guest.maintain(0);
    assert_eq!(guest.handle_all(0), [32]);
}

#[test]
fn with_full_list_registers_the_rest_waits_and_all_arrive() {
    let mut guest = Guest::new(1, 2);
    for n in 0..40 {
        guest.pulse(IntId::spi(n).unwrap());
    }
    assert_eq!(guest.machine.injected.len(), 1);
    let handled = guest.handle_all(0);
    assert_eq!(handled, (32..72).collect::<Vec<_>>());
}

#[test]
fn what_waits_leaves_by_priority_then_by_number() {
    let mut guest = Guest::new(1, 1);
    guest.pulse(A);
    for (n, priority) in [(10, 0x80), (11, 0x10), (12, 0xf0), (13, 0x10)] {
        guest.write_byte(0, IPRIORITYR + 32 + n, priority);
        guest.pulse(IntId::spi(n as u16).unwrap());
    }
    assert_eq!(guest.handle_all(0), [32, 43, 45, 42, 44]);
}

#[test]
fn a_more_urgent_interrupt_waits_for_a_maintenance_event() {
    let mut guest = Guest::new(1, 1);
    guest.pulse(B);
    guest.write_byte(0, IPRIORITYR + 32, 0);
    guest.pulse(A);
    assert_eq!(guest.machine.take_injected(), [(0, 33)]);
    guest.machine.acknowledge(0);
    guest.machine.end(0);
    assert_eq!(guest.machine.take_injected(), []);
    assert_eq!(guest.maintain(0), Some(Ended { irq: B }));
    assert_eq!(guest.machine.take_injected(), [(0, 32)]);
}

#[test]
fn the_last_list_register_is_kept_for_something_more_urgent() {
    let mut guest = Guest::new(1, 3);
    for irq in [A, B, C] {
        guest.pulse(irq);
    }
    assert_eq!(guest.machine.take_injected(), [(0, 32), (0, 33)]);
    guest.write_byte(0, IPRIORITYR + 40, 0x98);
    guest.pulse(IntId::spi(8).unwrap());
    assert_eq!(guest.machine.take_injected(), [(0, 40)]);
    guest.write_byte(0, IPRIORITYR + 41, 0);
    guest.pulse(IntId::spi(9).unwrap());
    assert_eq!(guest.machine.take_injected(), [], "now all are taken");
    assert_eq!(guest.handle_all(0), [40, 41, 32, 33, 34]);
}

#[test]
fn an_interrupt_of_the_lowest_priority_is_never_signalled() {
    let mut guest = Guest::new(1, 4);
    guest.write_byte(0, IPRIORITYR + 32, 0xff);
    guest.pulse(A);
    assert_eq!(guest.machine.take_injected(), []);
    assert!(!guest.gic.has_pending(0));
    guest.write_byte(0, IPRIORITYR + 32, 0xf0);
    assert_eq!(guest.handle_all(0), [32]);
}

#[test]
fn what_the_guest_has_not_taken_can_be_withdrawn() {
    let mut guest = Guest::new(1, 4);
    guest.pulse(A);
    guest.machine.acknowledge(0);
    guest.pulse(B);
    assert_eq!(guest.gic.withdraw(0, 0, &mut guest.machine), None, "the guest is handling it");
    assert_eq!(guest.gic.withdraw(0, 1, &mut guest.machine), Some(Ended { irq: B }));
    assert_eq!(guest.gic.withdraw(0, 1, &mut guest.machine), None, "nothing is in it any more");
    assert_eq!(guest.gic.withdraw(0, 99, &mut guest.machine), None);
    assert_eq!(guest.gic.held(0).collect::<Vec<_>>(), [A]);
    guest.machine.take_injected();
    guest.pulse(B);
    assert_eq!(guest.machine.take_injected(), [(0, 33)], "its list register is free");
}

#[test]
fn an_unknown_or_wrong_maintenance_event_frees_nothing() {
    let mut guest = Guest::new(1, 1);
    guest.pulse(A);
    guest.pulse(B);
    for lr in [None, Some(1), Some(15), Some(16), Some(usize::MAX)] {
        let result = guest.gic.maintenance(0, lr, &mut guest.machine);
        assert_eq!(result, Err(Error::SpuriousMaintenance));
    }
    assert_eq!(guest.gic.maintenance(1, Some(0), &mut guest.machine), Err(Error::NoSuchVcpu(1)));
    assert_eq!(guest.machine.take_injected(), [(0, 32)]);
    assert_eq!(guest.handle_all(0), [32, 33]);
}

#[test]
fn clearing_pending_before_delivery_cancels_it_but_not_a_level() {
    let mut guest = Guest::new(1, 4);
    guest.write(0, CTLR, 0);
    guest.pulse(A);
    guest.level(B, true);
    guest.write(0, ICPENDR + 4, 0b11);
    assert_eq!(guest.read(0, ICPENDR + 4), 0b10);
    guest.write(0, CTLR, 1);
    assert_eq!(guest.machine.take_injected(), [(0, 33)]);
}

#[test]
fn software_can_pend_an_interrupt() {
    let mut guest = Guest::new(1, 4);
    guest.write(0, ISPENDR + 4, 1);
    assert_eq!(guest.handle_all(0), [32]);
    assert_eq!(guest.read(0, ISPENDR + 4), 0);
}

#[test]
fn an_interrupt_in_a_list_register_reads_as_pending_and_not_active() {
    let mut guest = Guest::new(1, 4);
    guest.pulse(A);
    guest.machine.acknowledge(0);
    assert_eq!((guest.read(0, ISPENDR + 4), guest.read(0, ISACTIVER + 4)), (1, 0));
}

#[test]
fn an_interrupt_marked_active_is_held_until_the_mark_is_cleared() {
    let mut guest = Guest::new(1, 4);
    guest.write(0, ISACTIVER + 4, 1);
    guest.pulse(A);
    assert_eq!(guest.machine.take_injected(), []);
    assert_eq!(guest.read(0, ICACTIVER + 4), 1);
    guest.write(0, ICACTIVER + 4, 1);
    assert_eq!(guest.machine.take_injected(), [(0, 32)]);
}

#[test]
fn sgi_filters_choose_the_targets() {
    // (register value without the number, written by vCPU 1, receivers among 0..3)
    let cases: [(u32, &[usize]); 7] = [
        (0x0001_0000, &[0]),
        (0x0006_0000, &[1, 2]),
        (0x00f8_0000, &[]),
        (0x01ff_0000, &[0, 2]),
        (0x0200_0000, &[1]),
        (0x03ff_0000, &[]),
        (0x0000_0000, &[]),
    ];
    for (value, receivers) in cases {
        let mut guest = Guest::new(3, 4);
        guest.write(1, SGIR, value | 5);
        let expected: Vec<_> = receivers.iter().map(|vcpu| (*vcpu, 5)).collect();
        assert!(guest.machine.injected.iter().all(|(_, injection)| injection.source == 1));
        assert_eq!(guest.machine.take_injected(), expected, "{value:#x}");
        assert_eq!(guest.machine.kicked, receivers);
    }
}

#[test]
fn an_sgi_from_two_vcpus_is_delivered_once_for_each() {
    let mut guest = Guest::new(3, 4);
    guest.write(2, SGIR, 0x0001_0007);
    guest.write(1, SGIR, 0x0001_0007);
    guest.write(1, SGIR, 0x0001_0007);
    assert_eq!(guest.handle_all(0), [7, 7]);
    let sources: Vec<_> = guest.machine.injected.iter().map(|(_, injection)| injection.source).collect();
    assert_eq!(sources, [2, 1]);
}

#[test]
fn pending_sgi_registers_set_and_clear_sources() {
    let mut guest = Guest::new(3, 1);
    guest.pulse(A);
    guest.write_byte(0, SPENDSGIR + 9, 0xff);
    assert_eq!(guest.read(0, CPENDSGIR + 8), 0x0000_0700);
    assert_eq!(guest.read(0, ISPENDR) & 0xffff, 1 << 9);
    guest.write_byte(0, CPENDSGIR + 9, 0b101);
    assert_eq!(guest.handle_all(0), [32, 9]);
    assert_eq!(guest.machine.injected[1].1.source, 1);
    guest.write(0, SPENDSGIR, 0);
    guest.write(0, ISPENDR, 0xffff);
    assert_eq!(guest.handle(0), None, "SGIs are not pended by GICD_ISPENDR");
}

#[test]
fn a_pending_interrupt_follows_its_new_target() {
    let mut guest = Guest::new(2, 1);
    guest.pulse(A);
    guest.pulse(B);
    guest.write_byte(0, ITARGETSR + 33, 0b10);
    assert_eq!(guest.machine.take_injected(), [(0, 32), (1, 33)]);
}

#[test]
fn an_interrupt_in_a_list_register_is_not_given_to_its_new_target_before_it_ends() {
    let mut guest = Guest::new(2, 4);
    guest.level(A, true);
    guest.write_byte(0, ITARGETSR + 32, 0b10);
    assert_eq!(guest.machine.take_injected(), [(0, 32)]);
    assert_eq!(guest.handle(0), Some(32));
    assert_eq!(guest.machine.take_injected(), [(1, 32)]);
}

#[test]
fn an_interrupt_for_several_vcpus_goes_to_one() {
    let mut guest = Guest::new(4, 4);
    guest.write_byte(0, ITARGETSR + 32, 0b1100);
    guest.pulse(A);
    assert_eq!(guest.machine.take_injected(), [(2, 32)]);
}

#[test]
fn an_interrupt_without_target_waits() {
    let mut guest = Guest::new(2, 4);
    guest.write_byte(0, ITARGETSR + 32, 0xfc);
    guest.pulse(A);
    assert_eq!(guest.machine.take_injected(), []);
    guest.write_byte(1, ITARGETSR + 32, 0b10);
    assert_eq!(guest.machine.take_injected(), [(1, 32)]);
}

#[test]
fn a_single_vcpu_gets_everything_and_reads_no_targets() {
    let mut guest = Guest::new(1, 4);
    guest.write_byte(0, ITARGETSR + 32, 0);
    assert_eq!((guest.read(0, ITARGETSR), guest.read(0, ITARGETSR + 32)), (0, 0));
    guest.pulse(A);
    guest.write(0, SGIR, 0x0001_0002);
    assert_eq!(guest.machine.take_injected(), [(0, 32), (0, 2)]);
}

#[test]
fn a_timer_event_is_delivered_once_and_its_end_is_reported() {
    let mut guest = Guest::new(2, 4);
    guest.gic.pulse_ppi(1, IntId::VTIMER, &mut guest.machine).unwrap();
    assert!(!guest.gic.has_pending(1), "not enabled yet");
    guest.write(1, ISENABLER, 1 << 27);
    assert_eq!(guest.machine.take_injected(), [(1, 27)]);
    guest.machine.acknowledge(1);
    guest.machine.end(1);
    assert_eq!(guest.maintain(1), Some(Ended { irq: IntId::VTIMER }));
    assert_eq!(guest.handle(1), None);
}

#[test]
fn a_timer_event_cannot_be_cleared_by_the_guest() {
    // Otherwise its end would never come, and the kernel would keep the timer masked for ever.
    let mut guest = Guest::new(1, 4);
    for edge in [0, 0x00c0_0000] {
        guest.write(0, ICFGR + 4, edge);
        guest.write(0, ICENABLER, 1 << 27);
        guest.gic.pulse_ppi(0, IntId::VTIMER, &mut guest.machine).unwrap();
        guest.write(0, ICPENDR, u32::MAX);
        assert_eq!(guest.read(0, ISPENDR), 1 << 27);
        guest.write(0, ISENABLER, 1 << 27);
        assert_eq!(guest.handle_all(0), [27]);
    }
}

#[test]
fn a_private_line_reaches_its_vcpu_only() {
    let mut guest = Guest::new(2, 4);
    let ppi = IntId::new(29).unwrap();
    guest.write(0, ISENABLER, u32::MAX);
    guest.write(1, ISENABLER, u32::MAX);
    guest.gic.set_ppi(1, ppi, true, &mut guest.machine).unwrap();
    assert_eq!(guest.machine.take_injected(), [(1, 29)]);
    guest.gic.set_ppi(1, ppi, false, &mut guest.machine).unwrap();
    assert_eq!(guest.handle_all(1), [29]);
}

#[test]
fn a_waiting_vcpu_has_to_run_exactly_while_something_may_be_pending() {
    let mut guest = Guest::new(2, 1);
    assert!(!guest.gic.has_pending(0));
    guest.write(0, ICENABLER + 4, 1);
    guest.pulse(A);
    assert!(!guest.gic.has_pending(0), "disabled");
    guest.write(0, ISENABLER + 4, 1);
    assert!(guest.gic.has_pending(0) && !guest.gic.has_pending(1));
    guest.pulse(B);
    assert!(guest.handle(0).is_some());
    assert!(guest.gic.has_pending(0), "the second one");
    assert!(guest.handle(0).is_some());
    assert!(!guest.gic.has_pending(0));
    assert!(!guest.gic.has_pending(99));
}

#[test]
fn a_busy_list_register_is_left_alone_until_its_maintenance_event() {
    let mut guest = Guest::new(1, 3);
    guest.machine.refusals = vec![InjectError::Busy];
    guest.pulse(A);
    guest.pulse(B);
    assert_eq!(guest.machine.injected.iter().map(|(_, i)| i.list_register).collect::<Vec<_>>(), [1]);
    assert_eq!(guest.gic.maintenance(0, Some(0), &mut guest.machine), Ok(None));
    assert_eq!(guest.machine.take_injected(), [(0, 32), (0, 33)]);
}

#[test]
fn a_list_register_that_the_machine_lacks_is_not_tried_again() {
    let mut guest = Guest::new(1, 4);
    guest.machine.refusals = vec![InjectError::Absent; 3];
    for irq in [A, B, C] {
        guest.pulse(irq);
    }
    assert_eq!(guest.handle_all(0), [32, 33, 34]);
    assert!(guest.machine.injected.iter().all(|(_, injection)| injection.list_register == 3));
}

#[test]
fn a_refused_interrupt_stays_pending_and_goes_with_the_next_event() {
    let mut guest = Guest::new(1, 4);
    guest.machine.refusals = vec![InjectError::Refused];
    guest.pulse(A);
    assert_eq!(guest.machine.kicked, []);
    assert!(guest.gic.has_pending(0));
    guest.pulse(B);
    assert_eq!(guest.machine.take_injected(), [(0, 32), (0, 33)]);
}

#[test]
fn reset_keeps_lines_events_and_list_registers_and_forgets_the_rest() {
    let mut guest = Guest::new(2, 1);
    guest.level(A, true);
    guest.pulse(B);
    guest.write(1, SGIR, 0x0001_0004);
    guest.gic.pulse_ppi(1, IntId::VTIMER, &mut guest.machine).unwrap();
    guest.gic.reset();
    assert_eq!(guest.gic.held(0).collect::<Vec<_>>(), [A]);
    assert_eq!((guest.read(0, CTLR), guest.read(0, ISENABLER + 4), guest.read(0, ISPENDR)), (0, 0, 0));
    assert_eq!(guest.read(0, ISPENDR + 4), 1, "its line is still asserted");
    assert_eq!(guest.read(1, ISPENDR), 1 << 27, "the kernel waits for its end");
    guest.machine.take_injected();
    guest.write_byte(0, ITARGETSR + 32, 0b10);
    guest.write(0, ISENABLER + 4, u32::MAX);
    guest.write(0, CTLR, 1);
    assert_eq!(guest.machine.take_injected(), [], "still in the old guest's list register");
    guest.machine.acknowledge(0);
    guest.machine.end(0);
    assert_eq!(guest.maintain(0), Some(Ended { irq: A }));
    assert_eq!(guest.machine.take_injected(), [(1, 32)]);
}

#[test]
fn events_for_interrupts_of_the_wrong_kind_are_errors() {
    let mut guest = Guest::new(2, 4);
    let beyond = IntId::spi(64).unwrap();
    let sgi = IntId::new(3).unwrap();
    let (gic, machine) = (&mut guest.gic, &mut guest.machine);
    for irq in [beyond, sgi, IntId::VTIMER] {
        assert_eq!(gic.set_level(irq, true, machine), Err(Error::NoSuchInterrupt(irq)));
        assert_eq!(gic.pulse(irq, machine), Err(Error::NoSuchInterrupt(irq)));
    }
    for irq in [beyond, sgi, A] {
        assert_eq!(gic.set_ppi(0, irq, true, machine), Err(Error::NoSuchInterrupt(irq)));
        assert_eq!(gic.pulse_ppi(0, irq, machine), Err(Error::NoSuchInterrupt(irq)));
    }
    assert_eq!(gic.pulse_ppi(2, IntId::VTIMER, machine), Err(Error::NoSuchVcpu(2)));
    assert_eq!((IntId::new(1020), IntId::spi(988), IntId::spi(u16::MAX)), (None, None, None));
}

#[test]
fn linux_finds_what_its_driver_looks_for() {
    // drivers/irqchip/irq-gic.c in order: TYPER, own CPU mask, distributor set-up, CPU set-up.
    let gic = Vgic::new(Config { version: Version::V2, vcpus: 2, list_registers: 4, spis: 256 }).unwrap();
    let mut guest = Guest { gic, machine: Machine::new(2, 4) };
    assert_eq!(((guest.read(0, 0x004) & 0x1f) + 1) * 32, 288);
    guest.write(0, CTLR, 0);
    let mask = guest.read(0, ITARGETSR) & 0xff;
    assert_eq!((mask, guest.read(1, ITARGETSR) & 0xff), (1, 2));
    for n in 1..9 {
        for i in 0..8 {
            guest.write(0, ITARGETSR + 32 * n + 4 * i, mask * 0x0101_0101);
            guest.write(0, IPRIORITYR + 32 * n + 4 * i, 0xa0a0_a0a0);
        }
        guest.write(0, ICFGR + 8 * n, 0);
        guest.write(0, ICFGR + 8 * n + 4, 0);
        guest.write(0, ICACTIVER + 4 * n, u32::MAX);
        guest.write(0, ICENABLER + 4 * n, u32::MAX);
    }
    guest.write(0, CTLR, 1);
    for vcpu in 0..2 {
        guest.write(vcpu, ICACTIVER, u32::MAX);
        guest.write(vcpu, ICENABLER, 0xffff_0000);
        guest.write(vcpu, ISENABLER, 0x0000_ffff);
        for i in 0..8 {
            guest.write(vcpu, IPRIORITYR + 4 * i, 0xa0a0_a0a0);
        }
    }
    assert_eq!(guest.gic.wild_accesses(), 0);
    // Requesting a level and an edge interrupt, routing the latter to the second CPU.
    guest.write(0, ISENABLER + 4, 0b10);
    guest.write(0, ICFGR + 12, 0b10);
    assert_eq!(guest.read(0, ICFGR + 12), 0b10);
    guest.write_byte(0, ITARGETSR + 48, 2);
    guest.write(0, ISENABLER + 4, 1 << 16);
    guest.level(B, true);
    guest.pulse(IntId::spi(16).unwrap());
    assert_eq!(guest.machine.take_injected(), [(0, 33), (1, 48)]);
}

#[test]
fn the_state_survives_saving_and_restoring() {
    let mut guest = Guest::new(3, 1);
    guest.level(A, true);
    guest.pulse(B);
    guest.write(1, SGIR, 0x0001_0004);
    let saved = postcard::to_allocvec(&guest.gic).unwrap();
    let restored: Vgic = postcard::from_bytes(&saved).unwrap();
    assert_eq!(restored, guest.gic);
    guest.gic = restored;
    guest.level(A, false);
    assert_eq!(guest.handle_all(0), [32, 4, 33]);
}
