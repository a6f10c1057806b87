// SPDX-License-Identifier: BSD-2-Clause
//! Fuzz targets: every device model that a guest reaches, every end of the rings, the network switch. README.md tells how to run them.
//!
//! A target is a function of bytes. It returns when all is well and panics when something happened that must not.

mod mutate;
mod steps;
pub mod targets;

pub use mutate::Mutator;
pub use targets::{TARGETS, Target, target};

use std::path::PathBuf;

/// The longest input that is made.
pub const MOST_BYTES: usize = 1024;

/// The kept inputs of a target, by name.
///
/// # Errors
/// Its folder cannot be read.
pub fn corpus(target: &str) -> std::io::Result<Vec<Vec<u8>>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    files.sort();
    files.iter().map(std::fs::read).collect()
}
