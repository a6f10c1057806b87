// SPDX-License-Identifier: BSD-2-Clause
//! `make run` as its user meets it, without a terminal: variables in the environment, commands on standard input.

use std::io::Write;
use std::process::{ChildStdin, Output, Stdio};

use crate::system::xtask;

/// What a run printed.
pub struct Ran {
    /// Whether it ended well.
    pub success: bool,
    /// The console.
    pub console: String,
    /// What `xtask` and the emulator said.
    pub messages: String,
}

/// Runs a system with these variables of `make run` and further arguments of `xtask run`. `type_in` gets its standard input,
/// whose end is the end of the run.
///
/// # Panics
/// `xtask` cannot be started.
pub fn run_with(
    variables: &[(&str, &str)],
    arguments: &[&str],
    type_in: impl FnOnce(&mut ChildStdin) + Send,
) -> Ran {
    let mut command = xtask("run");
    command.args(arguments).envs(variables.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("xtask starts");
    let mut input = child.stdin.take().expect("its standard input");
    let output: Output = std::thread::scope(|scope| {
        scope.spawn(move || type_in(&mut input));
        child.wait_with_output().expect("xtask ends")
    });
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { success: output.status.success(), console: text(&output.stdout), messages: text(&output.stderr) }
}

/// Likewise, with this input.
///
/// # Panics
/// `xtask` cannot be started.
#[must_use]
pub fn run(variables: &[(&str, &str)], arguments: &[&str], input: &str) -> Ran {
    // A run that ends early does not read it all.
    run_with(variables, arguments, |stdin| drop(stdin.write_all(input.as_bytes())))
}
