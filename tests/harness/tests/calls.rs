// SPDX-License-Identifier: BSD-2-Clause
//! Round trips between protection domains and between a guest and its monitor cost no more instructions than they have
//! cost at best: `tests/limits/calls.txt`, which `make limits` lowers. On a machine whose time is its instructions the
//! counts are exact and the same in every run; where a round begins within a tick of the clock is not, so one instruction
//! a round is let pass. The limits are those of the compiler that `rust-toolchain.toml` names; code of another one (of the
//! fallback of tools/setup.sh) is held to them within a sixteenth.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::Duration;

use harness::System;

const TIMEOUT: Duration = Duration::from_secs(240);

/// Instructions of a tick: the counter runs at 62.5 MHz, and an instruction takes a nanosecond.
const TICK: u64 = 16;

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

/// Whether programs are built by the compiler that the limits were measured with.
fn is_pinned_compiler() -> bool {
    let pinned = fs::read_to_string(harness::root().join("rust-toolchain.toml")).unwrap();
    let channel = pinned.lines().find_map(|line| line.strip_prefix("channel = ")).unwrap().trim_matches('"');
    let version = Command::new("rustc").arg("--version").output().unwrap().stdout;
    String::from_utf8_lossy(&version).split(' ').nth(1) == Some(channel)
}

#[test]
fn round_trips_cost_no_more_than_they_did() {
    let (mut limits, pinned) = (limits(), is_pinned_compiler());
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
            let [name, rounds, ticks] = words[..] else { continue };
            let (rounds, ticks): (u64, u64) = (rounds.parse().unwrap(), ticks.parse().unwrap());
            let Some(limit) = limits.remove(name) else {
                over.push(format!("{name}: {ticks} ticks and no limit"));
                continue;
            };
            let margin = rounds + if pinned { 0 } else { limit * TICK / 16 };
            let more = (ticks * TICK).saturating_sub(limit * TICK);
            if more > margin {
                over.push(format!("{name}: {} instructions a round more than {limit} ticks", more / rounds));
            }
        }
    }
    over.extend(limits.keys().map(|name| format!("{name}: not measured")));
    assert!(over.is_empty(), "`make limits` shows all figures\n{}", over.join("\n"));
}
