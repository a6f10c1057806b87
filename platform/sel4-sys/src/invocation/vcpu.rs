// SPDX-License-Identifier: BSD-2-Clause
//! Virtual CPUs and secure monitor calls.

use crate::{invocation_label, seL4_ARM_SMC, seL4_ARM_SMCContext, seL4_ARM_VCPU, seL4_Error, seL4_IPCBuffer};
use crate::{seL4_MessageInfo, seL4_TCB, seL4_VCPUReg, seL4_Word};

/// Labels of Bulkhead's kernel extension.
const EXTENSION_INJECT: u32 = 0x100;
const EXTENSION_LIST_REGISTER: u32 = 0x101;
const EXTENSION_READ_STATE: u32 = 0x102;
const EXTENSION_WRITE_STATE: u32 = 0x103;

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

    /// Bulkhead's kernel extension: as [`seL4_ARM_VCPU_InjectIRQ`](Self::seL4_ARM_VCPU_InjectIRQ), and tells which CPU
    /// (0..=7) has sent it; for `virq` below 16.
    #[inline]
    pub fn bulkhead_VCPU_Inject(
        &mut self,
        service: seL4_ARM_VCPU,
        virq: u16,
        priority: u8,
        group: u8,
        index: u8,
        source: u8,
    ) -> seL4_Error::Type {
        let word = u64::from(virq)
            | (u64::from(priority) << 16)
            | (u64::from(group) << 24)
            | (u64::from(index) << 32)
            | (u64::from(source) << 48);
        self.invoke(service, EXTENSION_INJECT, [word], []).0
    }

    /// Bulkhead's kernel extension: what list register `index` holds (as injected; bit 40: pending, bit 41: active; bits
    /// 50:48 the source). With `withdraw`, an interrupt that is pending and not active is taken out.
    #[inline]
    pub fn bulkhead_VCPU_ListRegister(
        &mut self,
        service: seL4_ARM_VCPU,
        index: u8,
        withdraw: bool,
    ) -> seL4_ARM_VCPU_ReadRegs_ret {
        let words = [index.into(), withdraw.into()];
        let (error, [value, ..]) = self.invoke(service, EXTENSION_LIST_REGISTER, words, []);
        seL4_ARM_VCPU_ReadRegs_ret { error, value }
    }

    /// Bulkhead's kernel extension: reads words of a virtual CPU's state, from `first` on.
    #[inline(always)]
    pub fn bulkhead_VCPU_ReadState<const COUNT: usize>(
        &mut self,
        service: seL4_ARM_VCPU,
        first: seL4_Word,
        words: &mut [seL4_Word; COUNT],
    ) -> seL4_Error::Type {
        const { assert!(COUNT <= seL4_MessageInfo::MAX_LENGTH) };
        let (error, registers) = self.invoke(service, EXTENSION_READ_STATE, [first, COUNT as seL4_Word], []);
        for (index, word) in words.iter_mut().enumerate() {
            *word = registers.get(index).copied().unwrap_or(self.msg[index]);
        }
        error
    }

    /// Bulkhead's kernel extension: writes words of a virtual CPU's state, from `first` on, as many as there are.
    pub fn bulkhead_VCPU_WriteState<const COUNT: usize>(
        &mut self,
        service: seL4_ARM_VCPU,
        first: seL4_Word,
        words: &[seL4_Word; COUNT],
    ) -> seL4_Error::Type {
        const { assert!(COUNT < seL4_MessageInfo::MAX_LENGTH) };
        let mut mrs = [first, 0, 0, 0];
        for (index, word) in (1..).zip(words) {
            match mrs.get_mut(index) {
                Some(register) => *register = *word,
                None => self.msg[index] = *word,
            }
        }
        self.call_method(service, EXTENSION_WRITE_STATE, mrs, COUNT + 1, 0).0
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
