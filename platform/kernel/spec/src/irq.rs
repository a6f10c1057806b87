// SPDX-License-Identifier: BSD-2-Clause
//! Interrupts (manual 8.1; `seL4_IRQControl_*`, `seL4_IRQHandler_*`).

use crate::cap::Cap;
use crate::error::Error;
use crate::state::{Holder, Slot, State};
use crate::syscall::{Invocation, Words};
use kernel_abi::{CapRights, Invocation as Label};

impl State {
    fn irq_slot(irq: u64) -> Slot {
        Slot { holder: Holder::Irq, index: irq }
    }

    /// A device interrupt: the notification set for it is signalled, and it stays masked until it is acknowledged.
    /// Interrupts nobody asked for are masked.
    ///
    /// Changes: as a signal; the mask.
    pub(crate) fn interrupt(&mut self, irq: u64) {
        self.irqs_enabled.remove(&irq);
        if self.irqs_issued.contains(&irq)
            && let Some(Cap::Notification { obj, badge, rights }) = self.cap(Self::irq_slot(irq))
            && rights & CapRights::WRITE != 0
        {
            self.signal(obj, badge);
        }
    }

    /// `IRQIssueIRQHandler`, `ARMIRQIssueIRQHandlerTrigger`, `ARMIRQIssueSGISignal`: a capability for one interrupt
    /// goes into a slot (root; index, depth).
    ///
    /// Changes: the slot, the tree; a handler's interrupt can be used from then on.
    pub(crate) fn irq_control_invocation(&mut self, slot: Slot, call: &Invocation) -> Result<Words, Error> {
        let (cap, index, depth) = match call.label {
            Some(Label::IrqIssueIrqHandler) => {
                call.needs(3, 1)?;
                (self.new_handler(call.words[0])?, call.words[1], call.words[2])
            }
            Some(Label::ArmIrqIssueIrqHandlerTrigger) => {
                call.needs(4, 1)?;
                (self.new_handler(call.words[0])?, call.words[2], call.words[3])
            }
            Some(Label::ArmIrqIssueSgiSignal) => {
                call.needs(4, 1)?;
                let (sgi, target) = (call.words[0], call.words[1]);
                if sgi > 15 {
                    return Err(Error::Range(0, 15));
                }
                if target > 7 {
                    return Err(Error::InvalidArgument(1));
                }
                (Cap::SgiSignal { sgi, target }, call.words[2], call.words[3])
            }
            _ => return Err(Error::IllegalOperation),
        };
        let target = self.lookup_target(self.cap(call.extra[0]), index, depth, false)?;
        self.require_empty(target)?;
        if let Cap::IrqHandler { irq } = cap {
            self.irqs_issued.insert(irq);
            self.irqs_enabled.insert(irq);
        }
        self.insert_derived(cap, slot, target);
        Ok(vec![])
    }

    fn new_handler(&self, irq: u64) -> Result<Cap, Error> {
        if irq > self.config.max_irq {
            return Err(Error::Range(0, self.config.max_irq));
        }
        if self.irqs_issued.contains(&irq)
            || self.config.kernel_irqs.contains(&irq)
            || self.config.virtual_ppis.contains(&irq)
        {
            return Err(Error::RevokeFirst);
        }
        Ok(Cap::IrqHandler { irq })
    }

    /// `IRQAckIRQ`, `IRQSetIRQHandler(notification)`, `IRQClearIRQHandler`.
    ///
    /// Changes: the mask, or the interrupt's notification.
    pub(crate) fn irq_handler_invocation(&mut self, irq: u64, call: &Invocation) -> Result<Words, Error> {
        match call.label {
            Some(Label::IrqAckIrq) => {
                self.irqs_enabled.insert(irq);
            }
            Some(Label::IrqSetIrqHandler) => {
                call.needs(0, 1)?;
                match self.cap(call.extra[0]) {
                    Some(cap @ Cap::Notification { rights, .. }) if rights & CapRights::WRITE != 0 => {
                        self.delete(Self::irq_slot(irq));
                        if self.cap(call.extra[0]) == Some(cap) {
                            self.insert_derived(cap, call.extra[0], Self::irq_slot(irq));
                        }
                    }
                    _ => return Err(Error::InvalidCapability(0)),
                }
            }
            Some(Label::IrqClearIrqHandler) => self.delete(Self::irq_slot(irq)),
            _ => return Err(Error::IllegalOperation),
        }
        Ok(vec![])
    }
}
