// SPDX-License-Identifier: BSD-2-Clause
//! The default system: two stock Debian guests with root disks and a network, judged by their own tools. What can share a
//! boot shares one: two guests take a while to come up.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::fs;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use harness::disk::{copy, guests_disk, md5, scratch};
use harness::jobs::{JOB_TIMEOUT, fio_verify};
use harness::peer::{ADDRESS, Peer};
use harness::{Devices, Disk, Guest, System};

/// Where each guest is in the emulator's network, whichever of them asks first.
const ADDRESSES: [&str; 2] = ["10.0.2.20", "10.0.2.21"];
/// A port of each guest to which connections to this machine are forwarded.
const FORWARDED: u16 = 5002;

/// The default system with all devices, on the network `netdev`.
fn boot_on(system: &System, disk: Disk, netdev: String) -> Guest {
    let mut machine = system.machine();
    machine.devices = Devices { disk: Some(disk), network: Some(netdev), entropy: true };
    Guest::wait_all_ready(harness::start(&machine), 2)
}

fn boot(system: &System, disk: Disk) -> Guest {
    boot_on(system, disk, "user".into())
}

/// A port of this machine's loopback that nobody uses.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Sends `/root/file` to whoever is about to listen there: it tries until somebody does.
fn send_file(guest: &mut Guest, address: &str, port: u16) {
    let command = format!(
        "n=0; until nc -N {address} {port} < /root/file 2> /dev/null || [ $n = 120 ]; do n=$((n + 1)); sleep 0.5; done; \
         [ $n -lt 120 ]; echo $?"
    );
    assert_eq!(guest.run_within(&command, JOB_TIMEOUT), "0", "nobody listens on {address}:{port}");
}

/// What each guest writes and verifies.
const FIO_SIZE: &str = "24m";

fn disks_network_entropy(system: &System, test: &str) {
    let folder = scratch(test);
    let disk = folder.join("disk.raw");
    copy(&guests_disk(), &disk);
    let ports = [free_port(), free_port()];
    let forwards = (0..2)
        .map(|number| format!(",hostfwd=tcp:127.0.0.1:{}-{}:{FORWARDED}", ports[number], ADDRESSES[number]));
    let netdev = format!("user{}", forwards.collect::<String>());
    let mut guest = boot_on(system, Disk::keeping(&disk), netdev);

    // Each has its own root disk, entropy from the hardware and an address.
    let mut addresses = Vec::new();
    let mut random = Vec::new();
    for number in [0, 1] {
        guest.focus(number);
        assert_eq!(guest.run("hostname"), format!("guest{number}"));
        assert_eq!(guest.run("findmnt -n -o SOURCE,FSTYPE /"), "/dev/vda ext4");
        assert_eq!(guest.run("cat /sys/class/misc/hw_random/rng_current"), "virtio_rng.0");
        random.push(guest.run("head -c 32 /dev/hwrng | od -An -tx1 | tr -d ' \\n'"));
        addresses.push(guest.address());
        assert_eq!(guest.run(&format!("ping -q -c 2 {ADDRESS} > /dev/null; echo $?")), "0");
    }
    assert_eq!(addresses, ADDRESSES);
    assert_ne!(random[0], random[1]);
    assert!(random.iter().all(|bytes| bytes.len() == 64 && *bytes != "0".repeat(64)), "{random:?}");

    // A forwarded connection reaches the guest that it is for.
    for number in [0, 1] {
        guest.focus(number).start("name", &format!("hostname | timeout 100 nc -N -l -p {FORWARDED}"));
        let listens = format!("while ! ss -Hltn sport = :{FORWARDED} | grep -q .; do sleep 0.2; done");
        guest.run_within(&listens, JOB_TIMEOUT);
        let mut name = String::new();
        let mut connection = TcpStream::connect(("127.0.0.1", ports[number as usize])).unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        connection.read_to_string(&mut name).unwrap();
        assert_eq!(name, format!("guest{number}\n"));
    }

    // Both write and verify at the same time.
    for number in [0, 1] {
        guest.focus(number).start("fio", &fio_verify(FIO_SIZE));
    }
    for number in [0, 1] {
        let output = guest.focus(number).finished("fio");
        assert!(output.contains("err= 0"), "{output}");
    }

    // Files over TCP: from one guest to the other, to this machine, and back.
    guest.focus(0).run_within("dd if=/dev/urandom of=/root/file bs=1M count=24", JOB_TIMEOUT);
    let sum = guest.run("md5sum < /root/file | cut -c1-32");
    guest.focus(1).start("receive", "nc -l -p 5000 > /root/file");
    send_file(guest.focus(0), &addresses[1], 5000);
    guest.focus(1).finished("receive");
    assert_eq!(guest.run_within("md5sum < /root/file | cut -c1-32", JOB_TIMEOUT), sum, "guest to guest");

    let arrived = folder.join("arrived");
    let host = Peer::receiving(arrived.clone()).unwrap();
    guest.run_within(&format!("nc -N {ADDRESS} {} < /root/file", host.port), JOB_TIMEOUT);
    assert!(host.wait_ended(1, Duration::from_secs(60)));
    assert_eq!(md5(&arrived), sum, "guest to host");

    let host = Peer::sending(arrived).unwrap();
    guest.focus(0).run_within(&format!("nc -d {ADDRESS} {} > /root/back", host.port), JOB_TIMEOUT);
    assert_eq!(guest.run_within("md5sum < /root/back | cut -c1-32", JOB_TIMEOUT), sum, "host to guest");

    // A flood of packets: none is lost.
    let output = guest.run_within(&format!("ping -q -f -c 3000 {}", addresses[1]), JOB_TIMEOUT);
    assert!(output.contains("3000 received") && output.contains(" 0% packet loss"), "{output}");

    // Both at once: disk and network of both.
    guest.focus(1).start("fio", &fio_verify(FIO_SIZE));
    guest.start("serve", "timeout 300 nc -l -p 5001 | md5sum | cut -c1-32");
    send_file(guest.focus(0), &addresses[1], 5001);
    assert_eq!(guest.focus(1).finished("serve"), sum, "guest to guest, beside a busy disk");
    guest.finished("fio");

    for number in [0, 1] {
        guest.focus(number).assert_no_complaints();
    }
    guest.power_off_all(2);
    guest.emulator().kill();
    harness::disk::assert_guests_clean(&disk, 2);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn disks_network_and_entropy_work_side_by_side_in_the_isolated_layout() {
    disks_network_entropy(&System::standard().define("BLK_LAYOUT", "isolated"), "two-guests-isolated");
}

#[test]
fn disks_network_and_entropy_work_side_by_side_in_the_direct_layout() {
    disks_network_entropy(&System::standard().define("BLK_LAYOUT", "direct"), "two-guests-direct");
}

/// With a kernel that checks its invariants after every entry, up to the guests' shells and a little beyond.
#[test]
fn the_kernels_invariants_hold_in_the_default_system() {
    let mut guest = boot(&System::standard().paranoid(), Disk::discarding(guests_disk()));
    for number in [0, 1] {
        assert_eq!(guest.focus(number).run("hostname"), format!("guest{number}"));
    }
    let text = guest.console().text();
    assert!(text.contains("kernel: invariants held for 65536 entries"), "{text}");
    assert!(!text.contains("invariant broken"), "{text}");
}

/// Newer and older kernels beside each other, and the cloud variants: each with its own modules.
#[test]
fn every_stock_kernel_finds_its_disk_and_network() {
    for kernels in [["debian-13", "debian-12-cloud"], ["debian-13-cloud", "debian-12"]] {
        let guests = root_files(kernels[1]);
        let system =
            System::standard().kernel(kernels[0]).define("KERNEL_1", &guests.0).define("INITRD_1", &guests.1);
        let mut guest = boot(&system, Disk::discarding(guests_disk()));
        for number in [0, 1] {
            guest.focus(number);
            let release = guest.run("uname -r");
            assert_eq!(release.contains("cloud"), kernels[number as usize].contains("cloud"), "{release}");
            guest.address();
            assert_eq!(guest.run("cat /sys/class/misc/hw_random/rng_current"), "virtio_rng.0");
            let sums = guest.run_within(
                "dd if=/dev/urandom of=/root/x bs=1M count=4 conv=fsync 2>/dev/null; md5sum < /root/x; \
                 echo 1 > /proc/sys/vm/drop_caches; md5sum < /root/x",
                JOB_TIMEOUT,
            );
            let sums: Vec<&str> = sums.lines().collect();
            assert_eq!(sums.len(), 2, "{sums:?}");
            assert_eq!(sums[0], sums[1]);
            guest.assert_no_complaints();
        }
    }
}

/// Kernel and initramfs of a fetched guest.
fn root_files(name: &str) -> (String, String) {
    let folder = harness::root().join("build/guests").join(name);
    (folder.join("Image").display().to_string(), folder.join("initrd.cpio").display().to_string())
}
