// SPDX-License-Identifier: BSD-2-Clause
//! `xtask mutants`: mutation testing of the kernel's core with cargo-mutants, configured by `.cargo/mutants.toml`. The tool
//! is installed below `build/` when it is not there. Results: `build/mutants/mutants.out`.

use std::process::{Command, Stdio};

use anyhow::Result;
use clap::Args;

use super::QUICK;
use crate::paths;
use crate::process::{run as run_command, say};

/// The version that the configuration is for.
const VERSION: &str = "27.1.0";

/// The part that is taken if none is named.
const SHARD: &str = "0/30";

/// Which mutants.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Options {
    /// One part of them all, every n-th from the k-th on: k/n, k from 0. All of them take more than a day on two CPUs.
    #[arg(long, env = "SHARD", default_value = SHARD)]
    pub shard: String,
    /// Only those whose name matches this regular expression, instead.
    #[arg(long)]
    pub re: Option<String>,
}

/// Runs cargo-mutants.
///
/// # Errors
/// It cannot be installed, a mutant survives, or the tests fail without one.
pub fn run(options: &Options) -> Result<()> {
    let tools = paths::build().join("tools");
    let installed = tools.join("bin/cargo-mutants");
    let here = Command::new("cargo")
        .args(["mutants", "--version"])
        .current_dir(paths::root())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let program = if here.is_ok_and(|status| status.success()) {
        "cargo-mutants".into()
    } else {
        if !installed.exists() {
            say(format!("installing cargo-mutants {VERSION} into {}", tools.display()));
            run_command(
                Command::new("cargo")
                    .args(["install", "cargo-mutants", "--locked", "--version", VERSION, "--root"])
                    .arg(&tools)
                    .current_dir(paths::root()),
            )?;
        }
        installed
    };
    let mut command = Command::new(program);
    let shard = if options.shard.is_empty() { SHARD } else { &options.shard };
    command.args(["mutants", "-j1", "--no-shuffle", "--output"]).arg(paths::build().join("mutants"));
    match &options.re {
        Some(re) => command.args(["--re", re]),
        None => command.args(["--sharding", "round-robin", "--shard", shard]),
    };
    command.current_dir(paths::root()).envs(QUICK).env("CARGO_INCREMENTAL", "1");
    run_command(&mut command)
}
