// SPDX-License-Identifier: BSD-2-Clause
//! The second board, on QEMU's `raspi4b`: 44-bit addresses, GIC-400, memory with a hole, and a card in its slot.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::fs::{self, File};
use std::ops::Range;
use std::time::Duration;

use harness::debugger::{Debugger, PC};
use harness::disk::{assert_guests_clean_from, guests_disk, scratch};
use harness::jobs::fio_verify;
use harness::terminal::{self, Terminal};
use harness::{Disk, Guest, Payload, System, Time, card, root};
use object::{Object as _, ObjectSection as _};

const TIMEOUT: Duration = Duration::from_secs(120);

/// A small system that prints.
fn hello() -> System {
    System::of("tests/systems/hello.xml").debug().raspberry_pi()
}

/// The default system with this card. The machine's time is its instructions: QEMU moves a card's data word by
/// word and for each sector waits for this machine, which must not count as the driver's use of the processor.
fn boot(card: Disk) -> Guest {
    boot_with(&System::standard().raspberry_pi(), Some(card), &[])
}

/// Likewise, of another system, with this card or none, with further arguments of the emulator.
fn boot_with(system: &System, card: Option<Disk>, arguments: &[&str]) -> Guest {
    let mut machine = system.machine();
    machine.extra = arguments.iter().map(Into::into).collect();
    machine.time = Time::Instructions;
    machine.devices.disk = card;
    Guest::wait_all_ready(harness::start(&machine), 2)
}

/// The firmware keeps the other cores in a loop that looks at memory; the loader sends them to one that sleeps.
#[test]
fn hello_runs_at_user_level_and_the_other_cores_sleep() {
    let mut machine = hello().machine();
    let (port, argument) = terminal::port("raspberry-pi-cores");
    machine.extra = vec!["-gdb".into(), argument.into()];
    let mut emulator = harness::start(&machine);
    for text in ["hello|INFO: hello", "TEST hello from hello"] {
        emulator.expect(text, TIMEOUT).unwrap();
    }
    let board = board::Board::load(&root().join("kernel-config/rpi4b_2gb.toml")).unwrap();
    let parked_at = board.loader.spin_table.unwrap().parked_at;
    let mut debugger = Debugger::connect(&port).unwrap();
    for core in 1..4 {
        debugger.select_cpu(core).unwrap();
        // Behind the mask of interrupts: at `wfi`, or behind it.
        let pc = debugger.register(PC).unwrap();
        assert!([parked_at + 4, parked_at + 8].contains(&pc), "core {core} at {pc:#x}");
    }
    debugger.detach().unwrap();
}

/// An SMC goes nowhere there, as there is no firmware behind it: the loader has none, the kernel the one by which it serves who has
/// the capability for that, and nobody in the default system has it.
#[test]
fn nothing_asks_the_firmware() {
    let system = System::standard().raspberry_pi();
    let _ = system.machine();
    assert_eq!([smcs("elf/loader.elf"), smcs("elf/sel4.elf")], [0, 1]);
    let description = description_of(&system);
    assert!(description.contains("<protection_domain") && !description.contains("smc="), "{description}");
}

/// The SMC instructions in a program of the platform (Arm DDI 0487, C6.2.350).
fn smcs(name: &str) -> usize {
    let file = platform(2, name);
    let elf = object::File::parse(&*file).unwrap();
    let code = elf.sections().filter(|section| section.kind() == object::SectionKind::Text);
    let code: Vec<u8> = code.flat_map(|section| section.data().unwrap().to_vec()).collect();
    assert!(code.len() > 1000, "{name} has code");
    let words = code.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes));
    words.filter(|word| word & 0xffe0_001f == 0xd400_0003).count()
}

/// By the commands of the documentation, at its address and at one from where the image has to move itself. U-Boot leaves
/// translation and caches on.
#[test]
fn u_boot_starts_the_image_from_a_card() {
    let folder = scratch("raspberry-pi-u-boot");
    let (system, file) = (hello(), folder.join("card.raw"));
    let mut machine = system.machine();
    card::make(&file, &[&system.folder().join("loader.img")], None);
    machine.devices.disk = Some(Disk::keeping(&file));
    machine.payload = Payload::Firmware { path: root().join("build/u-boot/u-boot.bin") };
    let tree = root().join("build/u-boot/bcm2711-rpi-4-b.dtb");
    for address in ["0x10000000", "0x2000000"] {
        let (port, argument) = terminal::port(&format!("u-boot-{address}"));
        // Its console is the second serial port, the mini UART.
        machine.extra = vec!["-dtb".into(), tree.clone().into(), "-serial".into(), argument.into()];
        let mut emulator = harness::start(&machine);
        let mut u_boot = Terminal::connect(&port, "U-Boot> ");
        u_boot.wake();
        let output = u_boot.run(&format!("fatload mmc 1:1 {address} loader.img"));
        assert!(output.contains("bytes read"), "{output}");
        u_boot.send(&format!("go {address}\n"));
        emulator.expect("TEST hello from hello", TIMEOUT).unwrap();
    }
    fs::remove_dir_all(folder).unwrap();
}

/// The same two stock guests as on the first board, each with the partition that has its name of a card as it is documented.
/// Nothing answers where the network device would be; guests reach each other.
#[test]
fn two_debian_guests_work_on_their_partitions_of_the_card() {
    let folder = scratch("raspberry-pi");
    let card = folder.join("card.raw");
    let system = System::standard().raspberry_pi();
    let _ = system.machine();
    let firmware = system.folder().join("card");
    card::make(&card, &[&firmware.join("kernel8.img"), &firmware.join("config.txt")], Some(&guests_disk()));
    let mut guest = boot_with(&system, Some(Disk::keeping(&card)), &[]);
    for number in [0, 1] {
        guest.focus(number);
        assert_eq!(guest.run("hostname"), format!("guest{number}"));
        assert_eq!(guest.run("findmnt -n -o SOURCE,FSTYPE /"), "/dev/vda ext4");
        // Network, disk, console; without a source of entropy there is no device for it.
        let devices = guest.run("cat /sys/bus/virtio/devices/*/device | sort");
        assert_eq!(devices, "0x0001\n0x0002\n0x0003");
        // No address will come.
        guest.run("systemctl stop any-address.service");
        guest.start("fio", &fio_verify("2m"));
    }
    for number in [0, 1] {
        let output = guest.focus(number).finished("fio");
        assert!(output.contains("err= 0"), "{output}");
        guest.assert_no_complaints();
    }
    let text = guest.console().text();
    assert!(text.contains("net_driver: VMFault") && text.contains("nothing answers there"), "{text}");
    guest.run("ip address replace 10.1.0.2/24 dev eth0");
    guest.focus(0).run("ip address replace 10.1.0.1/24 dev eth0");
    let output = guest.run("ping -c 3 10.1.0.2");
    assert!(output.contains("3 received") || output.contains("3 packets received"), "{output}");
    guest.power_off_all(2);
    guest.emulator().kill();
    assert_guests_clean_from(&card, card::GUESTS, 2);
    fs::remove_dir_all(folder).unwrap();
}

/// On the board with the least memory, where guests get less.
#[test]
fn without_a_card_the_system_says_so_and_comes_up() {
    let mut guest = boot_with(&System::standard().raspberry_pi_of(1), None, &[]);
    let memory: u64 = guest.run("awk '/MemTotal/ { print $2 }' /proc/meminfo").parse().unwrap();
    assert!((200_000..256 << 10).contains(&memory), "{memory} KiB");
    let text = guest.console().text();
    assert!(text.contains("no disk: there is no card"), "{text}");
}

/// The guest's requests fail while it is out, and are done again when the same card is back.
#[test]
fn card_that_is_removed_is_missed_and_found_again() {
    let folder = scratch("raspberry-pi-removed");
    let card = folder.join("card.raw");
    File::create(&card).unwrap().set_len(64 << 20).unwrap();
    let (port, argument) = terminal::port("raspberry-pi-monitor");
    let system = System::standard().raspberry_pi().define("PARTITION_0", "disk");
    let mut guest = boot_with(&system, Some(Disk::keeping(&card)), &["-monitor", &argument]);
    let mut monitor = Terminal::connect(&port, "(qemu) ");
    let read = "dd if=/dev/vda of=/dev/null bs=64k count=4 iflag=direct 2>&1; echo it ended with $?";
    assert!(guest.run(read).contains("it ended with 0"));
    monitor.run("eject -f disk");
    let output = guest.run(read);
    assert!(output.contains("it ended with 1"), "{output}");
    let text = guest.console().text();
    assert!(text.contains("blk_driver|ERROR: the card has been removed"), "{text}");
    let mark = guest.console().mark();
    monitor.run(&format!("change disk {} raw", card.display()));
    guest.console().expect_any(mark, &["blk_driver|INFO: card of 64 MiB, high speed"], TIMEOUT).unwrap();
    assert!(guest.run(read).contains("it ended with 0"));
    drop(guest);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn card_without_partitions_is_named_and_the_system_comes_up() {
    let folder = scratch("raspberry-pi-empty");
    let card = folder.join("card.raw");
    File::create(&card).unwrap().set_len(64 << 20).unwrap();
    let guest = boot(Disk::keeping(&card));
    let text = guest.console().text();
    assert!(text.contains("client 0 has no disk: "), "{text}");
    drop(guest);
    fs::remove_dir_all(folder).unwrap();
}

/// Sizes of boards, in GiB.
const SIZES: [u32; 4] = [1, 2, 4, 8];

/// Where the tool put the pages of an image, by its report.
fn pages(system: &System) -> Vec<Range<u64>> {
    let report = fs::read_to_string(system.folder().join("report.txt")).unwrap();
    let (_, objects) = report.split_once("# Kernel Objects Details").unwrap();
    let page = |line: &str| {
        let (object, at) = line.rsplit_once(" @ 0x")?;
        let start = u64::from_str_radix(at, 16).unwrap();
        let sizes = [("- Page(4 KiB)", 4 << 10), ("- Page(2 MiB)", 2 << 20)];
        let size = sizes.iter().find_map(|(kind, size)| object.contains(kind).then_some(size))?;
        Some(start..start + size)
    };
    objects.lines().filter_map(page).collect()
}

/// The plain system description that an image was made from; files have no folder, and the board has no name.
fn description_of(system: &System) -> String {
    let folder = system.folder();
    let text = fs::read_to_string(folder.join("resolved.system")).unwrap();
    let (text, _) = text.split_once("<!-- Made from").unwrap();
    text.replace(&folder.display().to_string(), "")
}

/// A file of the SDK for one of these boards.
fn platform(gib: u32, name: &str) -> Vec<u8> {
    fs::read(root().join(format!("build/sdk/board/rpi4b_{gib}gb/release/{name}"))).unwrap()
}

/// From the same programs; the other memory reaches kernel, loader and tool.
#[test]
fn images_for_boards_of_other_sizes_differ_by_memory_only() {
    let two = System::standard().raspberry_pi();
    let _ = two.machine();
    for gib in SIZES {
        let board = board::Board::load(&root().join(format!("kernel-config/rpi4b_{gib}gb.toml"))).unwrap();
        let system = System::standard().raspberry_pi_of(gib);
        let output = system.try_build();
        assert!(output.status.success(), "{gib} GiB: {}", String::from_utf8_lossy(&output.stderr));
        let file = |system: &System, name: &str| fs::read(system.folder().join(name)).unwrap();
        assert!(file(&system, "card/kernel8.img") == file(&system, "loader.img"), "{gib} GiB");
        assert_eq!(file(&system, "card/config.txt"), file(&two, "card/config.txt"));
        if gib != 1 {
            // Guests have as much, too.
            assert!(description_of(&system) == description_of(&two), "{gib} GiB");
        }
        let description: serde_json::Value =
            serde_json::from_slice(&platform(gib, "platform_gen.json")).unwrap();
        let memory: Vec<_> = board.ram_ranges();
        let as_json = |range: &Range<u64>| serde_json::json!({"start": range.start, "end": range.end});
        assert_eq!(description["memory"], memory.iter().map(as_json).collect::<serde_json::Value>());
        for same in ["elf/initialiser.elf", "elf/monitor.elf", "include/kernel/gen_config.json"] {
            assert!(platform(gib, same) == platform(2, same), "{same} of {gib} GiB");
        }
        for other in ["elf/sel4.elf", "elf/loader.elf"] {
            assert_eq!(platform(gib, other) == platform(2, other), gib == 2, "{other} of {gib} GiB");
        }
        assert_pages_are_in(&pages(&system), &board);
    }
}

/// Each page is in the board's memory or is a device's.
fn assert_pages_are_in(pages: &[Range<u64>], board: &board::Board) {
    let mut known = board.ram_ranges();
    known.extend(board.devices.values().filter_map(board::Device::registers));
    let inside = |page: &&Range<u64>| known.iter().any(|k| k.start <= page.start && page.end <= k.end);
    let outside: Vec<_> = pages.iter().filter(|page| !inside(page)).collect();
    assert!(pages.len() > 1000 && outside.is_empty(), "{}: {outside:x?} of {}", board.name, pages.len());
}

#[test]
fn guests_get_memory_above_4_gib_and_what_does_not_fit_is_refused() {
    let large = System::standard().raspberry_pi_of(8).ram("3G");
    let output = large.try_build();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let pages = pages(&large);
    let board = board::Board::load(&root().join("kernel-config/rpi4b_8gb.toml")).unwrap();
    assert_pages_are_in(&pages, &board);
    let above = pages.iter().filter(|page| page.start >= 4 << 30).count();
    assert!(above > 500, "{above} pages");
    for (gib, ram) in [(1, "512M"), (4, "3G")] {
        let output = System::standard().raspberry_pi_of(gib).ram(ram).try_build();
        let messages = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{gib} GiB");
        assert!(messages.contains("system.xml:") && messages.contains("bytes of RAM"), "{messages}");
        assert!(messages.contains("RAM=256M makes it less for each"), "{messages}");
    }
}
