// SPDX-License-Identifier: BSD-2-Clause
//! Interrupts.

use crate::{invocation_label, seL4_CNode, seL4_Error, seL4_IPCBuffer, seL4_IRQControl, seL4_IRQHandler};
use crate::{seL4_Notification, seL4_Word};

impl seL4_IPCBuffer {
    /// Makes the handler capability of `irq` in a slot.
    pub fn seL4_IRQControl_Get(
        &mut self,
        service: seL4_IRQControl,
        irq: seL4_Word,
        root: seL4_CNode,
        index: seL4_Word,
        depth: u8,
    ) -> seL4_Error::Type {
        self.invoke(service, invocation_label::IRQIssueIRQHandler, [irq, index, depth.into()], [root]).0
    }

    /// Like `seL4_IRQControl_Get`, and sets the trigger: 0 level, 1 edge.
    pub fn seL4_IRQControl_GetTrigger(
        &mut self,
        service: seL4_IRQControl,
        irq: seL4_Word,
        trigger: seL4_Word,
        root: seL4_CNode,
        index: seL4_Word,
        depth: u8,
    ) -> seL4_Error::Type {
        let arguments = [irq, trigger, index, depth.into()];
        self.invoke(service, invocation_label::ARMIRQIssueIRQHandlerTrigger, arguments, [root]).0
    }

    /// Like `seL4_IRQControl_GetTrigger` for one core (SMP kernels only).
    #[expect(clippy::too_many_arguments, reason = "the method's own arguments")]
    pub fn seL4_IRQControl_GetTriggerCore(
        &mut self,
        service: seL4_IRQControl,
        irq: seL4_Word,
        trigger: seL4_Word,
        root: seL4_CNode,
        index: seL4_Word,
        depth: u8,
        target: seL4_Word,
    ) -> seL4_Error::Type {
        let arguments = [irq, trigger, index, depth.into(), target];
        self.invoke(service, invocation_label::ARMIRQIssueIRQHandlerTriggerCore, arguments, [root]).0
    }

    /// Makes a capability to send software-generated interrupt `irq` (0..=15) to core `target`.
    pub fn seL4_IRQControl_IssueSGISignal(
        &mut self,
        service: seL4_IRQControl,
        irq: seL4_Word,
        target: seL4_Word,
        root: seL4_CNode,
        index: seL4_Word,
        depth: u8,
    ) -> seL4_Error::Type {
        let arguments = [irq, target, index, depth.into()];
        self.invoke(service, invocation_label::ARMIRQIssueSGISignal, arguments, [root]).0
    }

    /// Lets the interrupt be delivered again.
    #[inline]
    pub fn seL4_IRQHandler_Ack(&mut self, service: seL4_IRQHandler) -> seL4_Error::Type {
        self.invoke(service, invocation_label::IRQAckIRQ, [], []).0
    }

    /// Sets the notification that the interrupt signals.
    pub fn seL4_IRQHandler_SetNotification(
        &mut self,
        service: seL4_IRQHandler,
        notification: seL4_Notification,
    ) -> seL4_Error::Type {
        self.invoke(service, invocation_label::IRQSetIRQHandler, [], [notification]).0
    }

    /// Takes the notification away.
    pub fn seL4_IRQHandler_Clear(&mut self, service: seL4_IRQHandler) -> seL4_Error::Type {
        self.invoke(service, invocation_label::IRQClearIRQHandler, [], []).0
    }
}
