// SPDX-License-Identifier: BSD-2-Clause
//! Deletion and revocation.
//!
//! Deleting the last capability to a CNode or thread deletes what its slots hold, which may be the last capability
//! to another CNode, and so on. The depth of that is the user's choice, so it is not recursion: the slot that is
//! being deleted always holds a [`Zombie`] for the innermost container, and each container's last slot holds the
//! zombie to go on with afterwards. Work can stop at any preemption point and goes on when the system call is
//! started again.

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
        Cap::Frame { at, size, rights, device, .. } => Cap::Frame { at, size, rights, device, mapping: None },
        Cap::PageTable { mapping: None, .. } | Cap::VSpace { asid: None, .. } => {
            return Err(Error::IllegalOperation);
        }
        other => other,
    })
}

fn slots_of(zombie: Zombie) -> u64 {
    zombie.radix.map_or(TcbSlot::COUNT, |radix| 1 << radix)
}

impl<M: Machine> Kernel<M> {
    /// Deletes the capability in `slot`; with the last one to an object, the object.
    pub fn delete(&mut self, slot: Slot) -> Result<(), Stop> {
        let mut current = slot;
        loop {
            let cap = current.cap(&self.m);
            match cap {
                Cap::Null if current == slot => return Ok(()),
                Cap::Null => current = slot,
                Cap::Zombie(zombie) => {
                    self.preemption_point()?;
                    current = self.delete_in_container(current, zombie);
                }
                _ => match self.finalise(current, cap) {
                    Some(zombie) => current.set_cap(&mut self.m, Cap::Zombie(zombie)),
                    None => self.unlink(current),
                },
            }
        }
    }

    /// One step of emptying the container whose zombie is in `slot`. Returns the slot to go on with.
    fn delete_in_container(&mut self, slot: Slot, zombie: Zombie) -> Slot {
        let last = slot_of(zombie.at, slots_of(zombie).saturating_sub(1));
        if zombie.remaining == 0 {
            // Empty: the object is gone. Go on with the zombie kept in its last slot, if it still is there.
            self.unlink(slot);
            if zombie.has_return && slot != last {
                let back = last.cap(&self.m);
                if back != Cap::Null {
                    self.move_cap(back, last, slot);
                }
            }
            return slot;
        }
        let less = Cap::Zombie(Zombie { remaining: zombie.remaining - 1, ..zombie });
        let child = slot_of(zombie.at, zombie.remaining - 1);
        if child == slot {
            // The container holds its own last capability.
            slot.set_cap(&mut self.m, less);
            return slot;
        }
        match child.cap(&self.m) {
            Cap::Null => slot.set_cap(&mut self.m, less),
            Cap::Zombie(inner) if inner.has_return => return child,
            Cap::Zombie(inner) => return self.descend(slot, zombie, child, inner),
            cap => match self.finalise(child, cap) {
                None => {
                    self.unlink(child);
                    slot.set_cap(&mut self.m, less);
                }
                Some(inner) => {
                    child.set_cap(&mut self.m, Cap::Zombie(inner));
                    return self.descend(slot, zombie, child, inner);
                }
            },
        }
        slot
    }

    /// Puts the `inner` container, found in the slot `child` of the `outer` one, first: its zombie comes to `slot`,
    /// the outer one's waits in the last slot of the inner one, and what was there comes to `child`.
    fn descend(&mut self, slot: Slot, outer: Zombie, child: Slot, inner: Zombie) -> Slot {
        let count = slots_of(inner);
        let last = slot_of(inner.at, count.saturating_sub(1));
        let mut top = slot;
        if last == slot {
            // Two containers that hold each other: move the top of the stack to another slot of the inner one.
            let other = inner.at;
            let there = other.cap(&self.m);
            self.swap_caps(Cap::Zombie(outer), slot, there, other);
            top = other;
        }
        let inner_top =
            Zombie { remaining: inner.remaining.min(count.saturating_sub(1)), has_return: true, ..inner };
        self.swap_caps(Cap::Zombie(outer), top, Cap::Zombie(inner_top), child);
        let x = last.cap(&self.m);
        self.swap_caps(Cap::Zombie(outer), child, x, last);
        top
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
    /// was the last one to a container.
    fn finalise(&mut self, slot: Slot, cap: Cap) -> Option<Zombie> {
        let last = self.is_final(slot);
        match cap {
            Cap::Endpoint { at, .. } if last => self.cancel_all_ipc(at),
            Cap::Notification { at, .. } if last => {
                if let Some(sc) = at.sched_context(&self.m) {
                    self.unbind_sc_from_notification(sc);
                }
                self.unbind_notification(at);
                self.cancel_all_signals(at);
            }
            Cap::Reply { at, .. } if last => self.clear_reply(at),
            Cap::Thread { at } if last => {
                self.unbind_tcb_notification(at);
                if let Some(sc) = at.sched_context(&self.m) {
                    self.unbind_sc_from_tcb(sc);
                    self.complete_yield_from(sc);
                }
                self.suspend(at);
                self.forget_thread(at);
                return Some(Zombie {
                    at: at.slot(TcbSlot::CSpace),
                    radix: None,
                    remaining: TcbSlot::COUNT,
                    has_return: false,
                });
            }
            Cap::CNode { at, radix, .. } if last => {
                return Some(Zombie { at, radix: Some(radix), remaining: 1 << radix, has_return: false });
            }
            Cap::SchedContext { at, .. } if last => self.destroy_sched_context(at),
            Cap::IrqHandler { irq } if last => {
                self.clear_irq_handler(irq);
                self.set_irq_state(irq, IrqState::Inactive);
            }
            Cap::Frame { .. } | Cap::PageTable { .. } | Cap::VSpace { .. } | Cap::AsidPool { .. } => {
                self.finalise_vspace(cap, last);
            }
            Cap::Vcpu { at } if last => self.finalise_vcpu(at),
            _ => {}
        }
        None
    }
}
