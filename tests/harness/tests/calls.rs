// SPDX-License-Identifier: BSD-2-Clause
//! Round trips between protection domains and between a guest and its monitor cost no more instructions than they have
//! cost at best: `tests/limits/calls.txt`, which `make limits` lowers. On a machine whose time is its instructions the
//! counts are exact and the same in every run.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use harness::System;

const TIMEOUT: Duration = Duration::from_secs(240);

/// The systems of `make bench` whose PDs print lines `BENCH name rounds ticks`.
const SYSTEMS: &[&str] = &["bench_calls", "bench_exits"];

fn limits() -> BTreeMap<String, u64> {
    let text = fs::read_to_string(harness::root().join("tests/limits/calls.txt")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.split_once(' ').unwrap())
        .map(|(name, ticks)| (name.to_string(), ticks.parse().unwrap()))
        .collect()
}

#[test]
fn round_trips_cost_no_more_than_they_did() {
    let mut limits = limits();
    let mut over = Vec::new();
    let hostile = harness::root().join("build/guests/hostile/Image").display().to_string();
    let guest = System::of("tests/systems/bench_guest.xml")
        .kernel(&hostile)
        .initrd("none")
        .ram("64M")
        .cmdline("mode=bench");
    let pds = SYSTEMS.iter().map(|system| System::of(&format!("tests/systems/{system}.xml")));
    for system in pds.chain([guest]) {
        let mut machine = system.machine();
        machine.time = harness::Time::Deterministic;
        let mut emulator = harness::start(&machine);
        if let Err(error) = emulator.expect("BENCH done", TIMEOUT) {
            panic!("{error}");
        }
        emulator.kill();
        for line in emulator.console().text().lines() {
            let Some((_, result)) = line.split_once("BENCH ") else { continue };
            let words: Vec<&str> = result.split_whitespace().collect();
            let [name, _rounds, ticks] = words[..] else { continue };
            let ticks: u64 = ticks.parse().unwrap();
            match limits.remove(name) {
                None => over.push(format!("{name}: {ticks} ticks and no limit")),
                Some(limit) if ticks > limit => {
                    over.push(format!(
                        "{name}: {ticks} ticks, limit {limit} ({} instructions more)",
                        (ticks - limit) * 16
                    ));
                }
                Some(_) => {}
            }
        }
    }
    over.extend(limits.keys().map(|name| format!("{name}: not measured")));
    assert!(over.is_empty(), "`make limits` shows all figures\n{}", over.join("\n"));
}
