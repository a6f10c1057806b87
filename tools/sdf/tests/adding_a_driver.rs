// SPDX-License-Identifier: BSD-2-Clause
//! `docs/adding-a-driver.md`, followed to the letter: what it has one write is what the shipped system has, and nothing
//! outside the driver's folder and the system's description names the driver.

#![allow(clippy::unwrap_used, reason = "tests")]

use board::Board;
use sdf::{Platform, Variables};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// The fenced blocks of the document in one language.
fn blocks<'a>(document: &'a str, language: &str) -> Vec<&'a str> {
    let begin = format!("```{language}\n");
    let blocks: Vec<_> =
        document.split(&begin).skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(!blocks.is_empty(), "no block of {language}");
    blocks
}

/// The lines of a text without comments and the space around them.
fn lines(text: &str) -> Vec<&str> {
    let lines =
        text.lines().map(|line| line.split(" # ").next().unwrap().split(" // ").next().unwrap().trim());
    lines.filter(|line| !line.is_empty() && !line.starts_with("# ") && !line.starts_with("// ")).collect()
}

/// Whether `text` has the lines of `part`, together.
fn has(text: &str, part: &str) -> bool {
    let (text, part) = (lines(text), lines(part));
    text.windows(part.len()).any(|window| window == part)
}

/// Takes the first element that begins with `begin` out of a description; gives where it was.
fn cut(text: &mut String, begin: &str, end: &str) -> usize {
    let first = text.find(begin).unwrap_or_else(|| panic!("no {begin}"));
    let behind = first + text[first..].find(end).unwrap() + end.len();
    text.replace_range(first..behind, "");
    first
}

/// The plain description that a text stands for; it is one that the tool accepts.
fn resolve(text: &str, board: &Board) -> String {
    let folder = tempfile::tempdir().unwrap();
    for file in ["Image", "cmdline.txt"] {
        std::fs::write(folder.path().join(file), "content").unwrap();
    }
    let resolved = sdf::resolve("system.xml", text, board, &Variables::new());
    let resolved = resolved.unwrap_or_else(|errors| panic!("{errors:#?}"));
    resolved.parse(&Platform::from_board(board), &[folder.path().to_owned()]).unwrap();
    resolved.text
}

#[test]
fn a_system_without_the_driver_and_with_what_the_document_adds_is_the_shipped_one() {
    let document = read("docs/adding-a-driver.md");
    let board = Board::load(&root().join("kernel-config/qemu_virt_aarch64.toml")).unwrap();
    let shipped = read("system.xml");
    let mut text = shipped.clone();
    let driver = cut(&mut text, "<protection_domain name=\"rtc_driver\"", "</protection_domain>");
    cut(&mut text, "<call client=\"vmm_${n}.rtc\"", "/>");
    let without = resolve(&text, &board);
    assert!(!without.contains("pl031_driver") && !without.contains("\"rtc_"), "{without}");

    let xml = blocks(&document, "xml");
    let [protection_domain, call] = xml[..] else { panic!("{} blocks of XML", xml.len()) };
    text.insert_str(driver, protection_domain);
    text.insert_str(text.find("<serial name=\"console_${n}\"").unwrap(), call);
    let (added, shipped) = (resolve(&text, &board), resolve(&shipped, &board));
    assert!(shipped.contains("pl031_driver.elf"));
    assert_eq!(lines(&added), lines(&shipped));
}

#[test]
fn what_the_document_shows_of_files_is_in_them() {
    let document = read("docs/adding-a-driver.md");
    let toml = blocks(&document, "toml");
    let [package, device] = toml[..] else { panic!("{} blocks of TOML", toml.len()) };
    let manifest = read("drivers/pl031/Cargo.toml");
    for section in package.split("\n\n") {
        assert!(has(&manifest, section), "not in Cargo.toml: {section}");
    }
    assert!(has(&read("kernel-config/qemu_virt_aarch64.toml"), device));
    let rust = blocks(&document, "rust");
    let [init] = rust[..] else { panic!("{} blocks of Rust", rust.len()) };
    assert!(has(&read("drivers/pl031/src/main.rs"), init));
    for file in document.lines().filter(|line| line.starts_with("  src/")) {
        let file = file.split_whitespace().next().unwrap();
        assert!(root().join("drivers/pl031").join(file).is_file(), "{file}");
    }
}

/// One folder and `system.xml`: all other files would be the same if the driver were not there. A board's file may say that
/// its clock is a PL031, and tests may name what they kill.
#[test]
fn no_other_file_names_the_driver() {
    let mut folders = vec![root()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                let left_out =
                    ["build", "target", "tests", "docs", "kernel-config", "drivers/pl031", "tools/sdf/tests"];
                if !name.starts_with('.') && !left_out.contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if [".rs", ".toml", ".xml", ".sh", "Makefile"].iter().any(|end| name.ends_with(end)) {
                let text = std::fs::read_to_string(&path).unwrap();
                if text.contains("pl031_driver") || text.contains("pl031-driver") {
                    found.push(name);
                }
            }
        }
    }
    assert_eq!(found, [""; 0]);
}
