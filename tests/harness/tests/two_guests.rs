// SPDX-License-Identifier: BSD-2-Clause
//! The default system: two stock Debian guests with root disks and a network, judged by their own tools. What can share a
//! boot shares one: two guests take a while to come up.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::fs;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use harness::disk::{copy, guests_disk, md5, scratch};
use harness::jobs::{JOB_TIMEOUT, fio_verify};
use harness::peer::{ADDRESS, Peer};
use harness::{Devices, Disk, Guest, PROMPT, System};

/// Where each guest is in the emulator's network, whichever of them asks first.
const ADDRESSES: [&str; 2] = ["10.0.2.20", "10.0.2.21"];
/// A port of each guest to which connections to this machine are forwarded.
const FORWARDED: u16 = 5002;

/// The default system with all devices, on the network `netdev`, with further arguments for the emulator.
fn boot_on(system: &System, disk: Disk, netdev: String, extra: &[&str]) -> Guest {
    let mut machine = system.machine();
    machine.devices = Devices { disk: Some(disk), network: Some(netdev), entropy: true };
    machine.extra = extra.iter().map(Into::into).collect();
    Guest::wait_all_ready(harness::start(&machine), 2)
}

fn boot(system: &System, disk: Disk, extra: &[&str]) -> Guest {
    boot_on(system, disk, "user".into(), extra)
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

/// When the board's clock says that the emulator was started, which no clock here does: as the emulator's argument, and in
/// seconds since 1970.
const CLOCK: (&str, u64) = ("base=2031-02-03T04:05:06", 1_927_857_906);
/// How much later than it was told to start the emulator may have started, in seconds.
const START: u64 = 5;

/// The clock of the guest that has the input is the board's, and so is the time that its kernel has from there.
fn assert_clock(guest: &mut Guest, started: Instant) {
    for command in ["cat /sys/class/rtc/rtc0/since_epoch", "date +%s"] {
        let before = started.elapsed().as_secs();
        let clock: u64 = guest.run(command).parse().unwrap();
        let after = started.elapsed().as_secs() + 1;
        let elapsed = clock.saturating_sub(CLOCK.1);
        assert!(
            (before.saturating_sub(START)..=after).contains(&elapsed),
            "{command}: {elapsed}: {before} to {after}"
        );
    }
}

/// Both directions of the virtio console of guest `number`: its user logs in there, and types.
fn assert_virtio_console(guest: &mut Guest, number: u32) {
    let login = "( setsid /sbin/agetty --autologin root --noissue --nohostname hvc0 vt102 > /dev/null 2>&1 < /dev/null & )";
    guest.focus(number).run(login);
    guest.expect(&format!("hvc_{number}| {PROMPT}"));
    // Behind the first consoles of both guests.
    guest.focus_on(2 + number, &format!("hvc_{number}"));
    assert_eq!(guest.run("hostname; tty"), format!("guest{number}\n/dev/hvc0"));
    guest.focus(number);
}

/// Bytes of this machine's disk that a file takes.
fn allocated(file: &Path) -> u64 {
    fs::metadata(file).unwrap().blocks() * 512
}

/// Room for the file system's own blocks, which come and go.
const OTHER_BLOCKS: u64 = 4 << 20;

/// The guest that has the input gives back what it has written to `/root/verify`, and has the device write zeroes: the
/// image at the other end gets smaller.
fn assert_discards(guest: &mut Guest, disk: &Path) {
    let size: u64 = guest.run("stat -c %s /root/verify").parse().unwrap();
    let before = allocated(disk);
    let trimmed = guest.run_within("rm /root/verify; sync; fstrim -v /", JOB_TIMEOUT);
    let bytes = trimmed.split_once('(').and_then(|(_, rest)| rest.split(' ').next()?.parse::<u64>().ok());
    assert!(bytes >= Some(size), "{trimmed}");
    let after = allocated(disk);
    assert!(
        after + size <= before + OTHER_BLOCKS,
        "{before} bytes, then {after}, for {size} that were discarded"
    );

    // Where a file is, as the disk counts; the file system does not know what happens to it.
    guest.run_within("dd if=/dev/urandom of=/root/spare bs=1M count=8 conv=fsync 2>/dev/null", JOB_TIMEOUT);
    let extents = guest.run("filefrag -b4096 -v /root/spare");
    let first = extents.lines().find_map(|line| line.trim().strip_prefix("0:")).unwrap();
    let mut numbers = first.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse::<u64>().ok());
    let (from, blocks) = (numbers.nth(2).unwrap(), numbers.nth(1).unwrap());
    let (offset, length) = (from * 4096, blocks * 4096);
    assert!(length >= 1 << 20, "{extents}");
    let before = allocated(disk);
    // Only the device can: Linux does not fall back to writing when it is to make a hole.
    let hole = guest
        .run_within(&format!("fallocate -p -o {offset} -l {length} /dev/vda 2>&1; echo $?"), JOB_TIMEOUT);
    assert_eq!(hole, "0");
    let after = allocated(disk);
    assert!(
        after + length <= before + OTHER_BLOCKS.min(length / 2),
        "{before} bytes, then {after}, without {length}"
    );
    let compare = format!(
        "echo 3 > /proc/sys/vm/drop_caches; cmp -n {length} /root/spare /dev/zero 2>&1 && rm /root/spare; echo $?"
    );
    assert_eq!(guest.run_within(&compare, JOB_TIMEOUT), "0", "zeroes");
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
    let started = Instant::now();
    let mut guest = boot_on(system, Disk::keeping(&disk), netdev, &["-rtc", CLOCK.0]);

    // Each has its own root disk, two consoles, the time, entropy from the hardware and an address.
    let mut addresses = Vec::new();
    let mut random = Vec::new();
    for number in [0, 1] {
        guest.focus(number);
        assert_eq!(guest.run("hostname"), format!("guest{number}"));
        assert_eq!(guest.run("findmnt -n -o SOURCE,FSTYPE /"), "/dev/vda ext4");
        assert_eq!(guest.run("cat /sys/class/misc/hw_random/rng_current"), "virtio_rng.0");
        assert_clock(&mut guest, started);
        assert_virtio_console(&mut guest, number);
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

    // What is deleted is given back to this machine.
    for number in [0, 1] {
        assert_discards(guest.focus(number), &disk);
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

    // As fast as they can.
    guest.focus(1).start("iperf", "timeout 300 iperf3 -s -1");
    guest.run_within("while ! ss -Hltn sport = :5201 | grep -q .; do sleep 0.2; done", JOB_TIMEOUT);
    let output = guest.focus(0).run_within(&format!("iperf3 -c {} -n 8M", addresses[1]), JOB_TIMEOUT);
    assert!(output.contains("iperf Done"), "{output}");
    guest.focus(1).finished("iperf");

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
    let mut guest = boot(&System::standard().paranoid(), Disk::discarding(guests_disk()), &[]);
    for number in [0, 1] {
        assert_eq!(guest.focus(number).run("hostname"), format!("guest{number}"));
    }
    let text = guest.console().text();
    let held = text.split("kernel: invariants held for 65536 entries, 65 times all ").nth(1).expect(&text);
    let caps: u64 = held.split(' ').next().unwrap().parse().unwrap();
    assert!(caps > 3000, "all capabilities of two guests' system: {caps}");
    assert!(!text.contains("invariant broken"), "{text}");
}

/// A disk that neither discards nor writes zeroes.
const PLAIN_DISK: &[&str] =
    &["-global", "virtio-blk-device.discard=off", "-global", "virtio-blk-device.write-zeroes=off"];

/// What a stock kernel has agreed on with each of its devices: the number of its type, and of features (virtio 1.2, sections 5
/// and 6). Of all, events' indices (29) and version 1 (32).
const NEGOTIATED: [(&str, &[usize]); 4] = [
    // Ethernet address, checksums and segmentation of either side, mergeable buffers, status, indirect descriptors.
    ("0x0001", &[5, 0, 1, 7, 8, 11, 12, 15, 16, 28, 29, 32]),
    // Several segments, flush, indirect descriptors.
    ("0x0002", &[2, 9, 28, 29, 32]),
    ("0x0003", &[29, 32]),
    ("0x0004", &[29, 32]),
];

/// Newer and older kernels beside each other, and the cloud variants: each with its own modules. What the disk cannot do
/// the guests are not offered.
#[test]
fn every_stock_kernel_finds_its_disk_and_network() {
    for (kernels, extra) in
        [(["debian-13", "debian-12-cloud"], PLAIN_DISK), (["debian-13-cloud", "debian-12"], &[])]
    {
        let guests = root_files(kernels[1]);
        let system =
            System::standard().kernel(kernels[0]).define("KERNEL_1", &guests.0).define("INITRD_1", &guests.1);
        let mut guest = boot(&system, Disk::discarding(guests_disk()), extra);
        for number in [0, 1] {
            guest.focus(number);
            let release = guest.run("uname -r");
            assert_eq!(release.contains("cloud"), kernels[number as usize].contains("cloud"), "{release}");
            guest.address();
            assert_eq!(guest.run("cat /sys/class/misc/hw_random/rng_current"), "virtio_rng.0");
            let devices =
                guest.run("for d in /sys/bus/virtio/devices/*; do echo $(cat $d/device $d/features); done");
            for (kind, features) in NEGOTIATED {
                let has = devices.lines().find_map(|line| line.strip_prefix(kind)).unwrap().trim().as_bytes();
                let missing: Vec<_> = features.iter().filter(|bit| has.get(**bit) != Some(&b'1')).collect();
                assert!(missing.is_empty(), "{kind} without {missing:?}: {devices}");
            }
            let link = guest.run("cat /sys/class/net/eth0/address /sys/class/net/eth0/operstate");
            assert_eq!(link, format!("52:54:00:00:01:0{number}\nup"));
            for limit in ["discard_max_bytes", "write_zeroes_max_bytes"] {
                let limit = guest.run(&format!("cat /sys/block/vda/queue/{limit}"));
                assert_eq!(limit == "0", !extra.is_empty(), "{limit}: {extra:?}");
            }
            let trimmed = guest.run("fstrim / 2>&1");
            assert_eq!(trimmed.contains("not supported"), !extra.is_empty(), "{trimmed}: {extra:?}");
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
