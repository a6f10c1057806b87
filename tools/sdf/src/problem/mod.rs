// SPDX-License-Identifier: BSD-2-Clause
//! Everything that can be wrong with a system, as typed enumerations.
//!
//! A [`Fault`] is wrong with one element on its own and is shown as "... on element 'map'"; a [`Problem`] is either that
//! or concerns the whole. Messages begin with the words of the reference tool for the same fault where it has one; what
//! to do about each is in [`Problem::help`].

mod connect;
mod fault;
mod help;
mod resolve;

use crate::limits::{MAX_PDS, MAX_VCPUS, MONITOR_NAME};

pub use connect::ConnectFault;
pub use fault::Fault;
pub use resolve::ResolveFault;

/// What is wrong. [`Problem::help`] says what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    // --- syntax
    /// Not well-formed XML.
    #[error("Could not parse '{file}': {reason}")]
    Xml {
        /// File.
        file: String,
        /// The XML reader's words.
        reason: String,
    },
    /// The root element is another one.
    #[error("missing 'system' element: the root element is '{0}'")]
    Root(String),
    /// Text inside an element.
    #[error("unexpected text found in element '{0}'")]
    TextIn(String),
    /// Text after an element.
    #[error("unexpected text found after element '{0}'")]
    TextAfter(String),
    /// An element that is unknown, or unknown in this place.
    #[error("invalid XML element '{name}': not known in '{parent}'")]
    InvalidElement {
        /// The element.
        name: String,
        /// Where it was found.
        parent: String,
    },
    /// A required attribute is not there.
    #[error("Missing required attribute '{attribute}' on element '{element}'")]
    MissingAttribute {
        /// Attribute.
        attribute: &'static str,
        /// Element.
        element: String,
    },
    /// Not a number.
    #[error("failed to parse integer '{value}' on element '{element}': {reason}")]
    Integer {
        /// What was found.
        value: String,
        /// Element.
        element: String,
        /// Why it is none.
        reason: String,
        /// Only decimal digits are allowed in this attribute.
        decimal: bool,
    },
    /// Something wrong with one element.
    #[error("{fault} on element '{element}'")]
    Element {
        /// Element.
        element: String,
        /// What.
        fault: Fault,
    },
    // --- protection domains and virtual machines
    /// Nothing to run.
    #[error("at least one protection domain must be defined")]
    NoPd,
    /// More than the monitor can watch.
    #[error("too many protection domains ({0}) defined. Maximum is {MAX_PDS}.")]
    TooManyPds(usize),
    /// More than the monitor can watch.
    #[error("too many vcpus ({0}) defined. Maximum is {MAX_VCPUS}.")]
    TooManyVcpus(usize),
    /// Two protection domains with one name.
    #[error("duplicate protection domain name '{0}'.")]
    DuplicatePd(String),
    /// The monitor's name.
    #[error("the PD name '{MONITOR_NAME}' is reserved for the Microkit Monitor.")]
    ReservedPd,
    /// Two virtual machines with one name.
    #[error("duplicate virtual machine name '{0}'.")]
    DuplicateVm(String),
    /// A virtual machine outside a protection domain.
    #[error("virtual machine must be a child of a protection domain")]
    VmNotChild,
    /// Nothing to load.
    #[error("missing 'program_image' element on protection_domain: '{0}'")]
    NoImage(String),
    /// Nothing to run in the machine.
    #[error("missing 'vcpu' element on virtual_machine: '{0}'")]
    NoVcpu(String),
    /// Two children with one number.
    #[error("duplicate id: {id} in protection domain: '{pd}'")]
    DuplicateChild {
        /// Number.
        id: u8,
        /// Parent.
        pd: String,
    },
    /// A child with the number of a vCPU.
    #[error("duplicate id: {id} clashes with virtual machine vcpu id in protection domain: '{pd}'")]
    ChildIsVcpu {
        /// Number.
        id: u8,
        /// Parent.
        pd: String,
    },
    /// Two vCPUs with one number.
    #[error("duplicate vcpu id {id} in virtual machine '{vm}'")]
    DuplicateVcpu {
        /// Number.
        id: u8,
        /// Virtual machine.
        vm: String,
    },
    /// A guest that runs before its monitor.
    #[error("virtual machine '{vm}' has priority {vm_priority}, above its monitor's {pd_priority}")]
    VmAboveMonitor {
        /// Virtual machine.
        vm: String,
        /// Its priority.
        vm_priority: u8,
        /// The monitor's.
        pd_priority: u8,
    },
    // --- cspace
    /// A kind of capability that cannot be handed out.
    #[error("Cap type: '{0}' is not supported")]
    CapType(String),
    /// Not a capability element.
    #[error("Element '{0}' is not supported in a <cspace> element")]
    CapElement(String),
    /// A name that no protection domain has.
    #[error("unknown PD name '{0}'")]
    UnknownPd(String),
    /// Two capabilities in one slot.
    #[error("overlapping user caps in slot {slot} of protection domain '{pd}':\n  {first}\n  {second}")]
    CapOverlap {
        /// Slot.
        slot: u8,
        /// Whose CSpace.
        pd: String,
        /// The earlier one.
        first: String,
        /// The later one.
        second: String,
    },
    // --- memory
    /// Two regions with one name.
    #[error("duplicate memory region name '{0}'.")]
    DuplicateRegion(String),
    /// A name that no region has.
    #[error("invalid memory region name '{name}' on '{element}'")]
    UnknownRegion {
        /// Name.
        name: String,
        /// Element that uses it.
        element: String,
    },
    /// Two regions at one physical address.
    #[error(
        "memory region '{region}' physical address range [{start:#x}..{end:#x}) overlaps with another memory region \
         '{other}' [{other_start:#x}..{other_end:#x})"
    )]
    PhysOverlap {
        /// The later one.
        region: String,
        /// Its start.
        start: u64,
        /// Its end.
        end: u64,
        /// The earlier one.
        other: String,
        /// Its start.
        other_start: u64,
        /// Its end.
        other_end: u64,
    },
    /// A physical range past the end of the address space.
    #[error("memory region '{region}' has physical address range that overflows")]
    PhysOverflow {
        /// Region.
        region: String,
    },
    /// A physical range that user level cannot get.
    #[error(
        "memory region '{region}' physical address range [{start:#x}..{end:#x}) cannot be allocated: {missing:#x} \
         belongs to the kernel or does not exist"
    )]
    PhysUnavailable {
        /// Region.
        region: String,
        /// Its start.
        start: u64,
        /// Its end.
        end: u64,
        /// First address that is not available.
        missing: u64,
        /// What is available, for the help text.
        available: String,
    },
    /// More memory than there is.
    #[error("memory regions need {needed:#x} bytes of RAM, '{platform}' has {available:#x}")]
    NotEnoughRam {
        /// Sum of the regions.
        needed: u64,
        /// Sum of the RAM.
        available: u64,
        /// Board.
        platform: String,
    },
    /// Nobody maps the region.
    #[error("unused memory region '{0}'")]
    UnusedRegion(String),
    /// An explicit size well above the file's.
    #[error(
        "memory region '{region}' is {size:#x} bytes, {extra:#x} more than its prefill file in whole pages"
    )]
    PrefillSlack {
        /// Region.
        region: String,
        /// Its size.
        size: u64,
        /// How much more.
        extra: u64,
    },
    /// The same memory with two cache attributes.
    #[error("memory region '{region}' is mapped cached in one place and uncached in another")]
    MixedCaching {
        /// Region.
        region: String,
    },
    // --- mappings
    /// Not on a page boundary.
    #[error(
        "invalid vaddr alignment on 'map': {vaddr:#x} is no multiple of the page size {page_size:#x} of '{region}'"
    )]
    MapAlignment {
        /// Address.
        vaddr: u64,
        /// Page size.
        page_size: u64,
        /// Region.
        region: String,
    },
    /// Past the end of the number range.
    #[error("map for '{0}' has address range that overflows")]
    MapOverflow(String),
    /// Past the end of the address space.
    #[error(
        "map for '{region}' has virtual address range [{start:#x}..{end:#x}) which exceeds valid address space \
         [0x0..{limit:#x})"
    )]
    MapTooHigh {
        /// Region.
        region: String,
        /// Start.
        start: u64,
        /// Exclusive end.
        end: u64,
        /// Exclusive limit.
        limit: u64,
    },
    /// Two mappings at one address.
    #[error(
        "map for '{region}' has virtual address range [{start:#x}..{end:#x}) which overlaps with map for '{other}' \
         [{other_start:#x}..{other_end:#x}) in {space}"
    )]
    MapOverlap {
        /// The later one.
        region: String,
        /// Its start.
        start: u64,
        /// Its end.
        end: u64,
        /// The earlier one.
        other: String,
        /// Its start.
        other_start: u64,
        /// Its end.
        other_end: u64,
        /// Whose address space.
        space: String,
    },
    /// The first page is mapped.
    #[error("map for '{region}' makes address 0 valid in protection domain '{pd}'")]
    MapAtNull {
        /// Region.
        region: String,
        /// Protection domain.
        pd: String,
    },
    /// A prefill size of a region without prefill.
    #[error("'setvar_prefill_size' used for MR without a `prefill_path`")]
    PrefillSizeWithoutFile,
    // --- interrupts and channels
    /// An interrupt with two owners.
    #[error("duplicate irq: {irq} in protection domain: '{pd}'")]
    DuplicateIrq {
        /// INTID.
        irq: u32,
        /// The later owner.
        pd: String,
    },
    /// Two channels or interrupts with one id.
    #[error("duplicate channel id: {id} in protection domain: '{pd}'")]
    DuplicateChannel {
        /// Id.
        id: u8,
        /// Protection domain.
        pd: String,
    },
    /// A call that could block a more urgent caller behind a less urgent server.
    #[error(
        "PPCs must be to protection domains of strictly higher priorities; channel with PPC exists from pd {caller} \
         (priority: {caller_priority}) to pd {callee} (priority: {callee_priority})"
    )]
    PpPriority {
        /// Caller.
        caller: String,
        /// Its priority.
        caller_priority: u8,
        /// Server.
        callee: String,
        /// Its priority.
        callee_priority: u8,
    },
    /// A channel that nobody can use.
    #[error("channel between '{0}' and '{1}' allows neither end anything")]
    MuteChannel(String, String),
    /// An interrupt that only another core can raise.
    #[error("irq {0} is a software-generated interrupt: no device raises it")]
    SoftwareIrq(u32),
    // --- not on this architecture
    /// No IOMMU.
    #[error("io address space requires seL4 to be built with IOMMU support")]
    NoIommu,
    /// Domains on several cores.
    #[error("The domain scheduler is not supported in multicore builds of seL4")]
    DomainsOnSmp,
    /// Domains on a kernel that has one.
    #[error("The kernel of this SDK schedules one domain only")]
    OneDomain,
    /// Not a domain element.
    #[error("invalid XML element as child of <{parent}> '{name}'")]
    DomainElement {
        /// The element.
        name: String,
        /// Where it was found.
        parent: &'static str,
    },
    /// A schedule longer than the kernel's table.
    #[error("More than configured KernelNumDomainSchedules {0} number of <schedule_entry> elements found")]
    LongSchedule(u64),
    // --- resolving our dialect
    /// Something wrong with a name of the board or a variable.
    #[error(transparent)]
    Resolve(#[from] ResolveFault),
    /// Something wrong with what connects protection domains.
    #[error(transparent)]
    Connect(#[from] ConnectFault),
    // --- build stage: found by the tool when it opens the images
    /// An image file is nowhere on the search paths.
    #[error("unable to find program image: '{0}'")]
    ImageNotFound(String),
    /// An image is no usable ELF file.
    #[error("failed to parse ELF '{path}' for PD '{pd}': {reason}")]
    ImageNotElf {
        /// Protection domain.
        pd: String,
        /// File.
        path: String,
        /// Why.
        reason: String,
    },
    /// A symbol to patch does not exist.
    #[error("could not find symbol '{symbol}' in ELF '{path}' for PD '{pd}'")]
    SymbolMissing {
        /// Protection domain.
        pd: String,
        /// Symbol.
        symbol: String,
        /// File.
        path: String,
    },
    /// A symbol to patch is not one 64-bit word.
    #[error("symbol '{symbol}' in ELF '{path}' for PD '{pd}' has size {size} bytes, expected 8")]
    SymbolNotWord {
        /// Protection domain.
        pd: String,
        /// Symbol.
        symbol: String,
        /// File.
        path: String,
        /// Its size.
        size: u64,
    },
    /// A mapping covers part of the program.
    #[error(
        "map for '{region}' has virtual address range [{start:#x}..{end:#x}) which overlaps with an ELF segment at \
         [{seg_start:#x}..{seg_end:#x}) in protection domain '{pd}'"
    )]
    MapOverlapsSegment {
        /// Protection domain.
        pd: String,
        /// Region.
        region: String,
        /// Start of the map.
        start: u64,
        /// Exclusive end of the map.
        end: u64,
        /// Start of the segment.
        seg_start: u64,
        /// Exclusive end of the segment.
        seg_end: u64,
    },
    /// Anything that has no class of its own.
    #[error("{0}")]
    Other(String),
}

impl Problem {
    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        help::problem(self)
    }

    /// Whether this is found once all parts have been looked at: something is not there, or is too much together. Such
    /// problems are told last, since they often follow from those of a part; Microkit's own tool, which stops at the
    /// first problem, tells the part's.
    #[must_use]
    pub fn is_about_the_whole(&self) -> bool {
        match self {
            Self::NoImage(_) | Self::NotEnoughRam { .. } => true,
            Self::Element { fault, .. } => matches!(fault, Fault::EndCount),
            _ => false,
        }
    }
}
