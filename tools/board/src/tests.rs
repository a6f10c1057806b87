// SPDX-License-Identifier: BSD-2-Clause
//! The shipped description parses to the facts that the rest relies on, and every contradiction is refused.

use crate::Board;

const QEMU: &str = include_str!("../../../kernel-config/qemu_virt_aarch64.toml");

const GICV3: &str = include_str!("../../../kernel-config/qemu_virt_aarch64_gicv3.toml");

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

#[test]
fn the_kernel_keeps_whole_frames_of_a_gicv3() {
    let board = Board::parse("board.toml", GICV3).unwrap();
    assert_eq!(board.gic.version, 3);
    let kept: Vec<_> = board.kernel_device_pages().into_iter().map(|(_, range)| range).collect();
    assert_eq!(kept, [0x0800_0000..0x0801_0000, 0x080a_0000..0x080c_0000]);
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
        ("end = 0xc000_0000", "end = 0xc000_0001", "memory[0]: must be whole blocks"),
        ("end = 0xc000_0000", "end = 0x100_0020_0000", "memory[0]: lies above the last physical address"),
        ("physical_base = 0x6000_0000", "physical_base = 0x5000_0000", "kernel.physical_base: is not in RAM"),
        ("physical_base = 0x6000_0000", "physical_base = 0x6000_1000", "kernel.physical_base: must be 2 MiB"),
        ("link_address = 0x7000_0000", "link_address = 0x1000", "loader.link_address: is not in RAM"),
        ("version = 2", "version = 5", "gic.version: only 2 and 3 are supported"),
        ("version = 2", "version = 3", "gic.redistributor: is missing"),
        (
            "version = 2",
            "version = 2\nredistributor = 0x080a_0000",
            "gic.redistributor: belongs to the other",
        ),
        ("cpu_interface = 0x0801_0000", "", "gic.cpu_interface: is missing"),
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

fn shipped(name: &str) -> Board {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernel-config");
    Board::load(&folder.join(format!("{name}.toml"))).unwrap()
}

/// As the SDK that a board is looked for in has it; those that the Microkit SDK has, too, are called as there.
#[test]
fn boards_are_called_like_their_files() {
    for name in ["qemu_virt_aarch64", "rpi4b_1gb", "rpi4b_2gb", "rpi4b_4gb", "rpi4b_8gb"] {
        assert_eq!(shipped(name).name, name);
    }
}

#[test]
fn boards_of_a_family_differ_by_memory_only() {
    let mut one = shipped("rpi4b_1gb");
    assert_eq!(one.ram_ranges().as_slice(), std::slice::from_ref(&(0x20_0000..0x3b40_0000)));
    for (name, top) in [("rpi4b_2gb", 2 << 30), ("rpi4b_4gb", 0xfc00_0000), ("rpi4b_8gb", 8 << 30)] {
        let other = shipped(name);
        assert_eq!(other.ram_ranges().last().unwrap().end, top, "{name}");
        assert_eq!(other.vspace_user_top(), 0xfff_ffff_ffff);
        (one.name, one.memory, one.guest_ram) = (other.name.clone(), other.memory.clone(), None);
        assert_eq!(one, other);
    }
}

#[test]
fn hole_in_memory_is_device_memory() {
    let ranges = shipped("rpi4b_2gb").device_ranges();
    assert_eq!(ranges[..3], [0..0x20_0000, 0x3b40_0000..0x4000_0000, 0x8000_0000..0xff84_1000]);
    assert_eq!(ranges.last().unwrap().end, 1 << 44);
}

#[test]
fn device_is_found_by_what_it_is_for() {
    let board = shipped("rpi4b_2gb");
    assert_eq!(board.device("disk"), board.devices.get("emmc2"));
    assert_eq!(board.device("emmc2"), board.devices.get("emmc2"));
    assert_eq!(board.device("clock"), None, "the board has none");
}

#[test]
fn a_variant_is_the_board_with_other_choices() {
    let board = shipped("rpi4b_2gb");
    let mut other = board.clone().variant("mini_uart").unwrap();
    assert_eq!(other.device("uart"), board.devices.get("mini_uart"));
    assert_eq!(other.emulator.as_ref().unwrap().serial_port, 1);
    let config = |board: &Board| board.firmware.as_ref().unwrap().files["config.txt"].clone();
    assert!(config(&board).contains("disable-bt") && !config(&other).contains("disable-bt"));
    // Nothing else is different.
    other.roles.insert("uart".into(), board.roles["uart"].clone());
    (other.firmware, other.emulator) = (board.firmware.clone(), board.emulator.clone());
    assert_eq!(other, board);
    let error = board.variant("x").unwrap_err().to_string();
    assert_eq!(error, "rpi4b_2gb: variants: there is no 'x'; there is mini_uart");
    let broken = "[variants.x]\nroles.uart = { device = \"none\" }\n[roles]";
    assert!(refused("[roles]", broken).contains("variants.x.roles.uart: no device 'none'"));
}

#[test]
fn role_without_its_device_is_refused() {
    let with = |role: &str| refused("[roles]", &format!("[roles]\n{role}"));
    assert!(with("x = { device = \"none\" }").contains("roles.x: no device 'none'"));
    assert!(with("gicv = { device = \"pl031\" }").contains("roles.gicv: is the name of a device"));
    assert!(with("X1 = { device = \"pl011\" }").contains("roles.X1: must be lower-case"));
}

#[test]
fn waiting_cores_are_not_in_memory_that_is_handed_out() {
    let with = |words: &str, at: &str| {
        let table = format!("[loader.spin_table]\nwords = [{words}]\nparked_at = {at}\n\n[gic]");
        refused("[gic]", &table)
    };
    assert!(with("0xe0", "0x6000_0000").contains("parked_at: is in memory"));
    assert!(with("0xe0", "0x1001").contains("parked_at: must be page aligned"));
    assert!(with("0x7000_0000", "0x1000").contains("words: are in memory"));
}
