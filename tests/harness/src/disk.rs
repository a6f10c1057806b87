// SPDX-License-Identifier: BSD-2-Clause
//! Disks for tests: private copies of the guests' disk, and small ones with an empty file system for each guest; looking
//! into them with e2fsprogs afterwards.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use emulator::gpt;

use crate::root;
use crate::system::xtask_program;

/// The guests' disk. Only to be read.
///
/// # Panics
/// It cannot be made.
#[must_use]
pub fn guests_disk() -> PathBuf {
    if env::var_os("BULKHEAD_NO_BUILD").is_none() {
        let status = xtask_program().arg("disk").status().expect("xtask starts");
        assert!(status.success(), "xtask disk: {status}");
    }
    root().join("build/disk/disk.raw")
}

/// Sectors of a guest's partition in it, as `xtask disk` makes them.
pub const GUEST_SECTORS: u64 = 768 << 11;

/// A folder for what a test writes, empty.
///
/// # Panics
/// It cannot be made.
#[must_use]
pub fn scratch(test: &str) -> PathBuf {
    let folder = root().join("build/test").join(test);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder for the test");
    folder
}

/// Copies a file with its holes.
///
/// # Panics
/// It cannot be copied.
pub fn copy(from: &Path, to: &Path) {
    run("cp", &["--sparse=always", "--reflink=auto", &text(from), &text(to)]);
}

/// A disk whose partitions, labelled `guest0` and so on, have an empty ext4 file system each.
#[derive(Clone, Copy, Debug)]
pub struct SmallDisk {
    /// Number of partitions.
    pub partitions: u64,
    /// Sectors in each.
    pub sectors: u64,
}

impl SmallDisk {
    /// Makes it.
    ///
    /// # Panics
    /// It cannot be made.
    pub fn make(self, file: &Path) {
        let disk = File::create(file).expect("the disk's file");
        let sectors = gpt::FIRST + self.partitions * self.sectors + gpt::FIRST;
        disk.set_len(sectors * gpt::SECTOR).expect("the disk's size");
        let partitions: Vec<gpt::Partition> = (0..self.partitions)
            .map(|number| gpt::Partition {
                label: format!("guest{number}"),
                guid: [number as u8 + 1; 16],
                first: self.first(number),
                sectors: self.sectors,
            })
            .collect();
        gpt::write(&disk, sectors, [0xdd; 16], &partitions).expect("the partition table");
        for number in 0..self.partitions {
            let offset = format!("offset={}", self.first(number) * gpt::SECTOR);
            let blocks = (self.sectors * gpt::SECTOR / 4096).to_string();
            run("mke2fs", &["-q", "-F", "-t", "ext4", "-b", "4096", "-E", &offset, &text(file), &blocks]);
        }
    }

    /// First sector of a partition.
    #[must_use]
    pub fn first(self, number: u64) -> u64 {
        gpt::FIRST + number * self.sectors
    }

    /// Copies a partition out of a disk.
    ///
    /// # Panics
    /// It cannot be copied.
    pub fn extract(self, disk: &Path, number: u64, to: &Path) {
        let megabytes = |sectors: u64| ((sectors * gpt::SECTOR) >> 20).to_string();
        let (skip, count) = (megabytes(self.first(number)), megabytes(self.sectors));
        let (from, to) = (format!("if={}", text(disk)), format!("of={}", text(to)));
        let (skip, count) = (format!("skip={skip}"), format!("count={count}"));
        run("dd", &["bs=1M", "conv=sparse", "status=none", &from, &to, &skip, &count]);
    }
}

/// Copies a part of one disk to another, in sectors, each a multiple of 1 MiB.
///
/// # Panics
/// It cannot be copied.
pub fn copy_into(from: &Path, first: u64, to: &Path, target: u64, sectors: u64) {
    let megabytes = |name: &str, sectors: u64| format!("{name}={}", (sectors * gpt::SECTOR) >> 20);
    let (from, to) = (format!("if={}", text(from)), format!("of={}", text(to)));
    let place = [megabytes("skip", first), megabytes("seek", target), megabytes("count", sectors)];
    let mut arguments = vec!["bs=1M", "conv=sparse,notrunc", "status=none", &from, &to];
    arguments.extend(place.iter().map(String::as_str));
    run("dd", &arguments);
}

/// Replays a file system's journal, and nothing else.
///
/// # Panics
/// That fails.
pub fn replay_journal(file_system: &Path) {
    // 1: errors were corrected, which here means that there was something to replay.
    let output =
        program("e2fsck").args(["-y", "-E", "journal_only"]).arg(file_system).output().expect("e2fsck");
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", said(&output));
}

/// Checks a file system without changing it.
///
/// # Panics
/// It is not clean.
pub fn assert_clean(file_system: &Path, when: &str) {
    let output = program("e2fsck").args(["-f", "-n"]).arg(file_system).output().expect("e2fsck");
    assert_eq!(output.status.code(), Some(0), "{when}: {}", said(&output));
}

/// A file system inside a disk.
#[derive(Clone, Debug)]
pub struct FileSystem {
    /// The disk.
    pub disk: PathBuf,
    /// The first of its sectors there.
    pub first: u64,
}

impl FileSystem {
    /// As programs of e2fsprogs call it.
    fn name(&self) -> String {
        format!("{}?offset={}", text(&self.disk), self.first * gpt::SECTOR)
    }

    /// Checks it without changing it.
    ///
    /// # Panics
    /// It is not clean.
    pub fn assert_clean(&self) {
        assert_clean(Path::new(&self.name()), &format!("the file system at {}", self.first));
    }

    /// Copies a file into it.
    ///
    /// # Panics
    /// It cannot be copied.
    pub fn add(&self, file: &Path, path: &str) {
        run("debugfs", &["-w", "-R", &format!("write {} {path}", text(file)), &self.name()]);
        assert!(!self.read(path).is_empty(), "{path} was not written");
    }

    /// The text of a file in it; empty if there is none.
    ///
    /// # Panics
    /// The file system cannot be read.
    #[must_use]
    pub fn read(&self, path: &str) -> String {
        let output = program("debugfs").args(["-R", &format!("cat {path}"), &self.name()]).output();
        String::from_utf8_lossy(&output.expect("debugfs").stdout).into_owned()
    }
}

/// Checks the root file systems of the first `count` guests in a copy of the guests' disk.
///
/// # Panics
/// One is not clean.
pub fn assert_guests_clean(disk: &Path, count: u64) {
    assert_guests_clean_from(disk, gpt::FIRST, count);
}

/// Likewise, in a disk where they begin at another sector.
///
/// # Panics
/// One is not clean.
pub fn assert_guests_clean_from(disk: &Path, first: u64, count: u64) {
    for number in 0..count {
        FileSystem { disk: disk.into(), first: first + number * GUEST_SECTORS }.assert_clean();
    }
}

/// MD5 sums of all files in the root of a file system, by name.
///
/// # Panics
/// It cannot be read.
#[must_use]
pub fn sums(file_system: &Path) -> Vec<(String, String)> {
    let folder = file_system.with_extension("files");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder for the files");
    run("debugfs", &["-R", &format!("rdump / {}", text(&folder)), &text(file_system)]);
    let mut sums = Vec::new();
    for entry in fs::read_dir(&folder).expect("the files") {
        let path = entry.expect("a file").path();
        if path.is_file() {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            sums.push((name.unwrap_or_default(), md5(&path)));
        }
    }
    sums
}

/// The MD5 sum of a file, by coreutils.
///
/// # Panics
/// It cannot be read.
#[must_use]
pub fn md5(file: &Path) -> String {
    let output = Command::new("md5sum").arg(file).output().expect("md5sum");
    String::from_utf8_lossy(&output.stdout).split_whitespace().next().unwrap_or_default().to_string()
}

/// A program, which may be one for the administrator.
fn program(name: &str) -> Command {
    let mut command = Command::new("env");
    let path = env::var("PATH").unwrap_or_default();
    command.arg(format!("PATH={path}:/usr/sbin:/sbin")).arg(name);
    command
}

fn run(name: &str, arguments: &[&str]) {
    let output = program(name).args(arguments).output().expect("a program of e2fsprogs or coreutils");
    assert!(output.status.success(), "{name} {arguments:?}: {}", said(&output));
}

fn said(output: &std::process::Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
