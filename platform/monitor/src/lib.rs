// SPDX-License-Identifier: BSD-2-Clause
//! What a fault message means, in words. Used by the monitor; tested on the host.
//!
//! Exception syndromes: Arm DDI 0487, D17.2.37 (ESR_ELx). A fault from EL0 under a hypervisor kernel comes with the
//! syndrome of EL2.

#![no_std]
#![forbid(unsafe_code)]
#[cfg(test)]
extern crate std;

mod syndrome;

use core::fmt;

use sel4_sys::{Fault, LookupFailure, VcpuExit};
pub use syndrome::Syndrome;

/// A fault together with what its words do not say.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// The fault.
    pub fault: &'a Fault,
    /// Lowest address of the program's stack; `None` when not known.
    pub stack_bottom: Option<u64>,
}

/// Bytes below a stack in which an access is most likely an overflow of it.
const STACK_GUARD: u64 = 0x1000;

/// Where the program was, when the fault says so.
#[must_use]
pub const fn instruction(fault: &Fault) -> Option<u64> {
    match *fault {
        Fault::CapFault { ip, .. }
        | Fault::UnknownSyscall { ip, .. }
        | Fault::UserException { ip, .. }
        | Fault::DebugException { ip, .. }
        | Fault::VmFault { ip, .. } => Some(ip),
        _ => None,
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self.fault {
            Fault::CapFault { addr, in_recv_phase, failure, .. } => {
                let phase = if in_recv_phase { "receive" } else { "send" };
                write!(f, "CapFault: no usable capability at {addr:#x} ({phase} phase): {}", Lookup(failure))
            }
            Fault::UnknownSyscall { syscall, .. } => write!(f, "UnknownSyscall: number {syscall:#x}"),
            Fault::UserException { number, code, .. } => {
                write!(f, "UserException: {}, code {code:#x}", Syndrome(number))
            }
            Fault::DebugException { reason, trigger, breakpoint, .. } => {
                write!(f, "DebugException: reason {reason}, at {trigger:#x}, breakpoint {breakpoint}")
            }
            Fault::Timeout { data, consumed } => {
                write!(f, "Timeout: budget of scheduling context {data:#x} used up after {consumed} us")
            }
            Fault::VmFault { addr, prefetch, fsr, .. } => {
                let kind = if prefetch { "fetching an instruction" } else { "accessing data" };
                write!(f, "VMFault: {kind} at {addr:#x}: {}", Syndrome(fsr))?;
                match self.stack_bottom {
                    Some(bottom) if (bottom.saturating_sub(STACK_GUARD)..bottom).contains(&addr) => {
                        f.write_str("; just below the stack: probably a stack overflow")
                    }
                    _ => Ok(()),
                }
            }
            Fault::VcpuFault { hsr } => write!(f, "VCPUFault: {}", Syndrome(hsr)),
            Fault::VcpuExit(VcpuExit { ip, addr, hsr, .. }) => {
                write!(f, "VCPUExit: ip={ip:#x} fault_addr={addr:#x} {}", Syndrome(hsr))
            }
            Fault::VgicMaintenance { idx } => write!(f, "VGICMaintenance: list register {idx:?}"),
            Fault::VppiEvent { irq } => write!(f, "VPPIEvent: interrupt {irq}"),
            Fault::Null => f.write_str("no fault"),
            Fault::Unknown { label } => write!(f, "unknown message {label:#x}"),
        }
    }
}

/// A failed capability lookup, in words.
struct Lookup(LookupFailure);

impl fmt::Display for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            LookupFailure::None => f.write_str("wrong type of capability"),
            LookupFailure::InvalidRoot => f.write_str("the CSpace has no root"),
            LookupFailure::MissingCapability { .. } => f.write_str("the slot is empty"),
            LookupFailure::DepthMismatch { bits_left, bits_found } => {
                write!(f, "{bits_left} bits left where {bits_found} are resolved")
            }
            LookupFailure::GuardMismatch { guard_found, .. } => {
                write!(f, "the guard {guard_found:#x} does not match")
            }
            LookupFailure::Unknown(number) => write!(f, "unknown lookup failure {number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    fn text(fault: Fault, stack_bottom: Option<u64>) -> std::string::String {
        Report { fault: &fault, stack_bottom }.to_string()
    }

    #[test]
    fn null_pointer_write_is_told_as_such() {
        let fault = Fault::VmFault { ip: 0x20_0010, addr: 0x10, prefetch: false, fsr: 0x9200_0046 };
        assert_eq!(
            text(fault, Some(0x8000_0000)),
            "VMFault: accessing data at 0x10: data abort, write, translation fault at level 2 (ESR 0x92000046)"
        );
    }

    #[test]
    fn access_just_below_the_stack_is_an_overflow() {
        let at =
            |addr| text(Fault::VmFault { ip: 0, addr, prefetch: false, fsr: 0x9200_0047 }, Some(0x8000_0000));
        assert!(at(0x7fff_f000).ends_with("stack overflow"));
        assert!(at(0x7fff_ffff).ends_with("stack overflow"));
        assert!(!at(0x8000_0000).ends_with("stack overflow"));
        assert!(!at(0x7fff_efff).ends_with("stack overflow"));
    }

    #[test]
    fn missing_capability_is_told_with_its_address() {
        let fault = Fault::CapFault {
            ip: 0x20_0000,
            addr: 10,
            in_recv_phase: false,
            failure: LookupFailure::MissingCapability { bits_left: 9 },
        };
        assert_eq!(
            text(fault, None),
            "CapFault: no usable capability at 0xa (send phase): the slot is empty"
        );
    }

    #[test]
    fn breakpoint_instruction_is_told_as_panic() {
        let fault = Fault::UserException { ip: 0, sp: 0, spsr: 0, number: 0xf200_0001, code: 0 };
        assert_eq!(text(fault, None), "UserException: BRK instruction 1 (ESR 0xf2000001), code 0x0");
    }

    #[test]
    fn only_some_faults_have_an_instruction() {
        assert_eq!(instruction(&Fault::Timeout { data: 0, consumed: 0 }), None);
        let fault = Fault::UserException { ip: 5, sp: 0, spsr: 0, number: 0, code: 0 };
        assert_eq!(instruction(&fault), Some(5));
    }
}
