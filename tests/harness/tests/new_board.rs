// SPDX-License-Identifier: BSD-2-Clause
//! `docs/adding-a-board.md` as a new user follows it: a board of one's own (`tests/boards`), described, built, booted.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::fs;
use std::time::Duration;

use harness::disk::scratch;
use harness::{Machine, root, xtask_program};

const TIMEOUT: Duration = Duration::from_secs(120);

const BOARD: &str = "qemu_virt_holes";

/// A command of the document. Everything is built that is not there; a `make` says no less.
fn xtask(arguments: &[&str]) -> (bool, String, String) {
    let mut command = xtask_program();
    command.args(arguments);
    let output = command.env("BOARDS", "tests/boards").env("BOARD", BOARD).env("CONFIG", "debug").output();
    let output = output.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

/// Memory in three parts, one of them above 4 GiB; 44-bit addresses; entered at EL3; no network, no clock, no entropy.
#[test]
fn a_board_of_ones_own_is_described_built_and_booted() {
    // 1. The description; a mistake is refused with its key.
    let folder = root().join("tests/boards");
    let text = fs::read_to_string(folder.join(format!("{BOARD}.toml"))).unwrap();
    let wrong = text.replace("max_irq = 287", "max_irq = 20");
    let error = board::Board::parse("mine.toml", &wrong).unwrap_err().to_string();
    assert!(error.contains("mine.toml: gic.max_irq: must be 32 to 1019"), "{error}");
    let board = board::Board::load(&folder.join(format!("{BOARD}.toml"))).unwrap();

    // 2. First light.
    let scratch = scratch("new-board");
    let output = format!("--output={}", scratch.display());
    let (built, _, messages) = xtask(&["image", "--system=tests/systems/hello.xml", &output]);
    assert!(built, "{messages}");
    let mut machine = Machine::of_board(&board, scratch.join("loader.img")).unwrap();
    machine.time = harness::Time::Deterministic;
    let mut emulator = harness::start(&machine);
    for text in ["kernel: booting", "hello|INFO: hello", "TEST hello from hello"] {
        emulator.expect(text, TIMEOUT).unwrap();
    }
    drop(emulator);

    // 3 and 4. The default system, without the roles that the board does not have.
    let (ended, console, messages) = xtask(&["run", "--no-build", "--ready-timeout=900", &output]);
    assert!(ended, "{messages}\n{console}");
    for number in [0, 1] {
        for text in ["| guest is ready:", "|INFO: guest powered off"] {
            assert!(console.contains(&format!("vmm_{number}{text}")), "{console}");
        }
    }
    let report = fs::read_to_string(scratch.join("report.txt")).unwrap();
    let above = report.lines().filter(|line| line.contains("_ram[") && line.contains(" @ 0x0001")).count();
    assert!(above > 256, "{above} pages of 2 MiB above 4 GiB: more than one guest's");
    fs::remove_dir_all(scratch).unwrap();
}
