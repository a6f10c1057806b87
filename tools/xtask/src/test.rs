// SPDX-License-Identifier: BSD-2-Clause
//! `xtask test`: every test, on this machine and in the emulator, closing with one count of all of them.

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::cargo::protection_domains;
use crate::process::{run, say};
use crate::sdk::{self, Config, Sdk};
use crate::{guest, image, paths};

/// Which tests.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Options {
    /// Only those that need no emulator.
    #[arg(long)]
    pub host: bool,
    /// Only those whose name contains this.
    pub filter: Option<String>,
}

/// The board that whole systems are tested on.
const BOARD: &str = "qemu_virt_aarch64";

/// The board that is the same but for its GICv3.
const GICV3_BOARD: &str = "qemu_virt_aarch64_gicv3";

/// The second board.
const RASPBERRY_PI: &str = "rpi4b_2gb";

/// The same with other amounts of memory.
const OTHER_RASPBERRY_PIS: [&str; 3] = ["rpi4b_1gb", "rpi4b_4gb", "rpi4b_8gb"];

/// What only runs on the target, besides protection domains: package, target, features.
const TARGET_PACKAGES: &[(&str, &str, &str)] = &[
    ("kernel", KERNEL_TARGET, ""),
    ("kernel", KERNEL_TARGET, "debug"),
    ("kernel", KERNEL_TARGET, "benchmark"),
    ("kernel", KERNEL_TARGET, "paranoid"),
    ("hostile-guest", KERNEL_TARGET, ""),
    ("loader", PD_TARGET, ""),
    ("initialiser", PD_TARGET, ""),
    ("monitor", PD_TARGET, ""),
    ("libmicrokit", PD_TARGET, ""),
];
const KERNEL_TARGET: &str = "aarch64-unknown-none-softfloat";
const PD_TARGET: &str = "aarch64-unknown-none";

/// Runs the tests.
///
/// # Errors
/// One fails, none ran, or something does not build.
pub fn test(options: &Options) -> Result<()> {
    let start = Instant::now();
    if !options.host {
        for kernel in guest::KERNELS {
            guest::fetch(kernel)?;
        }
        crate::disk::provide()?;
        // Each with all that is built for it, so that the next can begin as a copy.
        let platforms = Config::ALL.into_iter().chain([Config::Paranoid]).map(|config| (BOARD, config));
        let others =
            [(GICV3_BOARD, Config::Release), (RASPBERRY_PI, Config::Release), (RASPBERRY_PI, Config::Debug)];
        let memory = OTHER_RASPBERRY_PIS.map(|board| (board, Config::Release));
        for (board, config) in platforms.chain(others).chain(memory) {
            sdk::build(board, &[config])?;
            image::build_pds(&Sdk { root: sdk::ours(), board: board.into(), config: config.name().into() })?;
        }
        crate::u_boot::provide()?;
        emulator::program::of(&sdk::board(RASPBERRY_PI)?, &paths::root()).context("the emulator")?;
        // The seam below the protection domains is tested with the user's SDK, or what stands in for one.
        let other = match env::var_os("MICROKIT_SDK").filter(|path| !path.is_empty()) {
            Some(path) => sdk::provide(Some(path.as_ref()), BOARD, Config::Release.name())?,
            None => sdk::stand_in()?,
        };
        image::build_pds(&other)?;
        say("building the guests that the tests bring along");
        crate::hostile::build()?;
        sdk::install(&crate::bench::plugin()?, &paths::build().join("libicount.so"))?;
    }
    // What machines print is kept there, each run's anew.
    let _ = std::fs::remove_dir_all(paths::build().join("test/console"));
    let runner = Runner::find();
    let mut count = Count::default();
    say(format!("running the tests with cargo {}", runner.name()));
    let selection: &[&str] = if options.host { &[] } else { &["--package", "harness"] };
    let packages: Vec<String> =
        default_members()?.into_iter().flat_map(|name| ["--package".into(), name]).collect();
    let packages: Vec<&str> = packages.iter().map(String::as_str).chain(selection.iter().copied()).collect();
    let mut ok = runner.run(&packages, options.filter.as_deref(), &[], &mut count)?;
    say("running the memory-order models of the rings");
    let loom = [("RUSTFLAGS", "--cfg loom"), ("CARGO_TARGET_DIR", "target/loom")];
    ok &= runner.run(&["--package", "ring", "--release"], options.filter.as_deref(), &loom, &mut count)?;

    say(format!("all tests took {} s", start.elapsed().as_secs()));
    let skipped = if count.skipped > 0 { format!(", {} skipped", count.skipped) } else { String::new() };
    println!("{} passed, {} failed{skipped}", count.passed, count.failed);
    if !ok || count.failed > 0 {
        bail!("tests failed");
    }
    if count.passed == 0 {
        bail!("no test ran");
    }
    Ok(())
}

/// `xtask check`: what a commit should pass.
///
/// # Errors
/// Something does not.
pub fn check() -> Result<()> {
    let cargo = |arguments: &[&str]| {
        let mut command = cargo();
        command.args(arguments);
        command
    };
    say("format");
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    say("lints");
    run(&mut cargo(&["clippy", "--all-targets", "--", "-D", "warnings"]))?;
    run(&mut cargo(&["clippy", "--all-targets", "--package", "harness", "--", "-D", "warnings"]))?;
    say("lints of what runs on the target");
    sdk::build(BOARD, &[Config::Debug])?;
    let mut programs = protection_domains()?;
    programs.dedup_by(|one, other| one.package == other.package);
    let programs = programs.iter().map(|program| (&*program.package, PD_TARGET, "pd"));
    for (package, target, features) in TARGET_PACKAGES.iter().copied().chain(programs) {
        let mut command =
            cargo(&["clippy", "--package", package, "--target", target, "--features", features]);
        command
            .args(["--", "-D", "warnings"])
            .env("MICROKIT_SDK", sdk::ours())
            .env("MICROKIT_BOARD", BOARD)
            .env("MICROKIT_CONFIG", Config::Debug.name());
        run(&mut command)?;
    }
    say("documentation");
    run(cargo(&["doc", "--no-deps", "--document-private-items", "--quiet"])
        .env("RUSTDOCFLAGS", "-D warnings"))?;
    test(&Options { host: true, filter: None })
}

fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(paths::root());
    command
}

/// The packages that are tested on this machine: the workspace's default members.
fn default_members() -> Result<Vec<String>> {
    let metadata = crate::process::output(cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata).context("cargo metadata")?;
    let ids = metadata["workspace_default_members"]
        .as_array()
        .context("cargo metadata names no default members")?;
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    Ok(packages
        .iter()
        .filter(|package| ids.contains(&package["id"]))
        .filter_map(|package| package["name"].as_str().map(str::to_string))
        .collect())
}

/// A program that runs tests.
#[derive(Clone, Copy)]
enum Runner {
    Nextest,
    CargoTest,
}

impl Runner {
    /// nextest where it is installed: it runs the tests of all crates at once.
    fn find() -> Self {
        let version =
            cargo().args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        if version.is_ok_and(|status| status.success()) { Self::Nextest } else { Self::CargoTest }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Nextest => "nextest",
            Self::CargoTest => "test",
        }
    }

    /// Runs the tests of some packages, shows the output, and adds to the count. Returns whether all went well.
    fn run(
        self,
        selection: &[&str],
        filter: Option<&str>,
        set: &[(&str, &str)],
        count: &mut Count,
    ) -> Result<bool> {
        let mut command = cargo();
        match self {
            Self::Nextest => command.args(["nextest", "run", "--no-fail-fast", "--no-tests=pass"]),
            Self::CargoTest => command.args(["test", "--no-fail-fast", "--tests"]),
        };
        command.args(selection).args(filter).envs(set.iter().copied());
        command.env("BULKHEAD_NO_BUILD", "1").env("BULKHEAD_XTASK", env::current_exe()?);
        let (reader, writer) = std::io::pipe()?;
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        let mut child = command.spawn().context("starting cargo")?;
        // The command holds the writing ends of the pipe.
        drop(command);
        for line in BufReader::new(reader).lines() {
            let line = line?;
            println!("{line}");
            count.add(self, &line);
        }
        Ok(child.wait()?.success())
    }
}

/// How many tests had which result.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    passed: u32,
    failed: u32,
    skipped: u32,
}

impl Count {
    /// Adds what a line of a runner's output says, if it is one that closes a run. (nextest also shows what the program of
    /// a test that failed printed, the line that closes it included.)
    fn add(&mut self, runner: Runner, line: &str) {
        let line = line.trim();
        let results = match runner {
            Runner::CargoTest => line.strip_prefix("test result: "),
            Runner::Nextest if line.starts_with("Summary [") => line
                .split_once("tests run:")
                .or_else(|| line.split_once("test run:"))
                .map(|(_, results)| results),
            Runner::Nextest => None,
        };
        let Some(results) = results else { return };
        let words: Vec<&str> =
            results.split([' ', ',', ';', '.', '(', ')']).filter(|word| !word.is_empty()).collect();
        for pair in words.windows(2) {
            let Ok(number) = pair[0].parse::<u32>() else { continue };
            match pair[1] {
                "passed" => self.passed += number,
                "failed" | "timed" | "exec" => self.failed += number,
                "skipped" | "ignored" => self.skipped += number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(runner: Runner, line: &str) -> Count {
        let mut count = Count::default();
        count.add(runner, line);
        count
    }

    #[test]
    fn closing_lines_of_both_runners_are_counted() {
        let expected = Count { passed: 14, failed: 2, skipped: 1 };
        let line = "test result: FAILED. 14 passed; 2 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.02s";
        assert_eq!(count(Runner::CargoTest, line), expected);
        let line = "     Summary [   0.021s] 16 tests run: 14 passed (1 slow), 2 failed, 1 skipped";
        assert_eq!(count(Runner::Nextest, line), expected);
        let line = "Summary [ 9.0s] 3 tests run: 1 passed, 1 timed out, 1 exec failed, 0 skipped";
        assert_eq!(count(Runner::Nextest, line).failed, 2);
    }

    #[test]
    fn other_lines_count_nothing() {
        assert_eq!(count(Runner::Nextest, "14 passed"), Count::default());
        assert_eq!(count(Runner::CargoTest, "test 3 passed ... ok"), Count::default());
        // What a program that failed printed, which the summary counts.
        assert_eq!(count(Runner::Nextest, "    test result: FAILED. 0 passed; 1 failed;"), Count::default());
    }
}
