// SPDX-License-Identifier: BSD-2-Clause
//! Every register row: order, reset value, access sizes, last byte and one past it, what sticks after a write.

use super::machine::Machine;
use crate::registers::v2::REGISTERS;
use crate::{Config, Version, Vgic, Width};

/// What the architecture (with GIC-400's choices) says about a row, for two vCPUs and 64 SPIs, seen by vCPU 1.
struct Expected {
    name: &'static str,
    start: u64,
    last: u64,
    byte_accessible: bool,
    /// Word at `start` after reset, and after writing all ones to it.
    reset: u32,
    written: u32,
    /// The same for the word that describes the first SPIs (offset from `start`, reset, written).
    shared: Option<(u64, u32, u32)>,
}

const fn row(name: &'static str, start: u64, last: u64, reset: u32, written: u32) -> Expected {
    Expected { name, start, last, byte_accessible: false, reset, written, shared: None }
}

impl Expected {
    const fn bytes(self) -> Self {
        Self { byte_accessible: true, ..self }
    }
    const fn shared(self, offset: u64, reset: u32, written: u32) -> Self {
        Self { shared: Some((offset, reset, written)), ..self }
    }
}

const ALL: u32 = u32::MAX;

const EXPECTED: [Expected; 18] = [
    row("GICD_CTLR", 0x000, 0x003, 0, 3),
    row("GICD_TYPER", 0x004, 0x007, 0x22, 0x22),
    row("GICD_IIDR", 0x008, 0x00b, 0x0200_143b, 0x0200_143b),
    row("GICD_IGROUPR", 0x080, 0x0ff, 0, ALL).shared(4, 0, ALL),
    row("GICD_ISENABLER", 0x100, 0x17f, 0xffff, ALL).shared(4, 0, ALL),
    row("GICD_ICENABLER", 0x180, 0x1ff, 0xffff, 0xffff).shared(4, 0, 0),
    row("GICD_ISPENDR", 0x200, 0x27f, 0, 0xffff_0000).shared(4, 0, ALL),
    row("GICD_ICPENDR", 0x280, 0x2ff, 0, 0).shared(4, 0, 0),
    row("GICD_ISACTIVER", 0x300, 0x37f, 0, ALL).shared(4, 0, ALL),
    row("GICD_ICACTIVER", 0x380, 0x3ff, 0, 0).shared(4, 0, 0),
    row("GICD_IPRIORITYR", 0x400, 0x7fb, 0, 0xf8f8_f8f8).bytes().shared(32, 0, 0xf8f8_f8f8),
    row("GICD_ITARGETSR", 0x800, 0xbfb, 0x0202_0202, 0x0202_0202).bytes().shared(32, 0, 0x0303_0303),
    row("GICD_ICFGR", 0xc00, 0xcff, 0xaaaa_aaaa, 0xaaaa_aaaa).shared(8, 0, 0xaaaa_aaaa),
    row("GICD_SGIR", 0xf00, 0xf03, 0, 0),
    row("GICD_CPENDSGIR", 0xf10, 0xf1f, 0, 0).bytes(),
    row("GICD_SPENDSGIR", 0xf20, 0xf2f, 0, 0x0303_0303).bytes(),
    row("GICD_PIDR", 0xfd0, 0xfef, 4, 4).shared(24, 0x2b, 0x2b),
    row("GICD_CIDR", 0xff0, 0xfff, 0x0d, 0x0d).shared(12, 0xb1, 0xb1),
];

const WIDTHS: [Width; 4] = [Width::Byte, Width::Half, Width::Word, Width::Double];

fn fresh() -> (Vgic, Machine) {
    let config = Config { version: Version::V2, vcpus: 2, list_registers: 4, spis: 64 };
    (Vgic::new(config).unwrap(), Machine::new(2, 4))
}

fn defined(offset: u64, width: Width) -> bool {
    let size = u64::from(width.bytes());
    EXPECTED.iter().any(|row| {
        let fits = size == 4 || (size < 4 && row.byte_accessible);
        fits && offset >= row.start && offset + size - 1 <= row.last && offset.is_multiple_of(size)
    })
}

#[test]
fn rows_are_sorted_disjoint_and_word_aligned() {
    for pair in REGISTERS.windows(2) {
        assert!(pair[0].end <= pair[1].start, "{} and {}", pair[0].name, pair[1].name);
    }
    for row in &REGISTERS {
        assert!(row.start < row.end && row.start % 4 == 0 && row.end % 4 == 0, "{}", row.name);
        assert!(u64::from(row.end) <= Version::V2.distributor_size());
    }
}

#[test]
fn the_table_has_exactly_the_expected_rows() {
    assert_eq!(REGISTERS.len(), EXPECTED.len());
    for (row, expected) in REGISTERS.iter().zip(&EXPECTED) {
        assert_eq!(
            (row.name, u64::from(row.start), u64::from(row.end) - 1),
            (expected.name, expected.start, expected.last)
        );
        assert_eq!(Version::V2.register_name(expected.last), Some(expected.name));
    }
}

#[test]
fn reset_values_are_as_in_a_gic_400() {
    for row in &EXPECTED {
        let (mut gic, _) = fresh();
        assert_eq!(gic.mmio_read(1, row.start, Width::Word), u64::from(row.reset), "{}", row.name);
        if let Some((offset, reset, _)) = row.shared {
            let value = gic.mmio_read(1, row.start + offset, Width::Word);
            assert_eq!(value, u64::from(reset), "{} + {offset}", row.name);
        }
    }
}

#[test]
fn only_implemented_bits_keep_what_is_written() {
    for row in &EXPECTED {
        let (mut gic, mut machine) = fresh();
        gic.mmio_write(1, row.start, Width::Word, u64::MAX, &mut machine);
        assert_eq!(gic.mmio_read(1, row.start, Width::Word), u64::from(row.written), "{}", row.name);
        if let Some((offset, _, written)) = row.shared {
            gic.mmio_write(1, row.start + offset, Width::Word, u64::MAX, &mut machine);
            let value = gic.mmio_read(1, row.start + offset, Width::Word);
            assert_eq!(value, u64::from(written), "{} + {offset}", row.name);
        }
    }
}

#[test]
fn every_byte_of_the_page_takes_exactly_the_defined_access_sizes() {
    for offset in 0..Version::V2.distributor_size() {
        for width in WIDTHS {
            let (mut gic, mut machine) = fresh();
            let wild = u64::from(!defined(offset, width));
            gic.mmio_read(0, offset, width);
            assert_eq!(gic.wild_accesses(), wild, "read {offset:#x} {width:?}");
            let before = gic.clone();
            gic.mmio_write(0, offset, width, u64::MAX, &mut machine);
            assert_eq!(gic.wild_accesses(), 2 * wild, "write {offset:#x} {width:?}");
            if wild != 0 {
                gic.wild = before.wild;
                assert_eq!(gic, before, "an undefined write changed something at {offset:#x} {width:?}");
                assert_eq!(gic.mmio_read(0, offset, width), 0, "{offset:#x} {width:?}");
            }
        }
    }
}

#[test]
fn one_past_the_page_and_the_far_end_of_the_address_space_are_nothing() {
    let (mut gic, mut machine) = fresh();
    let before = gic.clone();
    for offset in [Version::V2.distributor_size() + 4, 0x1_0000, 0x1_0100, 1 << 32, u64::MAX - 3, u64::MAX] {
        for width in WIDTHS {
            gic.mmio_write(0, offset, width, u64::MAX, &mut machine);
            assert_eq!(gic.mmio_read(0, offset, width), 0);
        }
        assert_eq!(Version::V2.register_name(offset), None);
    }
    gic.wild = 0;
    assert_eq!(gic, before);
}

#[test]
fn a_vcpu_that_does_not_exist_reads_zero_and_changes_nothing() {
    let (mut gic, mut machine) = fresh();
    let before = gic.clone();
    for vcpu in [2, 7, 8, usize::MAX] {
        gic.mmio_write(vcpu, 0, Width::Word, 3, &mut machine);
        gic.mmio_write(vcpu, 0xf00, Width::Word, 0x00ff_0001, &mut machine);
        assert_eq!(gic.mmio_read(vcpu, 4, Width::Word), 0);
    }
    gic.wild = 0;
    assert_eq!(gic, before);
}

#[test]
fn interrupts_beyond_the_configured_ones_read_as_zero_and_ignore_writes() {
    let (mut gic, mut machine) = fresh();
    let before = gic.clone();
    // 64 SPIs end at INTID 95: word 3 of the one-bit registers, byte 96, word 6 of the configuration.
    for offset in
        [0x08c, 0x10c, 0x20c, 0x30c, 0x400 + 96, 0x800 + 96, 0xc18, 0x0fc, 0x17c, 0x7f8, 0xbf8, 0xcfc]
    {
        gic.mmio_write(0, offset, Width::Word, u64::MAX, &mut machine);
        assert_eq!(gic.mmio_read(0, offset, Width::Word), 0, "{offset:#x}");
    }
    assert_eq!(gic, before);
}

#[test]
fn bytes_and_halfwords_of_a_word_are_the_words_parts() {
    let (mut gic, mut machine) = fresh();
    gic.mmio_write(0, 0x420, Width::Word, 0x80_60_40_20, &mut machine);
    assert_eq!(gic.mmio_read(0, 0x420, Width::Byte), 0x20);
    assert_eq!(gic.mmio_read(0, 0x423, Width::Byte), 0x80);
    assert_eq!(gic.mmio_read(0, 0x422, Width::Half), 0x8060);
    gic.mmio_write(0, 0x421, Width::Byte, 0xffff_ffff_ffff_ff08, &mut machine);
    gic.mmio_write(0, 0x422, Width::Half, 0x1810, &mut machine);
    assert_eq!(gic.mmio_read(0, 0x420, Width::Word), 0x1810_0820);
}

#[test]
fn typer_counts_banks_and_vcpus() {
    for (vcpus, spis, typer) in [(1, 0, 0x00), (1, 256, 0x08), (8, 256, 0xe8), (4, 32, 0x61)] {
        let mut gic = Vgic::new(Config { version: Version::V2, vcpus, list_registers: 4, spis }).unwrap();
        assert_eq!(gic.mmio_read(0, 4, Width::Word), typer);
    }
}

#[test]
fn private_registers_are_banked_and_shared_ones_are_not() {
    let (mut gic, mut machine) = fresh();
    gic.mmio_write(0, 0x100, Width::Word, 1 << 27, &mut machine);
    gic.mmio_write(0, 0x104, Width::Word, 1 << 5, &mut machine);
    assert_eq!(gic.mmio_read(0, 0x100, Width::Word), 0x0800_ffff);
    assert_eq!(gic.mmio_read(1, 0x100, Width::Word), 0x0000_ffff);
    assert_eq!(gic.mmio_read(1, 0x104, Width::Word), 1 << 5);
    assert_eq!(gic.mmio_read(0, 0x800, Width::Word), 0x0101_0101);
    assert_eq!(gic.mmio_read(1, 0x81c, Width::Word), 0x0202_0202);
}

#[test]
fn sgis_are_edge_triggered_and_ppis_can_be_configured() {
    let (mut gic, mut machine) = fresh();
    gic.mmio_write(0, 0xc00, Width::Word, 0, &mut machine);
    gic.mmio_write(0, 0xc04, Width::Word, 0x0080_0000, &mut machine);
    assert_eq!(gic.mmio_read(0, 0xc00, Width::Word), 0xaaaa_aaaa);
    assert_eq!(gic.mmio_read(0, 0xc04, Width::Word), 0x0080_0000);
}

#[test]
fn configurations_outside_the_limits_are_refused() {
    for (vcpus, list_registers, spis) in
        [(0, 4, 32), (9, 4, 32), (1, 0, 32), (1, 17, 32), (1, 4, 33), (1, 4, 288), (1, 4, 65_535)]
    {
        assert!(Vgic::new(Config { version: Version::V2, vcpus, list_registers, spis }).is_err());
    }
    assert!(Vgic::new(Config { version: Version::V2, vcpus: 8, list_registers: 16, spis: 256 }).is_ok());
}
