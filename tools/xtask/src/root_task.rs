// SPDX-License-Identifier: BSD-2-Clause
//! `xtask root-task`: boots a program for seL4 as the root task of our kernel, alone.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use crate::process::say;
use crate::sdk::{self, Sdk};
use crate::{c, paths, run};

/// What to boot.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Options {
    /// The board, a file of kernel-config/.
    #[arg(long, env = "BOARD", default_value = "qemu_virt_aarch64")]
    board: String,
    /// The SDK's configuration: programs that print need one whose kernel does.
    #[arg(long, env = "CONFIG", default_value = "debug")]
    config: String,
    /// The program, an ELF file; or `test:NAME`, the root task tests/c/root/NAME.c.
    #[arg(long, env = "ROOT_TASK")]
    root_task: String,
    /// A flattened device tree (a file) that the kernel hands to the program in BootInfo; none if empty, as the
    /// Makefile passes it on.
    #[arg(long, env = "DEVICE_TREE")]
    device_tree: Option<String>,
    /// Build the image, do not boot it.
    #[arg(long)]
    build_only: bool,
    /// Take the SDK as it is.
    #[arg(long)]
    no_build: bool,
}

/// Builds the image, and boots it unless told not to; the console is this terminal.
///
/// # Errors
/// The program is none, or something does not build.
pub fn run(options: &Options) -> Result<()> {
    let sdk = if options.no_build {
        Sdk { root: sdk::ours(), board: options.board.clone(), config: options.config.clone() }
    } else {
        sdk::provide(None, &options.board, &options.config)?
    };
    let program = match options.root_task.strip_prefix("test:") {
        Some(name) => c::root_task(&sdk, name)?,
        None => PathBuf::from(&options.root_task),
    };
    let tree = options.device_tree.as_deref().filter(|path| !path.is_empty()).map(Path::new);
    let image = microkit_tool::root_task::image(&sdk.board, &sdk.folder(), &program, tree)?;
    let folder = paths::build().join("root-task");
    std::fs::create_dir_all(&folder)?;
    let file = folder.join(format!("{}.img", options.config));
    std::fs::write(&file, image).with_context(|| file.display().to_string())?;
    if options.build_only {
        println!("{}", file.display());
        return Ok(());
    }
    let machine = run::machine(&options.board, &file)?;
    say("starting the root task; its console follows");
    run::console(&machine)
}
