// SPDX-License-Identifier: BSD-2-Clause
//! What the system file does not let a guest do, it cannot do; a disk without a usable partition table harms nobody. The
//! guests run from their initramfs: they are up sooner, and their disks are small.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use harness::disk::{SmallDisk, md5, scratch};
use harness::peer::ADDRESS;
use harness::{Devices, Disk, Guest, System};

const DISK: SmallDisk = SmallDisk { partitions: 2, sectors: 16 << 11 };

fn boot(system: System, disk: &Path, entropy: bool) -> Guest {
    let mut machine = system.cmdline("console=ttyAMA0 quiet").machine();
    machine.devices = Devices { disk: Some(Disk::keeping(disk)), network: Some("user".into()), entropy };
    Guest::wait_all_ready(harness::start(&machine), 2)
}

/// Whether the guest that has the input reaches an address.
fn reaches(guest: &mut Guest, address: &str) -> bool {
    let output = guest.run(&format!("ping -q -c 3 -W 2 {address}"));
    assert!(output.contains("3 packets transmitted"), "{output}");
    !output.contains(" 0 packets received")
}

#[test]
fn guests_are_kept_to_their_part_of_disk_and_network() {
    let folder = scratch("restrictions");
    let disk = folder.join("disk.raw");
    DISK.make(&disk);
    let before = md5(&disk);
    DISK.extract(&disk, 0, &folder.join("partition.raw"));
    let partition = md5(&folder.join("partition.raw"));
    let system = System::standard()
        .define("PARTITION_0", "label:guest0,ro")
        .define("PARTITION_1", "partition:1,ro")
        .define("PORT_0", ",deny:client1")
        .define("PORT_1", ",ipv4:10.0.2.31");
    let mut guest = boot(system, &disk, true);

    // Both read the same partition, neither can write to it.
    for number in [0, 1] {
        guest.focus(number);
        assert_eq!(guest.run("md5sum < /dev/vda | cut -c1-32"), partition);
        assert_eq!(guest.run("cat /sys/block/vda/ro"), "1");
        assert_eq!(guest.run("cat /sys/block/vda/size"), DISK.sectors.to_string());
        guest.run(
            "blockdev --setrw /dev/vda 2>&1; dd if=/dev/urandom of=/dev/vda bs=4k count=16 conv=fsync 2>&1",
        );
    }

    // Both reach this machine, not each other.
    for number in [0, 1] {
        guest.focus(number).run(&format!("ifconfig eth0 10.0.2.3{number} netmask 255.255.255.0 up"));
        assert!(reaches(&mut guest, ADDRESS), "guest {number} reaches the uplink");
    }
    assert!(!reaches(guest.focus(0), "10.0.2.31"), "guest 0 may not reach guest 1");
    assert!(!reaches(guest.focus(1), "10.0.2.30"), "guest 1 may not reach guest 0");

    // An address that is not its own gets a guest nowhere, neither of IP nor of Ethernet.
    guest.run("ifconfig eth0 10.0.2.40");
    assert!(!reaches(&mut guest, ADDRESS), "another IP address");
    guest.run("ifconfig eth0 10.0.2.31");
    assert!(reaches(&mut guest, ADDRESS), "its own IP address");
    let own = guest.run("cat /sys/class/net/eth0/address");
    guest.run("ifconfig eth0 down; ifconfig eth0 hw ether 52:54:00:00:01:00; ifconfig eth0 up");
    assert_eq!(guest.run("cat /sys/class/net/eth0/address"), "52:54:00:00:01:00");
    assert!(!reaches(&mut guest, ADDRESS), "the Ethernet address of the other guest");
    guest.run(&format!("ifconfig eth0 down; ifconfig eth0 hw ether {own}; ifconfig eth0 up"));
    assert!(reaches(&mut guest, ADDRESS), "its own Ethernet address again");
    // The one whose address was taken never noticed.
    assert!(reaches(guest.focus(0), ADDRESS));

    guest.emulator().kill();
    assert_eq!(md5(&disk), before, "what is shared for reading has not changed");
    fs::remove_dir_all(folder).unwrap();
}

/// A disk whose tables `damage` has had its way with. Returns the guest 0 of the system that boots with it, when both are up.
fn boot_damaged(test: &str, entropy: bool, damage: impl Fn(&File, u64)) -> Guest {
    let file = scratch(test).join("disk.raw");
    DISK.make(&file);
    let disk = File::options().read(true).write(true).open(&file).unwrap();
    let sectors = disk.metadata().unwrap().len() / 512;
    damage(&disk, sectors);
    // The debug platform prints what the block virtualiser has to say.
    boot(System::standard().debug(), &file, entropy)
}

/// The kinds of virtio devices that the guest that has the input has.
fn devices(guest: &mut Guest) -> String {
    guest.run("cat /sys/bus/virtio/devices/*/device | sort | tr '\\n' ' '")
}

/// Whether the guest that has the input has a disk with something on it.
fn has_disk(guest: &mut Guest) -> bool {
    let size = guest.run("cat /sys/block/vda/size 2>/dev/null || echo 0");
    assert!(size.parse::<u64>().is_ok(), "{size}");
    size != "0"
}

#[test]
fn backup_table_serves_when_the_first_is_damaged() {
    let mut guest = boot_damaged("damaged-first-table", true, |disk, _| {
        disk.write_all_at(&[0xff; 8], 512 + 40).unwrap();
    });
    let text = guest.console().text();
    assert!(text.contains("checksum is wrong"), "{text}");
    for number in [0, 1] {
        assert!(has_disk(guest.focus(number)));
        assert_eq!(devices(&mut guest).trim(), "0x0001 0x0002 0x0003 0x0004");
    }
}

/// No usable partition table, and nothing where the source of entropy would be.
#[test]
fn guests_come_up_without_what_is_not_there() {
    let mut guest = boot_damaged("damaged-tables", false, |disk, sectors| {
        // A partition's entry changes, here and in the backup, and no checksum with it.
        for array in [2, sectors - 33] {
            disk.write_all_at(&[0xee; 64], array * 512 + 32).unwrap();
        }
    });
    let text = guest.console().text();
    assert!(text.contains("blk_virt|"), "who says it: {text}");
    assert!(text.contains("checksum") && text.contains("client 0 has no disk"), "{text}");
    assert!(text.contains("rng_driver|") && text.contains("no entropy: "), "{text}");
    assert!(text.contains("rng_driver") && text.contains("no entropy: "), "{text}");
    for number in [0, 1] {
        assert!(!has_disk(guest.focus(number)));
        assert_eq!(devices(&mut guest).trim(), "0x0001 0x0003");
        assert_eq!(guest.run("echo alive $((40 + 2))"), "alive 42");
    }
}
