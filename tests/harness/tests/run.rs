// SPDX-License-Identifier: BSD-2-Clause
//! `make run` without a terminal, as scripts use it: exit status, console, orderly end.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use harness::root;
use harness::user::run;

/// The smallest system with a guest.
const ONE_GUEST: &str = "--system=tests/systems/one_guest.xml";

fn folder(name: &str) -> String {
    format!("--output={}", root().join("build/test").join(name).display())
}

#[test]
fn without_input_the_guest_boots_and_is_powered_off() {
    let ran = run(&[], &[&folder("run-empty")], "");
    assert!(ran.success, "{}\n{}", ran.messages, ran.console);
    assert!(ran.console.contains("guest is ready:"), "{}", ran.console);
    assert!(ran.console.contains("guest powered off"), "{}", ran.console);
}

/// `make run BOARD=rpi4b_2gb`, whose card is the default disk.
#[test]
fn on_the_raspberry_pi_two_guests_boot_and_are_powered_off() {
    // A busy host makes its disk very slow.
    let arguments = ["--ready-timeout=900", &folder("run-raspberry-pi")];
    let ran = run(&[("BOARD", "rpi4b_2gb")], &arguments, "");
    assert!(ran.success, "{}\n{}", ran.messages, ran.console);
    for number in [0, 1] {
        for text in ["| guest is ready:", "|INFO: guest powered off"] {
            assert!(ran.console.contains(&format!("vmm_{number}{text}")), "{}", ran.console);
        }
        // Each from its partition.
        let name = format!("blk_virt|INFO: client {number}: ");
        assert!(ran.console.contains(&name), "{}", ran.console);
    }
    assert!(ran.messages.contains("all guests have ended"), "{}", ran.messages);
}

#[test]
fn input_is_typed_at_the_guests_shell() {
    let input = "echo answer is $((6 * 7))\ncat > /tmp/file\nthree\nlines\n\u{4}wc -l /tmp/file\npoweroff\n";
    let ran = run(&[], &[ONE_GUEST, &folder("run-input")], input);
    assert!(ran.success, "{}\n{}", ran.messages, ran.console);
    assert!(ran.console.contains("answer is 42"), "{}", ran.console);
    assert!(ran.console.contains("2 /tmp/file"), "{}", ran.console);
}

#[test]
fn words_of_a_guest_do_not_end_the_run() {
    let input = "echo guest powered off\necho guest stopped\necho still $((6 * 7))\n";
    let ran = run(&[], &[ONE_GUEST, &folder("run-words")], input);
    assert!(ran.success, "{}\n{}", ran.messages, ran.console);
    assert!(ran.console.contains("still 42"), "{}", ran.console);
}

#[test]
fn every_guest_that_still_runs_is_powered_off_at_the_end_of_the_input() {
    let guest = root().join("build/guests/debian-12");
    let ran = run(
        &[],
        &[
            &folder("run-two"),
            "--system=tests/systems/two_guests.xml",
            &format!("--define=KERNEL_1={}", guest.join("Image").display()),
            &format!("--define=INITRD_1={}", guest.join("initrd.cpio").display()),
            "--define-text=CMDLINE_FILE_1=console=ttyAMA0 quiet",
        ],
        "",
    );
    assert!(ran.success, "{}\n{}", ran.messages, ran.console);
    for vmm in ["vmm_0", "vmm_1"] {
        assert!(ran.console.contains(&format!("{vmm}|INFO: guest powered off")), "{}", ran.console);
    }
}

#[test]
fn guest_that_does_not_come_up_is_a_failure_with_the_last_lines() {
    let ran = run(
        &[],
        &[
            ONE_GUEST,
            &folder("run-late"),
            "--cmdline=console=ttyAMA0 init=/nowhere rdinit=/nowhere",
            "--ready-timeout=20",
        ],
        "",
    );
    assert!(!ran.success);
    assert!(ran.messages.contains("did not come up"), "{}", ran.messages);
    assert!(
        ran.messages.contains("No working init found") || ran.messages.contains("Kernel panic"),
        "{}",
        ran.messages
    );
}

#[test]
fn unknown_kernel_is_refused_with_what_to_do() {
    let ran = run(&[], &[&folder("run-unknown"), "--kernel=/no/such/Image"], "");
    assert!(!ran.success);
    assert!(
        ran.messages.contains("/no/such/Image") && ran.messages.contains("debian-12-cloud"),
        "{}",
        ran.messages
    );
}

#[test]
fn kernel_that_is_none_is_refused_before_anything_boots() {
    let text = root().join("README.md").display().to_string();
    let ran = run(&[], &[ONE_GUEST, &folder("run-text"), &format!("--kernel={text}")], "");
    assert!(!ran.success);
    assert!(ran.messages.contains("README.md is no arm64 kernel image"), "{}", ran.messages);
    assert!(ran.messages.contains("uncompressed `Image`"), "{}", ran.messages);
    assert!(ran.console.is_empty(), "{}", ran.console);
}

#[test]
fn broken_description_is_refused_at_its_place_before_anything_boots() {
    let text = std::fs::read_to_string(root().join("system.xml")).unwrap();
    let broken = text.replace("priority=\"250\"", "priority=\"300\"");
    let row = 1 + broken.lines().position(|line| line.contains("priority=\"300\"")).unwrap();
    let file = root().join("build/test/broken.xml");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, broken).unwrap();
    let ran = run(&[], &[&folder("run-broken"), "--system=build/test/broken.xml"], "");
    assert!(!ran.success);
    assert!(ran.messages.contains(&format!("build/test/broken.xml:{row}:")), "{}", ran.messages);
    assert!(ran.console.is_empty(), "{}", ran.console);
}
