// SPDX-License-Identifier: BSD-2-Clause
//! Block driver and virtualiser with small clients that write, flush, read and compare. What is on the disk afterwards is
//! looked at from outside.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use emulator::gpt;
use harness::disk::scratch;
use harness::{Disk, Emulator, System, Time};

const TIMEOUT: Duration = Duration::from_secs(240);

/// Sectors of the disk and of each of its two partitions.
const DISK: u64 = 32768;
const PART: u64 = 8192;
/// Fills what no client may touch.
const UNTOUCHED: u8 = 0xa5;

/// A disk with partitions `first` and `second`.
fn disk(test: &str) -> PathBuf {
    let path = scratch(test).join("disk.img");
    fs::write(&path, vec![UNTOUCHED; (DISK * 512) as usize]).unwrap();
    let file = File::options().read(true).write(true).open(&path).unwrap();
    let partition = |number: u64, label: &str| gpt::Partition {
        label: label.into(),
        guid: [number as u8 + 1; 16],
        first: gpt::FIRST + number * PART,
        sectors: PART,
    };
    gpt::write(&file, DISK, [0xdd; 16], &[partition(0, "first"), partition(1, "second")]).unwrap();
    path
}

/// Boots a system with this disk, on a machine whose time is its instructions while it works.
fn boot(system: &str, disk: &Path) -> Emulator {
    let mut machine = System::of(&format!("tests/systems/{system}.xml")).machine();
    machine.time = Time::Instructions;
    machine.devices.disk = Some(Disk::keeping(disk));
    harness::start(&machine)
}

fn expect(emulator: &mut Emulator, pattern: &str) {
    if let Err(error) = emulator.expect(pattern, TIMEOUT) {
        panic!("{error}");
    }
}

/// Runs the clients to their end, in whatever order.
fn wait_passed(emulator: &mut Emulator) {
    expect(emulator, " passed");
    expect(emulator, " passed");
    let text = emulator.console().text();
    assert!(text.contains("TEST first passed") && text.contains("TEST second passed"), "{text}");
    assert!(!text.contains("failed"), "{text}");
}

/// Both partitions hold what their client wrote last, and nothing else was written.
fn check(path: &Path, before: &[u8]) {
    let after = fs::read(path).unwrap();
    let range = |number: u64| {
        let first = (gpt::FIRST + number * PART) as usize * 512;
        first..first + PART as usize * 512
    };
    for (number, name) in [(0, "first"), (1, "second")] {
        let seed: u64 = name.bytes().map(u64::from).sum();
        for (word, at) in after[range(number)].chunks_exact(8).zip((0u64..).step_by(8)) {
            // As `block_client` in its last pass.
            let expected = (at + seed + (1 << 40)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            assert_eq!(word, expected.to_le_bytes(), "byte {at} of {name}");
        }
    }
    let (start, end) = (range(0).start, range(1).end);
    assert!(before[..start] == after[..start] && before[end..] == after[end..], "outside the partitions");
}

#[test]
fn clients_write_their_own_partitions_and_nothing_else() {
    let path = disk("block");
    let before = fs::read(&path).unwrap();
    let mut emulator = boot("block", &path);
    wait_passed(&mut emulator);
    assert!(emulator.console().text().contains("TEST third 0 sectors"));
    drop(emulator);
    check(&path, &before);
}

#[test]
fn broken_primary_table_is_no_loss() {
    let path = disk("block-broken");
    File::options().write(true).open(&path).unwrap().write_all_at(&[0; 512], 512).unwrap();
    let before = fs::read(&path).unwrap();
    let mut emulator = boot("block", &path);
    wait_passed(&mut emulator);
    drop(emulator);
    check(&path, &before);
}

#[test]
fn driver_and_virtualiser_die_hundreds_of_times_and_nothing_is_lost() {
    let path = disk("block-kills");
    let before = fs::read(&path).unwrap();
    let mut emulator = boot("block_kills", &path);
    wait_passed(&mut emulator);
    drop(emulator);
    check(&path, &before);
}
