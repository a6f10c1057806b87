// SPDX-License-Identifier: BSD-2-Clause
//! Invocation labels: what an invocation asks for, as numbered by a configuration.
//!
//! Numbers are dense in the order of the list; a configuration without the hardware debug interface leaves the four
//! breakpoint labels out, so that everything behind them moves up by four (seL4 generates them the same way).

macro_rules! invocations {
    ($($name:ident $json:literal $group:ident,)*) => {
        /// An invocation, independent of its number.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Invocation {
            $(#[doc = concat!("`", $json, "`.")] $name,)*
        }

        impl Invocation {
            /// Every invocation in label order: itself, its name in `invocations_all.json`, and whether it exists
            /// only with the hardware debug interface.
            pub const ALL: &'static [(Invocation, &'static str, bool)] =
                &[$((Invocation::$name, $json, group::$group),)*];
        }
    };
}

mod group {
    pub(super) const ALWAYS: bool = false;
    pub(super) const HW_DEBUG: bool = true;
}

invocations! {
    UntypedRetype "UntypedRetype" ALWAYS,
    TcbReadRegisters "TCBReadRegisters" ALWAYS,
    TcbWriteRegisters "TCBWriteRegisters" ALWAYS,
    TcbCopyRegisters "TCBCopyRegisters" ALWAYS,
    TcbConfigure "TCBConfigure" ALWAYS,
    TcbSetPriority "TCBSetPriority" ALWAYS,
    TcbSetMcPriority "TCBSetMCPriority" ALWAYS,
    TcbSetSchedParams "TCBSetSchedParams" ALWAYS,
    TcbSetTimeoutEndpoint "TCBSetTimeoutEndpoint" ALWAYS,
    TcbSetIpcBuffer "TCBSetIPCBuffer" ALWAYS,
    TcbSetSpace "TCBSetSpace" ALWAYS,
    TcbSuspend "TCBSuspend" ALWAYS,
    TcbResume "TCBResume" ALWAYS,
    TcbBindNotification "TCBBindNotification" ALWAYS,
    TcbUnbindNotification "TCBUnbindNotification" ALWAYS,
    TcbSetBreakpoint "TCBSetBreakpoint" HW_DEBUG,
    TcbGetBreakpoint "TCBGetBreakpoint" HW_DEBUG,
    TcbUnsetBreakpoint "TCBUnsetBreakpoint" HW_DEBUG,
    TcbConfigureSingleStepping "TCBConfigureSingleStepping" HW_DEBUG,
    TcbSetTlsBase "TCBSetTLSBase" ALWAYS,
    TcbSetFlags "TCBSetFlags" ALWAYS,
    CNodeRevoke "CNodeRevoke" ALWAYS,
    CNodeDelete "CNodeDelete" ALWAYS,
    CNodeCancelBadgedSends "CNodeCancelBadgedSends" ALWAYS,
    CNodeCopy "CNodeCopy" ALWAYS,
    CNodeMint "CNodeMint" ALWAYS,
    CNodeMove "CNodeMove" ALWAYS,
    CNodeMutate "CNodeMutate" ALWAYS,
    CNodeRotate "CNodeRotate" ALWAYS,
    IrqIssueIrqHandler "IRQIssueIRQHandler" ALWAYS,
    IrqAckIrq "IRQAckIRQ" ALWAYS,
    IrqSetIrqHandler "IRQSetIRQHandler" ALWAYS,
    IrqClearIrqHandler "IRQClearIRQHandler" ALWAYS,
    DomainSetSet "DomainSetSet" ALWAYS,
    DomainScheduleConfigure "DomainScheduleConfigure" ALWAYS,
    DomainScheduleSetStart "DomainScheduleSetStart" ALWAYS,
    SchedControlConfigureFlags "SchedControlConfigureFlags" ALWAYS,
    SchedContextBind "SchedContextBind" ALWAYS,
    SchedContextUnbind "SchedContextUnbind" ALWAYS,
    SchedContextUnbindObject "SchedContextUnbindObject" ALWAYS,
    SchedContextConsumed "SchedContextConsumed" ALWAYS,
    SchedContextYieldTo "SchedContextYieldTo" ALWAYS,
    ArmVSpaceCleanData "ARMVSpaceClean_Data" ALWAYS,
    ArmVSpaceInvalidateData "ARMVSpaceInvalidate_Data" ALWAYS,
    ArmVSpaceCleanInvalidateData "ARMVSpaceCleanInvalidate_Data" ALWAYS,
    ArmVSpaceUnifyInstruction "ARMVSpaceUnify_Instruction" ALWAYS,
    ArmSmcCall "ARMSMCCall" ALWAYS,
    ArmPageTableMap "ARMPageTableMap" ALWAYS,
    ArmPageTableUnmap "ARMPageTableUnmap" ALWAYS,
    ArmPageMap "ARMPageMap" ALWAYS,
    ArmPageUnmap "ARMPageUnmap" ALWAYS,
    ArmPageCleanData "ARMPageClean_Data" ALWAYS,
    ArmPageInvalidateData "ARMPageInvalidate_Data" ALWAYS,
    ArmPageCleanInvalidateData "ARMPageCleanInvalidate_Data" ALWAYS,
    ArmPageUnifyInstruction "ARMPageUnify_Instruction" ALWAYS,
    ArmPageGetAddress "ARMPageGetAddress" ALWAYS,
    ArmAsidControlMakePool "ARMASIDControlMakePool" ALWAYS,
    ArmAsidPoolAssign "ARMASIDPoolAssign" ALWAYS,
    ArmVcpuSetTcb "ARMVCPUSetTCB" ALWAYS,
    ArmVcpuInjectIrq "ARMVCPUInjectIRQ" ALWAYS,
    ArmVcpuReadReg "ARMVCPUReadReg" ALWAYS,
    ArmVcpuWriteReg "ARMVCPUWriteReg" ALWAYS,
    ArmVcpuAckVppi "ARMVCPUAckVPPI" ALWAYS,
    ArmIrqIssueIrqHandlerTrigger "ARMIRQIssueIRQHandlerTrigger" ALWAYS,
    ArmIrqIssueSgiSignal "ARMIRQIssueSGISignal" ALWAYS,
}

/// Label of the first breakpoint invocation, where it exists.
const FIRST_HW_DEBUG: u64 = Invocation::TcbSetBreakpoint as u64 + 1;
/// Number of breakpoint invocations.
const HW_DEBUG_COUNT: u64 = 4;

impl Invocation {
    /// The invocation with this label. Label 0 is never one.
    #[inline]
    pub const fn from_label(label: u64, hw_debug: bool) -> Option<Self> {
        if label == 0 {
            return None;
        }
        let index = if !hw_debug && label >= FIRST_HW_DEBUG {
            match label.checked_add(HW_DEBUG_COUNT) {
                Some(shifted) => shifted - 1,
                None => return None,
            }
        } else {
            label - 1
        };
        if index < Self::ALL.len() as u64 { Some(Self::ALL[index as usize].0) } else { None }
    }

    /// Its label in a configuration; `None` when the configuration does not have it.
    pub const fn label(self, hw_debug: bool) -> Option<u64> {
        let with = self as u64 + 1;
        if hw_debug || with < FIRST_HW_DEBUG {
            Some(with)
        } else if with < FIRST_HW_DEBUG + HW_DEBUG_COUNT {
            None
        } else {
            Some(with - HW_DEBUG_COUNT)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Invocation;

    #[test]
    fn labels_are_the_reference_numbers() {
        assert_eq!(Invocation::UntypedRetype.label(false), Some(1));
        assert_eq!(Invocation::TcbSetTlsBase.label(false), Some(16));
        assert_eq!(Invocation::TcbSetTlsBase.label(true), Some(20));
        assert_eq!(Invocation::ArmVcpuAckVppi.label(false), Some(59));
        assert_eq!(Invocation::ArmIrqIssueSgiSignal.label(true), Some(65));
        assert_eq!(Invocation::TcbSetBreakpoint.label(false), None);
    }

    #[test]
    fn decoding_inverts_numbering_in_both_configurations() {
        for hw_debug in [false, true] {
            for &(invocation, _, _) in Invocation::ALL {
                if let Some(label) = invocation.label(hw_debug) {
                    assert_eq!(Invocation::from_label(label, hw_debug), Some(invocation));
                }
            }
            assert_eq!(Invocation::from_label(0, hw_debug), None);
            assert_eq!(Invocation::from_label(66, hw_debug), None);
            assert_eq!(Invocation::from_label(u64::MAX, hw_debug), None);
        }
    }
}
