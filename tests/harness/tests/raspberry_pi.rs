// SPDX-License-Identifier: BSD-2-Clause
//! The second board, on QEMU's `raspi4b`: 44-bit addresses, GIC-400, memory with a hole, and a card in its slot.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::fs::{self, File};
use std::time::Duration;

use harness::disk::{assert_guests_clean, copy, guests_disk, scratch};
use harness::jobs::fio_verify;
use harness::{Disk, Guest, System, Time};

const TIMEOUT: Duration = Duration::from_secs(120);

/// The default system with this card, or with none. The machine's time is its instructions: QEMU moves a card's data word by
/// word and for each sector waits for this machine, which must not count as the driver's use of the processor.
fn boot(card: Option<Disk>) -> Guest {
    let mut machine = System::standard().raspberry_pi().machine();
    machine.time = Time::Instructions;
    machine.devices.disk = card;
    Guest::wait_all_ready(harness::start(&machine), 2)
}

#[test]
fn hello_runs_at_user_level() {
    let mut emulator = System::of("tests/systems/hello.xml").debug().raspberry_pi().start();
    for text in ["hello|INFO: hello", "TEST hello from hello"] {
        emulator.expect(text, TIMEOUT).unwrap();
    }
}

/// The same two stock guests as on the first board, each with the partition of the card that has its name.
#[test]
fn two_debian_guests_work_on_their_partitions_of_the_card() {
    let folder = scratch("raspberry-pi");
    let card = folder.join("card.raw");
    copy(&guests_disk(), &card);
    let mut guest = boot(Some(Disk::keeping(&card)));
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
    guest.power_off_all(2);
    guest.emulator().kill();
    assert_guests_clean(&card, 2);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn without_a_card_the_system_says_so_and_comes_up() {
    let guest = boot(None);
    let text = guest.console().text();
    assert!(text.contains("no disk: there is no card"), "{text}");
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
