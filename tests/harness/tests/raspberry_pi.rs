// SPDX-License-Identifier: BSD-2-Clause
//! The second board, on QEMU's `raspi4b`: 44-bit addresses, GIC-400, memory with a hole, and a card in its slot.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::fs::{self, File};
use std::time::Duration;

use harness::debugger::{Debugger, PC};
use harness::disk::{assert_guests_clean_from, guests_disk, scratch};
use harness::jobs::fio_verify;
use harness::terminal::{self, Terminal};
use harness::{Disk, Guest, Payload, System, Time, card, root};

const TIMEOUT: Duration = Duration::from_secs(120);

/// A small system that prints.
fn hello() -> System {
    System::of("tests/systems/hello.xml").debug().raspberry_pi()
}

/// The default system with this card, or with none. The machine's time is its instructions: QEMU moves a card's data word by
/// word and for each sector waits for this machine, which must not count as the driver's use of the processor.
fn boot(card: Option<Disk>) -> Guest {
    boot_with(&System::standard().raspberry_pi(), card, &[])
}

/// Likewise, of another system, with further arguments of the emulator.
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

#[test]
fn without_a_card_the_system_says_so_and_comes_up() {
    let guest = boot(None);
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
    guest.console().expect_any(mark, &["blk_driver|INFO: card of 64 MiB"], TIMEOUT).unwrap();
    assert!(guest.run(read).contains("it ended with 0"));
    drop(guest);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn card_without_partitions_is_named_and_the_system_comes_up() {
    let folder = scratch("raspberry-pi-empty");
    let card = folder.join("card.raw");
    File::create(&card).unwrap().set_len(64 << 20).unwrap();
    let guest = boot(Some(Disk::keeping(&card)));
    let text = guest.console().text();
    assert!(text.contains("client 0 has no disk: "), "{text}");
    drop(guest);
    fs::remove_dir_all(folder).unwrap();
}
