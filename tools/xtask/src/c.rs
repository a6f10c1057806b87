// SPDX-License-Identifier: BSD-2-Clause
//! The C programs of the tests (`tests/c`): built as any C project for Microkit is, with an SDK's headers, library and
//! linker script. The compiler is clang, the linker the one that comes with Rust.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::paths;
use crate::process::{output, run};
use crate::sdk::{self, Sdk};

/// Whether a system description names one of them.
#[must_use]
pub fn named_in(description: &str) -> bool {
    description.contains("path=\"c/")
}

/// Builds them into `folder/c/`.
///
/// # Errors
/// There is no clang, or one does not build.
pub fn build(sdk: &Sdk, folder: &Path) -> Result<()> {
    let _lock = sdk::lock()?;
    let target = sdk.folder();
    let source = paths::root().join("tests/c");
    let objects = paths::build().join("cargo/c");
    let programs = folder.join("c");
    fs::create_dir_all(&objects)?;
    fs::create_dir_all(&programs)?;
    let linker = linker()?;
    for entry in fs::read_dir(&source).with_context(|| source.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "c") {
            continue;
        }
        let name = path.file_stem().context("a file without a name")?.display().to_string();
        let object = objects.join(format!("{name}.o"));
        let elf = objects.join(format!("{name}.elf"));
        let mut compiler = Command::new("clang");
        compiler
            .args(["--target=aarch64-none-elf", "-mstrict-align", "-ffreestanding", "-nostdlib"])
            .args(["-std=c11", "-O2", "-g", "-Wall", "-Wextra", "-Werror", "-c"])
            .arg("-I")
            .arg(target.join("include"))
            .arg(&path)
            .arg("-o")
            .arg(&object);
        run(&mut compiler).context("clang (tools/setup.sh tests installs it)")?;
        let mut link = Command::new(&linker);
        link.args(["-flavor", "gnu"])
            .arg(&object)
            .arg("-L")
            .arg(target.join("lib"))
            .args(["-lmicrokit", "-Tmicrokit.ld", "-o"])
            .arg(&elf);
        run(&mut link)?;
        sdk::install(&elf, &programs.join(format!("{name}.elf")))?;
    }
    Ok(())
}

/// The linker that comes with Rust: with its toolchain, or in the path.
fn linker() -> Result<PathBuf> {
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]).current_dir(paths::root()))?;
    let version = output(Command::new("rustc").arg("-vV").current_dir(paths::root()))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
    let with_rust = Path::new(sysroot.trim()).join("lib/rustlib").join(host).join("bin/rust-lld");
    if with_rust.is_file() {
        return Ok(with_rust);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&path).map(|folder| folder.join("rust-lld")).find(|file| file.is_file());
    match found {
        Some(file) => Ok(file),
        None => bail!("there is no rust-lld, neither in Rust's toolchain nor in the path"),
    }
}
