// SPDX-License-Identifier: BSD-2-Clause
//! CNode invocations: copy, mint, move, mutate, rotate, delete, revoke, cancel badged sends.

use crate::cap::{Cap, FrameRights};
use crate::error::{Error, Lookup};
use crate::invoke::{Message, Outcome};
use crate::kernel::Kernel;
use crate::machine::Machine;
use kernel_abi::{CapRights, Invocation};

const WORD_BITS: u64 = 64;

impl Cap {
    /// The capability with at most `rights`.
    pub fn masked(self, rights: CapRights) -> Self {
        match self {
            Self::Endpoint { at, badge, rights: r } => Self::Endpoint { at, badge, rights: r & rights.0 },
            Self::Notification { at, badge, rights: r } => {
                Self::Notification { at, badge, rights: r & rights.0 }
            }
            Self::Reply { at, can_grant } => {
                Self::Reply { at, can_grant: can_grant && rights.has(CapRights::GRANT) }
            }
            Self::Frame { at, size, rights: r, device, mapping } => {
                let read = r.read && rights.has(CapRights::READ);
                let write = r.write && rights.has(CapRights::WRITE);
                // Nothing can be mapped for writing only.
                let rights = FrameRights { read, write: read && write };
                Self::Frame { at, size, rights, device, mapping }
            }
            other => other,
        }
    }

    /// The capability with `data`: a badge where there is none yet, or a guard. `Null` when it cannot have it;
    /// capabilities without data stay as they are. `keep`: badges may not be set.
    pub fn with_data(self, data: u64, keep: bool) -> Self {
        match self {
            Self::Endpoint { at, badge: 0, rights } if !keep => Self::Endpoint { at, badge: data, rights },
            Self::Notification { at, badge: 0, rights } if !keep => {
                Self::Notification { at, badge: data, rights }
            }
            Self::Endpoint { .. } | Self::Notification { .. } => Self::Null,
            Self::Smc { badge: 0 } if !keep => Self::Smc { badge: data },
            Self::Smc { .. } => Self::Null,
            Self::CNode { at, radix, .. } => {
                let guard_size = data & (WORD_BITS - 1);
                if guard_size + u64::from(radix) > WORD_BITS {
                    return Self::Null;
                }
                let guard = data >> 6 & ((1 << guard_size) - 1);
                Self::CNode { at, radix, guard, guard_size: guard_size as u8 }
            }
            other => other,
        }
    }
}

impl<M: Machine> Kernel<M> {
    /// Invocations of a CNode capability.
    pub fn decode_cnode(&mut self, cap: Cap, msg: &Message) -> Outcome {
        use Invocation as I;
        let Some(invocation) = msg.invocation else { return Err(Error::IllegalOperation.into()) };
        let (I::CNodeRevoke
        | I::CNodeDelete
        | I::CNodeCancelBadgedSends
        | I::CNodeCopy
        | I::CNodeMint
        | I::CNodeMove
        | I::CNodeMutate
        | I::CNodeRotate) = invocation
        else {
            return Err(Error::IllegalOperation.into());
        };
        self.require(msg, 2, 0)?;
        let slot = self.lookup_target(cap, self.arg(msg, 0), self.arg(msg, 1), false)?;
        match invocation {
            I::CNodeRevoke => self.revoke(slot)?,
            I::CNodeDelete => self.delete(slot)?,
            I::CNodeCancelBadgedSends => {
                let Cap::Endpoint { at, badge, rights } = slot.cap(&self.m) else {
                    return Err(Error::IllegalOperation.into());
                };
                if rights != CapRights::ALL.0 {
                    return Err(Error::IllegalOperation.into());
                }
                if badge != 0 {
                    self.cancel_badged_sends(at, badge)?;
                }
            }
            I::CNodeRotate => self.decode_rotate(slot, msg)?,
            _ => {
                self.require(msg, 4, 1)?;
                self.require_empty(slot)?;
                let (_, root) = self.extra(msg, 0)?;
                let from = self.lookup_target(root, self.arg(msg, 2), self.arg(msg, 3), true)?;
                let source = from.cap(&self.m);
                if source == Cap::Null {
                    let missing = Lookup::MissingCapability { bits_left: self.arg(msg, 3) };
                    return Err(Error::FailedLookup(true, missing).into());
                }
                match invocation {
                    I::CNodeCopy => {
                        self.require(msg, 5, 1)?;
                        let cap = source.masked(CapRights(self.arg(msg, 4)));
                        let cap = self.derive(from, cap)?;
                        self.copy_checked(cap, from, slot)?;
                    }
                    I::CNodeMint => {
                        self.require(msg, 6, 1)?;
                        let cap = source.masked(CapRights(self.arg(msg, 4)));
                        let cap = self.derive(from, cap.with_data(self.arg(msg, 5), false))?;
                        self.copy_checked(cap, from, slot)?;
                    }
                    I::CNodeMove => self.move_cap(source, from, slot),
                    _ => {
                        self.require(msg, 5, 1)?;
                        let cap = source.with_data(self.arg(msg, 4), true);
                        if cap == Cap::Null {
                            return Err(Error::IllegalOperation.into());
                        }
                        self.move_cap(cap, from, slot);
                    }
                }
            }
        }
        Ok(0)
    }

    fn copy_checked(
        &mut self,
        cap: Cap,
        from: crate::layout::Slot,
        to: crate::layout::Slot,
    ) -> Result<(), Error> {
        if cap == Cap::Null {
            return Err(Error::IllegalOperation);
        }
        self.insert_derived(cap, from, to);
        Ok(())
    }

    /// Rotate: pivot to destination, source to pivot; with destination and source the same slot, an exchange.
    fn decode_rotate(&mut self, dest: crate::layout::Slot, msg: &Message) -> Result<(), Error> {
        self.require(msg, 8, 2)?;
        let [pivot_data, pivot_index, pivot_depth, source_data, source_index, source_depth] =
            [2, 3, 4, 5, 6, 7].map(|i| self.arg(msg, i));
        let (_, pivot_root) = self.extra(msg, 0)?;
        let (_, source_root) = self.extra(msg, 1)?;
        let source = self.lookup_target(source_root, source_index, source_depth, true)?;
        let pivot = self.lookup_target(pivot_root, pivot_index, pivot_depth, true)?;
        if pivot == source || pivot == dest {
            return Err(Error::IllegalOperation);
        }
        if source != dest {
            self.require_empty(dest)?;
        }
        let (source_cap, pivot_cap) = (source.cap(&self.m), pivot.cap(&self.m));
        if source_cap == Cap::Null {
            return Err(Error::FailedLookup(true, Lookup::MissingCapability { bits_left: source_depth }));
        }
        if pivot_cap == Cap::Null {
            return Err(Error::FailedLookup(false, Lookup::MissingCapability { bits_left: pivot_depth }));
        }
        let new_source = source_cap.with_data(source_data, true);
        let new_pivot = pivot_cap.with_data(pivot_data, true);
        if new_source == Cap::Null || new_pivot == Cap::Null {
            return Err(Error::IllegalOperation);
        }
        if source == dest {
            self.swap_caps(new_source, source, new_pivot, pivot);
        } else {
            self.move_cap(new_pivot, pivot, dest);
            self.move_cap(new_source, source, pivot);
        }
        Ok(())
    }
}
