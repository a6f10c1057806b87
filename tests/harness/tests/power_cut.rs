// SPDX-License-Identifier: BSD-2-Clause
//! The power fails while guests write. What a guest had synced is on the disk, its file system is whole: at every moment
//! of the run, judged by the emulator's log of all writes, not by what its host's page cache still holds.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

use harness::disk::{SmallDisk, assert_clean, copy, replay_journal, scratch, sums};
use harness::{Devices, Disk, Emulator, Flush, Guest, Machine, System, WriteLog, Writes, root};
use serde_json::Value;

const DISK: SmallDisk = SmallDisk { partitions: 2, sectors: 48 << 11 };
/// Files that a guest writes before the power fails.
const FILES: u32 = 24;
/// How long all guests may be without announcing one.
const PATIENCE: Duration = Duration::from_secs(120);

/// A file that a guest has synced: which guest's, its name, its sum, and how long the log was when the guest said so.
struct Synced {
    guest: u64,
    name: String,
    sum: String,
    log: u64,
}

/// What a guest types into its shell: one after the other, files are written, synced and announced. What others leave behind
/// when they are deleted is discarded.
fn work(device: &str, files: u32) -> String {
    format!(
        "mkdir -p /mnt/d; mount -t ext4 -o discard {device} /mnt/d && cd /mnt/d && i=0; while [ $i -lt {files} ]; do i=$((i + 1)); \
         dd if=/dev/urandom of=f$i bs=3000 count=$((i % 9 * 5 + 1)) conv=fsync 2>/dev/null; \
         dd if=/dev/zero of=junk bs=4k count=64 2>/dev/null; sync; \
         echo \"SYN\"\"CED f$i $(md5sum < f$i | cut -c1-32)\"; rm -f f$((i - 7)); done; \
         while :; do dd if=/dev/urandom of=late bs=64k count=40 2>/dev/null; done\n"
    )
}

fn log_length(log: &Path) -> u64 {
    fs::metadata(log).unwrap().len()
}

/// The announcements on the console whose lines are complete: the guest's number, the file's name, its sum.
fn announced(text: &str, tags: &[&str]) -> Vec<(u64, String, String)> {
    let line = |line: &str| {
        let (tag, words) = line.split_once("SYNCED ")?;
        // A line that is written anew after a carriage return has its tag twice.
        let guest = tags.iter().position(|known| tag.trim().ends_with(known))?;
        let (name, sum) = words.trim().split_once(' ')?;
        (sum.len() == 32).then(|| (guest as u64, name.to_string(), sum.to_string()))
    };
    text.lines().filter_map(line).collect()
}

#[test]
fn announcements_are_read_from_whole_lines() {
    let sum = "380496ed636ca706027ae46c1c72b10f";
    let text = format!("vmm_0| SYNCED f1 {sum}\nvmm_1| vmm_1| SYNCED f2 {sum}\nvmm_0| SYNCED f3 38049\n");
    let expected = [(0, "f1".to_string(), sum.to_string()), (1, "f2".to_string(), sum.to_string())];
    assert_eq!(announced(&text, &["vmm_0|", "vmm_1|"]), expected);
}

/// Collects announcements until each guest has made `FILES`, then lets the power fail.
fn run(mut emulator: Emulator, tags: &[&str], log: &Path) -> Vec<Synced> {
    let console = emulator.console().clone();
    let mut synced: Vec<Synced> = Vec::new();
    let mut progress = Instant::now();
    while synced.len() < tags.len() * FILES as usize {
        assert!(
            progress.elapsed() < PATIENCE,
            "no guest synced a file; last lines:\n{}",
            console.last_lines()
        );
        std::thread::sleep(Duration::from_millis(5));
        // What the text announces has been in the log before.
        let text = console.text();
        let length = log_length(log);
        for (guest, name, sum) in announced(&text, tags) {
            if !synced.iter().any(|file| file.guest == guest && file.name == name) {
                synced.push(Synced { guest, name, sum, log: length });
                progress = Instant::now();
            }
        }
    }
    // In the middle of writes that nobody has synced.
    std::thread::sleep(Duration::from_millis(300));
    emulator.kill();
    synced
}

/// Replays the log up to each flush and looks at the file systems there.
fn judge(folder: &Path, synced: &[Synced]) {
    let state = folder.join("replayed.raw");
    copy(&folder.join("before.raw"), &state);
    let disk = File::options().read(true).write(true).open(&state).unwrap();
    let mut log = WriteLog::open(&folder.join("log")).unwrap();
    let (mut flushes, mut found) = (0, 0);
    while let Some(Flush(at)) = log.replay_to_flush(&disk).unwrap() {
        flushes += 1;
        for guest in 0..DISK.partitions {
            let partition = folder.join("partition.raw");
            DISK.extract(&state, guest, &partition);
            replay_journal(&partition);
            assert_clean(&partition, &format!("guest {guest}, flush {flushes}"));
            let files: BTreeMap<String, String> = sums(&partition).into_iter().collect();
            // Files older than seven may have been removed.
            let must = synced.iter().filter(|file| file.guest == guest && file.log <= at);
            for file in must.rev_last(6) {
                assert_eq!(
                    files.get(&file.name),
                    Some(&file.sum),
                    "guest {guest}: {} was synced before flush {flushes} at {at}",
                    file.name
                );
                found += 1;
            }
        }
    }
    assert!(flushes >= FILES, "{flushes} flushes reached the disk");
    assert!(found >= FILES, "{found} files were looked for");
    assert!(log.discards() > 0, "nothing was discarded");
}

/// The last few of an iterator.
trait Last: Iterator + Sized {
    fn rev_last(self, count: usize) -> std::vec::IntoIter<Self::Item> {
        let mut all: Vec<Self::Item> = self.collect();
        all.split_off(all.len().saturating_sub(count)).into_iter()
    }
}
impl<I: Iterator> Last for I {}

fn prepare(test: &str) -> (std::path::PathBuf, Devices) {
    let folder = scratch(test);
    DISK.make(&folder.join("before.raw"));
    copy(&folder.join("before.raw"), &folder.join("disk.raw"));
    File::create(folder.join("log")).unwrap();
    let writes = Writes::Logged(folder.join("log"));
    let disk = Disk { writes, ..Disk::keeping(folder.join("disk.raw")) };
    (folder, Devices { disk: Some(disk), ..Devices::default() })
}

/// The judges are right about a machine without Bulkhead.
#[test]
fn bare_machine_keeps_what_was_synced() {
    let (folder, devices) = prepare("power-cut-bare");
    let text = fs::read_to_string(root().join("build/guests/debian-12/guest.json")).unwrap();
    let description: Value = serde_json::from_str(&text).unwrap();
    let path = |key: &str| description[key].as_str().unwrap().to_string();
    let mut machine = Machine::bare(path("image"), path("initrd"), "console=ttyAMA0 quiet", 256);
    machine.devices = devices;
    let mut guest = Guest::wait_ready(harness::start(&machine));
    guest.run("for m in $(cat /etc/root-modules); do insmod /lib/modules/$m.ko; done");
    guest.send(&work("/dev/vda1", FILES));
    let synced = run(guest.into_emulator(), &[""], &folder.join("log"));
    judge(&folder, &synced);
    fs::remove_dir_all(folder).unwrap();
}

fn guests_keep_what_they_synced(layout: &str) {
    let (folder, devices) = prepare(&format!("power-cut-{layout}"));
    let system = System::standard().cmdline("console=ttyAMA0 quiet").define("BLK_LAYOUT", layout);
    let mut machine = system.machine();
    machine.devices = Devices { network: Some("user".into()), entropy: true, ..devices };
    let mut guest = Guest::wait_all_ready(harness::start(&machine), 2);
    for number in [1, 0] {
        guest.focus(number).run("for m in $(cat /etc/root-modules); do insmod /lib/modules/$m.ko; done");
        guest.send(&work("/dev/vda", FILES));
    }
    let synced = run(guest.into_emulator(), &["vmm_0|", "vmm_1|"], &folder.join("log"));
    judge(&folder, &synced);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn guests_keep_what_they_synced_and_whole_file_systems_in_the_isolated_layout() {
    guests_keep_what_they_synced("isolated");
}

#[test]
fn guests_keep_what_they_synced_and_whole_file_systems_in_the_direct_layout() {
    guests_keep_what_they_synced("direct");
}
