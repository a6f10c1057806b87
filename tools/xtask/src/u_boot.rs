// SPDX-License-Identifier: BSD-2-Clause
//! U-Boot for the Raspberry Pi 4, as Debian ships it, with the device tree that it wants: for the test that starts our image
//! from its prompt. Kept in `build/u-boot`.

use std::fs;

use anyhow::{Context, Result};

use crate::guest::debian::Archive;
use crate::guest::{files_below, unpack};
use crate::paths;
use crate::process::say;

/// The packages' files, and what they are called here.
const PROGRAM: (&str, &str) = ("*/u-boot/rpi_4/u-boot.bin", "u-boot.bin");
const DEVICE_TREE: (&str, &str) = ("*/broadcom/bcm2711-rpi-4-b.dtb", "bcm2711-rpi-4-b.dtb");

/// Makes sure that it is there: from the cache, or from Debian's archive, where apt checks what it downloads.
///
/// # Errors
/// The archive cannot be reached, or does not have what is expected.
pub fn provide() -> Result<()> {
    let folder = paths::build().join("u-boot");
    if [PROGRAM, DEVICE_TREE].iter().all(|(_, name)| folder.join(name).exists()) {
        return Ok(());
    }
    say("fetching U-Boot (of Debian's, from this machine's Debian mirror)");
    let archive = Archive::open("trixie")?;
    let kernel = archive.unsigned_kernel("linux-image-arm64")?;
    let unpacked = folder.join("unpacked");
    for (package, (pattern, name)) in [("u-boot-rpi", PROGRAM), (kernel.as_str(), DEVICE_TREE)] {
        let _ = fs::remove_dir_all(&unpacked);
        unpack(&archive.download(package)?.file, &unpacked, [pattern])?;
        let files = files_below(&unpacked)?;
        let file = files.first().with_context(|| format!("{package} has no {pattern}"))?;
        fs::rename(file, folder.join(name))?;
    }
    fs::remove_dir_all(&unpacked)?;
    Ok(())
}
