// SPDX-License-Identifier: BSD-2-Clause
//! Runs `tests/sdf`: every file comes out as the comments at its top say.

#![allow(clippy::unwrap_used, reason = "tests")]

use board::Board;
use sdf::{Diagnostic, Platform, Severity, System, Variables};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn board() -> Board {
    Board::load(&root().join("kernel-config/qemu_virt_aarch64.toml")).unwrap()
}

/// What a file says about itself.
#[derive(Debug, Default)]
struct Wanted {
    errors: Vec<String>,
    warnings: Vec<String>,
    platform: Option<String>,
}

impl Wanted {
    fn read(text: &str) -> Self {
        let mut wanted = Self::default();
        for line in text.lines() {
            let Some(comment) = line.strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->")) else {
                break;
            };
            if let Some(message) = comment.strip_prefix("expect ") {
                wanted.errors.push(message.to_owned());
            } else if let Some(message) = comment.strip_prefix("warns ") {
                wanted.warnings.push(message.to_owned());
            } else if let Some(variant) = comment.strip_prefix("platform ") {
                wanted.platform = Some(variant.to_owned());
            }
        }
        wanted
    }

    fn platform(&self, board: &Board) -> Platform {
        let mut platform = Platform::from_board(board);
        match self.platform.as_deref() {
            None => {}
            Some("no_smc") => platform.smc = false,
            Some("no_hypervisor") => platform.hypervisor = false,
            Some("cores=4") => platform.cores = 4,
            Some("one_domain") => platform.num_domains = 1,
            Some(other) => panic!("unknown platform {other}"),
        }
        platform
    }
}

fn parse(path: &Path, text: &str, platform: &Platform, board: &Board) -> Result<System, Vec<Diagnostic>> {
    let name = path.file_name().unwrap().to_str().unwrap();
    let search_paths = [root().join("tests/sdf/prefill")];
    if path.extension().unwrap() == "xml" {
        sdf::resolve(name, text, board, &Variables::new())?.parse(platform, &search_paths)
    } else {
        sdf::parse(name, text, platform, &search_paths)
    }
}

fn files(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(root().join("tests/sdf").join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

/// Why the diagnostics are not the wanted ones.
fn mismatch(wanted: &[String], got: &[Diagnostic], severity: Severity) -> Option<String> {
    let got: Vec<String> = got
        .iter()
        .map(|diagnostic| {
            assert_eq!(diagnostic.severity, severity);
            assert!(diagnostic.problem.help().is_some(), "nothing says what to do: {diagnostic}");
            format!("{}: {}", diagnostic.pos, diagnostic.problem)
        })
        .collect();
    let same =
        wanted.len() == got.len() && wanted.iter().zip(&got).all(|(wanted, got)| got.starts_with(wanted));
    if same { None } else { Some(format!("wanted {wanted:#?}\ngot {got:#?}")) }
}

#[test]
fn broken_files_are_refused_with_place_and_reason() {
    let board = board();
    let files = files("broken");
    assert!(files.len() >= 200, "only {} files", files.len());
    let mut failures = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let wanted = Wanted::read(&text);
        assert!(!wanted.errors.is_empty(), "{} expects nothing", path.display());
        let failure = match parse(&path, &text, &wanted.platform(&board), &board) {
            Ok(_) => Some("accepted".to_owned()),
            Err(errors) => mismatch(&wanted.errors, &errors, Severity::Error),
        };
        failures.extend(failure.map(|failure| format!("{}: {failure}", path.display())));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn valid_files_are_accepted_with_exactly_their_warnings() {
    let board = board();
    let mut failures = Vec::new();
    for path in files("valid") {
        let text = std::fs::read_to_string(&path).unwrap();
        let wanted = Wanted::read(&text);
        let failure = match parse(&path, &text, &wanted.platform(&board), &board) {
            Ok(system) => mismatch(&wanted.warnings, &system.warnings, Severity::Warning),
            Err(errors) => Some(format!("refused: {errors:#?}")),
        };
        failures.extend(failure.map(|failure| format!("{}: {failure}", path.display())));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Plain files pass through the resolver as they are.
#[test]
fn resolving_a_plain_file_changes_nothing() {
    let board = board();
    for path in files("valid").into_iter().filter(|path| path.extension().unwrap() == "system") {
        let text = std::fs::read_to_string(&path).unwrap();
        let resolved = sdf::resolve("plain.system", &text, &board, &Variables::new()).unwrap();
        assert_eq!(resolved.text, format!("{text}<!-- Made from plain.system for qemu_virt_aarch64. -->\n"));
        assert!(resolved.files.is_empty());
    }
}

/// What comes out of the resolver means the same to a tool that knows nothing of the dialect.
#[test]
fn resolved_dialect_is_plain() {
    let board = board();
    let platform = Platform::from_board(&board);
    let text = std::fs::read_to_string(root().join("tests/sdf/valid/dialect.xml")).unwrap();
    let resolved = sdf::resolve("dialect.xml", &text, &board, &Variables::new()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for file in &resolved.files {
        std::fs::write(folder.path().join(&file.name), &file.content).unwrap();
    }
    let system = sdf::parse("plain.system", &resolved.text, &platform, &[folder.path().to_owned()]).unwrap();

    let region = |name: &str| system.memory_region(name).unwrap();
    assert_eq!((region("registers").phys_addr, region("registers").size), (Some(0x0900_0000), 0x1000));
    assert_eq!(region("mem").size, 0x1_0000);
    assert!(system.memory_region("extra").is_none());
    let pd = system.protection_domain("pd").unwrap();
    assert_eq!(pd.irqs.iter().map(|irq| irq.number).collect::<Vec<_>>(), [33, 30]);
    let vcpus = &pd.virtual_machine.as_ref().unwrap().vcpus;
    assert_eq!(vcpus.iter().map(|vcpu| vcpu.id).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(resolved.files[0].name, "pd_config.txt");
    assert_eq!(resolved.files[0].content, "who=a < b\n");
}
