// SPDX-License-Identifier: BSD-2-Clause
//! The variables of a system description: for guest 0 `KERNEL`, `INITRD`, `CMDLINE_FILE`, `RAM`, `VCPUS`, for guest n the
//! same with `_n` behind, if the user said something about it: what guest n is not given, descriptions give it from
//! guest 0. The user's variables have the same names (`CMDLINE` is a text). `BLK_LAYOUT`, `PARTITION_n` and `PORT_n` are
//! passed on as they are, once the virtualiser that will read them has been asked whether they mean something.

use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::{env, fs::File};

use anyhow::{Context, Result as Outcome, anyhow, bail, ensure};

use super::{Needs, Options};
use crate::guest;

/// Guests that a system may have: the console's escape key knows ten digits, its virtualiser has eight clients.
const MAX_GUESTS: usize = 8;
/// Where an arm64 kernel image has this word (Linux documentation, "Booting AArch64 Linux").
const MAGIC_AT: usize = 56;
const MAGIC: &[u8; 4] = b"ARM\x64";

/// What was found.
pub struct Result {
    /// The variables.
    pub variables: sdf::Variables,
    /// Whether every guest's first program is our initramfs.
    pub known_guest: bool,
}

/// What a user says about a guest.
#[derive(Clone, Default)]
struct Wishes {
    kernel: Option<String>,
    initrd: Option<String>,
    cmdline: Option<String>,
    ram: Option<String>,
    vcpus: Option<String>,
}

/// A variable that the Makefile exports is there but empty when the user did not set it.
pub fn set(option: Option<&String>) -> Option<&str> {
    option.map(String::as_str).filter(|value| !value.is_empty())
}

/// The kernel command line of a guest that is not given one: on to its disk, if the system has one. Then it is quiet, too:
/// several guests share a serial line.
#[must_use]
pub const fn default_cmdline(needs: Needs) -> &'static str {
    if needs.disk { "console=ttyAMA0 quiet root=/dev/vda rw" } else { "console=ttyAMA0" }
}

/// The variables for a description.
///
/// # Errors
/// One is wrong, or a guest cannot be fetched.
pub fn collect(options: &Options, needs: Needs, output: &Path) -> Outcome<Result> {
    let mut result = Result { variables: sdf::Variables::new(), known_guest: true };
    let some = |option: &Option<String>| set(option.as_ref()).map(str::to_string);
    let first = Wishes {
        kernel: some(&options.kernel),
        initrd: some(&options.initrd),
        cmdline: some(&options.cmdline),
        ram: some(&options.ram),
        vcpus: some(&options.vcpus),
    };
    first.apply("", needs, output, &mut result)?;
    let mut pass = |name: &str, check: fn(&str) -> Outcome<()>| -> Outcome<()> {
        if let Some(value) = env::var(name).ok().filter(|value| !value.is_empty()) {
            check(&value).with_context(|| format!("{name}={value}"))?;
            result.variables.insert(name.into(), value);
        }
        Ok(())
    };
    pass("BLK_LAYOUT", layout)?;
    for guest in 0..MAX_GUESTS {
        pass(&format!("PARTITION_{guest}"), partition)?;
        pass(&format!("PORT_{guest}"), port)?;
    }
    for guest in 1..MAX_GUESTS {
        let suffix = format!("_{guest}");
        let own = |name: &str| env::var(format!("{name}{suffix}")).ok().filter(|text| !text.is_empty());
        let wishes = Wishes {
            kernel: own("KERNEL"),
            initrd: own("INITRD"),
            cmdline: own("CMDLINE"),
            ram: own("RAM"),
            vcpus: own("VCPUS"),
        };
        wishes.apply(&suffix, needs, output, &mut result)?;
    }
    let mut define = |text: &str, file: bool| -> Outcome<()> {
        let (name, value) = text.split_once('=').with_context(|| format!("{text}: NAME=VALUE"))?;
        let value = if file { text_file(output, &format!("{name}.txt"), value)? } else { value.into() };
        result.variables.insert(name.into(), value);
        Ok(())
    };
    options.definitions.iter().try_for_each(|text| define(text, false))?;
    options.texts.iter().try_for_each(|text| define(text, true))?;
    Ok(result)
}

fn layout(value: &str) -> Outcome<()> {
    ensure!(["isolated", "direct"].contains(&value), "isolated or direct");
    Ok(())
}

fn partition(value: &str) -> Outcome<()> {
    blk_virt::config::Assignment::parse(value)?;
    Ok(())
}

/// What is added behind the options that the description gives a port.
fn port(value: &str) -> Outcome<()> {
    ensure!(value.starts_with(','), "begins with a comma: it goes on where system.xml ends");
    // Of a port only its number depends on the port.
    let parsed = net_switch::policy::Policy::parse(net_switch::table::Port::Client(0), value);
    parsed.map_err(|(error, option)| anyhow!("{option}: {error}"))?;
    Ok(())
}

impl Wishes {
    /// Sets the variables of one guest.
    fn apply(&self, suffix: &str, needs: Needs, output: &Path, result: &mut Result) -> Outcome<()> {
        let mut define =
            |name: &str, value: String| result.variables.insert(format!("{name}{suffix}"), value);
        // A further guest has everything from guest 0 unless the user says otherwise.
        let first = suffix.is_empty();
        if first || self.kernel.is_some() || self.initrd.is_some() {
            let stock = match &self.kernel {
                None => guest::KERNELS.first(),
                Some(name) => guest::find(name),
            };
            let fetched = match stock {
                // A guest of the user's own needs nothing fetched when it brings its initramfs along.
                None if self.initrd.is_some() => None,
                None => guest::KERNELS.first().map(guest::fetch).transpose()?,
                Some(kernel) => Some(guest::fetch(kernel)?),
            };
            let image = match (&self.kernel, &fetched) {
                (Some(path), _) if stock.is_none() => Some(kernel(path, suffix)?),
                (None, _) if !first => None,
                (_, Some(guest)) => Some(guest.image.display().to_string()),
                (_, None) => bail!("no kernel"),
            };
            if let Some(image) = image {
                define("KERNEL", image);
            }
            let initrd = match (self.initrd.as_deref(), &fetched) {
                (Some("none"), _) => String::new(),
                (Some(path), _) => file(path, &format!("INITRD{suffix}"))?,
                (None, Some(guest)) => guest.initrd.display().to_string(),
                (None, None) => bail!("no initramfs"),
            };
            define("INITRD", initrd);
        }
        if first || self.cmdline.is_some() {
            let cmdline = self.cmdline.as_deref().unwrap_or(default_cmdline(needs));
            define("CMDLINE_FILE", text_file(output, &format!("cmdline{suffix}.txt"), cmdline)?);
        }
        if let Some(ram) = &self.ram {
            let size = bytes(ram).with_context(|| format!("RAM{suffix}={ram}: for example 512M or 1G"))?;
            define("RAM", format!("{size:#x}"));
        }
        if let Some(vcpus) = &self.vcpus {
            let count: u32 = vcpus.parse().with_context(|| format!("VCPUS{suffix}={vcpus}: a number"))?;
            // A GICv2 has eight CPU interfaces (IHI 0048B 1.1).
            ensure!((1..=8).contains(&count), "VCPUS{suffix}={vcpus}: 1 to 8");
            define("VCPUS", count.to_string());
        }
        result.known_guest &= self.initrd.is_none();
        Ok(())
    }
}

/// The absolute path of a file that the user names.
fn file(path: &str, what: &str) -> Outcome<String> {
    let path = env::current_dir()?.join(path);
    let path = path.canonicalize().with_context(|| format!("{what}={}", path.display()))?;
    Ok(path.display().to_string())
}

/// The path of a kernel of the user's own, if it is one.
fn kernel(path: &str, suffix: &str) -> Outcome<String> {
    let names = guest::names();
    let path = file(path, &format!("KERNEL{suffix}"))
        .with_context(|| format!("KERNEL is the path of an arm64 kernel image, or one of {names}"))?;
    let mut start = Vec::new();
    File::open(&path).and_then(|file| file.take(64).read_to_end(&mut start)).with_context(|| path.clone())?;
    if let Some(found) = not_an_image(&start) {
        bail!(
            "KERNEL{suffix}={path} is no arm64 kernel image but {found}. Give the uncompressed `Image` of a kernel built \
             for arm64 (arch/arm64/boot/Image, or Debian's /boot/vmlinuz-*), or one of {names}"
        );
    }
    Ok(path)
}

/// What a file that begins with `start` is, if not an arm64 kernel image.
fn not_an_image(start: &[u8]) -> Option<&'static str> {
    match start {
        _ if start.get(MAGIC_AT..MAGIC_AT + 4) == Some(MAGIC) => None,
        [0x1f, 0x8b, ..] => Some("compressed (gunzip it first)"),
        [b'M', b'Z', _, _, b'z', b'i', b'm', b'g', ..] => Some("a compressed EFI program (zboot)"),
        [0x7f, b'E', b'L', b'F', ..] => Some("an ELF file (vmlinux?)"),
        [b'M', b'Z', ..] => Some("an EFI program, or a kernel for another processor"),
        _ => Some("something else"),
    }
}

/// Writes a file with this text; returns its path.
fn text_file(output: &Path, name: &str, text: &str) -> io::Result<String> {
    let file = output.join(name);
    fs::write(&file, text)?;
    Ok(file.display().to_string())
}

/// A size with an optional K, M or G, in bytes; without one, and not hexadecimal, MiB as QEMU's `-m` takes it.
fn bytes(text: &str) -> Option<u64> {
    if let Some(digits) = text.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok();
    }
    let (digits, shift) = match text.char_indices().last()? {
        (at, 'k' | 'K') => (&text[..at], 10),
        (at, 'm' | 'M') => (&text[..at], 20),
        (at, 'g' | 'G') => (&text[..at], 30),
        _ => (text, 20),
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(bytes("512M"), Some(512 << 20));
        assert_eq!(bytes("512"), Some(512 << 20));
        assert_eq!(bytes("1g"), Some(1 << 30));
        assert_eq!(bytes("0x20000000"), Some(512 << 20));
        assert_eq!(bytes("lots"), None);
        assert_eq!(bytes(""), None);
    }

    #[test]
    fn what_virtualisers_read_is_checked_as_they_do() {
        assert!(layout("direct").is_ok() && layout("Direct").is_err());
        assert!(partition("label:guest0,ro").is_ok() && partition("label:").is_err());
        assert!(port(",deny:client1,no-offload").is_ok() && port("deny:client1").is_err());
    }

    #[test]
    fn only_an_arm64_image_is_a_kernel() {
        let mut image = [0; 64];
        assert_eq!(not_an_image(&image), Some("something else"));
        image[56..60].copy_from_slice(b"ARMd");
        assert_eq!(not_an_image(&image), None);
        assert_eq!(not_an_image(b"\x1f\x8b\x08"), Some("compressed (gunzip it first)"));
        assert_eq!(not_an_image(b"MZ\0\0zimg"), Some("a compressed EFI program (zboot)"));
        assert_eq!(not_an_image(b""), Some("something else"));
    }

    #[test]
    fn guest_goes_on_to_its_disk_if_there_is_one() {
        let cmdline = |text, board| default_cmdline(Needs::of(text, &crate::sdk::board(board).unwrap()));
        for text in ["<memory_region device=\"virtio_blk\"/>", "<memory_region device=\"disk\"/>"] {
            assert!(cmdline(text, "qemu_virt_aarch64").contains("root="));
        }
        assert!(!cmdline("<!-- virtio_blk -->", "qemu_virt_aarch64").contains("root="));
        assert!(cmdline("<irq device=\"disk\"/>", "rpi4b_2gb").contains("root="));
        let needs = |text| Needs::of(text, &crate::sdk::board("rpi4b_2gb").unwrap());
        assert!(needs("<irq device=\"network\"/>").network && !needs("<irq device=\"disk\"/>").network);
    }
}
