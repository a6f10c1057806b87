// SPDX-License-Identifier: BSD-2-Clause
//! The system description format (SDF) of Microkit 2.3 on AArch64: parse, check, resolve board names, write plain SDF.
//!
//! * [`parse()`] turns a plain SDF file into a checked [`System`]; the `microkit` tool builds on that.
//! * [`resolve()`] turns a file in our dialect, which names the board's devices, into a plain one.
//! * [`Platform`] holds what the checks must know of the board and kernel; it comes from an SDK's JSON files.
//!
//! Whatever is wrong is reported as a [`Diagnostic`]: `file:row:col: error: message`, with what to do about it. The
//! messages begin as the reference tool's do, so that scripts written for it keep working.

#![forbid(unsafe_code)]

mod check;
mod diagnostic;
mod element;
mod graph;
pub mod limits;
mod lines;
mod model;
mod parse;
mod platform;
mod problem;
mod programs;
mod resolve;

use std::path::{Path, PathBuf};

pub use diagnostic::{Diagnostic, Severity};
pub use graph::graph;
pub use model::*;
pub use platform::{Platform, PlatformError};
pub use problem::{ConnectFault, Fault, Problem, ResolveFault};
pub use resolve::{GeneratedFile, Resolved, Variables, resolve};

/// Parses and checks a plain SDF file.
///
/// `source_name` appears in messages. `search_paths` are where `prefill_path` files are looked for, then the current
/// folder; images are not opened here.
///
/// # Errors
/// Everything that is wrong with the file, in file order; never empty.
pub fn parse(
    source_name: &str,
    text: &str,
    platform: &Platform,
    search_paths: &[PathBuf],
) -> Result<System, Vec<Diagnostic>> {
    let files = parse::Files { search_paths, generated: &[], optional: false };
    parse::parse(source_name, text, platform, files)
}

/// Finds a file that a system description names: an absolute path as it is, any other on `search_paths` in order, then
/// in the current folder.
#[must_use]
pub fn find_file(name: &Path, search_paths: &[PathBuf]) -> Option<PathBuf> {
    search_paths
        .iter()
        .map(|folder| folder.join(name))
        .chain(std::iter::once(name.to_path_buf()))
        .find(|candidate| candidate.is_file())
}
