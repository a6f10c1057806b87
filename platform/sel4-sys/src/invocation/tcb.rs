// SPDX-License-Identifier: BSD-2-Clause
//! Threads.

use crate::{invocation_label, seL4_ARM_Page, seL4_ARM_VSpace, seL4_CNode, seL4_CPtr, seL4_Error};
use crate::{seL4_IPCBuffer, seL4_Notification, seL4_SchedContext, seL4_TCB, seL4_UserContext, seL4_Word};

/// Result of `seL4_TCB_SetFlags`.
#[derive(Clone, Copy, Debug, Default)]
pub struct seL4_TCB_SetFlags_ret {
    /// Error code.
    pub error: seL4_Error::Type,
    /// The flags afterwards.
    pub flags: seL4_Word,
}

/// Result of `seL4_TCB_GetBreakpoint`.
#[derive(Clone, Copy, Debug, Default)]
pub struct seL4_TCB_GetBreakpoint_ret {
    /// Error code.
    pub error: seL4_Error::Type,
    /// Address.
    pub vaddr: seL4_Word,
    /// 0 instruction, 1 data.
    pub type_: seL4_Word,
    /// Bytes watched.
    pub size: seL4_Word,
    /// 0 read, 1 write, 2 both.
    pub rw: seL4_Word,
    /// Whether it is on.
    pub is_enabled: bool,
}

/// Result of `seL4_TCB_ConfigureSingleStepping`.
#[derive(Clone, Copy, Debug, Default)]
pub struct seL4_TCB_ConfigureSingleStepping_ret {
    /// Error code.
    pub error: seL4_Error::Type,
    /// Whether the breakpoint was used up.
    pub bp_was_consumed: bool,
}

/// Fast registers that the arguments of `seL4_TCB_WriteRegisters` before the context take.
const WRITE_HEADER: usize = 2;

impl seL4_IPCBuffer {
    /// Reads the first `count` registers of a thread into `regs`; more than there are is refused by the kernel.
    pub fn seL4_TCB_ReadRegisters(
        &mut self,
        service: seL4_TCB,
        suspend_source: bool,
        arch_flags: u8,
        count: seL4_Word,
        regs: &mut seL4_UserContext,
    ) -> seL4_Error::Type {
        let flags = u64::from(suspend_source) | (u64::from(arch_flags) << 8);
        let (error, mrs) = self.invoke(service, invocation_label::TCBReadRegisters, [flags, count], []);
        if error == seL4_Error::seL4_NoError {
            let count = usize::try_from(count).unwrap_or(usize::MAX).min(seL4_UserContext::LEN);
            let words = &mut regs.as_words_mut()[..count];
            let fast = count.min(mrs.len());
            words[..fast].copy_from_slice(&mrs[..fast]);
            words[fast..].copy_from_slice(&self.msg[fast..count]);
        }
        error
    }

    /// Writes the first `count` (at most 36) registers of a thread, then resumes it if asked.
    pub fn seL4_TCB_WriteRegisters(
        &mut self,
        service: seL4_TCB,
        resume_target: bool,
        arch_flags: u8,
        count: seL4_Word,
        regs: &seL4_UserContext,
    ) -> seL4_Error::Type {
        let flags = u64::from(resume_target) | (u64::from(arch_flags) << 8);
        let count_clamped = usize::try_from(count).unwrap_or(usize::MAX).min(seL4_UserContext::LEN);
        let words = &regs.as_words()[..count_clamped];
        if let Some(rest) = words.get(2..) {
            self.msg[WRITE_HEADER + 2..WRITE_HEADER + 2 + rest.len()].copy_from_slice(rest);
        }
        let mrs = [flags, count, regs.pc, regs.sp];
        let label = invocation_label::TCBWriteRegisters;
        self.call_method(service, label, mrs, WRITE_HEADER + count_clamped, 0).0
    }

    /// Copies registers from `source`.
    #[expect(clippy::too_many_arguments, reason = "the method's own arguments")]
    pub fn seL4_TCB_CopyRegisters(
        &mut self,
        service: seL4_TCB,
        source: seL4_TCB,
        suspend_source: bool,
        resume_target: bool,
        transfer_frame: bool,
        transfer_integer: bool,
        arch_flags: u8,
    ) -> seL4_Error::Type {
        let flags = u64::from(suspend_source)
            | (u64::from(resume_target) << 1)
            | (u64::from(transfer_frame) << 2)
            | (u64::from(transfer_integer) << 3)
            | (u64::from(arch_flags) << 8);
        self.invoke(service, invocation_label::TCBCopyRegisters, [flags], [source]).0
    }

    /// Sets CSpace, VSpace and IPC buffer.
    #[expect(clippy::too_many_arguments, reason = "the method's own arguments")]
    pub fn seL4_TCB_Configure(
        &mut self,
        service: seL4_TCB,
        cspace_root: seL4_CNode,
        cspace_root_data: seL4_Word,
        vspace_root: seL4_ARM_VSpace,
        vspace_root_data: seL4_Word,
        buffer: seL4_Word,
        buffer_frame: seL4_ARM_Page,
    ) -> seL4_Error::Type {
        let arguments = [cspace_root_data, vspace_root_data, buffer];
        let caps = [cspace_root, vspace_root, buffer_frame];
        self.invoke(service, invocation_label::TCBConfigure, arguments, caps).0
    }

    /// Sets the priority, at most `authority`'s maximum controlled priority.
    pub fn seL4_TCB_SetPriority(
        &mut self,
        service: seL4_TCB,
        authority: seL4_TCB,
        priority: seL4_Word,
    ) -> seL4_Error::Type {
        self.invoke(service, invocation_label::TCBSetPriority, [priority], [authority]).0
    }

    /// Sets the maximum controlled priority.
    pub fn seL4_TCB_SetMCPriority(
        &mut self,
        service: seL4_TCB,
        authority: seL4_TCB,
        mcp: seL4_Word,
    ) -> seL4_Error::Type {
        self.invoke(service, invocation_label::TCBSetMCPriority, [mcp], [authority]).0
    }

    /// Sets priorities, scheduling context and fault endpoint.
    pub fn seL4_TCB_SetSchedParams(
        &mut self,
        service: seL4_TCB,
        authority: seL4_TCB,
        mcp: seL4_Word,
        priority: seL4_Word,
        sched_context: seL4_SchedContext,
        fault_ep: seL4_CPtr,
    ) -> seL4_Error::Type {
        let caps = [authority, sched_context, fault_ep];
        self.invoke(service, invocation_label::TCBSetSchedParams, [mcp, priority], caps).0
    }

    /// Sets the endpoint for time-out faults.
    pub fn seL4_TCB_SetTimeoutEndpoint(
        &mut self,
        service: seL4_TCB,
        timeout_fault_ep: seL4_CPtr,
    ) -> seL4_Error::Type {
        self.invoke(service, invocation_label::TCBSetTimeoutEndpoint, [], [timeout_fault_ep]).0
    }

    /// Sets the IPC buffer.
    pub fn seL4_TCB_SetIPCBuffer(
        &mut self,
        service: seL4_TCB,
        buffer: seL4_Word,
        buffer_frame: seL4_ARM_Page,
    ) -> seL4_Error::Type {
        self.invoke(service, invocation_label::TCBSetIPCBuffer, [buffer], [buffer_frame]).0
    }

    /// Sets fault endpoint, CSpace and VSpace.
    pub fn seL4_TCB_SetSpace(
        &mut self,
        service: seL4_TCB,
        fault_ep: seL4_CPtr,
        cspace_root: seL4_CNode,
        cspace_root_data: seL4_Word,
        vspace_root: seL4_ARM_VSpace,
        vspace_root_data: seL4_Word,
    ) -> seL4_Error::Type {
        let caps = [fault_ep, cspace_root, vspace_root];
        self.invoke(service, invocation_label::TCBSetSpace, [cspace_root_data, vspace_root_data], caps).0
    }

    /// Stops a thread.
    pub fn seL4_TCB_Suspend(&mut self, service: seL4_TCB) -> seL4_Error::Type {
        self.invoke(service, invocation_label::TCBSuspend, [], []).0
    }

    /// Makes a thread runnable.
    pub fn seL4_TCB_Resume(&mut self, service: seL4_TCB) -> seL4_Error::Type {
        self.invoke(service, invocation_label::TCBResume, [], []).0
    }

    /// Binds a notification.
    pub fn seL4_TCB_BindNotification(
        &mut self,
        service: seL4_TCB,
        notification: seL4_Notification,
    ) -> seL4_Error::Type {
        self.invoke(service, invocation_label::TCBBindNotification, [], [notification]).0
    }

    /// Unbinds the notification.
    pub fn seL4_TCB_UnbindNotification(&mut self, service: seL4_TCB) -> seL4_Error::Type {
        self.invoke(service, invocation_label::TCBUnbindNotification, [], []).0
    }

    /// Sets a hardware breakpoint (kernels with the hardware debug API).
    pub fn seL4_TCB_SetBreakpoint(
        &mut self,
        service: seL4_TCB,
        bp_num: u16,
        vaddr: seL4_Word,
        type_: seL4_Word,
        size: seL4_Word,
        rw: seL4_Word,
    ) -> seL4_Error::Type {
        let arguments = [bp_num.into(), vaddr, type_, size, rw];
        self.invoke(service, invocation_label::TCBSetBreakpoint, arguments, []).0
    }

    /// Reads a hardware breakpoint (kernels with the hardware debug API).
    pub fn seL4_TCB_GetBreakpoint(&mut self, service: seL4_TCB, bp_num: u16) -> seL4_TCB_GetBreakpoint_ret {
        let label = invocation_label::TCBGetBreakpoint;
        let (error, [vaddr, type_, size, rw]) = self.invoke(service, label, [bp_num.into()], []);
        seL4_TCB_GetBreakpoint_ret { error, vaddr, type_, size, rw, is_enabled: self.msg[4] & 1 != 0 }
    }

    /// Clears a hardware breakpoint (kernels with the hardware debug API).
    pub fn seL4_TCB_UnsetBreakpoint(&mut self, service: seL4_TCB, bp_num: u16) -> seL4_Error::Type {
        self.invoke(service, invocation_label::TCBUnsetBreakpoint, [bp_num.into()], []).0
    }

    /// Single steps `num_instructions` (kernels with the hardware debug API).
    pub fn seL4_TCB_ConfigureSingleStepping(
        &mut self,
        service: seL4_TCB,
        bp_num: u16,
        num_instructions: seL4_Word,
    ) -> seL4_TCB_ConfigureSingleStepping_ret {
        let label = invocation_label::TCBConfigureSingleStepping;
        let (error, [consumed, ..]) = self.invoke(service, label, [bp_num.into(), num_instructions], []);
        seL4_TCB_ConfigureSingleStepping_ret { error, bp_was_consumed: consumed & 1 != 0 }
    }

    /// Sets the thread pointer register.
    pub fn seL4_TCB_SetTLSBase(&mut self, service: seL4_TCB, tls_base: seL4_Word) -> seL4_Error::Type {
        self.invoke(service, invocation_label::TCBSetTLSBase, [tls_base], []).0
    }

    /// Clears, then sets flags.
    pub fn seL4_TCB_SetFlags(
        &mut self,
        service: seL4_TCB,
        clear: seL4_Word,
        set: seL4_Word,
    ) -> seL4_TCB_SetFlags_ret {
        let (error, [flags, ..]) = self.invoke(service, invocation_label::TCBSetFlags, [clear, set], []);
        seL4_TCB_SetFlags_ret { error, flags }
    }
}
