// SPDX-License-Identifier: BSD-2-Clause
//! The capability derivation tree (manual 3.1.5).
//!
//! Written down in pre-order: a slot is followed by everything derived from it, at greater depth. The order of
//! siblings is newest first; it decides only what revocation deletes first.

use crate::cap::Cap;
use crate::state::{Slot, State};

/// One capability in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its slot.
    pub slot: Slot,
    /// How many ancestors it has.
    pub depth: usize,
    /// Whether it is an original: copies of it become its children.
    pub original: bool,
}

/// The tree in pre-order.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Tree(pub Vec<Node>);

impl Tree {
    fn index(&self, slot: Slot) -> Option<usize> {
        self.0.iter().position(|n| n.slot == slot)
    }

    /// The slot's node.
    pub fn node(&self, slot: Slot) -> Option<Node> {
        self.index(slot).map(|i| self.0[i])
    }

    /// What was derived from `slot`, directly or not, in the order in which revocation deletes it.
    pub fn descendants(&self, slot: Slot) -> Vec<Slot> {
        let Some(at) = self.index(slot) else { return Vec::new() };
        let depth = self.0[at].depth;
        self.0[at + 1..].iter().take_while(|n| n.depth > depth).map(|n| n.slot).collect()
    }

    /// Direct parent of every slot that has one.
    pub fn parents(&self) -> Vec<(Slot, Option<Slot>)> {
        let mut path: Vec<Node> = Vec::new();
        let mut parents = Vec::new();
        for node in &self.0 {
            path.retain(|p| p.depth < node.depth);
            parents.push((node.slot, path.last().map(|p| p.slot)));
            path.push(*node);
        }
        parents
    }

    /// Adds a root.
    pub fn add_root(&mut self, slot: Slot) {
        self.0.push(Node { slot, depth: 0, original: true });
    }

    /// Adds `slot` as the first child of `parent`, or as the sibling next to it.
    fn add(&mut self, slot: Slot, near: Slot, as_child: bool, original: bool) {
        if let Some(at) = self.index(near) {
            let depth = self.0[at].depth + usize::from(as_child);
            self.0.insert(at + 1, Node { slot, depth, original });
        }
    }

    /// Takes `slot` out; its children become those of its parent.
    fn remove(&mut self, slot: Slot) {
        if let Some(at) = self.index(slot) {
            let depth = self.0.remove(at).depth;
            for node in self.0[at..].iter_mut().take_while(|n| n.depth > depth) {
                node.depth -= 1;
            }
        }
    }

    /// What was in `a` is in `b` from now on, and the other way round.
    fn swap(&mut self, a: Slot, b: Slot) {
        for node in &mut self.0 {
            if node.slot == a {
                node.slot = b;
            } else if node.slot == b {
                node.slot = a;
            }
        }
    }
}

impl State {
    /// Whether a capability `child` (an original or not), made from the one in `source`, becomes its child. Else it
    /// becomes a sibling: only originals have children, and of a badged original only copies with the same badge.
    fn becomes_child(&self, source: Slot, child: Cap, child_original: bool) -> bool {
        let (Some(cap), Some(node)) = (self.cap(source), self.tree.node(source)) else { return false };
        node.original
            && cap.covers(child, &self.config)
            && match (cap, child) {
                (Cap::Endpoint { badge, .. }, Cap::Endpoint { badge: b, .. })
                | (Cap::Notification { badge, .. }, Cap::Notification { badge: b, .. })
                | (Cap::Smc { badge }, Cap::Smc { badge: b }) => badge == 0 || badge == b && !child_original,
                _ => true,
            }
    }

    /// Puts `cap`, derived from the one in `source`, into the empty slot `target`.
    ///
    /// Changes: `target`, the tree; a copied untyped capability uses up its source, so that the same memory is
    /// not handed out twice.
    pub(crate) fn insert_derived(&mut self, cap: Cap, source: Slot, target: Slot) {
        let Some(from) = self.cap(source) else { return };
        let original = cap.is_original_after(from);
        let as_child = self.becomes_child(source, cap, original);
        if let (Cap::Untyped { base, bits, device, .. }, Cap::Untyped { base: b, bits: c, .. }) = (from, cap)
            && base == b
            && bits == c
        {
            self.caps.insert(source, Cap::Untyped { base, bits, device, used: 1 << bits });
        }
        self.caps.insert(target, cap);
        self.tree.add(target, source, as_child, original);
    }

    /// Puts the first capability to a new object into `target`, as a child of `parent`.
    ///
    /// Changes: `target`, the tree.
    pub(crate) fn insert_new(&mut self, cap: Cap, parent: Slot, target: Slot) {
        self.caps.insert(target, cap);
        self.tree.add(target, parent, true, true);
    }

    /// Moves the capability in `source` to the empty slot `target`, where it says `cap` (manual 3.1.2 Move, Mutate).
    ///
    /// Changes: both slots; in the tree `target` takes the place of `source`.
    pub(crate) fn move_cap(&mut self, cap: Cap, source: Slot, target: Slot) {
        self.caps.remove(&source);
        self.caps.insert(target, cap);
        self.tree.swap(source, target);
    }

    /// Swaps the capabilities of two slots; `a` then holds `new_a`.
    ///
    /// Changes: both slots and their places in the tree.
    pub(crate) fn swap_caps(&mut self, a: Slot, new_a: Option<Cap>, b: Slot, new_b: Option<Cap>) {
        for (slot, cap) in [(a, new_a), (b, new_b)] {
            match cap {
                Some(cap) => self.caps.insert(slot, cap),
                None => self.caps.remove(&slot),
            };
        }
        self.tree.swap(a, b);
    }

    /// Empties a slot; what was derived from it now is derived from its parent.
    ///
    /// Changes: the slot, the tree.
    pub(crate) fn clear_slot(&mut self, slot: Slot) {
        self.caps.remove(&slot);
        self.tree.remove(slot);
    }

    /// Whether no other slot names the object of this one.
    pub fn is_last(&self, slot: Slot) -> bool {
        let Some(cap) = self.cap(slot) else { return false };
        !self.caps.iter().any(|(&s, &c)| s != slot && c.same_object(cap))
    }

    /// Whether something was derived from this slot.
    pub fn has_children(&self, slot: Slot) -> bool {
        !self.tree.descendants(slot).is_empty()
    }
}
