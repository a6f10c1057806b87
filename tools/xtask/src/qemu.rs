// SPDX-License-Identifier: BSD-2-Clause
//! The emulator's program: this machine's, or a newer one for a board that needs it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use board::Board;

use crate::paths;
use crate::process::output;

/// What this machine has.
const INSTALLED: &str = "qemu-system-aarch64";

/// The QEMU that a board needs.
///
/// # Errors
/// As [`at_least`].
pub fn of(board: &Board) -> Result<PathBuf> {
    at_least(board.emulator.as_ref().map_or(0, |emulator| emulator.minimum_version))
}

/// A QEMU of at least this major version. If this machine's is older, `tools/newer-qemu.sh` provides one.
///
/// # Errors
/// There is none, and none to be had.
fn at_least(version: u32) -> Result<PathBuf> {
    if version == 0 || major(&output(Command::new(INSTALLED).arg("--version"))?) >= Some(version) {
        return Ok(INSTALLED.into());
    }
    let path = output(&mut Command::new(paths::root().join("tools/newer-qemu.sh")))
        .context("providing a newer QEMU")?;
    Ok(path.trim().into())
}

/// The major version in what `--version` prints.
fn major(text: &str) -> Option<u32> {
    text.split_once("version ")?.1.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::major;

    #[test]
    fn version_is_the_number_behind_the_word() {
        assert_eq!(major("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\n"), Some(7));
        assert_eq!(major("QEMU emulator version 10.0.2\n"), Some(10));
        assert_eq!(major("something else"), None);
    }
}
