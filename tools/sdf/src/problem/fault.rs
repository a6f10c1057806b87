// SPDX-License-Identifier: BSD-2-Clause
//! What can be wrong with one element on its own.

use crate::limits::{MAX_ID, MAX_NAME_LEN, MAX_STACK_SIZE, MIN_STACK_SIZE, ROOT_CNODE_SLOTS};

/// What is wrong with one element on its own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Unknown, or unknown on this element.
    #[error("invalid attribute '{name}'")]
    InvalidAttribute {
        /// Attribute.
        name: String,
        /// What there is.
        known: String,
    },
    /// An element that may come once.
    #[error("{0} must only be specified once")]
    Repeated(&'static str),
    /// Not a boolean.
    #[error("{0} must be 'true' or 'false'")]
    Boolean(&'static str),
    /// A name with no letters.
    #[error("{0} must not be empty")]
    Empty(&'static str),
    /// A name that would be cut.
    #[error("name '{name}' is {len} bytes long, at most {MAX_NAME_LEN} are kept")]
    NameTooLong {
        /// Name.
        name: String,
        /// Its length.
        len: usize,
    },
    /// A symbol that the tool writes itself.
    #[error("symbol '{0}' is written by the tool itself")]
    ReservedSymbol(String),
    /// A symbol written twice.
    #[error("setvar on symbol '{0}' already exists")]
    DuplicateSetvar(String),
    /// Priority out of range.
    #[error("priority must be between 0 and 254")]
    Priority,
    /// More time than there is.
    #[error("budget ({budget}) must be less than, or equal to, period ({period})")]
    BudgetOverPeriod {
        /// Microseconds.
        budget: u64,
        /// Microseconds.
        period: u64,
    },
    /// Less time than the kernel needs to account for it.
    #[error("budget ({budget}) must be at least {min} microseconds")]
    BudgetTooSmall {
        /// Microseconds.
        budget: u64,
        /// The least.
        min: u64,
    },
    /// A period that the kernel cannot count.
    #[error("period ({period}) must be at most {max} microseconds")]
    PeriodTooLong {
        /// Microseconds.
        period: u64,
        /// The longest.
        max: u64,
    },
    /// Stack out of range.
    #[error("stack size must be between {MIN_STACK_SIZE:#x} bytes and {MAX_STACK_SIZE:#x} bytes")]
    StackRange,
    /// Stack not in whole pages.
    #[error("stack size must be aligned to the smallest page size, 4096 bytes")]
    StackAlignment,
    /// No such core.
    #[error("cpu core must be less than {cores}, got {cpu}")]
    Cpu {
        /// How many there are.
        cores: u32,
        /// What was asked for.
        cpu: u64,
    },
    /// The kernel does not pass secure monitor calls on.
    #[error("Using SMC support without ARM SMC forwarding support enabled in the kernel for this platform")]
    Smc,
    /// The kernel runs no virtual machines.
    #[error("seL4 has not been built as a hypervisor, virtual machines are disabled")]
    NoHypervisor,
    /// Id out of range.
    #[error("id must be < {}", MAX_ID as u32 + 1)]
    IdTooLarge,
    /// Id out of range.
    #[error("id must be >= 0")]
    IdNegative,
    /// Page size that the hardware does not have.
    #[error("page size {0:#x} not supported")]
    PageSize(u64),
    /// Not whole pages.
    #[error("size is not a multiple of the page size")]
    SizeNotMultiple,
    /// Nothing.
    #[error("size must not be 0")]
    SizeZero,
    /// Not known.
    #[error("size must be specified if memory region is not prefilled")]
    SizeMissing,
    /// Not on a page boundary.
    #[error("phys_addr is not aligned to the page size")]
    PhysAlignment,
    /// No such file.
    #[error("unable to find prefill file: '{0}'")]
    PrefillMissing(String),
    /// The file cannot be examined.
    #[error("failed to read file '{0}' at prefill_path")]
    PrefillUnreadable(String),
    /// Nothing in it.
    #[error("prefill file '{0}' is empty")]
    PrefillEmpty(String),
    /// More in it than fits.
    #[error("size of prefill file exceeds memory region size: {file:x} > {region:x}")]
    PrefillTooBig {
        /// Bytes of the file.
        file: u64,
        /// Bytes of the region.
        region: u64,
    },
    /// Two contents.
    #[error("prefill_path and prefill_bootinfo cannot be both specified")]
    PrefillBoth,
    /// Unknown boot information.
    #[error("BootInfoMap type: '{0}' is not supported")]
    BootInfo(String),
    /// Unknown rights.
    #[error("perms must only be a combination of 'r', 'w', and 'x'")]
    PermsLetters,
    /// Rights that the hardware does not have.
    #[error("perms must not be '{0}', write-only mappings are not allowed")]
    PermsWriteOnly(String),
    /// Outside the address space.
    #[error("vaddr ({vaddr:#x}) must be less than {limit:#x}")]
    VaddrLimit {
        /// Address.
        vaddr: u64,
        /// Limit.
        limit: u64,
    },
    /// Unknown trigger.
    #[error("trigger must be either 'level' or 'edge'")]
    Trigger,
    /// No such interrupt.
    #[error("irq must be at most {max} on this board, got {irq}")]
    IrqTooLarge {
        /// INTID.
        irq: u32,
        /// The largest.
        max: u32,
    },
    /// The kernel's own.
    #[error("irq {irq} is reserved by the kernel: {owner}")]
    IrqReserved {
        /// INTID.
        irq: u32,
        /// What for.
        owner: String,
    },
    /// Not on Arm.
    #[error("{0} isn't supported on ARM and RISC-V")]
    X86Only(&'static str),
    /// A channel has two ends.
    #[error("exactly two end elements must be specified")]
    EndCount,
    /// Both would wait for each other.
    #[error("cannot ppc bidirectionally")]
    Bidirectional,
    /// A name that no protection domain has.
    #[error("invalid PD name '{0}'")]
    InvalidPd(String),
    /// The system's own slot.
    #[error("The destination slot 0 has been reserved for Microkit CNode")]
    SlotReserved,
    /// Outside the root CNode.
    #[error("There are only {ROOT_CNODE_SLOTS} destination cspace slots available.")]
    SlotLimit,
    /// A domain that is not declared.
    #[error("domain '{0}' not declared in <domains>:")]
    DomainUndeclared(String),
    /// A domain without any schedule.
    #[error("Specifying a domain '{0}' without declaring a domain schedule is not allowed:")]
    DomainWithoutSchedule(String),
    /// Two domains with one name.
    #[error("Each <domain>'s name element must be unique found existing domain '{0}'")]
    DomainNameTwice(String),
    /// Two domains with one number.
    #[error("Each <domain>'s id element must be unique found existing domain '{name}' with id '{id}'")]
    DomainIdTwice {
        /// The earlier one.
        name: String,
        /// Number.
        id: u64,
    },
    /// Number out of range.
    #[error("domain id {id} should be less than the configured KernelNumDomains value of {max}")]
    DomainId {
        /// Number.
        id: u64,
        /// Limit.
        max: u64,
    },
    /// More than the kernel has.
    #[error("Number of domains exceeds {0}")]
    TooManyDomains(u64),
    /// Two schedules.
    #[error("The <domain_schedule> element can only appear once")]
    ScheduleTwice,
    /// No schedule.
    #[error("missing 'domain_schedule'")]
    NoSchedule,
    /// Nothing to run first.
    #[error("schedule_start_index '{start}' is greater than the length of the schedule '{len}'")]
    ScheduleStart {
        /// Start index.
        start: u64,
        /// Entries.
        len: usize,
    },
    /// The first entry must run something.
    #[error("schedule_start_index '{0}' names a schedule_end_marker")]
    ScheduleStartIsEnd(u64),
    /// Past the end of the kernel's table.
    #[error(
        "schedule_index_shift '{shift}' on top of the schedule length '{len}' would exceed than the configured \
         KernelNumDomainSchedules {max}"
    )]
    ScheduleShift {
        /// Shift.
        shift: u64,
        /// Entries.
        len: usize,
        /// Size of the table.
        max: u64,
    },
    /// A schedule entry for a domain that is not declared.
    #[error("domain '{0}' does not exist,")]
    ScheduleDomain(String),
    /// No unit.
    #[error("The duration '{0}' must contain a value and a unit, e.g. '1000 us'")]
    DurationUnitMissing(String),
    /// Unknown unit.
    #[error("The duration '{0}' must be in either 'ticks' or 'us'")]
    DurationUnit(String),
    /// No time at all.
    #[error("The duration '{0}' must be non-zero")]
    DurationZero(String),
}
