// SPDX-License-Identifier: BSD-2-Clause
//! Fault messages: what the kernel sends to a thread's fault endpoint (seL4 manual, "Faults").

use crate::{seL4_MessageInfo, seL4_Word};

/// Labels of fault messages on MCS kernels.
pub mod fault_label {
    use crate::seL4_Word;
    /// No fault.
    pub const NULL: seL4_Word = 0;
    /// A system call named a capability that is not there.
    pub const CAP_FAULT: seL4_Word = 1;
    /// Not a system call.
    pub const UNKNOWN_SYSCALL: seL4_Word = 2;
    /// An exception other than a memory fault.
    pub const USER_EXCEPTION: seL4_Word = 3;
    /// Hardware debug event.
    pub const DEBUG_EXCEPTION: seL4_Word = 4;
    /// The budget is used up.
    pub const TIMEOUT: seL4_Word = 5;
    /// Memory fault.
    pub const VM_FAULT: seL4_Word = 6;
    /// A list register's interrupt has ended.
    pub const VGIC_MAINTENANCE: seL4_Word = 7;
    /// A trapped instruction of a guest.
    pub const VCPU_FAULT: seL4_Word = 8;
    /// A private interrupt for a guest (virtual timer).
    pub const VPPI_EVENT: seL4_Word = 9;
    /// Bulkhead's kernel extension: an exit with registers.
    pub const VCPU_EXIT: seL4_Word = 0x100;
}

/// Why a capability lookup failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LookupFailure {
    /// No failure recorded.
    None,
    /// The CSpace root is not a CNode.
    InvalidRoot,
    /// The slot is empty; address bits left over.
    MissingCapability {
        /// Bits of the address not yet resolved.
        bits_left: seL4_Word,
    },
    /// The address was used up too early or too late.
    DepthMismatch {
        /// Bits of the address not yet resolved.
        bits_left: seL4_Word,
        /// Bits that the CNode resolves.
        bits_found: seL4_Word,
    },
    /// A CNode's guard did not match.
    GuardMismatch {
        /// Bits of the address not yet resolved.
        bits_left: seL4_Word,
        /// The CNode's guard.
        guard_found: seL4_Word,
        /// The guard's size in bits.
        bits_found: seL4_Word,
    },
    /// A type this crate does not know.
    Unknown(seL4_Word),
}

/// An exit of a virtual CPU, told with registers (kernel extension).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VcpuExit {
    /// Address of the instruction.
    pub ip: seL4_Word,
    /// Its intermediate physical address; 0 for a trapped instruction.
    pub addr: seL4_Word,
    /// Exception syndrome (`ESR_EL2`).
    pub hsr: seL4_Word,
    /// Saved program status.
    pub spsr: seL4_Word,
    /// The general register that the instruction names; 0 if it names none.
    pub value: seL4_Word,
}

impl VcpuExit {
    /// From the registers of a message with label [`fault_label::VCPU_EXIT`].
    #[inline(always)]
    pub fn decode(mr: impl Fn(usize) -> seL4_Word) -> Self {
        let state = mr(2);
        Self { ip: mr(0), addr: mr(1), hsr: state & 0xffff_ffff, spsr: state >> 32, value: mr(3) }
    }
}

/// A decoded fault message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// No fault.
    Null,
    /// A system call named a capability that is not there.
    CapFault {
        /// Address of the instruction.
        ip: seL4_Word,
        /// The capability pointer.
        addr: seL4_Word,
        /// Whether the receive phase of the system call failed.
        in_recv_phase: bool,
        /// Why the lookup failed.
        failure: LookupFailure,
    },
    /// Not a system call; for a guest, an HVC.
    UnknownSyscall {
        /// x0 to x7.
        x: [seL4_Word; 8],
        /// Address of the instruction.
        ip: seL4_Word,
        /// Stack pointer.
        sp: seL4_Word,
        /// Link register.
        lr: seL4_Word,
        /// Saved program status.
        spsr: seL4_Word,
        /// The number (x7).
        syscall: seL4_Word,
    },
    /// An exception other than a memory fault.
    UserException {
        /// Address of the instruction.
        ip: seL4_Word,
        /// Stack pointer.
        sp: seL4_Word,
        /// Saved program status.
        spsr: seL4_Word,
        /// Exception syndrome.
        number: seL4_Word,
        /// Further code.
        code: seL4_Word,
    },
    /// Hardware debug event.
    DebugException {
        /// Address of the instruction.
        ip: seL4_Word,
        /// What kind of event.
        reason: seL4_Word,
        /// The address that triggered it.
        trigger: seL4_Word,
        /// Which breakpoint.
        breakpoint: seL4_Word,
    },
    /// The budget is used up.
    Timeout {
        /// Badge of the scheduling context.
        data: seL4_Word,
        /// Microseconds consumed since the last such message.
        consumed: seL4_Word,
    },
    /// Memory fault.
    VmFault {
        /// Address of the instruction.
        ip: seL4_Word,
        /// The address that faulted; for a guest its intermediate physical address.
        addr: seL4_Word,
        /// Whether an instruction fetch faulted.
        prefetch: bool,
        /// Exception syndrome (`ESR_ELx`).
        fsr: seL4_Word,
    },
    /// A list register's interrupt has ended.
    VgicMaintenance {
        /// Which list register; `None` when the kernel cannot tell.
        idx: Option<u32>,
    },
    /// A trapped instruction of a guest.
    VcpuFault {
        /// Exception syndrome (`ESR_EL2`).
        hsr: seL4_Word,
    },
    /// A private interrupt for a guest (virtual timer); masked until acknowledged.
    VppiEvent {
        /// The interrupt (INTID).
        irq: seL4_Word,
    },
    /// Memory fault or trapped instruction of a guest whose thread tells exits (Bulkhead's kernel extension).
    VcpuExit(VcpuExit),
    /// Not a fault message of this kernel.
    Unknown {
        /// Its label.
        label: seL4_Word,
    },
}

impl Fault {
    /// Decodes the message with tag `info` and message registers `mr(i)`. Never fails: what the kernel did not send
    /// is read as whatever `mr` gives.
    #[inline]
    pub fn decode(info: seL4_MessageInfo, mr: impl Fn(usize) -> seL4_Word) -> Self {
        match info.get_label() {
            fault_label::NULL => Self::Null,
            fault_label::CAP_FAULT => Self::CapFault {
                ip: mr(0),
                addr: mr(1),
                in_recv_phase: mr(2) != 0,
                failure: match mr(3) {
                    0 => LookupFailure::None,
                    1 => LookupFailure::InvalidRoot,
                    2 => LookupFailure::MissingCapability { bits_left: mr(4) },
                    3 => LookupFailure::DepthMismatch { bits_left: mr(4), bits_found: mr(5) },
                    4 => LookupFailure::GuardMismatch {
                        bits_left: mr(4),
                        guard_found: mr(5),
                        bits_found: mr(6),
                    },
                    other => LookupFailure::Unknown(other),
                },
            },
            fault_label::UNKNOWN_SYSCALL => Self::UnknownSyscall {
                x: core::array::from_fn(&mr),
                ip: mr(8),
                sp: mr(9),
                lr: mr(10),
                spsr: mr(11),
                syscall: mr(12),
            },
            fault_label::USER_EXCEPTION => {
                Self::UserException { ip: mr(0), sp: mr(1), spsr: mr(2), number: mr(3), code: mr(4) }
            }
            fault_label::DEBUG_EXCEPTION => {
                Self::DebugException { ip: mr(0), reason: mr(1), trigger: mr(2), breakpoint: mr(3) }
            }
            fault_label::TIMEOUT => Self::Timeout { data: mr(0), consumed: mr(1) },
            fault_label::VM_FAULT => {
                Self::VmFault { ip: mr(0), addr: mr(1), prefetch: mr(2) != 0, fsr: mr(3) }
            }
            fault_label::VGIC_MAINTENANCE => Self::VgicMaintenance { idx: u32::try_from(mr(0)).ok() },
            fault_label::VCPU_FAULT => Self::VcpuFault { hsr: mr(0) },
            fault_label::VPPI_EVENT => Self::VppiEvent { irq: mr(0) },
            fault_label::VCPU_EXIT => Self::VcpuExit(VcpuExit::decode(mr)),
            label => Self::Unknown { label },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(label: u64, mrs: &[u64]) -> Fault {
        let info = seL4_MessageInfo::new(label, 0, 0, mrs.len() as u64);
        Fault::decode(info, |i| mrs.get(i).copied().unwrap_or(0))
    }

    #[test]
    fn vm_fault_has_its_registers_in_order() {
        assert_eq!(
            decode(6, &[0x200000, 0x10, 1, 0x9200_0046]),
            Fault::VmFault { ip: 0x200000, addr: 0x10, prefetch: true, fsr: 0x9200_0046 }
        );
    }

    #[test]
    fn unknown_syscall_has_eight_registers_before_the_address() {
        let mrs: [u64; 13] = core::array::from_fn(|i| 100 + i as u64);
        assert_eq!(
            decode(2, &mrs),
            Fault::UnknownSyscall {
                x: [100, 101, 102, 103, 104, 105, 106, 107],
                ip: 108,
                sp: 109,
                lr: 110,
                spsr: 111,
                syscall: 112
            }
        );
    }

    #[test]
    fn maintenance_without_a_list_register_is_told_apart() {
        assert_eq!(decode(7, &[3]), Fault::VgicMaintenance { idx: Some(3) });
        assert_eq!(decode(7, &[u64::MAX]), Fault::VgicMaintenance { idx: None });
    }

    #[test]
    fn lookup_failures_are_decoded() {
        let failure = |mrs: &[u64]| match decode(1, mrs) {
            Fault::CapFault { failure, .. } => failure,
            other => panic!("{other:?}"),
        };
        assert_eq!(failure(&[0, 0, 0, 2, 9]), LookupFailure::MissingCapability { bits_left: 9 });
        assert_eq!(
            failure(&[0, 0, 0, 4, 9, 8, 7]),
            LookupFailure::GuardMismatch { bits_left: 9, guard_found: 8, bits_found: 7 }
        );
        assert_eq!(failure(&[0, 0, 0, 77]), LookupFailure::Unknown(77));
    }

    #[test]
    fn label_beyond_the_last_is_unknown() {
        assert_eq!(decode(10, &[]), Fault::Unknown { label: 10 });
    }
}
