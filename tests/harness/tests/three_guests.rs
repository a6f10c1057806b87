// SPDX-License-Identifier: BSD-2-Clause
//! What `system.xml` says about a third guest: one more line, and it has what the other two have. The guests run from their
//! initramfs.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::fs;

use harness::disk::{SmallDisk, scratch};
use harness::peer::ADDRESS;
use harness::{Devices, Disk, Guest, PROMPT, System, root};

const DISK: SmallDisk = SmallDisk { partitions: 3, sectors: 16 << 11 };

#[test]
fn third_guest_takes_one_more_line() {
    let folder = scratch("three-guests");
    let disk = folder.join("disk.raw");
    DISK.make(&disk);
    let text = fs::read_to_string(root().join("system.xml")).unwrap();
    // The line stands in a comment; it goes behind that of the second.
    let third =
        text.lines().find(|line| line.trim().starts_with("<use template=\"linux_guest\" n=\"2\"")).unwrap();
    let second = "<use template=\"linux_guest\" n=\"1\" />\n";
    assert_eq!(text.matches(second).count(), 1);
    fs::write(folder.join("system.xml"), text.replace(second, &format!("{second}{third}\n"))).unwrap();

    let system = System::of("build/test/three-guests/system.xml").cmdline("console=ttyAMA0 quiet");
    let mut machine = system.machine();
    machine.devices =
        Devices { disk: Some(Disk::keeping(&disk)), network: Some("user".into()), entropy: true };
    let mut guest = Guest::wait_all_ready(harness::start(&machine), 3);

    for number in 0..3 {
        guest.focus(number);
        assert_eq!(guest.run("cat /sys/block/vda/size"), DISK.sectors.to_string());
        guest.run(&format!("echo the disk of {number} | dd of=/dev/vda conv=fsync 2> /dev/null"));
        assert_eq!(guest.run("cat /sys/class/misc/hw_random/rng_current"), "virtio_rng.0");
        guest.run(&format!("ifconfig eth0 10.0.2.3{number} netmask 255.255.255.0 up"));
        // Its second console, behind the first ones of all.
        guest.run("( setsid sh -lc 'exec sh -l < /dev/hvc0 > /dev/hvc0 2>&1' & )");
        guest.expect(&format!("hvc_{number}| {PROMPT}"));
        guest.focus_on(3 + number, &format!("hvc_{number}"));
        assert_eq!(guest.run("tty"), "/dev/hvc0");
    }
    for address in ["10.0.2.30", "10.0.2.31", ADDRESS] {
        let output = guest.focus(2).run(&format!("ping -q -c 3 {address}"));
        assert!(output.contains("3 packets received"), "{address}: {output}");
    }
    guest.power_off_all(3);
    drop(guest);
    for number in 0..3 {
        let partition = folder.join("partition.raw");
        DISK.extract(&disk, number, &partition);
        let bytes = fs::read(&partition).unwrap();
        assert!(bytes.starts_with(format!("the disk of {number}\n").as_bytes()), "partition {number}");
    }
    fs::remove_dir_all(folder).unwrap();
}
