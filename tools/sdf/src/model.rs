// SPDX-License-Identifier: BSD-2-Clause
//! The typed model of one system: what a system description file says after parsing and checking.
//!
//! Built by [`crate::parse()`], read by the `microkit` tool and by reports. Names are already resolved to indices
//! ([`PdIndex`], [`RegionIndex`]) that are valid in the same [`System`]; every item keeps its position for messages.
//! The element and attribute meanings are those of the Microkit 2.3 manual.

use std::fmt;
use std::path::PathBuf;

/// Index into [`System::protection_domains`].
pub type PdIndex = usize;
/// Index into [`System::memory_regions`].
pub type RegionIndex = usize;

/// A place in the source file: row and column, both counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pos {
    /// Line.
    pub row: u32,
    /// Column, in characters.
    pub col: u32,
}

impl fmt::Display for Pos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.row, self.col)
    }
}

/// A whole system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct System {
    /// All protection domains, nested ones included, in pre-order (a parent comes before its children).
    pub protection_domains: Vec<ProtectionDomain>,
    /// Memory regions in file order.
    pub memory_regions: Vec<MemoryRegion>,
    /// Channels in file order.
    pub channels: Vec<Channel>,
    /// The domain schedule, when the file declares one.
    pub domains: Option<DomainConfig>,
    /// What is legal but probably a mistake; the caller prints these.
    pub warnings: Vec<crate::Diagnostic>,
}

impl System {
    /// The protection domain called `name`.
    #[must_use]
    pub fn protection_domain(&self, name: &str) -> Option<&ProtectionDomain> {
        self.protection_domains.iter().find(|pd| pd.name == name)
    }

    /// The memory region called `name`.
    #[must_use]
    pub fn memory_region(&self, name: &str) -> Option<&MemoryRegion> {
        self.memory_regions.iter().find(|region| region.name == name)
    }

    /// The number to write into the setvar's symbol; `None` for the physical address of a region that the tool has
    /// still to choose.
    #[must_use]
    pub fn setvar_value(&self, setvar: &Setvar) -> Option<u64> {
        match setvar.value {
            SetvarValue::Number(value) => Some(value),
            SetvarValue::PhysAddr(region) => self.memory_regions.get(region).and_then(|r| r.phys_addr),
        }
    }

    /// All channel ends that belong to `pd`, each with the end on the other side.
    pub fn ends_of(&self, pd: PdIndex) -> impl Iterator<Item = (&ChannelEnd, &ChannelEnd)> {
        self.channels
            .iter()
            .flat_map(|c| [(&c.ends[0], &c.ends[1]), (&c.ends[1], &c.ends[0])])
            .filter(move |(own, _)| own.pd == pd)
    }

    /// Whether some peer may make protected calls into `pd`.
    #[must_use]
    pub fn receives_calls(&self, pd: PdIndex) -> bool {
        self.ends_of(pd).any(|(_, peer)| peer.pp)
    }

    /// Whether `pd` receives on an endpoint (it has children, a virtual machine, or is called) and not only on its
    /// notification.
    #[must_use]
    pub fn needs_endpoint(&self, pd: PdIndex) -> bool {
        self.protection_domains
            .get(pd)
            .is_some_and(|p| !p.children.is_empty() || p.virtual_machine.is_some() || self.receives_calls(pd))
    }
}

/// One `protection_domain`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtectionDomain {
    /// Unique name, at most [`crate::limits::MAX_NAME_LEN`] bytes.
    pub name: String,
    /// The parent, which receives this domain's faults; `None` at top level.
    pub parent: Option<PdIndex>,
    /// Number in the parent's child name space; present exactly when there is a parent.
    pub child_id: Option<u8>,
    /// Children in file order.
    pub children: Vec<PdIndex>,
    /// seL4 priority, 0 to 254.
    pub priority: u8,
    /// Budget per period, microseconds.
    pub budget_us: u64,
    /// Period, microseconds.
    pub period_us: u64,
    /// Loses its scheduling context after `init` and runs on its callers' time.
    pub passive: bool,
    /// Stack, bytes.
    pub stack_size: u64,
    /// Core.
    pub cpu: u8,
    /// May make secure monitor calls.
    pub smc: bool,
    /// May use the floating-point unit.
    pub fpu: bool,
    /// Scheduling domain number, when domains are declared.
    pub domain: Option<u8>,
    /// The program.
    pub program_image: ProgramImage,
    /// Mappings, in file order.
    pub maps: Vec<Map>,
    /// Interrupts.
    pub irqs: Vec<Irq>,
    /// Every symbol to patch in this domain's image, whatever element asked for it.
    pub setvars: Vec<Setvar>,
    /// The virtual machine that this domain monitors.
    pub virtual_machine: Option<VirtualMachine>,
    /// Capabilities in the user part of the CSpace.
    pub user_caps: Vec<UserCap>,
    /// Start of the element.
    pub pos: Pos,
}

/// `program_image`. Paths are as written; find them with [`crate::find_file`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramImage {
    /// The ELF to load.
    pub path: PathBuf,
    /// A second ELF, used only to look symbols up.
    pub path_for_symbols: Option<PathBuf>,
    /// Start of the element.
    pub pos: Pos,
}

/// `map`, of a protection domain or of a virtual machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    /// What is mapped.
    pub region: RegionIndex,
    /// Where: virtual address in a protection domain, guest-physical address in a virtual machine.
    pub vaddr: u64,
    /// Rights.
    pub perms: Perms,
    /// Normal cached memory; `false` maps it as device memory.
    pub cached: bool,
    /// Start of the element.
    pub pos: Pos,
}

/// Rights of a mapping. Writing implies reading (write-only is refused).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Perms {
    /// Loads.
    pub read: bool,
    /// Stores.
    pub write: bool,
    /// Instruction fetches.
    pub execute: bool,
}

impl fmt::Display for Perms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (set, letter) in [(self.read, "r"), (self.write, "w"), (self.execute, "x")] {
            if set {
                f.write_str(letter)?;
            }
        }
        Ok(())
    }
}

/// `irq`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Irq {
    /// Interrupt number as the kernel counts it (the GIC's INTID: SPI n is n + 32, PPI n is n + 16).
    pub number: u32,
    /// Channel id that the domain sees.
    pub id: u8,
    /// Trigger.
    pub trigger: Trigger,
    /// Start of the element.
    pub pos: Pos,
}

/// How an interrupt line signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Level-sensitive.
    Level,
    /// Edge-triggered.
    Edge,
}

/// A symbol of a domain's image to patch with one 64-bit word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setvar {
    /// Name of the symbol. Unique in its domain.
    pub symbol: String,
    /// What to write; see [`System::setvar_value`].
    pub value: SetvarValue,
    /// Start of the element that asked for it.
    pub pos: Pos,
}

/// What a [`Setvar`] writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetvarValue {
    /// A number known from the file: an address, a size, an id.
    Number(u64),
    /// The physical address of a region.
    PhysAddr(RegionIndex),
}

/// `virtual_machine`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualMachine {
    /// Unique over all virtual machines.
    pub name: String,
    /// seL4 priority of the vCPU threads, 0 to 254.
    pub priority: u8,
    /// Budget per period of each vCPU, microseconds.
    pub budget_us: u64,
    /// Period, microseconds.
    pub period_us: u64,
    /// At least one; ids unique in this machine and different from the monitor's child ids.
    pub vcpus: Vec<Vcpu>,
    /// Guest-physical mappings (stage 2), shared by all vCPUs.
    pub maps: Vec<Map>,
    /// Start of the element.
    pub pos: Pos,
}

/// `vcpu`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vcpu {
    /// Number in the monitoring domain's child name space.
    pub id: u8,
    /// Core.
    pub cpu: u8,
    /// Start of the element.
    pub pos: Pos,
}

/// `memory_region`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryRegion {
    /// Unique name.
    pub name: String,
    /// Bytes, a multiple of the page size, not 0.
    pub size: u64,
    /// Page size, after promotion.
    pub page_size: PageSize,
    /// The file names the page size; only otherwise it may be promoted.
    pub page_size_explicit: bool,
    /// Fixed physical address; `None` leaves the choice to the tool or to the initialiser.
    pub phys_addr: Option<u64>,
    /// Physically contiguous: it has a fixed address, or a `setvar region_paddr` asks for its address.
    pub contiguous: bool,
    /// Initial content; without it the region is zeroed (RAM) or left alone (device memory).
    pub prefill: Option<Prefill>,
    /// Start of the element.
    pub pos: Pos,
}

impl MemoryRegion {
    /// Number of pages.
    #[must_use]
    pub fn page_count(&self) -> u64 {
        self.size / self.page_size.bytes()
    }
}

/// Initial content of a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prefill {
    /// The bytes of a file, the rest of the region zero.
    File {
        /// The file as found on the search paths.
        path: PathBuf,
        /// Its length in bytes when checked; more than 0, at most the region's size.
        len: u64,
    },
    /// The device tree that the boot loader handed over.
    DeviceTree,
}

/// Page size of a region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum PageSize {
    /// 4 KiB.
    #[default]
    Small,
    /// 2 MiB.
    Large,
}

impl PageSize {
    /// All sizes, small first.
    pub const ALL: [PageSize; 2] = [PageSize::Small, PageSize::Large];

    /// Size in bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        1 << self.bits()
    }

    /// Logarithm of the size.
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            PageSize::Small => 12,
            PageSize::Large => 21,
        }
    }
}

/// `channel`: two ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Both ends, in file order.
    pub ends: [ChannelEnd; 2],
    /// Start of the element.
    pub pos: Pos,
}

/// `end` of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelEnd {
    /// Whose end this is.
    pub pd: PdIndex,
    /// Channel id that `pd` uses, unique among its channels and interrupts.
    pub id: u8,
    /// `pd` may make protected calls to the other end.
    pub pp: bool,
    /// `pd` may notify the other end.
    pub notify: bool,
    /// Start of the element.
    pub pos: Pos,
}

/// One entry of `cspace`: a capability with all rights in the root CNode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserCap {
    /// Slot in the root CNode, 1 to 63.
    pub slot: u8,
    /// What it is a capability to.
    pub kind: UserCapKind,
    /// Whose object.
    pub pd: PdIndex,
    /// Start of the element.
    pub pos: Pos,
}

/// Objects that `cspace` can hand out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserCapKind {
    /// `cap_tcb`
    Tcb,
    /// `cap_sc`
    SchedContext,
    /// `cap_vspace`
    VSpace,
}

/// `domains`: the static top-level schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainConfig {
    /// Declared domains.
    pub domains: Vec<Domain>,
    /// The schedule, in order.
    pub schedule: Vec<ScheduleEntry>,
    /// Entry to begin with.
    pub start_index: u64,
    /// First slot of the kernel's table to fill; `None` leaves the choice to the tool.
    pub index_shift: Option<u64>,
    /// Start of the element.
    pub pos: Pos,
}

/// One declared domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// Unique name.
    pub name: String,
    /// Kernel's number.
    pub id: u8,
    /// Start of the element.
    pub pos: Pos,
}

/// One entry of the domain schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScheduleEntry {
    /// Run a domain for a while.
    Run {
        /// Kernel's number of the domain.
        domain: u8,
        /// For how long.
        duration: Duration,
    },
    /// Wrap around to the start.
    EndMarker,
}

/// Length of a schedule entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duration {
    /// Microseconds.
    Microseconds(u64),
    /// Ticks of the kernel's timer.
    Ticks(u64),
}
