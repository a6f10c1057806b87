// SPDX-License-Identifier: BSD-2-Clause
//! Boots whole systems in the emulator and talks to their console.
//!
//! A test in `tests/` names the system it wants with a [`System`]; the harness has `xtask` build the image, once for all
//! tests that want the same, and boots it. `xtask test` builds SDK and PDs beforehand and says so in the environment
//! (`BULKHEAD_XTASK`, `BULKHEAD_NO_BUILD`); without it, as when one test is run by hand, everything is built as needed.
//!
//! Failures panic with the console's last lines. Time-outs are generous: they only end a test of a system that hangs.

#![forbid(unsafe_code)]

pub mod access;
pub mod card;
pub mod debugger;
pub mod disk;
mod guest;
pub mod jobs;
mod system;
pub mod terminal;
pub mod user;
pub mod victim;
mod writes;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use emulator::{Console, Devices, Disk, Emulator, Machine, Payload, Time, Writes, peer};
pub use guest::Guest;
pub use system::{System, kernel_symbol, other_sdk, root_task, xtask_program};
pub use writes::{Flush, WriteLog};

/// The line that a guest's initramfs prints when user space is up begins with this.
pub const READY_MARKER: &str = "guest is ready:";
/// The prompt of a guest's shell begins with this.
pub const PROMPT: &str = "guest:";
/// How long a guest may take to come up.
pub const BOOT_TIMEOUT: Duration = Duration::from_secs(300);
/// How long a command in a guest may take.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);

/// The root of the checkout.
#[must_use]
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).unwrap_or(manifest).to_path_buf()
}

/// Starts a machine. What it prints is kept in `build/test/console/`, in a file named like the test.
///
/// # Panics
/// QEMU does not start.
#[must_use]
pub fn start(machine: &Machine) -> Emulator {
    let folder = root().join("build/test/console");
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("test").replace("::", ".");
    let log = std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::File::options().create(true).append(true).open(folder.join(name + ".log")));
    match log {
        Ok(file) => Emulator::start(machine, file),
        Err(_) => Emulator::start(machine, std::io::sink()),
    }
    .expect("QEMU starts")
}
