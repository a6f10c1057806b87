// SPDX-License-Identifier: BSD-2-Clause
//! Synchronous exceptions that the hypervisor makes a guest take, in place of the instruction that trapped.
//!
//! The VMM reads SCTLR_EL1 and VBAR_EL1, asks [`ExceptionEntry::new`], and writes the result: ELR, SPSR, ESR and FAR
//! of EL1, then PC and PSTATE.

use crate::pstate::Pstate;
use crate::syndrome::Syndrome;

/// Why the guest takes an exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The instruction is UNDEFINED.
    Undefined,
    /// A system-register access that EL1 has to handle: the syndrome of the trap as it is.
    Trap(Syndrome),
    /// A load or store to an address where nothing answers: synchronous External abort.
    DataAbort {
        /// A store.
        write: bool,
        /// A cache-maintenance instruction.
        cache_maintenance: bool,
        /// Faulting address.
        address: FaultAddress,
    },
    /// An instruction fetch from where nothing answers: synchronous External abort.
    InstructionAbort {
        /// Faulting address.
        address: FaultAddress,
    },
}

/// The faulting address, as far as it is known. The standard kernel interface reports the intermediate physical one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultAddress {
    /// The virtual address: FAR_EL1 is valid.
    Virtual(u64),
    /// Only the intermediate physical address is known. It goes to FAR_EL1 as a hint and ESR_EL1.FnV says that FAR is
    /// not valid, which the architecture allows for an External abort.
    Physical(u64),
}

/// What an entry depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryContext {
    /// Address of the trapped instruction.
    pub pc: u64,
    /// State at that instruction.
    pub pstate: Pstate,
    /// SCTLR_EL1.
    pub sctlr: u64,
    /// VBAR_EL1.
    pub vbar: u64,
}

/// Register values of an exception entry at EL1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExceptionEntry {
    /// New PC.
    pub pc: u64,
    /// New PSTATE.
    pub pstate: Pstate,
    /// ELR_EL1.
    pub elr: u64,
    /// SPSR_EL1.
    pub spsr: u64,
    /// ESR_EL1.
    pub esr: u64,
    /// FAR_EL1, when the exception writes it.
    pub far: Option<u64>,
}

/// ESR.IL.
const IL: u64 = 1 << 25;
/// Fault status: synchronous External abort, not on a table walk.
const SYNCHRONOUS_EXTERNAL: u64 = 0x10;
/// ISS.FnV: FAR is not valid.
const FAR_NOT_VALID: u64 = 1 << 10;
/// ISS.CM of a data abort.
const CACHE_MAINTENANCE: u64 = 1 << 8;
/// ISS.WnR of a data abort.
const WRITE: u64 = 1 << 6;

impl ExceptionEntry {
    /// The entry that `cause` makes from `context`.
    pub const fn new(context: &EntryContext, cause: Cause) -> Self {
        let from_el0 = context.pstate.is_el0();
        let (esr, far) = match cause {
            Cause::Undefined => (IL, None),
            Cause::Trap(syndrome) => (syndrome.bits() as u64, None),
            Cause::DataAbort { write, cache_maintenance, address } => {
                let (far, not_valid) = address.far();
                let mut esr = class(0x24, from_el0) | IL | SYNCHRONOUS_EXTERNAL | not_valid;
                if write {
                    esr |= WRITE;
                }
                if cache_maintenance {
                    esr |= CACHE_MAINTENANCE;
                }
                (esr, Some(far))
            }
            Cause::InstructionAbort { address } => {
                let (far, not_valid) = address.far();
                (class(0x20, from_el0) | IL | SYNCHRONOUS_EXTERNAL | not_valid, Some(far))
            }
        };
        Self {
            pc: (context.vbar & !0x7ff).wrapping_add(context.pstate.vector().synchronous_offset()),
            pstate: context.pstate.on_entry(context.sctlr),
            elr: context.pc,
            spsr: context.pstate.bits(),
            esr,
            far,
        }
    }
}

impl FaultAddress {
    /// From the intermediate physical address: also the virtual one while the guest's stage 1 is off (SCTLR_EL1.M).
    pub const fn from_ipa(ipa: u64, sctlr: u64) -> Self {
        if sctlr & 1 == 0 { Self::Virtual(ipa) } else { Self::Physical(ipa) }
    }

    const fn far(self) -> (u64, u64) {
        match self {
            Self::Virtual(address) => (address, 0),
            Self::Physical(address) => (address, FAR_NOT_VALID),
        }
    }
}

/// The exception class of an abort: `lower` from EL0, one more from EL1 itself.
const fn class(lower: u64, from_el0: bool) -> u64 {
    (if from_el0 { lower } else { lower + 1 }) << 26
}

#[cfg(test)]
mod tests {
    use super::*;

    const EL1: EntryContext = EntryContext {
        pc: 0x4008_1000,
        pstate: Pstate::new(0x6000_0005),
        sctlr: 1 << 23 | 1,
        vbar: 0xffff_8000_0801_0800,
    };

    #[test]
    fn undefined_instruction_at_el1() {
        let entry = ExceptionEntry::new(&EL1, Cause::Undefined);
        assert_eq!(
            entry,
            ExceptionEntry {
                pc: 0xffff_8000_0801_0a00,
                pstate: Pstate::new(0x6000_03c5),
                elr: 0x4008_1000,
                spsr: 0x6000_0005,
                esr: 0x0200_0000,
                far: None,
            }
        );
    }

    #[test]
    fn undefined_instruction_from_aarch32_uses_the_last_vectors() {
        let context = EntryContext { pstate: Pstate::new(0x10), ..EL1 };
        assert_eq!(ExceptionEntry::new(&context, Cause::Undefined).pc, 0xffff_8000_0801_0e00);
    }

    #[test]
    fn data_abort_tells_level_direction_and_address() {
        let abort = |write, address| Cause::DataAbort { write, cache_maintenance: false, address };
        let entry = ExceptionEntry::new(&EL1, abort(true, FaultAddress::Virtual(0x1234)));
        assert_eq!((entry.esr, entry.far), (0x9600_0050, Some(0x1234)));
        let el0 = EntryContext { pstate: Pstate::new(0), ..EL1 };
        let entry = ExceptionEntry::new(&el0, abort(false, FaultAddress::Virtual(8)));
        assert_eq!((entry.esr, entry.far, entry.pc), (0x9200_0010, Some(8), 0xffff_8000_0801_0c00));
    }

    #[test]
    fn instruction_abort_tells_level() {
        let cause = Cause::InstructionAbort { address: FaultAddress::Virtual(0x10) };
        assert_eq!(ExceptionEntry::new(&EL1, cause).esr, 0x8600_0010);
        let el0 = EntryContext { pstate: Pstate::new(0), ..EL1 };
        assert_eq!(ExceptionEntry::new(&el0, cause).esr, 0x8200_0010);
    }

    #[test]
    fn unknown_virtual_address_is_marked_not_valid() {
        let address = FaultAddress::from_ipa(0x1000, 1);
        let entry = ExceptionEntry::new(&EL1, Cause::InstructionAbort { address });
        assert_eq!((entry.esr, entry.far), (0x8600_0410, Some(0x1000)));
        assert_eq!(FaultAddress::from_ipa(0x1000, 0), FaultAddress::Virtual(0x1000));
    }

    #[test]
    fn trapped_access_keeps_its_syndrome() {
        let syndrome = Syndrome::new(0x6232_c003);
        assert_eq!(ExceptionEntry::new(&EL1, Cause::Trap(syndrome)).esr, 0x6232_c003);
    }

    #[test]
    fn vector_base_low_bits_are_ignored_and_wrap() {
        let context = EntryContext { vbar: u64::MAX, ..EL1 };
        assert_eq!(ExceptionEntry::new(&context, Cause::Undefined).pc, 0xffff_ffff_ffff_fa00);
    }
}
