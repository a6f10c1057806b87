// SPDX-License-Identifier: BSD-2-Clause
//! Stock Linux guests: Debian's arm64 kernels, and an initramfs to boot them with.
//!
//! A guest is fetched once and kept under `build/guests/<name>/`: `Image` (the kernel as Debian ships it),
//! `initrd.cpio`, the package it came from, and `guest.json`, which says what that was.

mod cpio;
pub mod debian;
mod initramfs;

pub use initramfs::{MARK as READY_MARK, PROMPT, READY_MARKER, files_below, mark_program};

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::paths;
use crate::process::{output, run, say};
use debian::Archive;

/// One of the kernels that are fetched from Debian.
#[derive(Debug)]
pub struct Kernel {
    /// What it is called here, and on the command line.
    pub name: &'static str,
    /// The Debian release that has it.
    suite: &'static str,
    /// The package that depends on the newest kernel of this kind.
    meta_package: &'static str,
}

/// The kernels, the default one first.
pub const KERNELS: &[Kernel] = &[
    Kernel { name: "debian-12", suite: "bookworm", meta_package: "linux-image-arm64" },
    Kernel { name: "debian-12-cloud", suite: "bookworm", meta_package: "linux-image-cloud-arm64" },
    Kernel { name: "debian-13", suite: "trixie", meta_package: "linux-image-arm64" },
    Kernel { name: "debian-13-cloud", suite: "trixie", meta_package: "linux-image-cloud-arm64" },
];

/// The kernel called `name`.
#[must_use]
pub fn find(name: &str) -> Option<&'static Kernel> {
    KERNELS.iter().find(|kernel| kernel.name == name)
}

/// The kernel called `name`, or an error that says which there are.
///
/// # Errors
/// There is none of that name.
pub fn lookup(name: &str) -> Result<&'static Kernel> {
    find(name).with_context(|| format!("no guest is called {name}; there are {}", names()))
}

/// The names of all guests, for messages.
#[must_use]
pub fn names() -> String {
    KERNELS.iter().map(|kernel| kernel.name).collect::<Vec<_>>().join(", ")
}

/// What a fetched guest consists of.
#[derive(Debug, Serialize, Deserialize)]
pub struct Guest {
    /// See [`Kernel::name`].
    pub name: String,
    /// The Debian package of the kernel, with its version.
    pub package: String,
    /// The package itself.
    pub package_file: PathBuf,
    /// SHA-256 of the package as Debian's signed index has it (apt checked the download against it).
    pub package_sha256: String,
    /// MD5 of the kernel image as the package's own list of files has it.
    pub image_md5: String,
    /// The kernel image, unmodified.
    pub image: PathBuf,
    /// The initramfs.
    pub initrd: PathBuf,
    /// [`initramfs::VERSION`] it was made by.
    pub initramfs_version: u32,
}

/// Makes sure that a guest is there: from the cache, or from Debian's archive.
///
/// # Errors
/// The archive cannot be reached, or does not have what is expected.
pub fn fetch(kernel: &Kernel) -> Result<Guest> {
    let folder = paths::guests().join(kernel.name);
    fs::create_dir_all(&folder)?;
    // Two builds in one checkout may want it at the same time.
    let lock = fs::File::create(paths::guests().join("lock"))?;
    lock.lock().context("waiting for another build that fetches guests")?;
    let description = folder.join("guest.json");
    if let Ok(text) = fs::read_to_string(&description)
        && let Ok(guest) = serde_json::from_str::<Guest>(&text)
        && guest.initramfs_version == initramfs::VERSION
        && [&guest.image, &guest.initrd, &guest.package_file].iter().all(|file| file.exists())
    {
        return Ok(guest);
    }
    say(format!(
        "fetching the guest {} (a kernel of Debian's, from this machine's Debian mirror)",
        kernel.name
    ));
    let archive = Archive::open(kernel.suite)?;
    let package = archive.unsigned_kernel(kernel.meta_package)?;
    let deb = archive.download(&package)?;
    let busybox = archive.download("busybox-static")?;

    say(format!("unpacking {package}"));
    let unpacked = folder.join("unpacked");
    let _ = fs::remove_dir_all(&unpacked);
    let kernel_files: Vec<String> = initramfs::MODULES
        .iter()
        .chain(initramfs::ROOT_MODULES)
        .map(|module| format!("*/{module}.ko*"))
        .collect();
    unpack(&deb.file, &unpacked, kernel_files.iter().map(String::as_str).chain(["./boot/vmlinuz-*"]))?;
    unpack(&busybox.file, &unpacked, ["*bin/busybox"])?;

    let shipped =
        fs::read_dir(unpacked.join("boot"))?.next().context("the package has no kernel image")??;
    let image = folder.join("Image");
    fs::copy(shipped.path(), &image)?;
    let image_md5 =
        debian::md5_in_package(&deb.file, &format!("boot/{}", shipped.file_name().to_string_lossy()))?;

    let initrd = folder.join("initrd.cpio");
    fs::write(&initrd, initramfs::build(&unpacked)?)?;
    fs::remove_dir_all(&unpacked)?;
    let guest = Guest {
        name: kernel.name.into(),
        package: format!("{package} {}", deb.version),
        package_file: deb.file,
        package_sha256: deb.sha256,
        image_md5,
        image,
        initrd,
        initramfs_version: initramfs::VERSION,
    };
    fs::write(&description, serde_json::to_string_pretty(&guest)?)?;
    Ok(guest)
}

/// Unpacks the files of a Debian package that match one of `patterns` (of which some may match nothing).
///
/// # Errors
/// The package cannot be read.
pub fn unpack<'a>(deb: &Path, folder: &Path, patterns: impl IntoIterator<Item = &'a str>) -> Result<()> {
    fs::create_dir_all(folder)?;
    let tar = folder.join("package.tar");
    let file = fs::File::create(&tar)?;
    let status =
        Command::new("dpkg-deb").arg("--fsys-tarfile").arg(deb).stdout(file).status().context("dpkg-deb")?;
    anyhow::ensure!(status.success(), "dpkg-deb cannot read {}", deb.display());
    let names = output(Command::new("tar").arg("-tf").arg(&tar))?;
    let wanted: Vec<&str> =
        patterns.into_iter().filter(|pattern| names.lines().any(|name| matches(pattern, name))).collect();
    let mut command = Command::new("tar");
    command.arg("-xf").arg(&tar).arg("-C").arg(folder).arg("--wildcards").args(wanted);
    run(&mut command)?;
    fs::remove_file(&tar)?;
    Ok(())
}

/// Whether a name matches a pattern in which `*` stands for anything.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((prefix, rest)) => name.strip_prefix(prefix).is_some_and(|name| {
            (0..=name.len()).any(|at| name.get(at..).is_some_and(|tail| matches(rest, tail)))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn star_matches_any_middle_and_end() {
        assert!(matches("*/virtio_mmio.ko*", "./lib/modules/6/kernel/virtio_mmio.ko.xz"));
        assert!(matches("./boot/vmlinuz-*", "./boot/vmlinuz-6.1"));
        assert!(!matches("*/virtio_mmio.ko*", "./lib/virtio_mmio_x.ko"));
        assert!(!matches("a", "ab"));
    }

    #[test]
    fn kernels_have_different_names() {
        for (index, kernel) in KERNELS.iter().enumerate() {
            assert_eq!(KERNELS.iter().position(|other| other.name == kernel.name), Some(index));
        }
    }
}
