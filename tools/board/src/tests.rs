// SPDX-License-Identifier: BSD-2-Clause
//! The shipped description parses to the facts that the rest relies on, and every contradiction is refused.

use crate::Board;

const QEMU: &str = include_str!("../../../kernel-config/qemu_virt_aarch64.toml");

fn refused(replace: &str, with: &str) -> String {
    assert!(QEMU.contains(replace), "'{replace}' is not in the description");
    Board::parse("board.toml", &QEMU.replacen(replace, with, 1)).unwrap_err().to_string()
}

#[test]
fn shipped_description_is_consistent() {
    let board = Board::parse("board.toml", QEMU).unwrap();
    assert_eq!(board.name, "qemu_virt_aarch64");
    assert_eq!(board.vspace_user_top(), 0xff_ffff_ffff);
    assert_eq!(board.devices["pl011"].registers(), Some(0x0900_0000..0x0900_1000));
    assert_eq!(board.devices["generic_timer"].registers(), None);
}

/// The ranges that the reference SDK lists in its `platform_gen.json` for this board.
#[test]
fn device_ranges_leave_out_ram_and_the_kernels_pages() {
    let board = Board::parse("board.toml", QEMU).unwrap();
    assert_eq!(
        board.device_ranges(),
        [
            0..134_217_728,
            134_221_824..134_283_264,
            134_287_360..134_414_336,
            134_418_432..1_610_612_736,
            3_221_225_472..1_099_511_627_776,
        ]
    );
    let ram = board.ram_ranges();
    assert_eq!((ram.len(), ram[0].start, ram[0].end), (1, 1_610_612_736, 3_221_225_472));
}

#[test]
fn contradictions_are_refused_with_their_key() {
    let cases = [
        ("cpus = 1", "cpus = 0", "cpus: must be at least 1"),
        (
            "physical_address_bits = 40",
            "physical_address_bits = 39",
            "physical_address_bits: must be 40 or 44",
        ),
        ("end = 0xc000_0000", "end = 0x6000_0000", "memory[0]: end must be above start"),
        ("end = 0xc000_0000", "end = 0xc000_0001", "memory[0]: must be whole pages"),
        ("end = 0xc000_0000", "end = 0x100_0000_1000", "memory[0]: lies above the last physical address"),
        ("physical_base = 0x6000_0000", "physical_base = 0x5000_0000", "kernel.physical_base: is not in RAM"),
        ("physical_base = 0x6000_0000", "physical_base = 0x6000_1000", "kernel.physical_base: must be 2 MiB"),
        ("link_address = 0x7000_0000", "link_address = 0x1000", "loader.link_address: is not in RAM"),
        ("version = 2", "version = 5", "gic.version: only 2 is supported"),
        ("distributor = 0x0800_0000", "distributor = 0x0800_0010", "gic.distributor: must be page aligned"),
        ("distributor = 0x0800_0000", "distributor = 0x6000_0000", "gic.distributor: lies in RAM"),
        ("distributor = 0x0800_0000", "distributor = 0x0801_0000", "gic: GIC CPU interface at 0x8010000"),
        ("max_irq = 287", "max_irq = 1020", "gic.max_irq: must be 32 to 1019"),
        ("kernel_irq = 26", "kernel_irq = 25", "timer.kernel_irq: is used for something else already"),
        ("kernel_irq = 26", "kernel_irq = 33", "timer.kernel_irq: must be a PPI"),
        ("frequency = 62_500_000", "frequency = 62", "timer.frequency: is in Hz"),
        ("start = 0x0900_0000", "start = 0x0900_0800", "devices.pl011.start: must be page aligned"),
        ("start = 0x0900_0000", "", "devices.pl011: start and size belong together"),
        ("start = 0x0900_0000", "start = 0x0901_0000", "devices.pl031: overlaps with device 'pl011'"),
        ("start = 0x0900_0000", "start = 0x7000_0000", "devices.pl011: overlaps with RAM"),
        ("start = 0x0900_0000", "start = 0x0800_0000", "devices.pl011: overlaps with the GIC distributor"),
        ("size = 0x1000", "size = 0", "devices.pl011.size: must be whole pages"),
        ("number = 33", "number = 288", "devices.pl011.irqs[0]: interrupt 288 must be 16 to 287"),
        ("number = 33", "number = 27", "devices.pl011.irqs[0]: interrupt 27 is the virtual timer"),
        ("number = 33", "number = 3", "devices.pl011.irqs[0]: interrupt 3 must be 16"),
        ("console = \"pl011\"", "console = \"uart\"", "kernel.console: no device 'uart'"),
        ("wcet_us = 10", "wcet_us = 0", "kernel.wcet_us: must not be 0"),
        ("name = \"qemu_virt_aarch64\"", "name = \"\"", "name: must be letters"),
    ];
    for (replace, with, expected) in cases {
        let message = refused(replace, with);
        assert!(message.starts_with(&format!("board.toml: {expected}")), "{replace} -> {with}: {message}");
    }
}

#[test]
fn misspelt_key_and_bad_type_are_refused_with_a_line() {
    assert!(refused("cpus = 1", "cpu_count = 1").contains("cpu_count"));
    assert!(refused("cpus = 1", "cpus = \"one\"").contains("line"));
}

#[test]
fn missing_file_is_named() {
    let error = Board::load(std::path::Path::new("no/such/board.toml")).unwrap_err().to_string();
    assert!(error.starts_with("no/such/board.toml: "), "{error}");
}
