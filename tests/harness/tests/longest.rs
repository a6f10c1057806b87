// SPDX-License-Identifier: BSD-2-Clause
//! Looks for the longest entry into the release kernel, in instructions, while a hostile root task does what takes long
//! (`tests/c/root/hostile.c`) and random users with capabilities to everything make calls. Counted exactly by the plugin
//! `icount` (`tools/icount/src/entries.rs`, which says what an entry, a stretch and a wait are), on a machine whose time is its
//! instructions, so that every run counts the same.
//!
//! `cargo xtask test longest_kernel_entries` prints what was found (with nextest's `--no-capture`, or when it fails).

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::BTreeMap;
use std::time::Duration;

use harness::{kernel_symbol, root};

const TIMEOUT: Duration = Duration::from_secs(300);

/// An interrupt waits less than this, whatever users do.
const LATENCY: u64 = 25_000;
/// No stretch between two looks for a waiting interrupt may be longer. An interrupt waits at most for the one it comes in
/// and the one from there to the end of the entry, so twice this and its own entry are less than [`LATENCY`]; a retype of 256
/// objects, which is the only one that comes near, ends with its entry, and waits alone.
const STRETCH: u64 = 17_000;
/// An interrupt's own entry.
const INTERRUPT: u64 = 10_000;

/// Lines that are printed, longest stretch first.
const SHOWN: usize = 40;

/// What the plugin writes for one kind of entry under one mark.
#[derive(Debug)]
struct Entries {
    /// Offset of the vector; 0 behind a `wfi`.
    vector: u64,
    mark: u64,
    count: u64,
    entry: u64,
    stretch: u64,
    wait: u64,
}

impl Entries {
    fn of_line(line: &str) -> Self {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |index: usize, radix| u64::from_str_radix(words[index], radix).unwrap();
        let (vector, mark) = (number(0, 16), number(1, 16) & 0xff);
        let [count, entry, stretch, wait] = [2, 3, 4, 5].map(|index| number(index, 10));
        Self { vector, mark, count, entry, stretch, wait }
    }

    const fn is_interrupt(&self) -> bool {
        matches!(self.vector / 0x80 % 4, 1 | 2)
    }
}

/// What a mark stands for: an operation that the console names, an invocation's label, a system call.
fn name(mark: u64, operations: &BTreeMap<u64, String>) -> String {
    match (operations.get(&mark), mark) {
        (Some(name), _) => name.clone(),
        (None, 0) => "between operations".into(),
        (None, 1..0x40) => format!("random users, invocation {mark}"),
        (None, _) => format!("random users, system call -{}", mark - 0x40),
    }
}

#[test]
fn longest_kernel_entries_of_hostile_users_are_bounded() {
    let mut machine = harness::root_task("hostile", "release", None);
    machine.time = harness::Time::Deterministic;
    let found = root().join("build/test/longest");
    std::fs::create_dir_all(found.parent().unwrap()).unwrap();
    let _ = std::fs::remove_file(&found);
    let plugin = root().join("build/libicount.so");
    let vectors = kernel_symbol("release", "exception_vectors");
    machine.plugin =
        Some(format!("file={},entries={},vectors={vectors:x}", plugin.display(), found.display()));
    let mut emulator = harness::start(&machine);
    let ended = emulator.expect_any(&["TEST hostile root task ends", "TEST FAILED"], TIMEOUT);
    let console = emulator.console().text();
    assert!(matches!(ended, Ok(0)), "{console}");

    let operations: BTreeMap<u64, String> = console
        .lines()
        .filter_map(|line| line.trim().strip_prefix("TEST operation ")?.split_once(' '))
        .map(|(mark, name)| (u64::from_str_radix(mark, 16).unwrap(), name.to_string()))
        .collect();
    let text = std::fs::read_to_string(&found).unwrap();
    let mut all: Vec<Entries> = text.lines().map(Entries::of_line).collect();
    all.sort_by_key(|entries| std::cmp::Reverse(entries.stretch));
    println!("entries  longest  stretch    wait  while");
    for Entries { vector, mark, count, entry, stretch, wait } in all.iter().take(SHOWN) {
        let name = name(*mark, &operations);
        println!("{count:>7} {entry:>8} {stretch:>8} {wait:>7}  {vector:3x} {name}");
    }
    let most = |of: fn(&Entries) -> u64| all.iter().map(of).max().unwrap();
    let interrupt =
        all.iter().filter(|entries| entries.is_interrupt()).map(|entries| entries.entry).max().unwrap();
    println!("longest entry: {} instructions", most(|entries| entries.entry));
    println!("longest stretch without a look for interrupts: {}", most(|entries| entries.stretch));
    println!("longest entry of an interrupt: {interrupt}");
    println!("longest that an interrupt waited: {}", most(|entries| entries.wait));

    for mark in operations.keys().copied().chain([1, 2, 20, 34, 46, 0x41, 0x42]) {
        assert!(all.iter().any(|entries| entries.mark == mark), "{} was not done", name(mark, &operations));
    }
    assert!(operations.len() > 25, "{operations:?}");
    assert!(most(|entries| entries.entry) > 1_000_000, "no operation is long enough to be stopped");
    assert!(most(|entries| entries.wait) < LATENCY);
    assert!(most(|entries| entries.stretch) < STRETCH);
    assert!(interrupt < INTERRUPT);
}
