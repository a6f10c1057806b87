// SPDX-License-Identifier: BSD-2-Clause
//! Stock guests on a board with a GICv3, which they have too: the default system, its disks and its network, interrupts between
//! virtual CPUs, reboots. (What a hostile guest does to it is in `hostile.rs`.)

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use harness::disk::guests_disk;
use harness::jobs::{JOB_TIMEOUT, fio_verify};
use harness::{Devices, Disk, Guest, System, root};

/// The line of `/proc/interrupts` that has `text`: its counts, one a CPU.
fn interrupts(guest: &mut Guest, text: &str) -> Vec<u64> {
    let line = guest.run(&format!("grep -m 1 '{text}' /proc/interrupts"));
    line.split_whitespace().skip(1).map_while(|word| word.parse().ok()).collect()
}

/// Two kernels, the one with two virtual CPUs.
#[test]
fn two_stock_guests_work_with_a_gicv3() {
    let debian_13 = root().join("build/guests/debian-13-cloud");
    let system = System::standard()
        .gicv3()
        .define("VCPUS_0", "2")
        .define("KERNEL_1", &debian_13.join("Image").display().to_string())
        .define("INITRD_1", &debian_13.join("initrd.cpio").display().to_string());
    let mut machine = system.machine();
    machine.devices =
        Devices { disk: Some(Disk::discarding(guests_disk())), network: Some("user".into()), entropy: true };
    let mut guest = Guest::wait_all_ready(harness::start(&machine), 2);

    let mut addresses = Vec::new();
    for (number, release, vcpus) in [(0, "6.1.", "2"), (1, "6.12.", "1")] {
        guest.focus(number);
        assert!(guest.run("uname -r").starts_with(release));
        assert_eq!(guest.run("nproc"), vcpus);
        assert_eq!(guest.run("findmnt -n -o SOURCE,FSTYPE /"), "/dev/vda ext4");
        assert_eq!(guest.run("dmesg | grep -c 'GICv3: 64 SPIs implemented'"), "1");
        assert_eq!(guest.run("tr '\\0' ' ' < /proc/device-tree/intc@8000000/compatible"), "arm,gic-v3");
        addresses.push(guest.address());
    }
    for number in [0, 1] {
        guest.focus(number).start("fio", &fio_verify("4m"));
    }
    for number in [0, 1] {
        let output = guest.focus(number).finished("fio");
        assert!(output.contains("err= 0"), "{output}");
    }
    let output = guest.focus(0).run_within(&format!("ping -q -f -c 200 {}", addresses[1]), JOB_TIMEOUT);
    assert!(output.contains("200 received") && output.contains(" 0% packet loss"), "{output}");

    // Interrupts between virtual CPUs, and of the timer on each.
    let before = interrupts(&mut guest, "Function call interrupts");
    guest.run(
        "for i in $(seq 5); do taskset -c 0 true; taskset -c 1 true; echo 1 > /proc/sys/vm/drop_caches; done",
    );
    let after = interrupts(&mut guest, "Function call interrupts");
    assert!(before.len() == 2 && after.iter().sum::<u64>() > before.iter().sum(), "{before:?} {after:?}");
    let ticks = interrupts(&mut guest, "arch_timer");
    assert!(ticks.len() == 2 && ticks.iter().all(|&count| count > 0), "{ticks:?}");
    for number in [0, 1] {
        guest.focus(number).assert_no_complaints();
    }
    guest.power_off_all(2);
}

/// After a panic: in the middle of interrupts.
#[test]
fn a_guest_with_a_gicv3_reboots() {
    let mut guest = System::one_guest().gicv3().vcpus(2).boot();
    guest.send("echo 1 > /proc/sys/kernel/panic; echo c > /proc/sysrq-trigger\n");
    guest.expect("guest reboots");
    guest.expect_shell();
    assert_eq!(guest.run("nproc"), "2");
    guest.send("poweroff\n");
    guest.expect("guest powered off");
}
