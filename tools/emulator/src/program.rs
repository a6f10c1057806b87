// SPDX-License-Identifier: BSD-2-Clause
//! The emulator's program: this machine's, or a newer one for a board that needs it.

use std::io::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use board::Board;

/// QEMU's program, where it is installed.
pub(crate) const INSTALLED: &str = "qemu-system-aarch64";

/// The QEMU that a board needs. If this machine's is older, `tools/newer-qemu.sh` of the checkout at `root` provides one.
///
/// # Errors
/// There is none, and none to be had.
pub fn of(board: &Board, root: &Path) -> Result<PathBuf> {
    let needed = board.emulator.as_ref().map_or(0, |emulator| emulator.minimum_version);
    if needed == 0 || major(&output(Command::new(INSTALLED).arg("--version"))?) >= Some(needed) {
        return Ok(INSTALLED.into());
    }
    Ok(output(&mut Command::new(root.join("tools/newer-qemu.sh")))?.trim().into())
}

/// What a command prints; what it complains about is shown.
fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| Error::other(format!("{name}: {error}")))?;
    if !output.status.success() {
        return Err(Error::other(format!("{name}: {}", output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
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
