// SPDX-License-Identifier: BSD-2-Clause
//! Building crates of the workspace for the board (and tools for this machine), and finding what was built.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::paths;
use crate::process::{output, run};

/// User level: the loader, the initialiser and all PDs.
pub const TARGET_USER: &str = "aarch64-unknown-none";
/// The kernel, which leaves the floating-point registers to its users.
pub const TARGET_KERNEL: &str = "aarch64-unknown-none-softfloat";

/// One call of `cargo build`.
#[derive(Default)]
pub struct Build<'a> {
    /// Packages.
    pub packages: Vec<String>,
    /// Features, as `package/feature`.
    pub features: Vec<String>,
    /// Target, or nothing for this machine.
    pub target: Option<&'a str>,
    /// Folder of intermediate results below `build/cargo/`. Builds whose environment differs have different ones.
    pub folder: String,
    /// A new folder begins as a copy of one with this at the end of its name, if there is one: cargo then builds only what
    /// differs.
    pub like: Option<&'a str>,
    /// Arguments for the linker.
    pub link_arguments: Vec<OsString>,
    /// Environment.
    pub environment: Vec<(&'a str, OsString)>,
}

impl Build<'_> {
    /// Builds, optimised. Returns what was built: programs by name; a plugin library by its package's name.
    ///
    /// # Errors
    /// It does not build; the compiler's messages have been shown.
    pub fn run(&self) -> Result<BTreeMap<String, PathBuf>> {
        if let Some(like) = self.like {
            self.begin_like(like)?;
        }
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command
            .current_dir(paths::root())
            .args(["build", "--release", "--message-format=json-render-diagnostics", "--target-dir"])
            .arg(paths::build().join("cargo").join(&self.folder));
        for package in &self.packages {
            command.args(["--package", package]);
        }
        if !self.features.is_empty() {
            command.args(["--features", &self.features.join(",")]);
        }
        if let Some(target) = self.target {
            command.args(["--target", target]);
        }
        let mut flags = OsString::new();
        for argument in &self.link_arguments {
            if !flags.is_empty() {
                flags.push("\x1f");
            }
            flags.push("-Clink-arg=");
            flags.push(argument);
        }
        command
            .env("CARGO_ENCODED_RUSTFLAGS", flags)
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        // What cargo told this program about itself is not meant for the crates that are built now.
        command.env_remove("CARGO_MANIFEST_DIR").env_remove("CARGO_PKG_NAME");
        let result =
            command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("starting cargo")?;
        ensure!(result.status.success(), "building {} failed", self.packages.join(", "));
        let messages = String::from_utf8(result.stdout).context("cargo's messages")?;
        Ok(messages.lines().filter_map(|line| serde_json::from_str(line).ok()).filter_map(artifact).collect())
    }

    /// Makes the folder, if there is none, from another one.
    fn begin_like(&self, like: &str) -> Result<()> {
        let all = paths::build().join("cargo");
        let folder = all.join(&self.folder);
        if folder.exists() {
            return Ok(());
        }
        let Ok(others) = fs::read_dir(&all) else { return Ok(()) };
        let names = others.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let Some(other) = names.filter(|name| name.ends_with(like)).min() else { return Ok(()) };
        // Not under its name before it is complete. Cargo goes by times of files, which `cp -a` keeps.
        let partial = all.join(format!("{}.{}", self.folder, std::process::id()));
        run(Command::new("cp").arg("-a").arg(all.join(other)).arg(&partial))?;
        fs::rename(&partial, &folder).with_context(|| folder.display().to_string())
    }

    /// Builds, and returns the one program or library called `name`.
    ///
    /// # Errors
    /// As [`Build::run`], or there is none of that name.
    pub fn run_for(&self, name: &str) -> Result<PathBuf> {
        self.run()?.remove(name).with_context(|| format!("{} built no {name}", self.packages.join(", ")))
    }
}

/// Name and path of what a message of cargo's says was built.
fn artifact(message: Value) -> Option<(String, PathBuf)> {
    if message.get("reason")? != "compiler-artifact" {
        return None;
    }
    let name = message.get("target")?.get("name")?.as_str()?.to_string();
    let path = match message.get("executable")?.as_str() {
        Some(path) => path,
        None => message
            .get("filenames")?
            .as_array()?
            .iter()
            .filter_map(Value::as_str)
            .find(|file| file.ends_with(".so") || file.ends_with(".a"))?,
    };
    // Build scripts and procedural macros are of no interest.
    (name != "build-script-build").then(|| (name, path.into()))
}

/// A program of the workspace that runs in a system: one that is built with its package's feature `pd`.
pub struct ProtectionDomainProgram {
    /// Its package.
    pub package: String,
    /// Its name, the ELF file's without `.elf`.
    pub name: String,
}

/// Every program of the workspace that is a protection domain; packages of the platform itself are not meant.
///
/// # Errors
/// The workspace cannot be read.
pub fn protection_domains() -> Result<Vec<ProtectionDomainProgram>> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(paths::root()).args(["metadata", "--no-deps", "--format-version", "1"]);
    let metadata: Value = serde_json::from_str(&output(&mut command)?).context("cargo metadata")?;
    let platform = paths::root().join("platform");
    let mut programs = Vec::new();
    for package in array(&metadata, "packages") {
        let Some(name) = package["name"].as_str() else { bail!("a package without a name") };
        if package["manifest_path"].as_str().is_none_or(|path| Path::new(path).starts_with(&platform)) {
            continue;
        }
        for target in array(package, "targets") {
            if array(target, "required-features").iter().any(|feature| feature == "pd")
                && let Some(program) = target["name"].as_str()
            {
                programs.push(ProtectionDomainProgram { package: name.into(), name: program.into() });
            }
        }
    }
    Ok(programs)
}

fn array<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn executables_and_plugins_are_what_was_built() {
        let program =
            json!({"reason": "compiler-artifact", "target": {"name": "loader"}, "executable": "/x/loader"});
        assert_eq!(artifact(program), Some(("loader".into(), "/x/loader".into())));
        let plugin = json!({"reason": "compiler-artifact", "target": {"name": "icount"}, "executable": null,
            "filenames": ["/x/libicount.so"]});
        assert_eq!(artifact(plugin), Some(("icount".into(), "/x/libicount.so".into())));
        let library = json!({"reason": "compiler-artifact", "target": {"name": "log"}, "executable": null,
            "filenames": ["/x/liblog.rlib"]});
        assert_eq!(artifact(library), None);
        assert_eq!(artifact(json!({"reason": "build-finished"})), None);
    }
}
