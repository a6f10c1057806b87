// SPDX-License-Identifier: BSD-2-Clause
//! Variables of `make run`: a user's own disk image and network layout, and values that mean nothing.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use emulator::gpt::{self, Partition};
use harness::disk::{FileSystem, GUEST_SECTORS, copy_into, guests_disk, scratch};
use harness::user::{run, run_with};
use harness::{BOOT_TIMEOUT, root};

/// Sectors of a partition that no guest gets.
const DATA: u64 = 16 << 11;

fn folder(name: &str) -> String {
    format!("--output={}", root().join("build/test").join(name).display())
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Root file systems where a disk of the user's own has them, which is not where the default one does: guest 0's is the
/// second of two partitions, with a name of its own; guest 1's is in none.
fn own_disk(folder: &Path) -> (PathBuf, [FileSystem; 2]) {
    let path = folder.join("mine.img");
    let disk = File::create(&path).unwrap();
    let first = gpt::FIRST + DATA;
    let partition = |label: &str, number, first, sectors| Partition {
        label: label.into(),
        guid: [number; 16],
        first,
        sectors,
    };
    let partitions = [partition("data", 1, gpt::FIRST, DATA), partition("mine", 2, first, GUEST_SECTORS)];
    let sectors = first + 2 * GUEST_SECTORS + gpt::FIRST;
    disk.set_len(sectors * gpt::SECTOR).unwrap();
    gpt::write(&disk, sectors, [9; 16], &partitions).unwrap();
    copy_into(&guests_disk(), gpt::FIRST, &path, first, 2 * GUEST_SECTORS);
    let systems = [first, first + GUEST_SECTORS].map(|first| FileSystem { disk: path.clone(), first });
    (path, systems)
}

#[test]
fn own_disk_layout_and_network_are_used() {
    let scratch = scratch("run-own");
    let (disk, [own, other]) = own_disk(&scratch);
    fs::write(scratch.join("brought"), "what the user brought\n").unwrap();
    own.add(&scratch.join("brought"), "/root/brought");
    // 192.168.77.99 is the only address that guest 0 may use, and not what it gets by DHCP.
    let commands = [
        "cat /root/brought",
        "for i in $(seq 120); do ip -4 -o addr show dev eth0 | grep -q inet && break; sleep 0.5; done",
        "echo has $(ip -4 -o addr show dev eth0 | tr -s ' ' | cut -d' ' -f4)",
        "ping -q -c 2 -W 2 192.168.77.2 | grep received | cut -d, -f2 | sed 's/^/as given:/'",
        "ip addr add 192.168.77.99/24 dev eth0",
        "ping -q -c 2 -I 192.168.77.99 192.168.77.2 | grep received | cut -d, -f2 | sed 's/^/as allowed:/'",
        "cp /root/brought /root/kept; sync",
    ];
    let ran = run(
        &[
            ("DISK", &text(&disk)),
            ("PARTITION_0", "label:mine"),
            ("PARTITION_1", &format!("extent:{}+{GUEST_SECTORS}", other.first)),
            ("BLK_LAYOUT", "direct"),
            ("NET", "net=192.168.77.0/24,dhcpstart=192.168.77.30"),
            ("PORT_0", ",ipv4:192.168.77.99"),
        ],
        &[&folder("run-own-image")],
        &(commands.join("\n") + "\n"),
    );
    assert!(ran.success, "{}\n{}", ran.messages, ran.console);
    for shown in [
        "vmm_0| what the user brought",
        "has 192.168.77.3",
        "as given: 0 received",
        "as allowed: 2 received",
        "vmm_1|INFO: guest powered off",
    ] {
        assert!(ran.console.contains(shown), "{shown}: {}", ran.console);
    }
    // In the zero-copy layout the disk is told of the guest's RAM and nothing else.
    let system = fs::read_to_string(root().join("build/test/run-own-image/resolved.system")).unwrap();
    assert!(!system.contains("name=\"blk_0_data\""), "{system}");
    assert_eq!(own.read("/root/kept"), "what the user brought\n");
    own.assert_clean();
    other.assert_clean();
    fs::remove_dir_all(scratch).unwrap();
}

/// What the server behind a forwarded port says first; it may take a while to come up.
fn greeting(port: u16) -> String {
    let begin = Instant::now();
    let mut text = String::new();
    while text.is_empty() && begin.elapsed() < BOOT_TIMEOUT {
        let mut buffer = [0; 64];
        let mut connection = TcpStream::connect(("127.0.0.1", port));
        let answer = connection.as_mut().map_or(Ok(0), |connection| {
            connection.set_read_timeout(Some(Duration::from_secs(20)))?;
            connection.read(&mut buffer)
        });
        text = String::from_utf8_lossy(&buffer[..answer.unwrap_or(0)]).into_owned();
        std::thread::sleep(Duration::from_millis(500));
    }
    text
}

#[test]
fn new_disk_keeps_what_is_written_and_a_forwarded_port_reaches_ssh() {
    let scratch = scratch("run-new");
    let disk = scratch.join("my-disk.img");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut heard = String::new();
    let ran = run_with(
        &[
            ("DISK", &text(&disk)),
            ("NET", &format!("hostfwd=tcp:127.0.0.1:{port}-10.0.2.20:22")),
            ("KERNEL", "debian-13"),
            ("KERNEL_1", "debian-12-cloud"),
            ("RAM", "256M"),
        ],
        &[&folder("run-new-image")],
        |stdin| {
            heard = greeting(port);
            let _ = stdin.write_all(
                b"uname -r > /root/kept; awk '/MemTotal/ {print $2}' /proc/meminfo >> /root/kept; sync\n",
            );
        },
    );
    assert!(ran.success, "{}\n{}", ran.messages, ran.console);
    assert!(ran.messages.contains("my-disk.img is a copy of the guests' disk"), "{}", ran.messages);
    assert!(!ran.messages.contains("making the guests' disk"), "made once: {}", ran.messages);
    assert!(heard.starts_with("SSH-2.0-OpenSSH"), "{heard:?}: {}", ran.console);
    let kept = FileSystem { disk, first: gpt::FIRST }.read("/root/kept");
    let (release, memory) = kept.split_once('\n').unwrap();
    assert!(release.starts_with("6.12."), "{kept}");
    assert!((150_000..262_144).contains(&memory.trim().parse().unwrap()), "{kept}");
    let system = fs::read_to_string(root().join("build/test/run-new-image/resolved.system")).unwrap();
    assert!(system.contains("name=\"blk_0_data\""), "isolated is the default: {system}");
    fs::remove_dir_all(scratch).unwrap();
}

#[test]
fn values_that_mean_nothing_are_refused_with_what_they_may_be() {
    for (name, value, answer) in [
        ("DISK", "/no/such/folder/disk.img", "/no/such/folder/disk.img"),
        ("NET", "hostfwd=nonsense", "Invalid host forwarding rule"),
        ("BLK_LAYOUT", "fast", "BLK_LAYOUT=fast: isolated or direct"),
        ("PARTITION_0", "guest0", "PARTITION_0=guest0: not partition:NUMBER, label:NAME, disk or extent:"),
        ("PARTITION_1", "extent:5", "PARTITION_1=extent:5: not"),
        ("PORT_0", ",forbid:client1", "PORT_0=,forbid:client1: forbid:client1: unknown option"),
        ("PORT_1", ",deny:guest0", "deny:guest0: not a port: client0 to client7, clients, uplink"),
        ("PORT_1", "deny:client0", "PORT_1=deny:client0: begins with a comma"),
        ("RAM", "lots", "RAM=lots"),
        ("VCPUS", "9", "VCPUS=9: 1 to 8"),
    ] {
        let ran = run(&[(name, value)], &[&folder("run-wrong")], "");
        assert!(!ran.success, "{name}={value}");
        assert!(ran.messages.contains(answer), "{name}={value}: {}", ran.messages);
        assert_eq!(ran.console.trim(), "", "{name}={value}");
    }
}
