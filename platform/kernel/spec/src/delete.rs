// SPDX-License-Identifier: BSD-2-Clause
//! Derivation, deletion and revocation of capabilities, and the end of objects (manual 3.1.5, 3.2).

use crate::cap::Cap;
use crate::error::Error;
use crate::reply::Lent;
use crate::state::{Holder, Slot, State, ThreadState, tcb_slot};
use kernel_abi::CapRights;

impl State {
    /// What a copy of `cap`, which lies in `slot` (perhaps with fewer rights here), would say (manual table 3.2).
    /// `Ok(None)`: there can be no copy. Changes nothing.
    pub fn derive(&self, slot: Slot, cap: Cap) -> Result<Option<Cap>, Error> {
        match cap {
            Cap::Zombie { .. } | Cap::IrqControl => Ok(None),
            Cap::Untyped { .. } if self.has_children(slot) => Err(Error::RevokeFirst),
            Cap::PageTable { mapping: None, .. } | Cap::VSpace { asid: None, .. } => {
                Err(Error::IllegalOperation)
            }
            Cap::Frame { obj, bits, rights, device, .. } => {
                Ok(Some(Cap::Frame { obj, bits, rights, device, mapping: None }))
            }
            other => Ok(Some(other)),
        }
    }

    /// Deletes the capability in `slot`; with the last one the object ends (manual 3.2). No effect on an empty slot.
    ///
    /// Changes: the slot, the tree, and whatever the end of objects changes (`State::end_object`); containers
    /// (CNodes, threads) end with everything in their slots.
    pub fn delete(&mut self, slot: Slot) {
        while let Some((holder, left)) = self.end_cap(slot) {
            // From the last slot to the first.
            self.empty(Slot { holder, index: left - 1 });
            // What was deleted there may have taken `slot` along.
            if self.cap(slot) == Some(Cap::Zombie { holder, left }) {
                self.caps.insert(slot, Cap::Zombie { holder, left: left - 1 });
            }
        }
    }

    /// Empties a slot of a dying container. A container found there is not emptied in turn but made unreachable: its
    /// capability goes into its own first slot, and what was there is deleted here (manual 3.2, footnote on recursion).
    fn empty(&mut self, slot: Slot) {
        while let Some((holder, _)) = self.end_cap(slot) {
            let first = Slot { holder, index: 0 };
            if slot == first {
                return;
            }
            let (here, there) = (self.cap(slot), self.cap(first));
            self.swap_caps(slot, there, first, here);
        }
    }

    /// Ends what the capability in `slot` names, if it is the last one, and removes the capability; unless that is a
    /// container whose slots have to be emptied first: which one, and how many slots are left. The slot then holds
    /// a zombie, which says the same.
    fn end_cap(&mut self, slot: Slot) -> Option<(Holder, u64)> {
        let cap = self.cap(slot)?;
        let last = self.is_last(slot);
        self.end_object(cap, last);
        let container = match cap {
            Cap::CNode { obj, radix, .. } if last => Some((Holder::CNode(obj, radix), 1 << radix)),
            Cap::Tcb { obj } if last => Some((Holder::Tcb(obj), tcb_slot::COUNT)),
            Cap::Zombie { holder, left } => Some((holder, left)),
            _ => None,
        };
        // A container's capability may lie in the last of its slots that is left.
        let (holder, left) = container
            .filter(|&(holder, left)| left > 1 || left == 1 && slot != Slot { holder, index: 0 })
            .or_else(|| {
                self.clear_slot(slot);
                if let (Cap::IrqHandler { irq }, true) = (cap, last) {
                    self.irqs_issued.remove(&irq);
                    self.irqs_enabled.remove(&irq);
                }
                None
            })?;
        self.caps.insert(slot, Cap::Zombie { holder, left });
        Some((holder, left))
    }

    /// Deletes everything derived from the capability in `slot`, which stays (manual 3.2). When the deletions reach
    /// `slot` itself, it stops there.
    ///
    /// Changes: as [`State::delete`], for every descendant.
    pub fn revoke(&mut self, slot: Slot) {
        while let Some(&child) = self.tree.descendants(slot).first() {
            self.delete(child);
        }
    }

    /// What the deletion of one capability does to the object that it names. `last`: no other capability names it.
    ///
    /// Changes, by object: an endpoint or notification lets its waiting threads start again and loses its
    /// bindings; a reply object releases the thread behind it; a thread stops and loses its bindings; a scheduling
    /// context loses its thread, notification, call chain and budget; interrupts lose their notification; address
    /// space objects are taken out of the tables that name them; a frame is unmapped from where this capability
    /// mapped it.
    fn end_object(&mut self, cap: Cap, last: bool) {
        match cap {
            Cap::Frame { mapping: Some(mapping), obj, bits, .. } => self.unmap_frame(obj, bits, mapping),
            _ if !last => {}
            Cap::Endpoint { obj, .. } => self.cancel_all_ipc(obj),
            Cap::Notification { obj, .. } => {
                let notification = self.ntfn_mut(obj);
                let (tcb, sc) = (notification.tcb.take(), notification.sched_context.take());
                if let Some(tcb) = tcb {
                    self.tcb_mut(tcb).notification = None;
                }
                if let Some(sc) = sc {
                    self.sc_mut(sc).notification = None;
                }
                self.cancel_all_signals(obj);
            }
            Cap::Reply { obj, .. } => {
                if let Some(Some(tcb)) = self.replies.get(&obj).copied() {
                    match self.tcb(tcb).state {
                        ThreadState::BlockedOnReply { .. } => {
                            self.end_wait_for_reply(obj, tcb, Lent::ComesBack)
                        }
                        _ => self.cancel_ipc(tcb),
                    }
                }
            }
            Cap::Tcb { obj } => {
                self.unbind_notification(obj);
                if let Some(sc) = self.tcb(obj).sched_context {
                    self.unbind_thread(sc);
                    if let Some(waiting) = self.sc(sc).yield_from {
                        self.complete_yield_to(waiting);
                    }
                }
                self.suspend(obj);
                self.unbind_vcpu_of(obj);
            }
            Cap::SchedContext { obj, .. } => {
                self.unbind_all(obj);
                if let Some(waiting) = self.sc(obj).yield_from {
                    self.complete_yield_to(waiting);
                }
                let sc = self.sc_mut(obj);
                sc.max_refills = 0;
                sc.refills.clear();
                sc.sporadic = false;
            }
            Cap::IrqHandler { irq } => self.delete(Slot { holder: Holder::Irq, index: irq }),
            Cap::AsidPool { obj, base } => self.delete_asid_pool(base, obj),
            Cap::VSpace { obj, asid: Some(asid) } => self.delete_asid(asid, obj),
            Cap::PageTable { obj, mapping: Some(mapping) } => self.unmap_table(obj, mapping),
            Cap::Vcpu { obj } => self.unbind_vcpu(obj),
            _ => {}
        }
    }

    /// Whether a capability lets its owner cancel the sends of others: an endpoint with all rights.
    pub(crate) fn may_cancel_sends(cap: Option<Cap>) -> Option<(crate::Obj, u64)> {
        match cap {
            Some(Cap::Endpoint { obj, badge, rights }) if CapRights(rights).has(CapRights::ALL.0) => {
                Some((obj, badge))
            }
            _ => None,
        }
    }

    /// Forgets objects that no capability names. They have already ended (`State::end_object`).
    pub(crate) fn forget_dead_objects(&mut self) {
        let mut named = std::collections::BTreeSet::new();
        for cap in self.caps.values() {
            match *cap {
                Cap::Endpoint { obj, .. }
                | Cap::Notification { obj, .. }
                | Cap::Reply { obj, .. }
                | Cap::Tcb { obj }
                | Cap::SchedContext { obj, .. }
                | Cap::PageTable { obj, .. }
                | Cap::VSpace { obj, .. }
                | Cap::Vcpu { obj }
                | Cap::Zombie { holder: Holder::Tcb(obj), .. } => {
                    named.insert(obj);
                }
                _ => {}
            }
        }
        self.endpoints.retain(|o, _| named.contains(o));
        self.notifications.retain(|o, _| named.contains(o));
        self.replies.retain(|o, _| named.contains(o));
        self.tcbs.retain(|o, _| named.contains(o));
        self.sched_contexts.retain(|o, _| named.contains(o));
        self.tables.retain(|o, _| named.contains(o));
        self.vcpus.retain(|o, _| named.contains(o));
    }
}
