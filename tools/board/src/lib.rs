// SPDX-License-Identifier: BSD-2-Clause
//! Board descriptions: `kernel-config/<board>.toml` parsed and checked.
//!
//! The only source of physical addresses and interrupt numbers. Read by `tools/sdf` (to resolve the devices that
//! `system.xml` names), by `platform/tool` and `tools/xtask` (to generate the SDK's JSON files), and by the build of the
//! kernel and the loader. A description that contradicts itself is refused with the key that is at fault.

#![forbid(unsafe_code)]

mod check;
#[cfg(test)]
mod tests;

use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

/// Bytes of the smallest page.
pub const PAGE_SIZE: u64 = 0x1000;
/// A register frame of a GICv3.
const GICV3_FRAME: u64 = 0x1_0000;

/// One board.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    /// Board name, as in the SDK's `board/` folder.
    pub name: String,
    /// Whose other members differ from it by memory, mostly: they share `family/<family>.toml`.
    pub family: Option<String>,
    /// CPU model, as the emulator calls it.
    pub cpu: String,
    /// Cores that the kernel uses.
    pub cpus: u32,
    /// Width of a physical address: 40 or 44.
    pub physical_address_bits: u32,
    /// RAM that the kernel hands out, ascending.
    pub memory: Vec<MemoryRange>,
    /// How much of it a guest gets of which nothing is said, as `RAM` says it; absent where what the description says fits.
    pub guest_ram: Option<String>,
    /// The kernel's own facts.
    pub kernel: Kernel,
    /// The loader's own facts.
    pub loader: Loader,
    /// Interrupt controller.
    pub gic: Gic,
    /// Generic timer.
    pub timer: Timer,
    /// Devices that a system description may name.
    #[serde(default)]
    pub devices: BTreeMap<String, Device>,
    /// What devices are for, by the names that `system.xml` has for that: `disk`, say.
    #[serde(default)]
    pub roles: BTreeMap<String, Role>,
    /// What devices reach by themselves.
    #[serde(default)]
    pub dma: Dma,
    /// What the board's firmware wants on a card besides the image.
    pub firmware: Option<Firmware>,
    /// How to emulate the board; absent for boards that only exist as hardware.
    pub emulator: Option<Emulator>,
    /// Other choices among its devices.
    #[serde(default)]
    pub variants: BTreeMap<String, Variant>,
}

/// A physical range; `end` is exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryRange {
    /// First byte.
    pub start: u64,
    /// First byte behind.
    pub end: u64,
}

/// `[kernel]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kernel {
    /// Where the kernel image is loaded; its first byte is its entry.
    pub physical_base: u64,
    /// Worst-case execution time of the kernel, microseconds; the least budget is twice this.
    pub wcet_us: u64,
    /// Device that carries debug output: a PL011.
    pub console: String,
    /// The board's family, as the SDK's configuration calls it.
    pub platform: String,
}

/// `[loader]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loader {
    /// Where the boot image is linked and runs; it moves itself there.
    pub link_address: u64,
    /// Where cores wait that are not used.
    pub spin_table: Option<SpinTable>,
}

/// `[loader.spin_table]`: cores that the firmware starts in a loop, each until its word is not 0 any more and then goes
/// where that says. The loader sends them to a loop of its own, which sleeps.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpinTable {
    /// Addresses of the words.
    pub words: Vec<u64>,
    /// A page outside the kernel's memory for that loop.
    pub parked_at: u64,
}

/// `[roles.<name>]`: which of the board's devices it is, and what drives it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// The device.
    pub device: String,
    /// The program of its driver, without `.elf`; absent for a device that another one's driver drives along.
    pub driver: Option<String>,
}

/// `[firmware]`: files that a firmware which boots from a file system looks for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Firmware {
    /// The name that the image has to have.
    pub image: String,
    /// Further files: name and content.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
}

/// `[dma]`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dma {
    /// First physical address that no device reaches by itself, if that is not all of memory.
    pub limit: Option<u64>,
    /// Devices do not see the processor's caches.
    #[serde(default)]
    pub incoherent: bool,
}

/// `[gic]`: a GICv2 (Arm IHI 0048B) or GICv3 (IHI 0069H) with virtualisation. Addresses that a version does not have are
/// left out, and 0.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gic {
    /// Architecture version, 2 or 3.
    pub version: u32,
    /// GICD
    pub distributor: u64,
    /// GICC; version 2.
    #[serde(default)]
    pub cpu_interface: u64,
    /// GICH; version 2.
    #[serde(default)]
    pub hypervisor_interface: u64,
    /// GICV: mapped into guests as their CPU interface; version 2.
    #[serde(default)]
    pub virtual_cpu_interface: u64,
    /// GICR of the first CPU; version 3.
    #[serde(default)]
    pub redistributor: u64,
    /// Largest INTID.
    pub max_irq: u32,
    /// INTID of the virtual CPU interface's maintenance interrupt.
    pub maintenance_irq: u32,
}

/// `[timer]`: the generic timer and who owns which of its interrupts (INTIDs).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timer {
    /// Counter frequency, Hz.
    pub frequency: u64,
    /// EL2 physical timer: the kernel's.
    pub kernel_irq: u32,
    /// Virtual timer: the running vCPU's.
    pub virtual_irq: u32,
    /// EL1 physical timer: user level's, if it is given it. Otherwise using it there is a fault.
    pub user_irq: Option<u32>,
}

/// `[devices.<name>]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// As in a device tree.
    pub compatible: String,
    /// First register; absent for a device without memory-mapped registers.
    pub start: Option<u64>,
    /// Bytes of registers, whole pages.
    pub size: Option<u64>,
    /// Interrupts in the device's own order.
    #[serde(default)]
    pub irqs: Vec<DeviceIrq>,
}

impl Device {
    /// The registers, when they are memory-mapped.
    #[must_use]
    pub fn registers(&self) -> Option<Range<u64>> {
        let start = self.start?;
        Some(start..start.checked_add(self.size?)?)
    }
}

/// One interrupt of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceIrq {
    /// INTID.
    pub number: u32,
    /// Trigger.
    pub trigger: Trigger,
}

/// How an interrupt line signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// Level-sensitive.
    Level,
    /// Edge-triggered.
    Edge,
}

impl Trigger {
    /// The word that system descriptions use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Trigger::Level => "level",
            Trigger::Edge => "edge",
        }
    }
}

/// `[emulator]`: QEMU's options.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Emulator {
    /// `-M`
    pub machine: String,
    /// `-m`, MiB.
    pub memory_mib: u64,
    /// `-smp`, where the machine insists on more than the kernel uses.
    pub cpus: Option<u32>,
    /// Which of its serial ports is the console.
    #[serde(default)]
    pub serial_port: u32,
    /// The oldest version of QEMU that has the machine.
    #[serde(default)]
    pub minimum_version: u32,
    /// How it gets the image.
    #[serde(default)]
    pub boot: Boot,
    /// Where its devices are connected.
    #[serde(default)]
    pub wiring: Wiring,
}

/// How an emulated board is started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Boot {
    /// The image is in memory, and the first core at its first byte.
    #[default]
    Loaded,
    /// By the machine's own firmware, as the kernel of an operating system.
    Firmware,
}

/// What a disk, a network and a source of entropy are connected to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wiring {
    /// virtio-mmio transports.
    #[default]
    Virtio,
    /// A card in the SD host controller; nothing else.
    SdCard,
}

/// `[variants.<name>]`: another choice among the board's devices, for whoever builds an image. The platform is the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// Roles that other devices have.
    #[serde(default)]
    pub roles: BTreeMap<String, Role>,
    /// Files for the firmware, in place of those of the same names.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// Which of QEMU's serial ports is the console then.
    pub serial_port: Option<u32>,
}

/// Why a description was refused.
#[derive(Debug, thiserror::Error)]
pub enum BoardError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// File.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Not TOML, or not with the expected keys.
    #[error("{source_name}: {error}")]
    Syntax {
        /// File.
        source_name: String,
        /// Position and reason.
        error: Box<toml::de::Error>,
    },
    /// The facts contradict each other.
    #[error("{source_name}: {key}: {reason}")]
    Fact {
        /// File.
        source_name: String,
        /// Key at fault.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Board {
    /// Reads and checks a description file.
    ///
    /// # Errors
    /// When the file cannot be read, or as [`Board::parse`].
    pub fn load(path: &Path) -> Result<Self, BoardError> {
        let read = |path: &Path| {
            let name = path.display().to_string();
            let text = std::fs::read_to_string(path)
                .map_err(|source| BoardError::Read { path: name.clone(), source })?;
            toml::from_str::<toml::Table>(&text)
                .map_err(|error| BoardError::Syntax { source_name: name, error: Box::new(error) })
        };
        let mut table = read(path)?;
        let Some(family) = table.get("family") else {
            let name = path.display().to_string();
            let text = std::fs::read_to_string(path)
                .map_err(|source| BoardError::Read { path: name.clone(), source })?;
            return Self::parse(&name, &text);
        };
        // What the boards of a family have in common is in a file of its own; what the board's says goes first.
        let family = path.with_file_name("family").join(format!("{}.toml", family.as_str().unwrap_or("?")));
        for (key, value) in read(&family)? {
            table.entry(key).or_insert(value);
        }
        let name = path.display().to_string();
        let board = table
            .try_into()
            .map_err(|error| BoardError::Syntax { source_name: name.clone(), error: Box::new(error) })?;
        Self::checked(&name, board)
    }

    /// Parses and checks a description; `source_name` appears in messages.
    ///
    /// # Errors
    /// At the first thing that is malformed or contradicts another.
    pub fn parse(source_name: &str, text: &str) -> Result<Self, BoardError> {
        let board: Board = toml::from_str(text).map_err(|error| BoardError::Syntax {
            source_name: source_name.to_owned(),
            error: Box::new(error),
        })?;
        Self::checked(source_name, board)
    }

    fn checked(source_name: &str, board: Self) -> Result<Self, BoardError> {
        check::check(&board).map_err(|(key, reason)| BoardError::Fact {
            source_name: source_name.to_owned(),
            key,
            reason,
        })?;
        Ok(board)
    }

    /// The board with another choice among its devices.
    ///
    /// # Errors
    /// It has no variant of that name.
    pub fn variant(mut self, name: &str) -> Result<Self, BoardError> {
        let Some(variant) = self.variants.get(name).cloned() else {
            let known: Vec<&str> = self.variants.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let reason = format!("there is no '{name}'; there is {known}");
            return Err(BoardError::Fact { source_name: self.name, key: "variants".to_owned(), reason });
        };
        self.apply(variant);
        Ok(self)
    }

    fn apply(&mut self, variant: Variant) {
        self.roles.extend(variant.roles);
        if let Some(firmware) = &mut self.firmware {
            firmware.files.extend(variant.files);
        }
        if let (Some(emulator), Some(port)) = (&mut self.emulator, variant.serial_port) {
            emulator.serial_port = port;
        }
    }

    /// The device of a name, which can be that of a role.
    #[must_use]
    pub fn device(&self, name: &str) -> Option<&Device> {
        let name = self.roles.get(name).map_or(name, |role| role.device.as_str());
        self.devices.get(name)
    }

    /// Physical ranges of RAM that user level can get.
    #[must_use]
    pub fn ram_ranges(&self) -> Vec<Range<u64>> {
        self.memory.iter().map(|m| m.start..m.end).collect()
    }

    /// Device memory that the kernel keeps: one page of each interface of a GICv2, the frames of a GICv3.
    #[must_use]
    pub fn kernel_device_pages(&self) -> Vec<(&'static str, Range<u64>)> {
        let range = |start: u64, size: u64| start..start.saturating_add(size);
        let gic = &self.gic;
        let mut pages = if gic.version == 3 {
            vec![
                ("GIC distributor", range(gic.distributor, GICV3_FRAME)),
                ("GIC redistributor", range(gic.redistributor, 2 * GICV3_FRAME)),
            ]
        } else {
            vec![
                ("GIC distributor", range(gic.distributor, PAGE_SIZE)),
                ("GIC CPU interface", range(gic.cpu_interface, PAGE_SIZE)),
                ("GIC hypervisor interface", range(gic.hypervisor_interface, PAGE_SIZE)),
            ]
        };
        pages.sort_by_key(|(_, range)| range.start);
        pages
    }

    /// Physical ranges outside RAM that user level may map: all that is neither RAM nor the kernel's.
    #[must_use]
    pub fn device_ranges(&self) -> Vec<Range<u64>> {
        let mut taken = self.ram_ranges();
        taken.extend(self.kernel_device_pages().into_iter().map(|(_, range)| range));
        taken.sort_by_key(|range| range.start);
        let mut free = Vec::new();
        let mut next = 0;
        for range in taken {
            if next < range.start {
                free.push(next..range.start);
            }
            next = next.max(range.end);
        }
        if next < self.physical_top() {
            free.push(next..self.physical_top());
        }
        free
    }

    /// First address that a physical address cannot express.
    #[must_use]
    pub fn physical_top(&self) -> u64 {
        1u64.checked_shl(self.physical_address_bits).unwrap_or(u64::MAX)
    }

    /// Last byte of user virtual memory: with the kernel at EL2 a process lives in a stage-2 address space, which is as
    /// wide as a physical address.
    #[must_use]
    pub fn vspace_user_top(&self) -> u64 {
        self.physical_top() - 1
    }

    /// Interrupts that the kernel keeps, each with what for.
    #[must_use]
    pub fn kernel_irqs(&self) -> Vec<(u32, &'static str)> {
        vec![
            (self.gic.maintenance_irq, "GIC maintenance interrupt"),
            (self.timer.kernel_irq, "kernel's timer"),
            (self.timer.virtual_irq, "virtual timer of the running vCPU"),
        ]
    }
}
