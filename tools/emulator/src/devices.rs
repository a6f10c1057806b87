// SPDX-License-Identifier: BSD-2-Clause
//! The virtio devices of a machine, each on the transport of the board that `kernel-config` names for it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::machine::escape;

/// Transports (QEMU's `virtio-mmio-bus.n`) of disk, network and entropy: each in a page of its own.
const DISK_BUS: u32 = 0;
const NETWORK_BUS: u32 = 8;
const ENTROPY_BUS: u32 = 16;

/// How a disk is attached to a machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Attachment {
    /// As a virtio device.
    #[default]
    Virtio,
    /// As a card in an SD host controller: of those of QEMU's type `generic-sdhci` the one that the machine lists first.
    SdCard,
}

/// What is connected to a machine.
#[derive(Clone, Debug, Default)]
pub struct Devices {
    /// A disk.
    pub disk: Option<Disk>,
    /// A network: QEMU's `-netdev`, without its `id`. Machines whose disk is a card have none: QEMU does not have their device.
    pub network: Option<String>,
    /// A source of random numbers: this machine's own.
    pub entropy: bool,
}

/// What happens to what is written to a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Writes {
    /// It goes to the file.
    Kept,
    /// It is forgotten when the emulator ends; the file is only read.
    Discarded,
    /// It goes to the file, and with its order and its flushes to a log (QEMU's `blklogwrites`).
    Logged(PathBuf),
}

/// A disk.
#[derive(Clone, Debug)]
pub struct Disk {
    /// Its file.
    pub file: PathBuf,
    /// What happens to writes.
    pub writes: Writes,
    /// Whether the device refuses writes.
    pub read_only: bool,
}

impl Disk {
    /// A disk whose file stays as it is.
    #[must_use]
    pub fn discarding(file: impl Into<PathBuf>) -> Self {
        Self { file: file.into(), writes: Writes::Discarded, read_only: false }
    }

    /// A disk that keeps what is written.
    #[must_use]
    pub fn keeping(file: impl Into<PathBuf>) -> Self {
        Self { writes: Writes::Kept, ..Self::discarding(file) }
    }
}

impl Devices {
    /// Adds QEMU's arguments.
    pub(crate) fn apply(&self, attachment: Attachment, command: &mut Command) {
        let virtio = attachment == Attachment::Virtio;
        let network = self.network.as_ref().filter(|_| virtio);
        if virtio && self.disk.is_some() || network.is_some() || self.entropy {
            // Version 2 of the transport (virtio 1.2, section 4.2), which is the only one that the drivers know.
            command.args(["-global", "virtio-mmio.force-legacy=false"]);
        }
        if let Some(disk) = &self.disk {
            disk.apply(command);
            let device = match attachment {
                Attachment::Virtio => format!("virtio-blk-device,drive=disk,bus=virtio-mmio-bus.{DISK_BUS}"),
                Attachment::SdCard => "sd-card,drive=disk,bus=/generic-sdhci/sd-bus".into(),
            };
            command.args(["-device", &device]);
        }
        if let Some(network) = network {
            command.args(["-netdev", &format!("{network},id=network")]);
            let device = format!(
                "virtio-net-device,netdev=network,bus=virtio-mmio-bus.{NETWORK_BUS},mac=52:54:00:00:00:01"
            );
            command.args(["-device", &device]);
        }
        if self.entropy {
            command.args(["-object", "rng-random,id=entropy,filename=/dev/urandom"]);
            let device = format!("virtio-rng-device,rng=entropy,bus=virtio-mmio-bus.{ENTROPY_BUS}");
            command.args(["-device", &device]);
        }
    }
}

impl Disk {
    fn apply(&self, command: &mut Command) {
        let file = escape(&self.file.display().to_string());
        let format = format(&self.file);
        match &self.writes {
            Writes::Kept | Writes::Discarded => {
                let snapshot = if self.writes == Writes::Discarded { ",snapshot=on" } else { "" };
                let read_only = if self.read_only { ",readonly=on" } else { "" };
                let drive =
                    format!("if=none,id=disk,file={file},format={format},discard=unmap{snapshot}{read_only}");
                command.args(["-drive", &drive]);
            }
            Writes::Logged(log) => {
                let log = escape(&log.display().to_string());
                for node in [
                    format!("driver=file,node-name=disk-file,filename={file},discard=unmap"),
                    format!("driver={format},node-name=disk-format,file=disk-file,discard=unmap"),
                    format!("driver=file,node-name=log-file,filename={log}"),
                    "driver=blklogwrites,node-name=disk,file=disk-format,log=log-file,discard=unmap".into(),
                ] {
                    command.args(["-blockdev", &node]);
                }
            }
        }
    }
}

/// The format of a disk's file: `qcow2` by its first bytes, otherwise `raw`.
fn format(file: &Path) -> &'static str {
    let mut magic = [0; 4];
    match File::open(file).and_then(|mut file| file.read_exact(&mut magic)) {
        Ok(()) if magic == *b"QFI\xfb" => "qcow2",
        _ => "raw",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(devices: &Devices) -> String {
        attached(devices, Attachment::Virtio)
    }

    fn attached(devices: &Devices, attachment: Attachment) -> String {
        let mut command = Command::new("qemu");
        devices.apply(attachment, &mut command);
        command.get_args().map(|argument| argument.to_string_lossy().into_owned() + " ").collect()
    }

    #[test]
    fn machine_without_devices_has_no_arguments_for_them() {
        assert_eq!(arguments(&Devices::default()), "");
    }

    #[test]
    fn discarded_writes_never_reach_the_file() {
        let devices = Devices { disk: Some(Disk::discarding("/x/a,b")), ..Devices::default() };
        let arguments = arguments(&devices);
        assert!(arguments.contains("file=/x/a,,b,format=raw"), "{arguments}");
        assert!(arguments.contains("snapshot=on"), "{arguments}");
        let kept = Devices { disk: Some(Disk::keeping("/x")), ..Devices::default() };
        assert!(!self::arguments(&kept).contains("snapshot"));
    }

    #[test]
    fn disk_can_be_a_card() {
        let (disk, network) = (Some(Disk::keeping("d")), Some("user".into()));
        let arguments = attached(&Devices { disk, network, entropy: false }, Attachment::SdCard);
        assert!(arguments.contains("sd-card,drive=disk"), "{arguments}");
        assert!(!arguments.contains("virtio"), "{arguments}");
    }

    #[test]
    fn every_device_has_a_page_of_its_own() {
        let devices = Devices { disk: Some(Disk::keeping("d")), network: Some("user".into()), entropy: true };
        let arguments = arguments(&devices);
        for bus in ["virtio-mmio-bus.0 ", "virtio-mmio-bus.8,", "virtio-mmio-bus.16 "] {
            assert!(arguments.contains(bus), "{bus}: {arguments}");
        }
        assert!(arguments.contains("force-legacy=false"), "{arguments}");
    }
}
