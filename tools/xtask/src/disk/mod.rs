// SPDX-License-Identifier: BSD-2-Clause
//! The guests' disk: a GPT with one ext4 root file system for each guest, Debian's packages in it.
//!
//! No privileges and no foreign programs: packages are unpacked into a folder, what their scripts would do is done here
//! (`recipe`), `mke2fs -d` makes file systems of the folder inside the disk's file, under fakeroot so that all files are
//! root's. The result is `build/disk/disk.raw`, sparse; it is made again when the recipe has changed.

mod recipe;

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use emulator::gpt;

use crate::guest::{debian::Archive, mark_program};
use crate::paths;
use crate::process::{run, say};

/// Number of guests that have a root file system on the disk.
pub const GUESTS: u64 = 2;
/// Size of each, in sectors: 768 MiB.
const SECTORS: u64 = 768 << 11;
/// Raised when something changes that the recipe's text does not show.
const VERSION: u32 = 4;
/// Where guest 0 is in the emulator's network, 10.0.2.0/24: not the first that its server gives away, and one of the sixteen
/// that it has, from 10.0.2.15 on.
const FIRST_LEASE: u64 = 20;

/// Makes sure that the disk is there, from the cache or new. Returns its file, which nobody may write to.
///
/// # Errors
/// Debian's archive cannot be reached, or a program that is needed fails.
pub fn provide() -> Result<PathBuf> {
    let folder = paths::build().join("disk");
    fs::create_dir_all(&folder)?;
    let lock = File::create(folder.join("lock"))?;
    lock.lock().context("waiting for another build that makes the disk")?;
    let disk = folder.join("disk.raw");
    let made_by = folder.join("recipe");
    let recipe = recipe_hash()?;
    if disk.exists() && fs::read_to_string(&made_by).is_ok_and(|text| text == recipe) {
        return Ok(disk);
    }
    say("making the guests' disk: Debian's packages into ext4, once (a minute)");
    let _ = fs::remove_file(&made_by);
    let root = folder.join("root");
    unpack(&root)?;
    configure(&root)?;
    let new = folder.join("disk.new");
    partition(&new)?;
    for guest in 0..GUESTS {
        file_system(&root, &new, guest)?;
    }
    fs::rename(&new, &disk)?;
    remove(&root)?;
    fs::write(&made_by, recipe)?;
    say(format!("the guests' disk is {}", disk.display()));
    Ok(disk)
}

/// A disk of the user's own, made from the cached one if there is no such file yet.
///
/// # Errors
/// It cannot be copied.
pub fn own(path: &Path) -> Result<PathBuf> {
    if !path.exists() {
        let disk = provide()?;
        say(format!(
            "{} is a copy of the guests' disk from now on; it keeps what they write",
            path.display()
        ));
        let mut copy = Command::new("cp");
        run(copy.args(["--sparse=always", "--reflink=auto"]).arg(&disk).arg(path))?;
    }
    path.canonicalize().with_context(|| format!("DISK={}", path.display()))
}

/// Unpacks all packages.
fn unpack(root: &Path) -> Result<()> {
    remove(root)?;
    for name in recipe::LINKS_INTO_USR {
        fs::create_dir_all(root.join("usr").join(name))?;
        symlink(format!("usr/{name}"), root.join(name))?;
    }
    let packages = Archive::open(recipe::SUITE)?.download_all(recipe::PACKAGES)?;
    say(format!("unpacking {} packages", packages.len()));
    for (index, package) in packages.iter().enumerate() {
        if index % 50 == 49 {
            say(format!("unpacked {} of {}", index + 1, packages.len()));
        }
        let mut archive = Command::new("dpkg-deb")
            .arg("--fsys-tarfile")
            .arg(package)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("dpkg-deb")?;
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(root).args(["--keep-directory-symlink", "--no-same-owner", "-p", "-xf", "-"]);
        tar.args(recipe::LEFT_OUT.iter().map(|pattern| format!("--exclude={pattern}")));
        tar.stdin(archive.stdout.take().context("dpkg-deb has no output")?);
        let unpacked = tar.status().context("tar")?;
        let read = archive.wait()?;
        ensure!(unpacked.success() && read.success(), "{} cannot be unpacked", package.display());
    }
    Ok(())
}

/// Does what the packages' scripts would do, as far as a guest needs it.
fn configure(root: &Path) -> Result<()> {
    for folder in recipe::FOLDERS {
        fs::create_dir_all(root.join(folder))?;
    }
    for folder in ["tmp", "var/tmp"] {
        fs::set_permissions(root.join(folder), PermissionsExt::from_mode(0o1777))?;
    }
    for (from, to) in recipe::COPIES {
        fs::copy(root.join(from), root.join(to)).with_context(|| format!("no {from} in the packages"))?;
    }
    let users = fs::read_to_string(root.join("etc/passwd"))?.replace("root:*:", "root::");
    fs::write(root.join("etc/passwd"), format!("{users}{}\n", recipe::USERS.join("\n")))?;
    let groups = fs::read_to_string(root.join("etc/group"))?;
    fs::write(root.join("etc/group"), format!("{groups}{}\n", recipe::GROUPS.join("\n")))?;
    for (path, target) in recipe::LINKS {
        link(&root.join(path), target)?;
    }
    for unit in recipe::MASKED {
        link(&root.join("etc/systemd/system").join(unit), "/dev/null")?;
    }
    for generator in recipe::MASKED_GENERATORS {
        link(&root.join("etc/systemd/system-generators").join(generator), "/dev/null")?;
    }
    for file in overlay_files()? {
        let to = root.join(file.strip_prefix(overlay())?);
        fs::create_dir_all(to.parent().context("a file without a folder")?)?;
        fs::copy(&file, &to).with_context(|| to.display().to_string())?;
    }
    let mark = root.join("usr/local/bin/mark");
    fs::create_dir_all(root.join("usr/local/bin"))?;
    fs::write(&mark, mark_program())?;
    fs::set_permissions(&mark, PermissionsExt::from_mode(0o755))?;
    Ok(())
}

/// A symbolic link, in place of a file or an empty folder.
fn link(path: &Path, target: &str) -> Result<()> {
    fs::create_dir_all(path.parent().context("a link without a folder")?)?;
    let _ = fs::remove_file(path).or_else(|_| fs::remove_dir(path));
    symlink(target, path).with_context(|| path.display().to_string())
}

/// Removes a folder; some of its folders may not be writable.
fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        run(Command::new("chmod").args(["-R", "u+rwX"]).arg(folder))?;
        fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    Ok(())
}

/// Where the file system of a guest begins, in sectors.
const fn first_sector(guest: u64) -> u64 {
    gpt::FIRST + guest * SECTORS
}

/// An identifier of our own: the same in every build, different for every purpose.
fn guid(kind: u8, guest: u64) -> [u8; 16] {
    // Version 8, "custom" (RFC 9562, section 5.8).
    let mut guid = *b"bulkhe\x80\x80\x80diskn\0\0";
    (guid[14], guid[15]) = (kind, guest as u8);
    guid
}

/// The text of an identifier whose bytes are in the order of a file system.
fn text(guid: [u8; 16]) -> String {
    let hex: String = guid.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// An empty disk with its table.
fn partition(disk: &Path) -> Result<()> {
    let file = File::create(disk)?;
    // As a card, which the disk is on some boards, it has to have a power of two.
    let sectors = (gpt::FIRST + GUESTS * SECTORS + gpt::FIRST).next_power_of_two();
    file.set_len(sectors * gpt::SECTOR)?;
    let partitions: Vec<gpt::Partition> = (0..GUESTS)
        .map(|guest| gpt::Partition {
            label: format!("guest{guest}"),
            guid: guid(1, guest),
            first: first_sector(guest),
            sectors: SECTORS,
        })
        .collect();
    gpt::write(&file, sectors, guid(0, 0), &partitions).context("writing the partition table")
}

/// What a guest adds to its network's settings: it asks for an address of its own. A DHCP server that gives addresses in the
/// order in which it is asked, as the emulator's does, then gives each guest the same in every run, so that connections can be
/// forwarded to it. systemd-networkd 252 also asks for that address when it accepts another one that it was offered, so that a
/// server for which it is none of its own refuses (RFC 2131, section 4.3.2): then `any-address.service` takes this back.
fn lease(guest: u64) -> String {
    format!(
        "# SPDX-License-Identifier: BSD-2-Clause\n[DHCPv4]\nSendOption=50:ipv4address:10.0.2.{}\n",
        FIRST_LEASE + guest
    )
}

/// Makes the file system of one guest in its partition.
fn file_system(root: &Path, disk: &Path, guest: u64) -> Result<()> {
    say(format!("making the file system of guest {guest}"));
    fs::write(root.join("etc/hostname"), format!("guest{guest}\n"))?;
    // Where /run can mask it.
    let settings = root.join("usr/lib/systemd/network/80-ethernet.network.d");
    fs::create_dir_all(&settings)?;
    fs::write(settings.join("address.conf"), lease(guest))?;
    fs::write(root.join("etc/machine-id"), format!("{}\n", text(guid(3, guest)).replace('-', "")))?;
    let offset = first_sector(guest) * gpt::SECTOR;
    // Nothing is left for the guest to initialise later: that would be traffic that nobody asked for.
    let extended = format!("offset={offset},root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0");
    let mut command = Command::new("fakeroot");
    command
        .args(["--", "mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-b", "4096", "-E", &extended])
        .args(["-L", &format!("guest{guest}"), "-U", &text(guid(2, guest)), "-d"])
        .arg(root)
        .arg(disk)
        .arg((SECTORS * gpt::SECTOR / 4096).to_string())
        .env("PATH", system_path());
    run(&mut command)
}

/// PATH with the folders of the administrator's programs, where Debian has mke2fs.
fn system_path() -> String {
    std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin"
}

/// The folder that is laid over the packages.
fn overlay() -> PathBuf {
    paths::root().join("tools/xtask/rootfs")
}

fn overlay_files() -> Result<Vec<PathBuf>> {
    crate::guest::files_below(&overlay())
}

/// What the disk depends on.
fn recipe_hash() -> Result<String> {
    let mut hasher = DefaultHasher::new();
    (VERSION, SECTORS, GUESTS, include_str!("recipe.rs"), mark_program()).hash(&mut hasher);
    for file in overlay_files()? {
        (file.strip_prefix(overlay())?, fs::read(&file)?).hash(&mut hasher);
    }
    Ok(format!("{:016x}\n", hasher.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_versioned_and_differ() {
        let all: Vec<String> =
            (0..4).flat_map(|kind| (0..GUESTS).map(move |guest| text(guid(kind, guest)))).collect();
        for (index, text) in all.iter().enumerate() {
            assert_eq!(all.iter().position(|other| other == text), Some(index));
            assert_eq!((text.len(), &text[14..15], &text[19..20]), (36, "8", "8"));
        }
    }

    #[test]
    fn no_unit_is_both_masked_and_wanted() {
        for (path, _) in recipe::LINKS {
            let unit = path.rsplit('/').next().unwrap();
            assert!(!recipe::MASKED.contains(&unit), "{unit}");
        }
    }
}
