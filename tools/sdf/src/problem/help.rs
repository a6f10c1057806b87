// SPDX-License-Identifier: BSD-2-Clause
//! What to do about each problem: the second line of a message.

use super::{Fault, Problem, ResolveFault};
use crate::limits::MAX_ID;

pub(crate) fn problem(problem: &Problem) -> Option<String> {
    let text = match problem {
        Problem::Xml { .. } => "make the file well-formed XML (without a document type declaration)",
        Problem::Root(_) => "wrap the description in <system> ... </system>",
        Problem::TextIn(_) | Problem::TextAfter(_) => {
            "only elements and comments are allowed here: remove it"
        }
        Problem::InvalidElement { .. } => "check its spelling and which element it has to be in",
        Problem::MissingAttribute { attribute, .. } => return Some(format!("add {attribute}=\"...\"")),
        Problem::Integer { decimal: true, .. } => "write it with decimal digits only: no 0x, no underscores",
        Problem::Integer { decimal: false, .. } => "write a decimal or 0x number below 2^64",
        Problem::Element { fault, .. } => return self::fault(fault),
        Problem::NoPd => "add a protection_domain",
        Problem::TooManyPds(_) => "merge some: the monitor has no room for more",
        Problem::TooManyVcpus(_) => "give some virtual machine fewer: the monitor has no room for more",
        Problem::DuplicatePd(_) | Problem::DuplicateVm(_) | Problem::DuplicateRegion(_) => {
            "rename one of them"
        }
        Problem::ReservedPd => "rename it",
        Problem::VmNotChild => "move it into the protection domain that handles its faults",
        Problem::NoImage(_) => "add <program_image path=\"...\" />",
        Problem::NoVcpu(_) => "add <vcpu id=\"0\" />",
        Problem::DuplicateChild { .. } | Problem::DuplicateVcpu { .. } => "give one of them another id",
        Problem::ChildIsVcpu { .. } => "children and vCPUs share one name space: give one of them another id",
        Problem::VmAboveMonitor { .. } => "lower the guest's priority, or it delays its own monitor",
        Problem::CapType(_) | Problem::CapElement(_) => "use cap_tcb, cap_sc or cap_vspace",
        Problem::UnknownPd(_) => "check the spelling: no protection_domain has this name",
        Problem::CapOverlap { .. } => "put one of them into another slot",
        Problem::UnknownRegion { .. } => "check the spelling: no memory_region has this name",
        Problem::PhysOverlap { .. } => "move or shrink one of them, or map one region twice",
        Problem::PhysOverflow { .. } => "lower phys_addr or size",
        Problem::PhysUnavailable { available, .. } => {
            return Some(format!("leave phys_addr out, or choose within {available}"));
        }
        Problem::NotEnoughRam { .. } => "shrink some region without phys_addr",
        Problem::UnusedRegion(_) => "map it somewhere or remove it",
        Problem::PrefillSlack { .. } => {
            "works here, but Microkit 2.3's own tool fails on it: leave size out, or use a second region for the rest"
        }
        Problem::MixedCaching { .. } => {
            "stores through one mapping may stay invisible to the other: use one kind"
        }
        Problem::MapAlignment { .. } => "align vaddr, or give the region a smaller page_size",
        Problem::MapOverflow(_) | Problem::MapTooHigh { .. } => "lower vaddr or the region's size",
        Problem::MapOverlap { .. } => "move one of them",
        Problem::MapAtNull { .. } => "choose another vaddr, so that null pointers fault",
        Problem::PrefillSizeWithoutFile => "use setvar_size, or prefill the region",
        Problem::DuplicateIrq { .. } => "an interrupt has one owner: remove one of them",
        Problem::DuplicateChannel { .. } => "channels and interrupts share one name space: choose another id",
        Problem::PpPriority { .. } => "raise the priority of the called one, or lower the caller's",
        Problem::MuteChannel(..) => "set pp or notify on one end, or remove the channel",
        Problem::SoftwareIrq(_) => "shared peripheral interrupt n is irq n + 32, a private one n + 16",
        Problem::NoIommu => {
            "remove it: on Arm the kernel drives no SMMU, a device that does DMA reaches all memory"
        }
        Problem::DomainsOnSmp => "choose a single-core configuration, or remove <domains>",
        Problem::OneDomain => "remove <domains> and the `domain` attributes, or build with another SDK",
        Problem::DomainElement { .. } => {
            "use domain and domain_schedule, and schedule_entry and schedule_end_marker in the latter"
        }
        Problem::LongSchedule(_) => "shorten the schedule",
        Problem::Resolve(fault) => return Some(resolve(fault)),
        Problem::Connect(fault) => return Some(fault.help()),
        Problem::ImageNotFound(_) => "build it first, or name its folder with --search-path",
        Problem::ImageNotElf { .. } => "build it for aarch64 with the SDK's linker script",
        Problem::SymbolMissing { .. } => "declare it in the program, or remove the setvar",
        Problem::SymbolNotWord { .. } => "declare the variable as one 64-bit word (u64, usize or a pointer)",
        Problem::MapOverlapsSegment { .. } => "move the map away from the program",
        Problem::Other(_) => return None,
    };
    Some(text.to_owned())
}

fn fault(fault: &Fault) -> Option<String> {
    let text = match fault {
        Fault::InvalidAttribute { known, .. } if known.is_empty() => "it takes none: remove it",
        Fault::InvalidAttribute { known, .. } => return Some(format!("remove it; there are: {known}")),
        Fault::Repeated(_) => "remove all but one",
        Fault::Boolean(_) => "write it in lower case letters",
        Fault::Empty(_) => "give it a value",
        Fault::NameTooLong { .. } => "shorten it",
        Fault::ReservedSymbol(_) => "choose another symbol",
        Fault::DuplicateSetvar(_) => "a symbol has one value: use another symbol",
        Fault::Priority => "255 is the monitor's; choose a lower one",
        Fault::BudgetOverPeriod { .. } => "raise period or lower budget (1000 when not given)",
        Fault::BudgetTooSmall { .. } => {
            "raise it: the kernel refuses less than twice its worst-case execution time"
        }
        Fault::PeriodTooLong { .. } => "lower it: the kernel's clock overflows",
        Fault::StackRange | Fault::StackAlignment => "0x2000 when not given",
        Fault::Cpu { cores: 1, .. } => "this kernel runs on one core: leave cpu out",
        Fault::Cpu { .. } => "choose a core that the kernel runs on",
        Fault::Smc => "leave smc out, or use a kernel configured with ALLOW_SMC_CALLS",
        Fault::NoHypervisor => "use a board or configuration whose kernel runs at EL2",
        Fault::IdTooLarge => return Some(format!("choose an id from 0 to {MAX_ID}")),
        Fault::IdNegative => return Some(format!("choose an id from 0 to {MAX_ID}")),
        Fault::PageSize(_) => "use 0x1000 or 0x200000",
        Fault::SizeNotMultiple => "round it up to whole pages, or use a smaller page_size",
        Fault::SizeZero | Fault::SizeMissing => "add size=\"...\", a multiple of the page size",
        Fault::PhysAlignment => "align it, or use a smaller page_size",
        Fault::PrefillMissing(_) => "create it first, or name its folder with --search-path",
        Fault::PrefillUnreadable(_) => "make it readable",
        Fault::PrefillEmpty(_) => "put something in, or leave prefill_path out: regions start as zeroes",
        Fault::PrefillTooBig { .. } => "raise size or leave it out",
        Fault::PrefillBoth => "remove one of them",
        Fault::BootInfo(_) => "on AArch64 there is only 'fdt'",
        Fault::PermsLetters | Fault::PermsWriteOnly(_) => "for example r, rw or rx (rw when not given)",
        Fault::VaddrLimit { .. } => "lower it; above are the stack and the IPC buffer",
        Fault::Trigger => "level when not given",
        Fault::IrqTooLarge { .. } => "shared peripheral interrupt n is irq n + 32, a private one n + 16",
        Fault::IrqReserved { .. } => "choose another interrupt: this one cannot be handed out",
        Fault::X86Only(what) if what.ends_with("IRQ") => {
            "on Arm an irq has the attributes irq, id and trigger"
        }
        Fault::X86Only(_) => "remove it",
        Fault::EndCount => "connect two ends; use one channel for every pair",
        Fault::Bidirectional => "leave pp on the end that calls",
        Fault::InvalidPd(_) => "check the spelling: no protection_domain has this name",
        Fault::SlotReserved | Fault::SlotLimit => "choose a slot from 1 to 63",
        Fault::DomainUndeclared(_) | Fault::ScheduleDomain(_) => "declare it with <domain name=\"...\" />",
        Fault::DomainWithoutSchedule(_) => "declare <domains>, or remove the attribute",
        Fault::DomainNameTwice(_) => "rename one of them",
        Fault::DomainIdTwice { .. } => "leave the id out: one is chosen",
        Fault::DomainId { .. } | Fault::TooManyDomains(_) => {
            "use fewer: the kernel is configured for no more"
        }
        Fault::ScheduleTwice => "merge them into one",
        Fault::NoSchedule => "add a <domain_schedule>",
        Fault::ScheduleStart { .. } | Fault::ScheduleStartIsEnd(_) => {
            "entries count from 0; 0 when not given"
        }
        Fault::ScheduleShift { .. } => "lower it or leave it out",
        Fault::DurationUnitMissing(_) | Fault::DurationUnit(_) | Fault::DurationZero(_) => {
            "write for example '1000 us' or '5 ticks'"
        }
    };
    Some(text.to_owned())
}

fn resolve(fault: &ResolveFault) -> String {
    let text = match fault {
        ResolveFault::UnknownDevice { known, .. } => {
            return format!("it has {known}; others are added in kernel-config/");
        }
        ResolveFault::NoRegisters(_) => "only its interrupts can be used",
        ResolveFault::NoInterrupt { .. } => "index counts from 0",
        ResolveFault::Redundant { .. } => "remove it, or remove device",
        ResolveFault::DeviceHere(_) => "memory_region and irq can name a device",
        ResolveFault::CachedDevice { .. } => "add cached=\"false\" to the map",
        ResolveFault::Unset(name) => return format!("set it, or write ${{{name}:-default}}"),
        ResolveFault::Variable(_) => "write ${NAME} or ${NAME:-default}; a single dollar sign is $$",
        ResolveFault::Size(_) => "write for example 64K, 512M, 1G, or a decimal or 0x number",
        ResolveFault::Count { .. } => "write how many vCPUs there are",
        ResolveFault::CountWith(_) => "write the vcpu elements one by one",
        ResolveFault::TemplateTwice(_) => "rename one of them",
        ResolveFault::TemplateHere => "move it out; `use` can be anywhere",
        ResolveFault::UnknownTemplate { known, .. } if known.is_empty() => "define it: <template name=...>",
        ResolveFault::UnknownTemplate { known, .. } => return format!("there are: {known}"),
        ResolveFault::TemplateDepth(_) | ResolveFault::TemplateSize(_) => {
            "a template that uses itself never ends"
        }
        ResolveFault::Parameter(_) => {
            "write names of lower case letters, digits and '_', separated by blanks, each with =default or without"
        }
        ResolveFault::ParameterMissing(name) => return format!("add {name}=\"...\""),
        ResolveFault::ConfigEntry(_) => {
            "names are lower case letters, digits and '_'; values one line without spaces around"
        }
        ResolveFault::NoConfig { .. } => "add a <config> to that protection domain",
        ResolveFault::ConfigEmpty => "add <entry name=\"...\" value=\"...\" />, or remove it",
        ResolveFault::ConfigTwice(_) => "remove one of them",
    };
    text.to_owned()
}
