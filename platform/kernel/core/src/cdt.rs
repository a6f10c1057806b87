// SPDX-License-Identifier: BSD-2-Clause
//! The capability derivation tree.
//!
//! All non-empty slots form one doubly linked list per root, in which every capability stands before those derived
//! from it (the tree in preorder). Depth is not stored: whether one capability is the ancestor of another is told by
//! what they name. A capability that is *original* (made by retype, or the first of its badge) is the ancestor of
//! the ones behind it that it covers; between badged ones only the same badge counts, and the *first of a badge* is
//! nobody's descendant but the unbadged original's. Deleting a capability leaves the ones derived from it to its own
//! parent.
//!
//! mdb0: address of the previous slot, bit 0 original, bit 1 first of its badge. mdb1: address of the next slot.

use crate::cap::{Cap, CapWords, Sizes};
use crate::kernel::Kernel;
use crate::layout::{Slot, Word};
use crate::machine::Machine;

const ORIGINAL: u64 = 1;
const FIRST_BADGED: u64 = 2;
const FLAGS: u64 = 31;

impl Slot {
    /// The capability in it.
    #[inline(always)]
    pub fn cap<M: Machine>(self, m: &M) -> Cap {
        Cap::decode([self.word0(m), self.word1(m)])
    }
    /// Replaces the capability, links untouched.
    #[inline(always)]
    pub fn set_cap<M: Machine>(self, m: &mut M, cap: Cap) {
        let [w0, w1] = cap.encode();
        self.set_word0(m, w0);
        self.set_word1(m, w1);
    }
    /// Whether it is empty.
    #[inline(always)]
    pub fn is_empty<M: Machine>(self, m: &M) -> bool {
        self.word0(m) >> crate::cap::TAG_SHIFT == crate::cap::tag::NULL
    }
    /// The slot before it in the derivation list.
    #[inline(always)]
    pub fn prev<M: Machine>(self, m: &M) -> Option<Slot> {
        Word::from_word(self.mdb0(m) & !FLAGS)
    }
    /// The slot behind it in the derivation list.
    #[inline(always)]
    pub fn next<M: Machine>(self, m: &M) -> Option<Slot> {
        Word::from_word(self.mdb1(m))
    }
    /// Whether its capability is original: others may be derived from it.
    pub fn is_original<M: Machine>(self, m: &M) -> bool {
        self.mdb0(m) & ORIGINAL != 0
    }
    /// Whether its capability is the first of its badge.
    pub fn is_first_badged<M: Machine>(self, m: &M) -> bool {
        self.mdb0(m) & FIRST_BADGED != 0
    }
    fn set_prev<M: Machine>(self, m: &mut M, prev: Option<Slot>) {
        let flags = self.mdb0(m) & FLAGS;
        self.set_mdb0(m, prev.to_word() | flags);
    }
    fn set_next<M: Machine>(self, m: &mut M, next: Option<Slot>) {
        self.set_mdb1(m, next.to_word());
    }
    fn set_links<M: Machine>(self, m: &mut M, prev: Option<Slot>, next: Option<Slot>, flags: u64) {
        self.set_mdb0(m, prev.to_word() | flags);
        self.set_mdb1(m, next.to_word());
    }
}

/// Objects that one retype makes, on their way into the derivation list: each becomes the untyped capability's child, in
/// front of those before it. Every slot is written once.
pub struct NewObjects {
    parent: Slot,
    /// What stood behind the parent, until it knows the first of them.
    old: Option<Slot>,
    /// What the next one stands in front of.
    behind: Option<Slot>,
}

impl NewObjects {
    /// Children of the capability in `parent`.
    pub fn below<M: Machine>(parent: Slot, m: &M) -> Self {
        let old = parent.next(m);
        Self { parent, old, behind: old }
    }

    /// Puts `cap` into the empty slot `to`. `next` is the slot of the one that follows, `None` for the last.
    #[inline]
    pub fn insert<M: Machine>(&mut self, m: &mut M, cap: CapWords, to: Slot, next: Option<Slot>) {
        to.set_word0(m, cap.0[0]);
        to.set_word1(m, cap.0[1]);
        to.set_links(m, Some(next.unwrap_or(self.parent)), self.behind, ORIGINAL | FIRST_BADGED);
        if let Some(old) = self.old.take() {
            old.set_prev(m, Some(to));
        }
        if next.is_none() {
            self.parent.set_next(m, Some(to));
        }
        self.behind = Some(to);
    }
}

impl<M: Machine> Kernel<M> {
    /// log2 of a TCB in this configuration.
    pub const TCB_BITS: u64 =
        if M::HW_DEBUG { kernel_abi::object::TCB_BITS_HW_DEBUG } else { kernel_abi::object::TCB_BITS };

    /// Sizes of objects in this configuration.
    #[inline(always)]
    pub(crate) fn sizes(&self) -> Sizes {
        Sizes { tcb: Self::TCB_BITS, vspace: self.m.address_space().root_bits() }
    }

    /// Whether the capability in `child` was derived from the one in `parent`. `child` must stand behind `parent`
    /// in the list.
    pub fn is_ancestor(&self, parent: Slot, child: Slot) -> bool {
        if !parent.is_original(&self.m) {
            return false;
        }
        let (p, c) = (parent.cap(&self.m), child.cap(&self.m));
        if !p.covers(c, self.sizes()) {
            return false;
        }
        if let (Cap::SgiSignal { .. }, Cap::SgiSignal { .. }) = (p, c) {
            // The same interrupt may be given out several times, each independent of the others.
            return !child.is_first_badged(&self.m);
        }
        match (p.badge(), c.badge()) {
            (Some(0) | None, _) | (_, None) => true,
            (Some(a), Some(b)) => a == b && !child.is_first_badged(&self.m),
        }
    }

    /// Whether anything is derived from the capability in `slot`.
    pub fn has_children(&self, slot: Slot) -> bool {
        slot.next(&self.m).is_some_and(|next| self.is_ancestor(slot, next))
    }

    /// Whether the capability in `slot` is the last one to its object.
    pub fn is_final(&self, slot: Slot) -> bool {
        let cap = slot.cap(&self.m);
        let same = |other: Option<Slot>| other.is_some_and(|o| o.cap(&self.m).same_object(cap));
        !same(slot.prev(&self.m)) && !same(slot.next(&self.m))
    }

    /// Puts `cap` into the empty slot `to` as derived from (or, when it is not, as a sibling of) the one in `from`.
    /// `from`'s capability tells what the new one is: with another badge, or another kind of object, it is original.
    pub fn insert_derived(&mut self, cap: Cap, from: Slot, to: Slot) {
        let source = from.cap(&self.m);
        let original = match cap {
            Cap::Untyped { .. } => true,
            Cap::Endpoint { badge, .. } | Cap::Notification { badge, .. } | Cap::Smc { badge } => {
                Some(badge) != source.badge()
            }
            Cap::IrqHandler { .. } | Cap::SgiSignal { .. } => source == Cap::IrqControl,
            _ => false,
        };
        // A copy of an untyped names the same bytes: nothing may be made of them through the source any more.
        if let (Cap::Untyped { at, bits, device, .. }, Cap::Untyped { at: new, bits: new_bits, .. }) =
            (source, cap)
            && at == new
            && bits == new_bits
        {
            self.put(from, Cap::Untyped { at, bits, device, used: 1 << bits, zeroing: false });
        }
        let flags = if original { ORIGINAL | FIRST_BADGED } else { 0 };
        self.insert_behind(cap, from, to, flags);
    }

    /// Puts `cap`, a new object, into the empty slot `to` as a child of the untyped in `parent`.
    pub fn insert_new_object(&mut self, cap: Cap, parent: Slot, to: Slot) {
        self.insert_behind(cap, parent, to, ORIGINAL | FIRST_BADGED);
    }

    /// Puts `cap` into the empty slot `to` as the root of a tree of its own (boot).
    pub fn insert_root(&mut self, cap: Cap, to: Slot) {
        self.put(to, cap);
        to.set_links(&mut self.m, None, None, ORIGINAL | FIRST_BADGED);
    }

    fn insert_behind(&mut self, cap: Cap, from: Slot, to: Slot, flags: u64) {
        let next = from.next(&self.m);
        self.put(to, cap);
        to.set_links(&mut self.m, Some(from), next, flags);
        from.set_next(&mut self.m, Some(to));
        if let Some(next) = next {
            next.set_prev(&mut self.m, Some(to));
        }
    }

    /// Takes the capability out of the tree and empties the slot. What was derived from it falls to its parent.
    pub fn unlink(&mut self, slot: Slot) {
        let (prev, next) = (slot.prev(&self.m), slot.next(&self.m));
        let first = slot.mdb0(&self.m) & FIRST_BADGED;
        if let Some(prev) = prev {
            prev.set_next(&mut self.m, next);
        }
        if let Some(next) = next {
            next.set_prev(&mut self.m, prev);
            // The next of the same badge, if there is one, becomes the first; harmless for others.
            let word = next.mdb0(&self.m) | first;
            next.set_mdb0(&mut self.m, word);
        }
        self.put(slot, Cap::Null);
        slot.set_links(&mut self.m, None, None, 0);
    }

    /// Moves the capability in `from` to the empty slot `to`, changed into `cap`, in the same place of the tree.
    pub fn move_cap(&mut self, cap: Cap, from: Slot, to: Slot) {
        let (prev, next) = (from.prev(&self.m), from.next(&self.m));
        let flags = from.mdb0(&self.m) & FLAGS;
        self.put(to, cap);
        to.set_links(&mut self.m, prev, next, flags);
        self.put(from, Cap::Null);
        from.set_links(&mut self.m, None, None, 0);
        self.relink(to);
    }

    /// Exchanges two slots, contents changed into `cap_a` (now in `b`) and `cap_b` (now in `a`). Either may be
    /// empty; the places in the tree go with the capabilities.
    pub fn swap_caps(&mut self, cap_a: Cap, a: Slot, cap_b: Cap, b: Slot) {
        if a == b {
            return;
        }
        let (a0, a1) = (a.mdb0(&self.m), a.mdb1(&self.m));
        let (b0, b1) = (b.mdb0(&self.m), b.mdb1(&self.m));
        // A link that points at the other slot of the pair has to point at where that went.
        let swapped = |word: u64| {
            let flags = word & FLAGS;
            let address = word & !FLAGS;
            flags
                | if address == a.addr().0 {
                    b.addr().0
                } else if address == b.addr().0 {
                    a.addr().0
                } else {
                    address
                }
        };
        self.put(b, cap_a);
        b.set_mdb0(&mut self.m, swapped(a0));
        b.set_mdb1(&mut self.m, swapped(a1));
        self.put(a, cap_b);
        a.set_mdb0(&mut self.m, swapped(b0));
        a.set_mdb1(&mut self.m, swapped(b1));
        self.relink(a);
        self.relink(b);
    }

    /// Makes the neighbours of `slot` point back at it.
    fn relink(&mut self, slot: Slot) {
        if let Some(prev) = slot.prev(&self.m) {
            prev.set_next(&mut self.m, Some(slot));
        }
        if let Some(next) = slot.next(&self.m) {
            next.set_prev(&mut self.m, Some(slot));
        }
    }
}
