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

    /// Downloads packages with all that they depend on, as apt would for an empty system. A name may be one of apt's
    /// patterns.
    ///
    /// # Errors
    /// There is no such set, or it cannot be downloaded unharmed.
    pub fn download_all(&self, packages: &[&str]) -> Result<Vec<PathBuf>> {
        let install = ["install", "-y", "--no-install-recommends"];
        let plan = output(self.apt("apt-get").args(install).arg("--simulate").args(packages))
            .with_context(|| format!("what {} need in Debian {}", packages.join(" "), self.suite))?;
        let names: Vec<String> = plan.lines().filter_map(planned_file).collect();
        if names.is_empty() {
            bail!("apt would install nothing for {}", packages.join(" "));
        }
        say(format!("downloading {} packages", names.len()));
        run(self.apt("apt-get").args(install).args(["-qq", "--download-only"]).args(packages))?;
        let folder = self.folder.join("cache/archives");
        let files: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
        match files.iter().find(|file| !file.exists()) {
            Some(missing) => bail!("apt downloaded no {}", missing.display()),
            None => Ok(files),
        }
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

/// apt's name for the file of a package that a simulated run would install:
/// `Inst NAME (VERSION SOURCE [ARCHITECTURE])`.
fn planned_file(line: &str) -> Option<String> {
    let (name, rest) = line.strip_prefix("Inst ")?.split_once(" (")?;
    let version = rest.split(' ').next()?.replace(':', "%3a");
    let architecture = rest.split_once('[')?.1.split_once(']')?.0;
    Some(format!("{name}_{version}_{architecture}.deb"))
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
    fn file_of_a_planned_package_is_named_as_apt_does() {
        let line = "Inst udev (1:252.3-1~deb12u1 Debian:12.11/oldstable [arm64]) []";
        assert_eq!(planned_file(line).as_deref(), Some("udev_1%3a252.3-1~deb12u1_arm64.deb"));
        assert_eq!(planned_file("Conf udev (1:252 Debian [arm64])"), None);
    }

    #[test]
    fn field_is_found_by_its_whole_name() {
        let record = "Package: a\nVersion-Extra: 9\nVersion: 1:2-3\nSHA256: ff\n";
        assert_eq!(field(record, "Version").as_deref(), Some("1:2-3"));
        assert_eq!(field(record, "Size"), None);
    }
}
