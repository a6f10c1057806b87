// SPDX-License-Identifier: BSD-2-Clause
//! An idle guest costs nothing, counted in executed instructions: those of the guest, its VMM, the drivers and the
//! kernel together.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::fs;
use std::path::PathBuf;

use harness::{Guest, System, root};

/// What `xtask test` builds for this.
fn plugin() -> PathBuf {
    root().join("build/libicount.so")
}

/// The counts at the ready marks so far (`mark` in the guest makes one).
fn marks(file: &PathBuf) -> Vec<u64> {
    let text = fs::read_to_string(file).unwrap();
    text.lines().filter_map(|line| line.strip_prefix("b001 ")?.split(' ').next()?.parse().ok()).collect()
}

#[test]
fn idle_guest_executes_next_to_nothing_and_its_timer_still_fires() {
    let system = System::one_guest();
    let mut machine = system.machine();
    let file = system.folder().join("marks-idle");
    machine.time = harness::Time::Deterministic;
    machine.plugin = Some(format!("file={},out={}", plugin().display(), file.display()));
    let mut guest = Guest::wait_ready(harness::start(&machine));
    guest.run("sleep 2");
    guest.run("mark; sleep 100; mark");
    let marks = marks(&file);
    let [.., before, after] = marks[..] else { panic!("marks: {marks:?}") };
    // A busy processor would execute 100,000 M.
    let executed = after - before;
    assert!(executed < 200_000_000, "{executed} instructions in 100 idle seconds");
    assert!(executed > 10_000, "{executed} instructions cannot be a guest that slept");
}
