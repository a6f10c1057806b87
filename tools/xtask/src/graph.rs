// SPDX-License-Identifier: BSD-2-Clause
//! `xtask graph`: a system description as a picture.
//!
//! Nothing is built for it: files that regions are prefilled from need not exist.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use crate::{paths, sdk};

/// What to draw.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The board, a file of kernel-config/.
    #[arg(long, env = "BOARD", default_value = "qemu_virt_aarch64")]
    pub board: String,
    /// The system description.
    #[arg(long, env = "SYSTEM", default_value = "system.xml")]
    pub system: PathBuf,
    /// A variable of the system description: NAME=VALUE.
    #[arg(long = "define", short = 'D')]
    pub definitions: Vec<String>,
    /// The picture; build/graph.svg if nothing is said.
    #[arg(long)]
    pub output: Option<PathBuf>,
}

/// Draws the system; gives the file.
///
/// # Errors
/// Something is wrong with the description: said at its place.
pub fn graph(options: &Options) -> Result<PathBuf> {
    let board = sdk::board(&options.board)?;
    let source = paths::root().join(&options.system);
    let text = fs::read_to_string(&source).with_context(|| source.display().to_string())?;
    let name = options.system.display().to_string();
    let variables = options.definitions.iter().map(|text| {
        let (name, value) = text.split_once('=').with_context(|| format!("{text}: NAME=VALUE"))?;
        Ok((name.to_owned(), value.to_owned()))
    });
    let variables = variables.collect::<Result<sdf::Variables>>()?;
    let refused = |problems: Vec<sdf::Diagnostic>| {
        for problem in &problems {
            eprintln!("{problem}");
        }
        anyhow::anyhow!("{name} has {} error(s)", problems.len())
    };
    let resolved = sdf::resolve(&name, &text, &board, &variables).map_err(refused)?;
    let system = resolved.parse_without_files(&sdf::Platform::from_board(&board)).map_err(refused)?;
    let file = match &options.output {
        Some(file) => file.clone(),
        None => {
            fs::create_dir_all(paths::build())?;
            paths::build().join("graph.svg")
        }
    };
    fs::write(&file, sdf::graph(&system, &board, &name)).with_context(|| file.display().to_string())?;
    Ok(file)
}
