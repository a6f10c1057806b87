// SPDX-License-Identifier: BSD-2-Clause
//! The guests themselves, without Bulkhead: they are what Debian ships, and they boot on the machine that Bulkhead
//! claims to give them.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use harness::disk::guests_disk;
use harness::{Devices, Disk, Guest, Machine, root};
use serde_json::Value;

const KERNELS: [&str; 4] = ["debian-12", "debian-12-cloud", "debian-13", "debian-13-cloud"];

fn description(name: &str) -> Value {
    let file = root().join("build/guests").join(name).join("guest.json");
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_str(&text).unwrap()
}

fn path(description: &Value, key: &str) -> PathBuf {
    description[key].as_str().unwrap().into()
}

/// The checksum of a file by one of the coreutils.
fn checksum(program: &str, file: &Path) -> String {
    let output = Command::new(program).arg(file).output().unwrap();
    assert!(output.status.success(), "{program} {}", file.display());
    String::from_utf8(output.stdout).unwrap().split_whitespace().next().unwrap().to_string()
}

/// From the image that boots back to Debian's signature: apt checks the index against Debian's keys; here the package
/// is checked against the index, and the image against the package.
#[test]
fn kernel_images_are_unmodified_debian_kernels() {
    for name in KERNELS {
        let description = description(name);
        let package = path(&description, "package_file");
        assert_eq!(
            checksum("sha256sum", &package),
            description["package_sha256"].as_str().unwrap(),
            "{name}"
        );
        let image = checksum("md5sum", &path(&description, "image"));
        assert_eq!(image, description["image_md5"].as_str().unwrap(), "{name}");
        let listed = Command::new("dpkg-deb").arg("--info").arg(&package).arg("md5sums").output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        assert!(
            listed.lines().any(|line| line.starts_with(&image) && line.contains("boot/vmlinuz-")),
            "{name}"
        );
    }
}

#[test]
fn bare_machine_boots_the_default_guest_to_a_shell() {
    let description = description(KERNELS[0]);
    let machine =
        Machine::bare(path(&description, "image"), path(&description, "initrd"), "console=ttyAMA0", 512);
    let mut guest = Guest::wait_ready(harness::start(&machine));
    assert_eq!(guest.run("uname -m"), "aarch64");
    assert_eq!(guest.run("cat /proc/1/comm"), "busybox");
    assert_eq!(guest.run("tty"), "/dev/ttyAMA0");
    guest.send("poweroff\n");
    let status = guest.emulator().wait_end(Duration::from_secs(60)).unwrap();
    assert!(status.success());
}

#[test]
fn bare_machine_boots_debian_from_its_disk() {
    for (kernel, partition) in [(KERNELS[0], 0), (KERNELS[2], 1)] {
        let description = description(kernel);
        let cmdline = format!("console=ttyAMA0 quiet root=PARTLABEL=guest{partition} rw");
        let mut machine =
            Machine::bare(path(&description, "image"), path(&description, "initrd"), &cmdline, 512);
        machine.devices = Devices {
            disk: Some(Disk::discarding(guests_disk())),
            network: Some("user".into()),
            entropy: true,
        };
        let mut guest = Guest::wait_ready(harness::start(&machine));
        assert_eq!(guest.run("cat /proc/1/comm"), "systemd", "{kernel}");
        assert_eq!(guest.run("hostname"), format!("guest{partition}"));
        assert_eq!(guest.run("tty"), "/dev/ttyAMA0");
        assert_eq!(guest.run("cat /sys/class/misc/hw_random/rng_current"), "virtio_rng.0");
        assert_eq!(guest.run("systemctl --failed --no-legend"), "");
        let owners = guest.run("find /bin/ /etc /usr -xdev ! -user root -o ! -group root | head");
        assert_eq!(owners, "", "all files are root's");
        let address = "for i in $(seq 60); do ip -4 addr show eth0 | grep -q 'inet 10.0.2.' && break; sleep 0.5; done; \
                       ip -4 addr show eth0 | grep -c 'inet 10.0.2.'";
        assert_eq!(guest.run(address), "1", "an address by DHCP");
        guest.send("poweroff\n");
        let status = guest.emulator().wait_end(Duration::from_secs(60)).unwrap();
        assert!(status.success());
    }
}
