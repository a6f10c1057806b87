// SPDX-License-Identifier: BSD-2-Clause
//! Boots whole systems in the emulator and talks to their console.
//!
//! A test in `tests/` names the system it wants with a [`System`]; the harness has `xtask` build the image, once for all
//! tests that want the same, and boots it. `xtask test` builds SDK and PDs beforehand and says so in the environment
//! (`BULKHEAD_XTASK`, `BULKHEAD_NO_BUILD`); without it, as when one test is run by hand, everything is built as needed.
//!
//! Failures panic with the console's last lines. Time-outs are generous: they only end a test of a system that hangs.

#![forbid(unsafe_code)]

pub mod disk;
mod guest;
mod system;
mod writes;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use emulator::{Console, Devices, Disk, Emulator, Machine, Payload, Time, Writes, peer};
pub use guest::Guest;
pub use system::{System, USERS_VARIABLES};
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
