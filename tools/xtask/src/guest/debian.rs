// SPDX-License-Identifier: BSD-2-Clause
//! Debian's archive for arm64, by the machine's own apt with a private configuration (see `tools/private-apt.sh`).

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::paths;
use crate::process::{output, run, say};

/// One release of Debian in the archive, for arm64.
pub struct Archive {
    suite: &'static str,
    folder: PathBuf,
}

/// A package that was downloaded; apt has checked it against the signed index.
pub struct Package {
    /// Where it is.
    pub file: PathBuf,
    /// Its version.
    pub version: String,
    /// Its SHA-256 in the signed index.
    pub sha256: String,
}

impl Archive {
    /// Brings the package lists of `suite` up to date.
    ///
    /// # Errors
    /// The mirror cannot be reached, or does not have the release.
    pub fn open(suite: &'static str) -> Result<Self> {
        let archive = Self { suite, folder: paths::build().join("apt").join(format!("{suite}-arm64")) };
        say(format!("updating the package lists of Debian {suite} for arm64"));
        run(archive.apt("apt-get").arg("update")).context("updating Debian's package lists")?;
        Ok(archive)
    }

    /// The package with the unsigned image (a plain arm64 `Image`) of the kernel that `meta_package` stands for.
    ///
    /// # Errors
    /// There is none.
    pub fn unsigned_kernel(&self, meta_package: &str) -> Result<String> {
        let record = self.show(meta_package)?;
        let depends =
            field(&record, "Depends").with_context(|| format!("{meta_package} depends on nothing"))?;
        depends
            .split([',', '|'])
            .filter_map(|dependency| dependency.split_whitespace().next())
            .find(|name| name.starts_with("linux-image-"))
            .map(|name| format!("{}-unsigned", name.trim_end_matches("-unsigned")))
            .with_context(|| format!("{meta_package} names no kernel: {depends}"))
    }

    /// Downloads a package, unless it is there already.
    ///
    /// # Errors
    /// It does not exist, or cannot be downloaded unharmed.
    pub fn download(&self, package: &str) -> Result<Package> {
        let record = self.show(package)?;
        let get =
            |name| field(&record, name).with_context(|| format!("{package} has no {name} in the index"));
        let (version, sha256) = (get("Version")?, get("SHA256")?);
        let folder = self.folder.join("packages");
        std::fs::create_dir_all(&folder)?;
        // apt's name for the file: an epoch's colon is escaped.
        let file =
            folder.join(format!("{package}_{}_{}.deb", version.replace(':', "%3a"), get("Architecture")?));
        if !file.exists() {
            say(format!("downloading {package} {version}"));
            let request = format!("{package}={version}");
            run(self.apt("apt-get").current_dir(&folder).args(["download", &request]))?;
        }
        if !file.exists() {
            bail!("apt downloaded {package}, but there is no {}", file.display());
        }
        Ok(Package { file, version, sha256 })
    }

    /// A package's record in the index.
    fn show(&self, package: &str) -> Result<String> {
        output(self.apt("apt-cache").args(["show", "--no-all-versions", package]))
            .with_context(|| format!("Debian {} has no package {package} for arm64", self.suite))
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(paths::root().join("tools/private-apt.sh"));
        command.arg(&self.folder).args(["arm64", self.suite, program]);
        command
    }
}

/// The MD5 of a file in a package, as the package's own list of files has it.
///
/// # Errors
/// The package cannot be read or does not list the file.
pub fn md5_in_package(deb: &Path, path: &str) -> Result<String> {
    let list = output(Command::new("dpkg-deb").arg("--info").arg(deb).arg("md5sums"))?;
    list.lines()
        .filter_map(|line| line.split_once(char::is_whitespace))
        .find(|(_, name)| name.trim() == path)
        .map(|(sum, _)| sum.to_string())
        .with_context(|| format!("{} does not list {path}", deb.display()))
}

/// A field of a record in Debian's control format, on one line.
fn field(record: &str, name: &str) -> Option<String> {
    record
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        .map(|value| value.trim().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_is_found_by_its_whole_name() {
        let record = "Package: a\nVersion-Extra: 9\nVersion: 1:2-3\nSHA256: ff\n";
        assert_eq!(field(record, "Version").as_deref(), Some("1:2-3"));
        assert_eq!(field(record, "Size"), None);
    }
}
