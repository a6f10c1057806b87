// SPDX-License-Identifier: BSD-2-Clause
//! `xtask miri`: the tests of the kernel's core, and of the rings, interpreted by Miri, which sees undefined behaviour. It is
//! a component of nightly toolchains.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::paths;
use crate::process::{run as run_command, say};

/// Packages whose tests are interpreted.
const PACKAGES: [&str; 2] = ["kernel-core", "ring"];

/// Runs the tests.
///
/// # Errors
/// Miri is not there and cannot be installed, or a test fails.
pub fn run() -> Result<()> {
    let cargo = || {
        let mut command = Command::new("cargo");
        // The checkout pins a stable toolchain; Miri comes with nightly ones.
        command.current_dir(paths::root()).env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN").arg("+nightly");
        command
    };
    let works = || {
        let mut command = cargo();
        command.args(["miri", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if !works() {
        say("Miri is not here: asking rustup");
        let components = ["component", "add", "--toolchain", "nightly", "miri", "rust-src"];
        let asked = Command::new("rustup").args(components).stdin(Stdio::null()).status();
        if !asked.is_ok_and(|status| status.success()) || !works() {
            bail!(
                "Miri cannot be had here; where rustup reaches its servers: rustup component add --toolchain nightly miri"
            );
        }
    }
    for package in PACKAGES {
        let mut command = cargo();
        command.args(["miri", "test", "--package", package, "--target-dir", "build/miri"]);
        // Loom switches stacks by itself, which Miri cannot.
        command.args(["--", "--skip", "loom_tests"]);
        // proptest looks for a file of former failures.
        run_command(command.env("MIRIFLAGS", "-Zmiri-disable-isolation"))?;
    }
    Ok(())
}
