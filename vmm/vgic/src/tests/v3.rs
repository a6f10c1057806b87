// SPDX-License-Identifier: BSD-2-Clause
//! What is a GICv3's own: its register tables, routes, redistributors, and the system registers that send interrupts.

use super::machine::Machine;
use crate::registers::v3::{DISTRIBUTOR, PRIVATE, REDISTRIBUTOR};
use crate::{Config, IntId, SgiRegister, Version, Vgic, Width};

const IROUTER: u64 = 0x6000;
/// Frames of the redistributor of vCPU 1.
const SECOND: u64 = 0x2_0000;
const SECOND_PRIVATE: u64 = 0x3_0000;
/// SPI 0.
const A: IntId = IntId::spi(0).unwrap();

struct Guest {
    gic: Vgic,
    machine: Machine,
}

impl Guest {
    /// 64 SPIs, all interrupts enabled, group 1, priority 0xa0; the distributor is on.
    fn new(vcpus: u8) -> Self {
        let config = Config { version: Version::V3, vcpus, list_registers: 4, spis: 64 };
        let mut guest = Self { gic: Vgic::new(config).unwrap(), machine: Machine::new(vcpus.into(), 4) };
        for vcpu in 0..u64::from(vcpus) {
            let private = 0x1_0000 + SECOND * vcpu;
            for (offset, value) in [(0x080, u32::MAX), (0x100, u32::MAX)] {
                guest.write_private(private + offset, value);
            }
            (0..8).for_each(|n| guest.write_private(private + 0x400 + 4 * n, 0xa0a0_a0a0));
        }
        for bank in 1..3 {
            guest.write(0x080 + 4 * bank, u32::MAX);
            guest.write(0x100 + 4 * bank, u32::MAX);
            (0..8).for_each(|n| guest.write(0x400 + 32 * bank + 4 * n, 0xa0a0_a0a0));
        }
        guest.write(0, 2);
        guest
    }

    fn write(&mut self, offset: u64, value: u32) {
        self.gic.mmio_write(0, offset, Width::Word, value.into(), &mut self.machine);
    }

    fn write_private(&mut self, offset: u64, value: u32) {
        self.gic.redistributor_write(offset, Width::Word, value.into(), &mut self.machine);
    }

    fn route(&mut self, irq: u64, affinity: u64) {
        self.gic.mmio_write(0, IROUTER + 8 * irq, Width::Double, affinity, &mut self.machine);
    }

    fn read(&mut self, offset: u64) -> u32 {
        self.gic.mmio_read(0, offset, Width::Word) as u32
    }

    fn read_private(&mut self, offset: u64) -> u32 {
        self.gic.redistributor_read(offset, Width::Word) as u32
    }

    fn send(&mut self, vcpu: usize, value: u64) -> Vec<(usize, u16)> {
        self.gic.send_sgi(vcpu, SgiRegister::Group1, value, &mut self.machine);
        self.machine.take_injected()
    }
}

#[test]
fn rows_are_sorted_disjoint_and_word_aligned() {
    for table in [&DISTRIBUTOR[..], &REDISTRIBUTOR, &PRIVATE] {
        for pair in table.windows(2) {
            assert!(pair[0].end <= pair[1].start, "{} and {}", pair[0].name, pair[1].name);
        }
        for row in table {
            assert!(row.start < row.end && row.start % 4 == 0 && row.end % 4 == 0, "{}", row.name);
            assert!(row.end <= 0x1_0000, "{}", row.name);
        }
    }
}

/// Offset, word after reset, word after all ones; seen from vCPU 0 of two with 64 SPIs.
type Expected = (u64, u32, u32);

fn check(expected: &[Expected], read: fn(&mut Guest, u64) -> u32, write: fn(&mut Guest, u64, u32)) {
    for &(offset, reset, written) in expected {
        let config = Config { version: Version::V3, vcpus: 2, list_registers: 4, spis: 64 };
        let mut guest = Guest { gic: Vgic::new(config).unwrap(), machine: Machine::new(2, 4) };
        assert_eq!(read(&mut guest, offset), reset, "{offset:#x} after reset");
        write(&mut guest, offset, u32::MAX);
        assert_eq!(read(&mut guest, offset), written, "{offset:#x} after ones");
    }
}

const ALL: u32 = u32::MAX;

#[test]
fn the_distributor_has_reset_values_and_keeps_what_it_should() {
    check(
        &[
            (0x000, 0x50, 0x53),
            (0x004, 0x0248_0002, 0x0248_0002),
            (0x008, 0x43b, 0x43b),
            (0x00c, 0, 0),
            (0x080, 0, 0),
            (0x084, 0, ALL),
            (0x088, 0, ALL),
            (0x08c, 0, 0),
            (0x100, 0, 0),
            (0x104, 0, ALL),
            (0x184, 0, 0),
            (0x204, 0, ALL),
            (0x284, 0, 0),
            (0x304, 0, ALL),
            (0x384, 0, 0),
            (0x400, 0, 0),
            (0x420, 0, 0xf8f8_f8f8),
            (0x820, 0, 0),
            (0xc00, 0, 0),
            (0xc08, 0, 0xaaaa_aaaa),
            (0xd04, 0, 0),
            (0xf00, 0, 0),
            (0x6100, 0, 0x00ff_ffff),
            (0x6104, 0, 0),
            (0x62f8, 0, 0x00ff_ffff),
            (0x6300, 0, 0),
            (0xffe8, 0x3b, 0x3b),
            (0xfffc, 0xb1, 0xb1),
        ],
        Guest::read,
        Guest::write,
    );
}

#[test]
fn a_redistributor_has_reset_values_and_keeps_what_it_should() {
    check(
        &[
            (0x0000, 0, 0),
            (0x0004, 0x43b, 0x43b),
            (0x0008, 0, 0),
            (0x000c, 0, 0),
            (SECOND + 0x0008, 0x110, 0x110),
            (SECOND + 0x000c, 1, 1),
            (0x0014, 6, 6),
            (0x0070, 0, 0),
            (0xffe8, 0x3b, 0x3b),
            (0xfff0, 0x0d, 0x0d),
            (0x1_0080, 0, ALL),
            (0x1_0084, 0, 0),
            (0x1_0100, 0, ALL),
            (0x1_0180, 0, 0),
            (0x1_0200, 0, ALL),
            (0x1_0300, 0, ALL),
            (0x1_0400, 0, 0xf8f8_f8f8),
            (0x1_041c, 0, 0xf8f8_f8f8),
            (0x1_0420, 0, 0),
            (0x1_0c00, 0xaaaa_aaaa, 0xaaaa_aaaa),
            (0x1_0c04, 0, 0xaaaa_aaaa),
            (0x1_0c08, 0, 0),
            (0x1_ffe8, 0, 0),
            (2 * SECOND, 0, 0),
            (u64::MAX - 3, 0, 0),
        ],
        Guest::read_private,
        Guest::write_private,
    );
}

#[test]
fn accesses_that_are_not_defined_are_counted_and_do_nothing() {
    let mut guest = Guest::new(2);
    let before = guest.gic.clone();
    for (offset, width) in [
        (0, Width::Half),
        (0, Width::Double),
        (0x100, Width::Word),
        (0x404, Width::Byte),
        (0x6100, Width::Half),
        (0x6102, Width::Word),
        (0x6104, Width::Double),
        (0x60f8, Width::Double),
        (0x1_0000, Width::Word),
    ] {
        guest.gic.mmio_write(0, offset, width, u64::MAX, &mut guest.machine);
        assert_eq!(guest.gic.mmio_read(0, offset, width), 0, "{offset:#x}");
    }
    guest.gic.redistributor_write(2 * SECOND, Width::Word, 0, &mut guest.machine);
    assert_eq!(guest.gic.redistributor_read(u64::MAX, Width::Byte), 0);
    assert_eq!(guest.gic.wild_accesses(), before.wild_accesses() + 20);
    guest.gic.wild = before.wild;
    assert_eq!(guest.gic, before);
}

#[test]
fn a_shared_interrupt_goes_where_its_route_says() {
    let mut guest = Guest::new(2);
    guest.gic.pulse(A, &mut guest.machine).unwrap();
    assert_eq!(guest.machine.take_injected(), [(0, 32)], "the first vCPU after reset");
    guest.route(33, 1);
    guest.gic.pulse(IntId::spi(1).unwrap(), &mut guest.machine).unwrap();
    assert_eq!(guest.machine.take_injected(), [(1, 33)]);
}

#[test]
fn an_interrupt_for_nobody_waits_for_its_route() {
    let mut guest = Guest::new(1);
    for nobody in [1, 0x100, 0x1_0000, 0xff_ffff] {
        guest.route(32, nobody);
        assert_eq!(guest.gic.mmio_read(0, IROUTER + 8 * 32, Width::Double), nobody);
        guest.gic.pulse(A, &mut guest.machine).unwrap();
        assert_eq!(guest.machine.take_injected(), [], "{nobody:#x}");
    }
    // In words; reserved bits do not count.
    guest.write(IROUTER + 8 * 32 + 4, 0xff);
    guest.write(IROUTER + 8 * 32, 1 << 31);
    assert_eq!(guest.machine.take_injected(), [(0, 32)]);
}

#[test]
fn a_list_of_targets_names_vcpus_of_the_first_range() {
    let mut guest = Guest::new(3);
    assert_eq!(guest.send(0, 5 << 24 | 0b110), [(1, 5), (2, 5)]);
    assert_eq!(guest.send(2, 6 << 24 | 0b100), [(2, 6)], "also itself");
    for elsewhere in [1 << 16, 1 << 32, 1 << 44, 1 << 48] {
        assert_eq!(guest.send(0, 7 << 24 | elsewhere | 0xffff), []);
    }
    assert_eq!(guest.send(0, 7 << 24 | 0xfff8), [], "none of these exists");
    assert_eq!(guest.send(1, 8 << 24 | 1 << 40), [(0, 8), (2, 8)], "all but itself");
    assert_eq!(guest.send(3, 9 << 24 | 0xffff), [], "no such sender");
}

#[test]
fn sources_are_not_told_apart() {
    let mut guest = Guest::new(3);
    assert_eq!(guest.send(0, 4 << 24 | 0b100), [(2, 4)]);
    guest.send(0, 4 << 24 | 0b100);
    guest.send(1, 4 << 24 | 0b100);
    let mut handled = 0;
    while guest.machine.acknowledge(2).is_some() {
        assert!(guest.machine.injected.iter().all(|(_, injection)| injection.source == 0));
        guest.machine.end(2);
        let lr = guest.machine.take_maintenance(2);
        guest.gic.maintenance(2, lr, &mut guest.machine).unwrap();
        handled += 1;
    }
    assert_eq!(handled, 2, "once for the first, once for both that came meanwhile");
}

#[test]
fn the_register_of_group_0_reaches_no_other_group() {
    let mut guest = Guest::new(1);
    guest.gic.send_sgi(0, SgiRegister::Group0, 1, &mut guest.machine);
    assert_eq!(guest.machine.take_injected(), []);
    guest.write_private(0x1_0080, 0);
    guest.gic.send_sgi(0, SgiRegister::Group0, 1, &mut guest.machine);
    assert_eq!(guest.machine.take_injected(), [], "group 0 is not forwarded");
    guest.write(0, 3);
    assert_eq!(guest.machine.take_injected(), [(0, 0)]);
}

#[test]
fn sgis_can_be_disabled_and_made_pending_by_their_redistributor() {
    let mut guest = Guest::new(2);
    guest.write_private(SECOND_PRIVATE + 0x180, 1 << 3);
    assert_eq!(guest.send(0, 3 << 24 | 2), []);
    guest.write_private(SECOND_PRIVATE + 0x280, 1 << 3);
    guest.write_private(SECOND_PRIVATE + 0x100, 1 << 3);
    assert_eq!(guest.machine.take_injected(), [], "cleared");
    guest.write_private(SECOND_PRIVATE + 0x200, 1 << 3);
    assert_eq!(guest.machine.take_injected(), [(1, 3)]);
}

#[test]
fn a_redistributor_that_sleeps_still_wakes_its_vcpu() {
    let mut guest = Guest::new(2);
    guest.write_private(SECOND + 0x14, 0);
    assert_eq!(guest.read_private(SECOND + 0x14), 0);
    guest.write_private(SECOND + 0x14, 2);
    assert_eq!((guest.read_private(SECOND + 0x14), guest.read_private(0x14)), (6, 6));
    assert_eq!(guest.send(0, 2), [(1, 0)]);
    assert_eq!(guest.machine.kicked, [1]);
}

#[test]
fn reset_forgets_routes_and_puts_redistributors_to_sleep() {
    let mut guest = Guest::new(2);
    guest.route(32, 1);
    guest.write_private(0x14, 0);
    guest.gic.reset();
    assert_eq!((guest.read(IROUTER + 8 * 32), guest.read_private(0x14)), (0, 6));
    assert_eq!((guest.read(0), guest.read_private(0x1_0100)), (0x50, 0));
}

#[test]
fn a_gicv2_has_neither_redistributors_nor_these_registers() {
    let config = Config { version: Version::V2, vcpus: 2, list_registers: 4, spis: 64 };
    let (mut gic, mut machine) = (Vgic::new(config).unwrap(), Machine::new(2, 4));
    gic.mmio_write(0, 0, Width::Word, 3, &mut machine);
    gic.send_sgi(0, SgiRegister::Group1, 3, &mut machine);
    assert_eq!((gic.redistributors_size(), machine.take_injected()), (0, vec![]));
    assert_eq!(gic.redistributor_read(8, Width::Double), 0);
}

#[test]
fn linux_finds_what_its_driver_looks_for() {
    // drivers/irqchip/irq-gic-v3.c in order: distributor, redistributor of each CPU, its private interrupts.
    let config = Config { version: Version::V3, vcpus: 2, list_registers: 4, spis: 64 };
    let mut guest = Guest { gic: Vgic::new(config).unwrap(), machine: Machine::new(2, 4) };
    assert_eq!(guest.read(0xffe8) & 0xf0, 0x30);
    let typer = guest.read(0x004);
    assert_eq!(((typer & 0x1f) + 1) * 32, 96);
    assert_eq!(typer & (1 << 17 | 1 << 26), 0, "neither LPIs nor more ranges of SGI targets");
    guest.write(0, 0);
    for bank in 1..3 {
        guest.write(0x080 + 4 * bank, u32::MAX);
        guest.write(0x380 + 4 * bank, u32::MAX);
        guest.write(0x180 + 4 * bank, u32::MAX);
        (0..8).for_each(|n| guest.write(0x400 + 32 * bank + 4 * n, 0xa0a0_a0a0));
    }
    guest.write(0, 0x12);
    assert_eq!(guest.read(0) >> 31, 0, "no write is under way");
    (32..96).for_each(|irq| guest.route(irq, 0));
    for vcpu in 0..2u64 {
        let frame = SECOND * vcpu;
        assert_eq!(guest.read_private(frame + 0xffe8) & 0xf0, 0x30);
        let typer = guest.gic.redistributor_read(frame + 8, Width::Double);
        assert_eq!((typer >> 32, typer & 0x10 != 0, typer & 1), (vcpu, vcpu == 1, 0));
        let waker = guest.read_private(frame + 0x14);
        guest.write_private(frame + 0x14, waker & !2);
        assert_eq!(guest.read_private(frame + 0x14) & 4, 0);
        guest.write_private(frame + 0x1_0080, u32::MAX);
        guest.write_private(frame + 0x1_0380, u32::MAX);
        guest.write_private(frame + 0x1_0180, u32::MAX);
        (0..8).for_each(|n| guest.write_private(frame + 0x1_0400 + 4 * n, 0xa0a0_a0a0));
        guest.write_private(frame + 0x1_0100, 0xff | 1 << 27);
        assert_eq!(guest.read_private(frame), 0, "no write is under way");
    }
    assert_eq!(guest.gic.wild_accesses(), 0);
    guest.write(0x104, 1);
    guest.route(32, 1);
    guest.gic.set_level(A, true, &mut guest.machine).unwrap();
    guest.gic.pulse_ppi(1, IntId::VTIMER, &mut guest.machine).unwrap();
    assert_eq!(guest.machine.take_injected(), [(1, 32), (1, 27)]);
    assert_eq!(guest.send(0, 2), [(1, 0)]);
}
