// SPDX-License-Identifier: BSD-2-Clause
//! The initramfs that stock kernels are booted with: Debian's static busybox, the kernel's own modules for virtio devices
//! and ext4, and an init that goes on to the root file system that the kernel's command line names. Without `root=`, or
//! when there is no such disk, it prints a marker line and gives a shell on the console; `poweroff` and `reboot` work.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::cpio::Archive;

/// Raised with every change of the content, so that cached ones are built again.
pub const VERSION: u32 = 4;

/// The kernel's modules that go in, in the order in which they are loaded. A kernel that has one built in ships none.
pub const MODULES: &[&str] = &[
    "failover",
    "net_failover",
    "virtio",
    "virtio_ring",
    "virtio_mmio",
    "virtio_blk",
    "virtio_net",
    "virtio-rng",
    "virtio_console",
];

/// Those that are loaded only when there is a root file system to go on to; `autofs4` is systemd's.
pub const ROOT_MODULES: &[&str] = &["crc16", "crc32c_generic", "mbcache", "jbd2", "ext4", "autofs4"];

/// The line that says that the guest's user space is up begins with this.
pub const READY_MARKER: &str = "guest is ready:";

/// The shell's prompt ends with this.
pub const PROMPT: &str = "guest:";

/// First program. Without a root file system to go on to it stays process 1 as busybox's init, which reaps processes and
/// does `poweroff` and `reboot`.
const INIT: &str = "\
#!/bin/sh
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in $(cat /etc/modules); do insmod /lib/modules/$module.ko; done
root= flags= access=ro init=/sbin/init
for word in $(cat /proc/cmdline); do
    case $word in
    root=*) root=${word#root=} ;;
    rootflags=*) flags=,${word#rootflags=} ;;
    ro | rw) access=$word ;;
    init=*) init=${word#init=} ;;
    esac
done
find_root() {
    case $root in
    LABEL=* | UUID=*) findfs $root 2>/dev/null ;;
    PARTLABEL=*) grep -lx PARTNAME=${root#PARTLABEL=} /sys/class/block/*/uevent 2>/dev/null |
        sed -n 's,.*/\\([^/]*\\)/uevent,/dev/\\1,p;q' ;;
    *) echo $root ;;
    esac
}
if [ -n \"$root\" ]; then
    for module in $(cat /etc/root-modules); do insmod /lib/modules/$module.ko; done
    tries=0
    device=$(find_root)
    while [ ! -b \"$device\" ] && [ $tries -lt 100 ]; do
        sleep 0.1
        tries=$((tries + 1))
        device=$(find_root)
    done
    if mount -t ext4 -o $access$flags $device /mnt && [ -x /mnt$init -o -L /mnt$init ]; then
        echo \"initramfs: $(uname -sr) goes on to $device\"
        mount --move /proc /mnt/proc
        mount --move /sys /mnt/sys
        mount --move /dev /mnt/dev
        exec switch_root /mnt $init
    fi
    echo \"initramfs: no system on root=$root: here is a shell\"
fi
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /tmp
hostname guest
ifconfig lo 127.0.0.1 2>/dev/null
mark
echo \"guest is ready: $(uname -sr) on $(nproc) CPU\"
exec busybox init
";

/// What busybox's init keeps running: a shell that has the console as its controlling terminal.
const INITTAB: &str = "\
::respawn:/bin/cttyhack /bin/sh -l
::ctrlaltdel:/bin/reboot
";

const PROFILE: &str = "\
export PATH=/bin HOME=/root PS1='guest:\\w# '
cd
";

/// The instruction that counting plugins take for "the guest is ready": `movz xzr, #MARK`, which does nothing.
pub const MARK: u16 = 0xb001;

/// Builds the archive from a folder with the unpacked packages.
///
/// # Errors
/// busybox is not there, or a module cannot be decompressed.
pub fn build(unpacked: &Path) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for folder in ["bin", "dev", "etc", "lib", "lib/modules", "proc", "root", "sys", "tmp", "var", "mnt"] {
        archive.directory(folder);
    }
    archive.device("dev/console", 5, 1);
    archive.device("dev/null", 1, 3);
    archive.file("init", 0o755, INIT.as_bytes());
    archive.file("etc/inittab", 0o644, INITTAB.as_bytes());
    archive.file("etc/profile", 0o644, PROFILE.as_bytes());
    archive.file("etc/passwd", 0o644, b"root::0:0:root:/root:/bin/sh\n");
    archive.file("etc/group", 0o644, b"root:x:0:\n");

    let files = files_below(unpacked)?;
    let busybox =
        files.iter().find(|file| file.ends_with("bin/busybox")).context("the package has no busybox")?;
    archive.file("bin/busybox", 0o755, &fs::read(busybox)?);
    for applet in APPLETS.split_whitespace() {
        archive.link(&format!("bin/{applet}"), "busybox");
    }
    archive.file("bin/mark", 0o755, &mark_program());

    for (list, modules) in [("etc/modules", MODULES), ("etc/root-modules", ROOT_MODULES)] {
        let mut loaded = String::new();
        for module in modules {
            let named = |file: &&PathBuf| {
                file.file_name().is_some_and(|name| name.to_string_lossy().split('.').next() == Some(module))
            };
            if let Some(file) = files.iter().find(named) {
                archive.file(&format!("lib/modules/{module}.ko"), 0o644, &decompressed(file)?);
                loaded.push_str(module);
                loaded.push('\n');
            }
        }
        archive.file(list, 0o644, loaded.as_bytes());
    }
    Ok(archive.finish())
}

/// busybox's programs that get a name of their own.
const APPLETS: &str = "\
ash awk basename blkid cat chmod chown cmp cp cttyhack cut date dd devmem df dirname dmesg du echo egrep env expr false \
find findfs free getty grep gzip halt head hexdump hostname id ifconfig init insmod ip kill killall less ln ls lsmod md5sum \
mkdir mknod modprobe more mount mv nc netstat nice nproc od pidof ping poweroff printf ps pwd readlink reboot rm rmdir \
rmmod route sed seq setsid sh sha256sum sleep sort stat strings stty sync switch_root sysctl tail tar taskset tee test time timeout \
top touch tr true tty udhcpc umount uname uniq uptime usleep vi watch wc wget which xargs yes zcat";

/// All files below a folder.
///
/// # Errors
/// It cannot be read.
pub fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files.extend(files_below(&entry.path())?);
        } else {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// A module as the kernel's loader wants it; newer packages ship them compressed.
fn decompressed(file: &Path) -> Result<Vec<u8>> {
    if file.extension().is_some_and(|extension| extension == "xz") {
        let output = Command::new("xz").arg("-dc").arg(file).output().context("xz")?;
        ensure!(output.status.success(), "xz cannot decompress {}", file.display());
        return Ok(output.stdout);
    }
    Ok(fs::read(file)?)
}

/// A program that executes the marker instruction and ends: one page with an ELF header, a program header, the code.
#[must_use]
pub fn mark_program() -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let code: [u32; 4] = [
        0xd280_001f | (MARK as u32) << 5, // movz xzr, #MARK
        0xd280_0000,                      // movz x0, #0
        0xd280_0ba8,                      // movz x8, #93 (exit)
        0xd400_0001,                      // svc #0
    ];
    let size = HEADERS + 16;
    let mut elf = Vec::new();
    // e_ident: ELF64, little endian; then ET_EXEC, EM_AARCH64, version, entry, program headers right behind.
    elf.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    for half in [2_u16, 183] {
        elf.extend_from_slice(&half.to_le_bytes());
    }
    elf.extend_from_slice(&1_u32.to_le_bytes());
    for word in [BASE + HEADERS, 64, 0] {
        elf.extend_from_slice(&word.to_le_bytes());
    }
    elf.extend_from_slice(&0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 64, 0, 0] {
        elf.extend_from_slice(&half.to_le_bytes());
    }
    // PT_LOAD, read and execute, the whole file.
    for word in [1_u32, 5] {
        elf.extend_from_slice(&word.to_le_bytes());
    }
    for word in [0, BASE, BASE, size, size, 0x1_0000] {
        elf.extend_from_slice(&word.to_le_bytes());
    }
    for instruction in code {
        elf.extend_from_slice(&instruction.to_le_bytes());
    }
    elf
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marker_program_enters_at_its_first_instruction() {
        let elf = mark_program();
        let entry = u64::from_le_bytes(elf[24..32].try_into().unwrap());
        let offset = (entry - 0x40_0000) as usize;
        let first = u32::from_le_bytes(elf[offset..offset + 4].try_into().unwrap());
        assert_eq!(first, 0xd296_003f);
        assert_eq!(elf.len(), offset + 16);
    }

    #[test]
    fn init_prints_the_marker_line() {
        assert!(INIT.contains(&format!("echo \"{READY_MARKER} ")));
        assert!(PROFILE.contains(PROMPT));
    }

    #[test]
    fn every_program_that_init_needs_has_a_name() {
        let applets: Vec<&str> = APPLETS.split_whitespace().collect();
        for needed in [
            "sh",
            "mount",
            "mkdir",
            "hostname",
            "cat",
            "insmod",
            "uname",
            "nproc",
            "cttyhack",
            "findfs",
            "switch_root",
        ] {
            assert!(applets.contains(&needed), "{needed}");
        }
    }
}
