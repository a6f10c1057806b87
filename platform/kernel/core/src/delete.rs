// SPDX-License-Identifier: BSD-2-Clause
//! Deletion and revocation.
//!
//! Deleting the last capability to a CNode or thread (a container) deletes what its slots hold. What that could take
//! is the user's choice, so it is bounded as the seL4 manual says (section 3.2): a container found inside a dying one
//! is not emptied but made unreachable, by moving its capability into its own first slot; it is cleaned up when the
//! untyped memory it is made of is revoked. Meanwhile a container's last capability is a [`Zombie`], which tells how far
//! the work is; it can stop at any preemption point and goes on when the system call is started again.

use crate::cap::{Cap, Zombie};
use crate::cspace::slot_of;
use crate::error::{Error, Stop};
use crate::kernel::{IrqState, Kernel};
use crate::layout::{Slot, TcbSlot};
use crate::machine::Machine;

/// What the capability in `slot` becomes when it is copied. `Null`: it cannot be.
pub fn derive<M: Machine>(kernel: &Kernel<M>, slot: Slot, cap: Cap) -> Result<Cap, Error> {
    Ok(match cap {
        Cap::Zombie(_) | Cap::IrqControl => Cap::Null,
        Cap::Untyped { .. } if kernel.has_children(slot) => return Err(Error::RevokeFirst),
        Cap::Untyped { at, bits, device, used, .. } => {
            Cap::Untyped { at, bits, device, used, zeroing: false }
        }
        Cap::Frame { at, size, rights, device, .. } => Cap::Frame { at, size, rights, device, mapping: None },
        Cap::PageTable { mapping: None, .. } | Cap::VSpace { asid: None, .. } => {
            return Err(Error::IllegalOperation);
        }
        other => other,
    })
}

impl<M: Machine> Kernel<M> {
    /// Deletes the capability in `slot`; with the last one to an object, the object.
    pub fn delete(&mut self, slot: Slot) -> Result<(), Stop> {
        loop {
            match self.delete_step(slot)? {
                Some(zombie) => {
                    let last = slot_of(zombie.at, zombie.remaining - 1);
                    self.delete_inside(last)?;
                    // Unless what was deleted took this slot along.
                    if slot.cap(&self.m) == Cap::Zombie(zombie) {
                        let less = Zombie { remaining: zombie.remaining - 1, ..zombie };
                        self.put(slot, Cap::Zombie(less));
                    }
                }
                None => return Ok(()),
            }
            self.preemption_point()?;
        }
    }

    /// Empties a slot inside a dying container. A container found there goes into its own first slot.
    fn delete_inside(&mut self, slot: Slot) -> Result<(), Stop> {
        while let Some(zombie) = self.delete_step(slot)? {
            if zombie.at == slot {
                // It is in its own first slot already, and stays there.
                return Ok(());
            }
            let here = slot.cap(&self.m);
            let there = zombie.at.cap(&self.m);
            self.swap_caps(here, slot, there, zombie.at);
            self.preemption_point()?;
        }
        Ok(())
    }

    /// Deletes what is in `slot`, or, when that is a container with slots that may be full, leaves its zombie there
    /// and returns it.
    fn delete_step(&mut self, slot: Slot) -> Result<Option<Zombie>, Stop> {
        let zombie = match slot.cap(&self.m) {
            Cap::Null => return Ok(None),
            Cap::Zombie(zombie) => Some(zombie),
            cap => self.finalise(slot, cap)?,
        };
        match zombie {
            // The last slot to be emptied may be this one.
            Some(zombie) if zombie.remaining > 1 || zombie.remaining == 1 && zombie.at != slot => {
                self.put(slot, Cap::Zombie(zombie));
                Ok(Some(zombie))
            }
            _ => {
                self.unlink(slot);
                Ok(None)
            }
        }
    }

    /// Deletes everything that was derived from the capability in `slot`.
    pub fn revoke(&mut self, slot: Slot) -> Result<(), Stop> {
        while let Some(next) = slot.next(&self.m) {
            if !self.is_ancestor(slot, next) {
                break;
            }
            self.delete(next)?;
            self.preemption_point()?;
        }
        Ok(())
    }

    /// What the loss of the capability `cap` in `slot` means for its object. Returns what is left to empty when it
    /// was the last one to a container. An endpoint or notification in which many threads wait may be stopped at; its capability
    /// is left without rights then, so that no more come.
    fn finalise(&mut self, slot: Slot, cap: Cap) -> Result<Option<Zombie>, Stop> {
        let last = self.is_final(slot);
        match cap {
            Cap::Endpoint { at, badge, .. } if last => {
                if let Err(stop) = self.cancel_all_ipc(at) {
                    slot.set_cap(&mut self.m, Cap::Endpoint { at, badge, rights: 0 });
                    return Err(stop);
                }
            }
            Cap::Notification { at, badge, .. } if last => {
                if let Some(sc) = at.sched_context(&self.m) {
                    self.unbind_sc_from_notification(sc);
                }
                self.unbind_notification(at);
                if let Err(stop) = self.cancel_all_signals(at) {
                    slot.set_cap(&mut self.m, Cap::Notification { at, badge, rights: 0 });
                    return Err(stop);
                }
            }
            Cap::Reply { at, .. } if last => self.destroy_reply(at),
            Cap::Thread { at } if last => {
                self.unbind_tcb_notification(at);
                if let Some(sc) = at.sched_context(&self.m) {
                    self.unbind_sc_from_tcb(sc);
                    self.complete_yield_from(sc);
                }
                self.suspend(at);
                self.forget_thread(at);
                let at = at.slot(TcbSlot::CSpace);
                return Ok(Some(Zombie { at, radix: None, remaining: TcbSlot::COUNT }));
            }
            Cap::CNode { at, radix, .. } if last => {
                return Ok(Some(Zombie { at, radix: Some(radix), remaining: 1 << radix }));
            }
            Cap::SchedContext { at, .. } if last => self.destroy_sched_context(at),
            Cap::IrqHandler { irq } if last => {
                self.clear_irq_handler(irq)?;
                self.set_irq_state(irq, IrqState::Inactive);
            }
            Cap::Frame { .. } | Cap::PageTable { .. } | Cap::VSpace { .. } | Cap::AsidPool { .. } => {
                self.finalise_vspace(cap, last);
            }
            Cap::Vcpu { at } if last => self.finalise_vcpu(at),
            _ => {}
        }
        Ok(None)
    }
}
