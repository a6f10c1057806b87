// SPDX-License-Identifier: BSD-2-Clause
//! Interrupts: handlers, and the way from a hardware interrupt to a notification.

use crate::cap::Cap;
use crate::error::{Error, Stop};
use crate::invoke::{Message, Outcome};
use crate::kernel::{IrqState, Kernel};
use crate::layout::Slot;
use crate::machine::Machine;
use kernel_abi::{CapRights, Invocation};

/// Software-generated interrupts.
const SGIS: u64 = 16;

impl<M: Machine> Kernel<M> {
    #[inline(always)]
    pub(crate) fn irq_state_of(&self, irq: u64) -> IrqState {
        self.irq_state.get(irq as usize).copied().unwrap_or(IrqState::Reserved)
    }

    /// Sets what an interrupt is for; one that is for nothing is masked.
    pub fn set_irq_state(&mut self, irq: u64, state: IrqState) {
        if let Some(entry) = self.irq_state.get_mut(irq as usize) {
            *entry = state;
            self.m.irq_set_masked(irq, state == IrqState::Inactive);
        }
    }

    /// The interrupt signals nobody any more.
    pub fn clear_irq_handler(&mut self, irq: u64) -> Result<(), Stop> {
        match self.irq_slot(irq) {
            Some(slot) => self.delete(slot),
            None => Ok(()),
        }
    }

    /// Invocations of interrupt control.
    pub fn decode_irq_control(&mut self, slot: Slot, msg: &Message) -> Outcome {
        use Invocation as I;
        let (irq, edge, index, depth) = match msg.invocation {
            Some(I::IrqIssueIrqHandler) => {
                self.require(msg, 3, 1)?;
                (self.arg(msg, 0), None, self.arg(msg, 1), self.arg(msg, 2))
            }
            Some(I::ArmIrqIssueIrqHandlerTrigger) => {
                self.require(msg, 4, 1)?;
                (self.arg(msg, 0), Some(self.arg(msg, 1) != 0), self.arg(msg, 2), self.arg(msg, 3))
            }
            Some(I::ArmIrqIssueSgiSignal) => return self.issue_sgi_signal(slot, msg),
            _ => return Err(Error::IllegalOperation.into()),
        };
        if irq > M::MAX_IRQ {
            return Err(Error::Range(0, M::MAX_IRQ).into());
        }
        if self.irq_state_of(irq) != IrqState::Inactive {
            return Err(Error::RevokeFirst.into());
        }
        let (_, root) = self.extra(msg, 0)?;
        let target = self.lookup_target(root, index, depth, false)?;
        self.require_empty(target)?;
        if let Some(edge) = edge {
            self.m.irq_set_trigger(irq, edge);
        }
        self.set_irq_state(irq, IrqState::Signal);
        self.insert_derived(Cap::IrqHandler { irq }, slot, target);
        Ok(0)
    }

    fn issue_sgi_signal(&mut self, slot: Slot, msg: &Message) -> Outcome {
        self.require(msg, 4, 1)?;
        let [sgi, cpu, index, depth] = [0, 1, 2, 3].map(|i| self.arg(msg, i));
        if sgi >= SGIS {
            return Err(Error::Range(0, SGIS - 1).into());
        }
        if !self.m.is_sgi_target(cpu) {
            return Err(Error::InvalidArgument(1).into());
        }
        let (_, root) = self.extra(msg, 0)?;
        let target = self.lookup_target(root, index, depth, false)?;
        self.require_empty(target)?;
        self.insert_derived(Cap::SgiSignal { sgi, target: cpu }, slot, target);
        Ok(0)
    }

    /// Invocations of an interrupt handler.
    pub fn decode_irq_handler(&mut self, irq: u64, msg: &Message) -> Outcome {
        match msg.invocation {
            Some(Invocation::IrqAckIrq) => {
                self.m.irq_set_masked(irq, false);
                Ok(0)
            }
            Some(Invocation::IrqSetIrqHandler) => {
                self.require(msg, 0, 1)?;
                let (from, cap) = self.extra(msg, 0)?;
                // seL4 names the handler, not the notification, as the wrong capability.
                let Cap::Notification { rights, .. } = cap else {
                    return Err(Error::InvalidCapability(0).into());
                };
                if rights & CapRights::WRITE == 0 {
                    return Err(Error::InvalidCapability(0).into());
                }
                self.clear_irq_handler(irq)?;
                let slot = self.irq_slot(irq).ok_or(Error::IllegalOperation)?;
                if from.cap(&self.m) == cap {
                    self.insert_derived(cap, from, slot);
                }
                Ok(0)
            }
            Some(Invocation::IrqClearIrqHandler) => {
                self.clear_irq_handler(irq)?;
                Ok(0)
            }
            _ => Err(Error::IllegalOperation.into()),
        }
    }

    /// A hardware interrupt that is a user's: signals its notification; masked until it is acknowledged.
    #[inline]
    pub fn user_irq(&mut self, irq: u64) {
        self.m.irq_set_masked(irq, true);
        if self.irq_state_of(irq) != IrqState::Signal {
            return;
        }
        if let Some(slot) = self.irq_slot(irq)
            && let Cap::Notification { at, badge, rights } = slot.cap(&self.m)
            && rights & CapRights::WRITE != 0
        {
            self.signal(at, badge);
        }
    }
}
