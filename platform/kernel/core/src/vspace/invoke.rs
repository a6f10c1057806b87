// SPDX-License-Identifier: BSD-2-Clause
//! Invocations of frames, tables, VSpaces and ASID capabilities (seL4 manual, sections 7.1 and 10.3).

use super::Attributes;
use crate::PhysAddr;
use crate::cap::{Cap, FrameRights, Mapping};
use crate::error::{Error, Lookup};
use crate::invoke::{Message, Outcome};
use crate::kernel::Kernel;
use crate::layout::Slot;
use crate::machine::{CacheOp, Machine};
use kernel_abi::{CapRights, Invocation, object as size};

/// Bytes of cache maintenance between two preemption points.
const CACHE_PIECE: u64 = 32 << 10;
/// Register of the first message word.
const FIRST_WORD: usize = 2;

impl<M: Machine> Kernel<M> {
    /// Handles an invocation of `cap` (in `slot`), which is a frame, a table, a VSpace, or an ASID capability.
    pub fn decode_vspace(&mut self, slot: Slot, cap: Cap, msg: &Message) -> Outcome {
        use Invocation as I;
        let Some(invocation) = msg.invocation else { return Err(Error::IllegalOperation.into()) };
        match (cap, invocation) {
            (Cap::Frame { .. }, I::ArmPageMap) => self.page_map(slot, cap, msg),
            (Cap::Frame { at, size, mapping, .. }, I::ArmPageUnmap) => {
                if let Some(mapping) = mapping {
                    self.unmap_frame(at, size, mapping);
                    slot.set_cap(&mut self.m, with_mapping(cap, None));
                }
                Ok(0)
            }
            (Cap::Frame { at, .. }, I::ArmPageGetAddress) => {
                self.answer(msg, 0, at.0);
                Ok(1)
            }
            (Cap::Frame { .. }, _) => match cache_op(invocation) {
                Some((op, false)) => self.page_cache(op, cap, msg),
                _ => Err(Error::IllegalOperation.into()),
            },
            (Cap::PageTable { .. }, I::ArmPageTableMap) => self.page_table_map(slot, cap, msg),
            (Cap::PageTable { at, mapping }, I::ArmPageTableUnmap) => {
                if !self.is_final(slot) {
                    return Err(Error::RevokeFirst.into());
                }
                if let Some(mapping) = mapping {
                    self.unmap_page_table(at, mapping);
                    self.m.zero(at, 1 << size::PAGE_TABLE_BITS);
                    slot.set_cap(&mut self.m, with_mapping(cap, None));
                }
                Ok(0)
            }
            (Cap::VSpace { .. }, _) => match cache_op(invocation) {
                Some((op, true)) => self.vspace_cache(op, cap, msg),
                _ => Err(Error::IllegalOperation.into()),
            },
            (Cap::AsidControl, I::ArmAsidControlMakePool) => self.make_asid_pool(msg),
            (Cap::AsidPool { at, base }, I::ArmAsidPoolAssign) => self.asid_pool_assign(at, base, msg),
            _ => Err(Error::IllegalOperation.into()),
        }
    }

    /// The root behind extra capability 0, which has to be a VSpace with an ASID, and that ASID.
    fn target_vspace(&self, msg: &Message) -> Result<(PhysAddr, u16), Error> {
        let (_, Cap::VSpace { at, asid: Some(asid) }) = self.extra(msg, 0)? else {
            return Err(Error::InvalidCapability(1));
        };
        if self.require_vspace_of(asid)? == at { Ok((at, asid)) } else { Err(Error::InvalidCapability(1)) }
    }

    fn page_map(&mut self, slot: Slot, cap: Cap, msg: &Message) -> Outcome {
        let Cap::Frame { at, size, rights, mapping, .. } = cap else {
            return Err(Error::InvalidCapability(0).into());
        };
        self.require(msg, 3, 1)?;
        let (vaddr, wanted, attributes) =
            (self.arg(msg, 0), CapRights(self.arg(msg, 1)), Attributes(self.arg(msg, 2)));
        let (root, asid) = self.target_vspace(msg)?;
        if vaddr & ((1 << size.bits()) - 1) != 0 {
            return Err(Error::Alignment.into());
        }
        match mapping {
            Some(old) if old.asid != asid => return Err(Error::InvalidCapability(1).into()),
            Some(old) if old.vaddr != vaddr => return Err(Error::InvalidArgument(0).into()),
            // Aligned: the first byte below the top means that the last one is, too.
            None if vaddr > self.m.address_space().top() => return Err(Error::InvalidArgument(0).into()),
            _ => {}
        }
        let walk = self.walk(root, vaddr);
        if walk.bits != size.bits() {
            let lookup = Lookup::MissingCapability { bits_left: walk.bits };
            return Err(Error::FailedLookup(false, lookup).into());
        }
        let rights = FrameRights {
            read: rights.read && wanted.has(CapRights::READ),
            write: rights.write && wanted.has(CapRights::WRITE),
        };
        let mapping = Mapping { asid, vaddr };
        slot.set_cap(&mut self.m, with_mapping(cap, Some(mapping)));
        self.write_page(walk, mapping, (at, size), rights, attributes);
        Ok(0)
    }

    fn page_table_map(&mut self, slot: Slot, cap: Cap, msg: &Message) -> Outcome {
        let Cap::PageTable { at, mapping } = cap else { return Err(Error::InvalidCapability(0).into()) };
        self.require(msg, 2, 1)?;
        if mapping.is_some() {
            return Err(Error::InvalidCapability(0).into());
        }
        let vaddr = self.arg(msg, 0);
        let is_vspace = matches!(self.extra(msg, 0)?.1, Cap::VSpace { asid: Some(_), .. });
        if is_vspace && vaddr > self.m.address_space().top() {
            return Err(Error::InvalidArgument(0).into());
        }
        let (root, asid) = self.target_vspace(msg)?;
        let walk = self.walk(root, vaddr);
        if walk.is_valid() || walk.bits == size::SMALL_PAGE_BITS {
            return Err(Error::DeleteFirst.into());
        }
        let vaddr = vaddr & !((1 << walk.bits) - 1);
        slot.set_cap(&mut self.m, with_mapping(cap, Some(Mapping { asid, vaddr })));
        self.write_table(walk, at);
        Ok(0)
    }

    fn page_cache(&mut self, op: CacheOp, cap: Cap, msg: &Message) -> Outcome {
        let Cap::Frame { at, size, device, mapping, .. } = cap else {
            return Err(Error::InvalidCapability(0).into());
        };
        self.require(msg, 2, 0)?;
        let (start, end) = (self.arg(msg, 0), self.arg(msg, 1));
        let Some(mapping) = mapping else { return Err(Error::IllegalOperation.into()) };
        self.require_vspace_of(mapping.asid)?;
        if end <= start {
            return Err(Error::InvalidArgument(1).into());
        }
        let bytes = 1 << size.bits();
        if start >= bytes || end > bytes {
            return Err(Error::InvalidArgument(0).into());
        }
        if device {
            return Err(Error::IllegalOperation.into());
        }
        self.maintain(op, at.add(start), end - start, msg)
    }

    fn vspace_cache(&mut self, op: CacheOp, cap: Cap, msg: &Message) -> Outcome {
        self.require(msg, 2, 0)?;
        let (start, end) = (self.arg(msg, 0), self.arg(msg, 1));
        if end <= start {
            return Err(Error::InvalidArgument(1).into());
        }
        // As seL4 has it: the last byte of user space cannot be asked for.
        if end > self.m.address_space().top() {
            return Err(Error::IllegalOperation.into());
        }
        let Cap::VSpace { at, asid: Some(asid) } = cap else {
            return Err(Error::InvalidCapability(0).into());
        };
        if self.require_vspace_of(asid)? != at {
            return Err(Error::InvalidCapability(0).into());
        }
        let walk = self.walk(at, start);
        if !walk.is_page() {
            // Nothing is mapped: nothing of it can be in a cache.
            return Ok(0);
        }
        let offset = start & ((1 << walk.bits) - 1);
        let first = start - offset;
        let last = first + ((1 << walk.bits) - 1);
        if end - 1 > last {
            return Err(Error::Range(start, last).into());
        }
        let target = walk.address().add(offset);
        if !self.m.is_ram(target, end - start) {
            return Err(Error::IllegalOperation.into());
        }
        self.maintain(op, target, end - start, msg)
    }

    /// Cache maintenance, in pieces with preemption points between them. A call that is stopped starts again behind what
    /// is done: its first word, where the range starts, is moved there.
    fn maintain(&mut self, op: CacheOp, at: PhysAddr, bytes: u64, msg: &Message) -> Outcome {
        let (mut at, mut left) = (at, bytes);
        while left > CACHE_PIECE {
            self.m.cache(op, at, CACHE_PIECE);
            (at, left) = (at.add(CACHE_PIECE), left - CACHE_PIECE);
            if let Err(stop) = self.preemption_check() {
                let start = self.arg(msg, 0) + (bytes - left);
                msg.caller.set_reg(&mut self.m, FIRST_WORD, start);
                return Err(stop);
            }
        }
        self.m.cache(op, at, left);
        Ok(0)
    }

    fn make_asid_pool(&mut self, msg: &Message) -> Outcome {
        self.require(msg, 2, 2)?;
        let (index, depth) = (self.arg(msg, 0), self.arg(msg, 1));
        let (untyped_slot, untyped) = self.extra(msg, 0)?;
        let (_, root) = self.extra(msg, 1)?;
        let base = self.asids.free_base().ok_or(Error::DeleteFirst)?;
        let Cap::Untyped { at, bits, device: false, .. } = untyped else {
            return Err(Error::InvalidCapability(1).into());
        };
        if u64::from(bits) != size::ASID_POOL_BITS {
            return Err(Error::InvalidCapability(1).into());
        }
        if self.has_children(untyped_slot) {
            return Err(Error::RevokeFirst.into());
        }
        let target = self.lookup_target(root, index, depth, false)?;
        self.require_empty(target)?;
        self.m.zero(at, 1 << bits);
        untyped_slot
            .set_cap(&mut self.m, Cap::Untyped { at, bits, device: false, used: 1 << bits, zeroing: false });
        self.insert_new_object(Cap::AsidPool { at, base }, untyped_slot, target);
        self.asids.set_pool(base, Some(at));
        Ok(0)
    }

    fn asid_pool_assign(&mut self, at: PhysAddr, base: u16, msg: &Message) -> Outcome {
        self.require(msg, 0, 1)?;
        let (slot, Cap::VSpace { at: root, asid: None }) = self.extra(msg, 0)? else {
            return Err(Error::InvalidCapability(1).into());
        };
        match self.asids.pool(base) {
            None => return Err(Error::FailedLookup(false, Lookup::InvalidRoot).into()),
            Some(pool) if pool != at => return Err(Error::InvalidCapability(0).into()),
            Some(_) => {}
        }
        let asid = self.assign_asid(base, at, root).ok_or(Error::DeleteFirst)?;
        slot.set_cap(&mut self.m, Cap::VSpace { at: root, asid: Some(asid) });
        // Whose space was gone may have it again.
        self.forget_switches();
        Ok(0)
    }
}

/// The capability with another mapping.
fn with_mapping(cap: Cap, mapping: Option<Mapping>) -> Cap {
    match cap {
        Cap::Frame { at, size, rights, device, .. } => Cap::Frame { at, size, rights, device, mapping },
        Cap::PageTable { at, .. } => Cap::PageTable { at, mapping },
        other => other,
    }
}

/// The cache operation that an invocation asks for, and whether it is one of a VSpace (or else of a page).
fn cache_op(invocation: Invocation) -> Option<(CacheOp, bool)> {
    use Invocation as I;
    Some(match invocation {
        I::ArmVSpaceCleanData => (CacheOp::Clean, true),
        I::ArmVSpaceInvalidateData => (CacheOp::Invalidate, true),
        I::ArmVSpaceCleanInvalidateData => (CacheOp::CleanInvalidate, true),
        I::ArmVSpaceUnifyInstruction => (CacheOp::Unify, true),
        I::ArmPageCleanData => (CacheOp::Clean, false),
        I::ArmPageInvalidateData => (CacheOp::Invalidate, false),
        I::ArmPageCleanInvalidateData => (CacheOp::CleanInvalidate, false),
        I::ArmPageUnifyInstruction => (CacheOp::Unify, false),
        _ => return None,
    })
}
