// SPDX-License-Identifier: BSD-2-Clause
//! `build/stand-in-sdk`: what the tests take for somebody else's SDK where no other one is at hand.
//!
//! Under the names that everybody uses (board `qemu_virt_aarch64`, configuration `release`) it has another platform, which
//! runs on the same machine with a Cortex-A72: labels are shifted, TCBs are larger and address spaces have 44 bits and
//! another root. Programs that took any of these from our source instead of the SDK's files would not run on it. Its kernel
//! is built without the kernel extension, and options that are not the reference kernel's are not in its files.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use super::{Config, Sdk, build_as, install, ours, write};
use crate::paths;

/// The board that is really meant.
const BOARD: &str = "qemu_virt_aarch64_a72";
/// The configuration that is really meant.
const CONFIG: Config = Config::Debug;

/// Options of ours begin with this.
const OWN_OPTIONS: &str = "BULKHEAD_";

/// Builds it.
///
/// # Errors
/// The platform does not build.
pub fn stand_in() -> Result<Sdk> {
    build_as(BOARD, &[CONFIG], false)?;
    let sdk = Sdk {
        root: paths::build().join("stand-in-sdk"),
        board: "qemu_virt_aarch64".into(),
        config: "release".into(),
    };
    copy(&ours().join("board").join(BOARD).join(CONFIG.name()), &sdk.folder())?;
    fs::create_dir_all(sdk.root.join("bin"))?;
    install(&ours().join("bin/microkit"), &sdk.tool())?;
    let file = sdk.folder().join("include/kernel/gen_config.json");
    let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let mut options: Map<String, Value> = serde_json::from_str(&text)?;
    options.retain(|name, _| !name.starts_with(OWN_OPTIONS));
    write(&file, &(serde_json::to_string_pretty(&options)? + "\n"))?;
    Ok(sdk)
}

/// Copies a folder; files that are equal stay as they are.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let path = entry?.path();
        let target: PathBuf = to.join(path.file_name().context("an entry without a name")?);
        if path.is_dir() { copy(&path, &target)? } else { install(&path, &target)? }
    }
    Ok(())
}
