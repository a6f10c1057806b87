// SPDX-License-Identifier: BSD-2-Clause
//! Invocations of CNodes (manual 3.1.2; `seL4_CNode_*`).

use crate::cap::Cap;
use crate::error::{Error, Lookup};
use crate::state::{Slot, State};
use crate::syscall::{Invocation, Words};
use kernel_abi::Invocation as Label;

impl State {
    /// An invocation of the CNode capability `cap`. All of them first name the slot they are about, with index and
    /// depth in words 0 and 1.
    ///
    /// Changes: see the operation.
    pub(crate) fn cnode_invocation(&mut self, cap: Cap, call: &Invocation) -> Result<Words, Error> {
        use Label::*;
        let label = match call.label {
            Some(
                label @ (CNodeRevoke
                | CNodeDelete
                | CNodeCancelBadgedSends
                | CNodeCopy
                | CNodeMint
                | CNodeMove
                | CNodeMutate
                | CNodeRotate),
            ) => label,
            _ => return Err(Error::IllegalOperation),
        };
        call.needs(2, 0)?;
        let slot = self.lookup_target(Some(cap), call.words[0], call.words[1], false)?;
        match label {
            CNodeRevoke => self.revoke(slot),
            CNodeDelete => self.delete(slot),
            CNodeCancelBadgedSends => {
                let (endpoint, badge) =
                    Self::may_cancel_sends(self.cap(slot)).ok_or(Error::IllegalOperation)?;
                if badge != 0 {
                    self.cancel_badged_sends(endpoint, badge);
                }
            }
            CNodeRotate => self.cnode_rotate(slot, call)?,
            _ => self.cnode_copy_or_move(label, slot, call)?,
        }
        Ok(vec![])
    }

    /// Copy, Mint, Move and Mutate into `target`: source slot relative to the first extra capability, index and
    /// depth in words 2 and 3; then rights (Copy, Mint), and badge or guard (Mint, Mutate).
    ///
    /// Changes: both slots and the derivation tree.
    fn cnode_copy_or_move(&mut self, label: Label, target: Slot, call: &Invocation) -> Result<(), Error> {
        call.needs(4, 1)?;
        self.require_empty(target)?;
        let source = self.lookup_target(self.cap(call.extra[0]), call.words[2], call.words[3], true)?;
        let Some(cap) = self.cap(source) else {
            return Err(missing(true, call.words[3]));
        };
        let (new, is_move) = match label {
            Label::CNodeCopy => {
                call.needs(5, 1)?;
                (self.derive(source, cap.with_rights(call.words[4]))?, false)
            }
            Label::CNodeMint => {
                call.needs(6, 1)?;
                match cap.with_rights(call.words[4]).with_data(false, call.words[5]) {
                    Some(cap) => (self.derive(source, cap)?, false),
                    None => (None, false),
                }
            }
            Label::CNodeMove => (Some(cap), true),
            _ => {
                call.needs(5, 1)?;
                (cap.with_data(true, call.words[4]), true)
            }
        };
        let new = new.ok_or(Error::IllegalOperation)?;
        if is_move {
            self.move_cap(new, source, target);
        } else {
            self.insert_derived(new, source, target);
        }
        Ok(())
    }

    /// Rotate: the capability in the pivot moves to `target`, the one in the source to the pivot; source and target
    /// may be the same slot.
    ///
    /// Changes: the three slots and the derivation tree.
    fn cnode_rotate(&mut self, target: Slot, call: &Invocation) -> Result<(), Error> {
        call.needs(8, 2)?;
        let w = &call.words;
        let (pivot_data, pivot_index, pivot_depth) = (w[2], w[3], w[4]);
        let (source_data, source_index, source_depth) = (w[5], w[6], w[7]);
        let source = self.lookup_target(self.cap(call.extra[1]), source_index, source_depth, true)?;
        let pivot = self.lookup_target(self.cap(call.extra[0]), pivot_index, pivot_depth, true)?;
        if pivot == source || pivot == target {
            return Err(Error::IllegalOperation);
        }
        if source != target {
            self.require_empty(target)?;
        }
        let source_cap = self.cap(source).ok_or(missing(true, source_depth))?;
        let pivot_cap = self.cap(pivot).ok_or(missing(false, pivot_depth))?;
        let new_in_pivot = source_cap.with_data(true, source_data).ok_or(Error::IllegalOperation)?;
        let new_in_target = pivot_cap.with_data(true, pivot_data).ok_or(Error::IllegalOperation)?;
        if source == target {
            self.swap_caps(source, Some(new_in_target), pivot, Some(new_in_pivot));
        } else {
            self.move_cap(new_in_target, pivot, target);
            self.move_cap(new_in_pivot, source, pivot);
        }
        Ok(())
    }
}

fn missing(source: bool, bits_left: u64) -> Error {
    Error::FailedLookup { source, why: Lookup::MissingCapability { bits_left } }
}
