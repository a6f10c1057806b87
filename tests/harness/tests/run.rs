// SPDX-License-Identifier: BSD-2-Clause
//! `make run` without a terminal, as scripts use it: exit status, console, orderly end.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::io::Write;
use std::process::{Command, Output, Stdio};

use harness::{USERS_VARIABLES, root};

fn xtask(arguments: &[&str], input: &str) -> Output {
    let program = std::env::var_os("BULKHEAD_XTASK").map_or_else(
        || {
            let mut cargo = Command::new("cargo");
            cargo.args(["run", "--quiet", "--package", "xtask", "--"]);
            cargo
        },
        Command::new,
    );
    let mut command = program;
    for variable in USERS_VARIABLES {
        command.env_remove(variable);
    }
    command.current_dir(root()).args(arguments);
    if std::env::var_os("BULKHEAD_NO_BUILD").is_some() {
        command.arg("--no-build");
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// The smallest system with a guest.
const ONE_GUEST: &str = "--system=tests/systems/one_guest.xml";

fn folder(name: &str) -> String {
    format!("--output={}", root().join("build/test").join(name).display())
}

fn texts(output: &Output) -> (String, String) {
    (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn without_input_the_guest_boots_and_is_powered_off() {
    let output = xtask(&["run", &folder("run-empty")], "");
    let (console, messages) = texts(&output);
    assert!(output.status.success(), "{messages}\n{console}");
    assert!(console.contains("guest is ready:"), "{console}");
    assert!(console.contains("guest powered off"), "{console}");
}

#[test]
fn input_is_typed_at_the_guests_shell() {
    let input = "echo answer is $((6 * 7))\ncat > /tmp/file\nthree\nlines\n\u{4}wc -l /tmp/file\npoweroff\n";
    let output = xtask(&["run", &folder("run-input")], input);
    let (console, messages) = texts(&output);
    assert!(output.status.success(), "{messages}\n{console}");
    assert!(console.contains("answer is 42"), "{console}");
    assert!(console.contains("2 /tmp/file"), "{console}");
}

#[test]
fn words_of_a_guest_do_not_end_the_run() {
    let input = "echo guest powered off\necho guest stopped\necho still $((6 * 7))\n";
    let output = xtask(&["run", ONE_GUEST, &folder("run-words")], input);
    let (console, messages) = texts(&output);
    assert!(output.status.success(), "{messages}\n{console}");
    assert!(console.contains("still 42"), "{console}");
}

#[test]
fn every_guest_that_still_runs_is_powered_off_at_the_end_of_the_input() {
    let guest = root().join("build/guests/debian-12");
    let output = xtask(
        &[
            "run",
            &folder("run-two"),
            "--system=tests/systems/two_guests.xml",
            &format!("--define=KERNEL_1={}", guest.join("Image").display()),
            &format!("--define=INITRD_1={}", guest.join("initrd.cpio").display()),
            "--define-text=CMDLINE_FILE_1=console=ttyAMA0 quiet",
        ],
        "",
    );
    let (console, messages) = texts(&output);
    assert!(output.status.success(), "{messages}\n{console}");
    for vmm in ["vmm_0", "vmm_1"] {
        assert!(console.contains(&format!("{vmm}|INFO: guest powered off")), "{console}");
    }
}

#[test]
fn guest_that_does_not_come_up_is_a_failure_with_the_last_lines() {
    let output = xtask(
        &[
            "run",
            ONE_GUEST,
            &folder("run-late"),
            "--cmdline=console=ttyAMA0 init=/nowhere rdinit=/nowhere",
            "--ready-timeout=20",
        ],
        "",
    );
    let (_, messages) = texts(&output);
    assert!(!output.status.success());
    assert!(messages.contains("did not come up"), "{messages}");
    assert!(messages.contains("No working init found") || messages.contains("Kernel panic"), "{messages}");
}

#[test]
fn unknown_kernel_is_refused_with_what_to_do() {
    let output = xtask(&["run", &folder("run-unknown"), "--kernel=/no/such/Image"], "");
    let (_, messages) = texts(&output);
    assert!(!output.status.success());
    assert!(messages.contains("/no/such/Image") && messages.contains("debian-12-cloud"), "{messages}");
}

#[test]
fn kernel_that_is_none_is_refused_before_anything_boots() {
    let text = root().join("README.md").display().to_string();
    let output = xtask(&["run", ONE_GUEST, &folder("run-text"), &format!("--kernel={text}")], "");
    let (console, messages) = texts(&output);
    assert!(!output.status.success());
    assert!(messages.contains("README.md is no arm64 kernel image"), "{messages}");
    assert!(messages.contains("uncompressed `Image`"), "{messages}");
    assert!(console.is_empty(), "{console}");
}

#[test]
fn broken_description_is_refused_at_its_place_before_anything_boots() {
    let text = std::fs::read_to_string(root().join("system.xml")).unwrap();
    let broken = text.replace("priority=\"250\"", "priority=\"300\"");
    let row = 1 + broken.lines().position(|line| line.contains("priority=\"300\"")).unwrap();
    let file = root().join("build/test/broken.xml");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, broken).unwrap();
    let output = xtask(&["run", &folder("run-broken"), "--system=build/test/broken.xml"], "");
    let (console, messages) = texts(&output);
    assert!(!output.status.success());
    assert!(messages.contains(&format!("build/test/broken.xml:{row}:")), "{messages}");
    assert!(console.is_empty(), "{console}");
}
