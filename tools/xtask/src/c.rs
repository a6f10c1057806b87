// SPDX-License-Identifier: BSD-2-Clause
//! The C programs of the tests (`tests/c`): built as any C project for Microkit or seL4 is, with an SDK's headers, library
//! and linker script. The compiler is clang, the linker the one that comes with Rust.

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

/// Builds those that are protection domains into `folder/c/`, `NAME.elf`, and as `NAME_stripped.elf` without symbols.
///
/// # Errors
/// There is no clang, or one does not build.
pub fn build(sdk: &Sdk, folder: &Path) -> Result<()> {
    let _lock = sdk::lock()?;
    let source = paths::root().join("tests/c");
    let programs = folder.join("c");
    fs::create_dir_all(&programs)?;
    for entry in fs::read_dir(&source).with_context(|| source.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "c") {
            let name = path.file_stem().context("a file without a name")?.display().to_string();
            let arguments = ["-lmicrokit", "-Tmicrokit.ld"];
            let elf = program(sdk, &path, &arguments)?;
            sdk::install(&elf, &programs.join(format!("{name}.elf")))?;
            let stripped = program(sdk, &path, &[&arguments[..], &["--strip-all"]].concat())?;
            sdk::install(&stripped, &programs.join(format!("{name}_stripped.elf")))?;
        }
    }
    Ok(())
}

/// Builds the root task `tests/c/root/NAME.c`, which uses no library.
///
/// # Errors
/// As [`build`].
pub fn root_task(sdk: &Sdk, name: &str) -> Result<PathBuf> {
    let _lock = sdk::lock()?;
    program(sdk, &paths::root().join(format!("tests/c/root/{name}.c")), &["-zmax-page-size=4096"])
}

/// Compiles and links one program.
fn program(sdk: &Sdk, source: &Path, link_arguments: &[&str]) -> Result<PathBuf> {
    let target = sdk.folder();
    let objects = paths::build().join("cargo/c").join(&sdk.board).join(&sdk.config);
    fs::create_dir_all(&objects)?;
    let name = source.file_stem().context("a file without a name")?.display().to_string();
    let object = objects.join(format!("{name}.o"));
    let elf = objects.join(format!("{name}.elf"));
    let mut compiler = Command::new("clang");
    compiler
        .args(["--target=aarch64-none-elf", "-mstrict-align", "-ffreestanding", "-nostdlib"])
        .args(["-std=c11", "-O2", "-g", "-Wall", "-Wextra", "-Werror", "-c"])
        .arg("-I")
        .arg(target.join("include"))
        .arg(source)
        .arg("-o")
        .arg(&object);
    run(&mut compiler).context("clang (tools/setup.sh tests installs it)")?;
    let mut link = Command::new(linker()?);
    link.args(["-flavor", "gnu"])
        .arg(&object)
        .arg("-L")
        .arg(target.join("lib"))
        .args(link_arguments)
        .arg("-o");
    run(link.arg(&elf))?;
    Ok(elf)
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
