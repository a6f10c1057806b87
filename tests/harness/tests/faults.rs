// SPDX-License-Identifier: BSD-2-Clause
//! Protection domains that crash, hang or scribble, and the supervisor that restarts them.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::time::Duration;

use harness::{Emulator, System, Time};

const TIMEOUT: Duration = Duration::from_secs(120);

/// Waits for a text.
fn expect(emulator: &mut Emulator, pattern: &str) {
    if let Err(error) = emulator.expect(pattern, TIMEOUT) {
        panic!("{error}");
    }
}

#[test]
fn dead_pd_is_reborn_as_new_and_its_callers_are_answered() {
    for debug in [false, true] {
        let system = System::of("tests/systems/restart.xml");
        let mut machine = if debug { system.debug().machine() } else { system.machine() };
        machine.time = Time::Deterministic;
        let mut emulator = harness::start(&machine);
        expect(&mut emulator, "TEST mourner passed");
        if debug {
            let text = emulator.console().text();
            for message in [
                "first: VMFault: accessing data at 0x8",
                "first: UserException",
                "first: does not answer",
                "first: what it needs for a restart is damaged; given up",
                "second: VMFault: accessing data at 0x8",
                "restart 4",
            ] {
                assert!(text.contains(message), "{message}: {text}");
            }
        }
    }
}
