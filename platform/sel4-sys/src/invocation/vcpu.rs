// SPDX-License-Identifier: BSD-2-Clause
//! Virtual CPUs and secure monitor calls.

use crate::{invocation_label, seL4_ARM_SMC, seL4_ARM_SMCContext, seL4_ARM_VCPU, seL4_Error, seL4_IPCBuffer};
use crate::{seL4_TCB, seL4_VCPUReg, seL4_Word};

/// Result of `seL4_ARM_VCPU_ReadRegs`.
#[derive(Clone, Copy, Debug, Default)]
pub struct seL4_ARM_VCPU_ReadRegs_ret {
    /// Error code.
    pub error: seL4_Error::Type,
    /// The register.
    pub value: seL4_Word,
}

impl seL4_IPCBuffer {
    /// Binds a virtual CPU to a thread.
    pub fn seL4_ARM_VCPU_SetTCB(&mut self, service: seL4_ARM_VCPU, tcb: seL4_TCB) -> seL4_Error::Type {
        self.invoke(service, invocation_label::ARMVCPUSetTCB, [], [tcb]).0
    }

    /// Puts interrupt `virq` (0..=1023) with `priority` (0..=31) and `group` (0..=1) into list register `index`.
    #[inline]
    pub fn seL4_ARM_VCPU_InjectIRQ(
        &mut self,
        service: seL4_ARM_VCPU,
        virq: u16,
        priority: u8,
        group: u8,
        index: u8,
    ) -> seL4_Error::Type {
        let word = u64::from(virq)
            | (u64::from(priority) << 16)
            | (u64::from(group) << 24)
            | (u64::from(index) << 32);
        self.invoke(service, invocation_label::ARMVCPUInjectIRQ, [word], []).0
    }

    /// Reads a register.
    #[inline]
    pub fn seL4_ARM_VCPU_ReadRegs(
        &mut self,
        service: seL4_ARM_VCPU,
        field: seL4_VCPUReg::Type,
    ) -> seL4_ARM_VCPU_ReadRegs_ret {
        let (error, [value, ..]) = self.invoke(service, invocation_label::ARMVCPUReadReg, [field], []);
        seL4_ARM_VCPU_ReadRegs_ret { error, value }
    }

    /// Writes a register.
    #[inline]
    pub fn seL4_ARM_VCPU_WriteRegs(
        &mut self,
        service: seL4_ARM_VCPU,
        field: seL4_VCPUReg::Type,
        value: seL4_Word,
    ) -> seL4_Error::Type {
        self.invoke(service, invocation_label::ARMVCPUWriteReg, [field, value], []).0
    }

    /// Unmasks a virtual private interrupt after its event.
    #[inline]
    pub fn seL4_ARM_VCPU_AckVPPI(&mut self, service: seL4_ARM_VCPU, irq: seL4_Word) -> seL4_Error::Type {
        self.invoke(service, invocation_label::ARMVCPUAckVPPI, [irq], []).0
    }

    /// Issues an SMC.
    pub fn seL4_ARM_SMC_Call(
        &mut self,
        service: seL4_ARM_SMC,
        smc_args: &seL4_ARM_SMCContext,
        smc_response: &mut seL4_ARM_SMCContext,
    ) -> seL4_Error::Type {
        let a = smc_args;
        let arguments = [a.x0, a.x1, a.x2, a.x3, a.x4, a.x5, a.x6, a.x7];
        let (error, [x0, x1, x2, x3]) = self.invoke(service, invocation_label::ARMSMCCall, arguments, []);
        if error == seL4_Error::seL4_NoError {
            let [_, _, _, _, x4, x5, x6, x7, ..] = self.msg;
            *smc_response = seL4_ARM_SMCContext { x0, x1, x2, x3, x4, x5, x6, x7 };
        }
        error
    }
}
