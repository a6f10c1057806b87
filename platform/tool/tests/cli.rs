// SPDX-License-Identifier: BSD-2-Clause
//! The command itself: files written, exit status, where messages go.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::process::{Command, Output};

use common::{BOARD, Fixture, pd};

fn microkit(fixture: &Fixture, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_microkit"))
        .current_dir(fixture.folder.path())
        .env("MICROKIT_SDK", fixture.path("sdk"))
        .args(arguments)
        .output()
        .unwrap()
}

fn system(fixture: &Fixture, body: &str) {
    fixture.file("test.system", format!("<system>{body}</system>").as_bytes());
}

#[test]
fn image_and_report_are_written() {
    let fixture = Fixture::new();
    system(&fixture, &pd("x", "", ""));
    let arguments = [
        "test.system",
        "--board",
        BOARD,
        "--config",
        "release",
        "--capdl-json",
        "x.json",
        "--viper-output",
        "v",
    ];
    let output = microkit(&fixture, &arguments);
    assert!(output.status.success(), "{output:?}");
    for file in ["loader.img", "report.txt", "x.json", "v/x.vpr"] {
        assert!(fixture.path(file).is_file(), "{file}");
    }
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("number of root objects") && text.contains("image file size"), "{text}");
}

#[test]
fn same_input_gives_the_same_image() {
    let fixture = Fixture::new();
    system(&fixture, &format!("{}{}", pd("x", "", ""), pd("y", "", "")));
    let image = |name: &str| {
        microkit(&fixture, &["test.system", "--board", BOARD, "--config", "debug", "-o", name]);
        std::fs::read(fixture.path(name)).unwrap()
    };
    assert_eq!(image("a.img"), image("b.img"));
}

#[test]
fn programs_are_searched_in_the_given_folders_first() {
    let fixture = Fixture::new();
    fixture.file("other/a.elf", b"no program");
    system(&fixture, &pd("x", "", ""));
    let output = microkit(
        &fixture,
        &["test.system", "--search-path", "other", "--board", BOARD, "--config", "release"],
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("'other/a.elf'"));
}

#[test]
fn wrong_system_gives_status_1_and_no_image() {
    let fixture = Fixture::new();
    system(&fixture, "<protection_domain/>");
    let output = microkit(&fixture, &["test.system", "--board", BOARD, "--config", "release"]);
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).unwrap();
    let first = message.lines().next().unwrap();
    assert!(first.starts_with("Error: ") && first.ends_with(": test.system:1:9"), "{message}");
    assert!(output.stdout.is_empty());
    assert!(!fixture.path("loader.img").exists());
}

#[test]
fn warnings_go_to_standard_output() {
    let fixture = Fixture::new();
    system(&fixture, &format!("<memory_region name=\"unused\" size=\"0x1000\"/>{}", pd("x", "", "")));
    let output = microkit(&fixture, &["test.system", "--board", BOARD, "--config", "release"]);
    assert!(output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().contains("warning"));
    assert!(output.stderr.is_empty());
}

#[test]
fn unknown_board_and_configuration_are_told_with_the_known_ones() {
    let fixture = Fixture::new();
    system(&fixture, &pd("x", "", ""));
    for (board, config, known) in [("none", "release", BOARD), (BOARD, "none", "debug, release")] {
        let output = microkit(&fixture, &["test.system", "--board", board, "--config", config]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && text.contains("invalid choice: 'none'"), "{text}");
        assert!(text.contains(known), "{text}");
    }
}

#[test]
fn image_for_u_boot_is_refused() {
    let fixture = Fixture::new();
    system(&fixture, &pd("x", "", ""));
    let output =
        microkit(&fixture, &["test.system", "--board", BOARD, "--config", "debug", "--image-type", "uimage"]);
    assert!(!output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains("only supported for RISC-V"));
}

#[test]
fn wrong_arguments_give_status_1_and_help_gives_0() {
    let fixture = Fixture::new();
    let output = microkit(&fixture, &["test.system", "--bord", BOARD]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("--bord"));
    let output = microkit(&fixture, &["--help"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8(output.stdout).unwrap().contains("--search-path"));
}
