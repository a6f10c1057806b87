// SPDX-License-Identifier: BSD-2-Clause
//! `xtask planted`: the kernel's tests find bugs that are planted into a copy of it, one at a time.
//!
//! A bug is a file in `platform/kernel/refine/planted`: of which class it is, what it does, and text in the kernel's sources
//! that is replaced. The text has to be there exactly once: what is stale is an error, also in this module's tests. First
//! come the tests that find most in seconds, then, if they find nothing, all of them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde::Deserialize;

use super::QUICK;
use crate::paths;
use crate::process::say;

/// Which bugs.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Options {
    /// Only those whose name contains this.
    pub filter: Option<String>,
    /// Look with the tests that take seconds, and with no others.
    #[arg(long)]
    pub quick: bool,
}

/// Where the bugs are.
const FOLDER: &str = "platform/kernel/refine/planted";
/// Packages that are copied: the kernel's, and what its tests compare booting with.
const PACKAGES: [&str; 5] = [
    "platform/kernel/abi",
    "platform/kernel/spec",
    "platform/kernel/core",
    "platform/kernel/refine",
    "platform/initialiser/spec",
];
/// The tests of `kernel-refine` that come first, in this order.
const FIRST: [&str; 8] =
    ["boundaries", "reuse", "lookup", "random", "fastpath", "preemption", "integrity", "exhaustive"];
/// Tests that do not end in that many seconds have found something.
const PATIENCE: &str = "900";
/// Exit code of `timeout` when it had to end the program.
const TIMED_OUT: i32 = 124;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bug {
    class: String,
    what: String,
    change: Vec<Change>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    /// Below `platform/kernel`.
    file: PathBuf,
    old: String,
    new: String,
}

/// All bugs by name, in order.
fn bugs() -> Result<Vec<(String, Bug)>> {
    let mut bugs = Vec::new();
    for entry in fs::read_dir(paths::root().join(FOLDER)).context(FOLDER)? {
        let file = entry?.path();
        let text = fs::read_to_string(&file)?;
        let bug = toml::from_str(&text).with_context(|| file.display().to_string())?;
        let name = file.file_stem().context("a file without name")?.to_string_lossy().into_owned();
        bugs.push((name, bug));
    }
    bugs.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(bugs)
}

/// The changed files of a bug, in the kernel of the checkout: path below its root, text.
fn changed(bug: &Bug) -> Result<Vec<(PathBuf, String)>> {
    let mut files: Vec<(PathBuf, String)> = Vec::new();
    for change in &bug.change {
        let path = Path::new("platform/kernel").join(&change.file);
        let at = match files.iter().position(|(other, _)| *other == path) {
            Some(at) => at,
            None => {
                let text = fs::read_to_string(paths::root().join(&path))
                    .with_context(|| path.display().to_string())?;
                files.push((path, text));
                files.len() - 1
            }
        };
        let (path, text) = &mut files[at];
        let found = text.matches(&change.old).count();
        ensure!(found == 1, "found {found} times in {}: {}", path.display(), change.old);
        *text = text.replace(&change.old, &change.new);
    }
    Ok(files)
}

/// Plants the bugs one after the other.
///
/// # Errors
/// One is not found, does not build or is stale, or the tests fail without any.
pub fn run(options: &Options) -> Result<()> {
    let all = bugs()?;
    let wanted = |name: &str| options.filter.as_deref().is_none_or(|filter| name.contains(filter));
    let chosen: Vec<_> = all.iter().filter(|(name, _)| wanted(name)).collect();
    ensure!(!chosen.is_empty(), "no bug is called so");
    let folder = paths::build().join("planted");
    fs::create_dir_all(&folder)?;
    let lock = File::create(folder.join("lock"))?;
    lock.lock().context("waiting for another one that plants bugs")?;
    let tree = Tree::new()?;
    say("the kernel as it is");
    if let Some(test) = tree.quick()? {
        bail!("{test} fails without a planted bug");
    }
    let mut missed = Vec::new();
    for (number, (name, bug)) in (1..).zip(&chosen) {
        let files = changed(bug).with_context(|| format!("{name} is stale"))?;
        for (path, text) in &files {
            fs::write(tree.root.join(path), text)?;
        }
        let found = match tree.quick().with_context(|| name.clone())? {
            None if !options.quick => tree.all()?,
            found => found,
        };
        for (path, _) in &files {
            fs::copy(paths::root().join(path), tree.root.join(path))?;
        }
        let by = found.as_deref().unwrap_or("NOT FOUND");
        println!("{number}/{} {name} ({}): {}: {by}", chosen.len(), bug.class, bug.what);
        if found.is_none() {
            missed.push(name.as_str());
        }
    }
    println!("{} of {} planted bugs found", chosen.len() - missed.len(), chosen.len());
    if missed.is_empty() { Ok(()) } else { bail!("not found: {}", missed.join(", ")) }
}

/// A copy of the kernel's packages as a workspace of their own.
struct Tree {
    root: PathBuf,
}

impl Tree {
    fn new() -> Result<Self> {
        let root = paths::build().join("planted/kernel");
        for package in PACKAGES {
            copy(&paths::root().join(package), &root.join(package))?;
        }
        let text = fs::read_to_string(paths::root().join("Cargo.toml"))?;
        let mut manifest: toml::Table = toml::from_str(&text).context("Cargo.toml")?;
        let workspace = manifest.get_mut("workspace").and_then(toml::Value::as_table_mut);
        let workspace = workspace.context("Cargo.toml is no workspace")?;
        workspace.remove("default-members");
        let members = PACKAGES.map(|package| toml::Value::String(package.into())).to_vec();
        workspace.insert("members".into(), toml::Value::Array(members));
        write(&root.join("Cargo.toml"), toml::to_string(&manifest)?.as_bytes())?;
        if !root.join("Cargo.lock").exists() {
            fs::copy(paths::root().join("Cargo.lock"), root.join("Cargo.lock"))?;
        }
        Ok(Self { root })
    }

    fn cargo(&self, arguments: &[&str], set: &[(&str, &str)]) -> Result<Output> {
        let mut command = Command::new("timeout");
        command.args([PATIENCE, "cargo", "test", "--profile", "wrong", "--target-dir", "../target"]);
        command.args(arguments);
        command.current_dir(&self.root).envs(set.iter().copied()).env("RUST_BACKTRACE", "0");
        // Little changes between two builds.
        command.env("CARGO_INCREMENTAL", "1");
        command.output().context("starting cargo")
    }

    /// Runs tests; the first that fails.
    fn test(&self, arguments: &[&str], set: &[(&str, &str)]) -> Result<Option<String>> {
        let built = self.cargo(&[arguments, &["--no-run"]].concat(), &[])?;
        ensure!(built.status.success(), "does not build: {}", String::from_utf8_lossy(&built.stderr));
        let output = self.cargo(arguments, set)?;
        if output.status.success() {
            return Ok(None);
        }
        if output.status.code() == Some(TIMED_OUT) {
            return Ok(Some("the tests do not end".into()));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let failed = text.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
        let failed: Vec<&str> = failed.collect();
        // A test program that was ended by a signal names none.
        Ok(Some(if failed.is_empty() { "a test does not end well".into() } else { failed.join(", ") }))
    }

    fn quick(&self) -> Result<Option<String>> {
        for test in FIRST {
            let found = self.test(&["--package", "kernel-refine", "--test", test], &QUICK)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn all(&self) -> Result<Option<String>> {
        let last = ("REFINE_SHORTEN", "no");
        self.test(&["--package", "kernel-core", "--package", "kernel-refine", "--tests"], &[last])
    }
}

/// Copies a folder; what is the same already is left alone, so that it is not built again.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            write(&target, &fs::read(entry.path())?)?;
        }
    }
    Ok(())
}

fn write(to: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(to).ok().as_deref() != Some(bytes) {
        fs::write(to, bytes).with_context(|| to.display().to_string())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planted_bugs_fit_the_kernel_as_it_is() {
        let bugs = bugs().expect("they can be read");
        assert!(bugs.len() >= 30, "{} bugs", bugs.len());
        for (name, bug) in bugs {
            assert!(!bug.class.is_empty() && !bug.what.is_empty(), "{name} says nothing of itself");
            let files = changed(&bug).unwrap_or_else(|error| panic!("{name}: {error}"));
            for (path, text) in files {
                let before = fs::read_to_string(paths::root().join(&path)).expect("it was read before");
                assert_ne!(before, text, "{name} changes nothing in {}", path.display());
            }
        }
    }
}
