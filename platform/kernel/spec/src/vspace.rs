// SPDX-License-Identifier: BSD-2-Clause
//! Address spaces: tables, frames, ASIDs (manual 7; `seL4_ARM_*`).
//!
//! An address space is a tree of tables. With 40-bit addresses its root translates bits 39:30, a table below it bits
//! 29:21 and one below that bits 20:12. A frame fits where its size is what an entry covers.

use crate::cap::{Cap, FrameRights, Mapping};
use crate::error::{Error, Lookup};
use crate::state::{Obj, Slot, State};
use crate::syscall::{Invocation, Words};
use kernel_abi::{Invocation as Label, object};

/// An entry of a translation table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The next table.
    Table(Obj),
    /// A frame.
    Frame {
        /// Which.
        obj: Obj,
        /// Access.
        rights: FrameRights,
        /// Cached memory (else device-like).
        cached: bool,
        /// May be executed.
        executable: bool,
    },
}

/// Where the translation of an address ends.
struct Walk {
    table: Obj,
    index: u64,
    /// log2 of what the entry covers.
    bits: u64,
    entry: Option<Entry>,
}

impl State {
    fn walk(&self, root: Obj, vaddr: u64) -> Walk {
        let shape = self.config.address_space;
        let (mut table, mut bits) = (root, shape.root_shift());
        let mut index_bits = shape.root_index_bits;
        loop {
            let index = vaddr >> bits & ((1 << index_bits) - 1);
            let entry = self.tables.get(&table).and_then(|t| t.get(&index)).copied();
            match entry {
                Some(Entry::Table(next)) if bits > object::SMALL_PAGE_BITS => {
                    table = next;
                    bits -= object::PAGE_TABLE_INDEX_BITS;
                    index_bits = object::PAGE_TABLE_INDEX_BITS;
                }
                _ => return Walk { table, index, bits, entry },
            }
        }
    }

    fn set_entry(&mut self, walk: &Walk, entry: Option<Entry>) {
        let table = self.tables.entry(walk.table).or_default();
        match entry {
            Some(entry) => table.insert(walk.index, entry),
            None => table.remove(&walk.index),
        };
    }

    /// A frame capability that was mapped is deleted or unmapped: if the frame is still there, its entry goes.
    ///
    /// Changes: the entry.
    pub(crate) fn unmap_frame(&mut self, frame: Obj, bits: u64, mapping: Mapping) {
        let Some(&root) = self.asids.get(&mapping.asid) else { return };
        let walk = self.walk(root, mapping.vaddr);
        if walk.bits == bits && matches!(walk.entry, Some(Entry::Frame { obj, .. }) if obj == frame) {
            self.set_entry(&walk, None);
        }
    }

    /// A page table that was mapped is destroyed or unmapped: if it is still there, its entry goes.
    ///
    /// Changes: the entry.
    pub(crate) fn unmap_table(&mut self, table: Obj, mapping: Mapping) {
        let Some(&root) = self.asids.get(&mapping.asid) else { return };
        let shape = self.config.address_space;
        let mut at = Walk { table: root, index: 0, bits: shape.root_shift(), entry: None };
        let mut index_bits = shape.root_index_bits;
        while at.bits > object::SMALL_PAGE_BITS {
            at.index = mapping.vaddr >> at.bits & ((1 << index_bits) - 1);
            match self.tables.get(&at.table).and_then(|t| t.get(&at.index)).copied() {
                Some(Entry::Table(next)) if next == table => return self.set_entry(&at, None),
                Some(Entry::Table(next)) => {
                    at.table = next;
                    at.bits -= object::PAGE_TABLE_INDEX_BITS;
                    index_bits = object::PAGE_TABLE_INDEX_BITS;
                }
                _ => return,
            }
        }
    }

    /// An address space ends: its ASID is free again.
    ///
    /// Changes: the ASID table.
    pub(crate) fn delete_asid(&mut self, asid: u64, root: Obj) {
        if self.asids.get(&asid) == Some(&root) {
            self.asids.remove(&asid);
        }
    }

    /// An ASID pool ends, and all its address spaces have no ASID any more.
    ///
    /// Changes: the ASID table and pools.
    pub(crate) fn delete_asid_pool(&mut self, base: u64, pool: Obj) {
        if self.asid_pools.get(&base) == Some(&pool) {
            self.asid_pools.remove(&base);
            self.asids.retain(|asid, _| {
                asid >> object::ASID_POOL_INDEX_BITS << object::ASID_POOL_INDEX_BITS != base
            });
        }
    }

    /// The address space that an extra capability names, with its ASID.
    fn space(&self, slot: Slot) -> Result<(Obj, u64), Error> {
        let Some(Cap::VSpace { obj, asid: Some(asid) }) = self.cap(slot) else {
            return Err(Error::InvalidCapability(1));
        };
        Ok((obj, asid))
    }

    /// Refuses an address space whose ASID is gone or belongs to another one. `number` of the capability.
    fn check_asid(&self, root: Obj, asid: u64, number: u64) -> Result<(), Error> {
        match self.asids.get(&asid) {
            None => Err(Error::FailedLookup { source: false, why: Lookup::InvalidRoot }),
            Some(&found) if found != root => Err(Error::InvalidCapability(number)),
            Some(_) => Ok(()),
        }
    }

    /// `ARMPageTableMap(vspace; vaddr, attr)`: puts the table where translation of `vaddr` ends for want of one.
    /// `ARMPageTableUnmap()`, by the only capability to it.
    ///
    /// Changes: the entry above, where the capability says it is mapped; an unmapped table is empty again.
    pub(crate) fn table_invocation(
        &mut self,
        slot: Slot,
        cap: Cap,
        call: &Invocation,
    ) -> Result<Words, Error> {
        let Cap::PageTable { obj, mapping } = cap else { return Err(Error::IllegalOperation) };
        match call.label {
            Some(Label::ArmPageTableUnmap) => {
                if !self.is_last(slot) {
                    return Err(Error::RevokeFirst);
                }
                if let Some(mapping) = mapping {
                    self.unmap_table(obj, mapping);
                    self.tables.entry(obj).or_default().clear();
                }
                self.caps.insert(slot, Cap::PageTable { obj, mapping: None });
            }
            Some(Label::ArmPageTableMap) => {
                call.needs(2, 1)?;
                if mapping.is_some() {
                    return Err(Error::InvalidCapability(0));
                }
                let vaddr = call.words[0];
                let (root, asid) = self.space(call.extra[0])?;
                if vaddr > self.config.address_space.top() {
                    return Err(Error::InvalidArgument(0));
                }
                self.check_asid(root, asid, 1)?;
                let walk = self.walk(root, vaddr);
                if walk.bits == object::SMALL_PAGE_BITS || walk.entry.is_some() {
                    return Err(Error::DeleteFirst);
                }
                self.set_entry(&walk, Some(Entry::Table(obj)));
                let mapping = Some(Mapping { asid, vaddr: vaddr >> walk.bits << walk.bits });
                self.caps.insert(slot, Cap::PageTable { obj, mapping });
            }
            _ => return Err(Error::IllegalOperation),
        }
        Ok(vec![])
    }

    /// An invocation of a frame. `ARMPageMap(vspace; vaddr, rights, attributes)`: maps it, or maps it again at the
    /// same place with other rights. `ARMPageUnmap()`. `ARMPageGetAddress() -> address`. Cache operations
    /// `(start, end)` inside the frame, of a mapped one.
    ///
    /// Changes: the entry, where the capability says it is mapped.
    pub(crate) fn frame_invocation(
        &mut self,
        slot: Slot,
        cap: Cap,
        call: &Invocation,
    ) -> Result<Words, Error> {
        use Label::*;
        let Cap::Frame { obj, bits, rights, device, mapping } = cap else {
            return Err(Error::IllegalOperation);
        };
        match call.label {
            Some(ArmPageMap) => {
                call.needs(3, 1)?;
                let (vaddr, attributes) = (call.words[0], call.words[2]);
                let access = rights.masked(call.words[1]);
                let (root, asid) = self.space(call.extra[0])?;
                self.check_asid(root, asid, 1)?;
                if vaddr % (1 << bits) != 0 {
                    return Err(Error::Alignment);
                }
                match mapping {
                    Some(mapping) if mapping.asid != asid => return Err(Error::InvalidCapability(1)),
                    Some(mapping) if mapping.vaddr != vaddr => return Err(Error::InvalidArgument(0)),
                    None if vaddr.saturating_add((1 << bits) - 1) > self.config.address_space.top() => {
                        return Err(Error::InvalidArgument(0));
                    }
                    _ => {}
                }
                let walk = self.walk(root, vaddr);
                if walk.bits != bits {
                    let why = Lookup::MissingCapability { bits_left: walk.bits };
                    return Err(Error::FailedLookup { source: false, why });
                }
                let entry = Entry::Frame {
                    obj,
                    rights: access,
                    cached: attributes & 1 != 0,
                    executable: attributes & 4 == 0,
                };
                self.set_entry(&walk, Some(entry));
                let mapping = Some(Mapping { asid, vaddr });
                self.caps.insert(slot, Cap::Frame { obj, bits, rights, device, mapping });
            }
            Some(ArmPageUnmap) => {
                if let Some(mapping) = mapping {
                    self.unmap_frame(obj, bits, mapping);
                }
                self.caps.insert(slot, Cap::Frame { obj, bits, rights, device, mapping: None });
            }
            Some(ArmPageGetAddress) => return Ok(vec![obj.0]),
            Some(
                ArmPageCleanData
                | ArmPageInvalidateData
                | ArmPageCleanInvalidateData
                | ArmPageUnifyInstruction,
            ) => {
                call.needs(2, 0)?;
                let Some(mapping) = mapping else { return Err(Error::IllegalOperation) };
                if !self.asids.contains_key(&mapping.asid) {
                    return Err(Error::FailedLookup { source: false, why: Lookup::InvalidRoot });
                }
                let (start, end) = (call.words[0], call.words[1]);
                if end <= start {
                    return Err(Error::InvalidArgument(1));
                }
                if start >= 1 << bits || end > 1 << bits {
                    return Err(Error::InvalidArgument(0));
                }
                let (first, past) = self.config.memory;
                if obj.0 + start < first || obj.0 + end > past {
                    return Err(Error::IllegalOperation);
                }
            }
            _ => return Err(Error::IllegalOperation),
        }
        Ok(vec![])
    }

    /// Cache operations on an address space, `(start, end)` inside one page of ordinary memory (the kernel has no other
    /// mapped: seL4 checks this for frames only); nothing happens where nothing is mapped.
    ///
    /// Changes: nothing here.
    pub(crate) fn vspace_invocation(&mut self, cap: Cap, call: &Invocation) -> Result<Words, Error> {
        use Label::*;
        let Cap::VSpace { obj, asid } = cap else { return Err(Error::IllegalOperation) };
        match call.label {
            Some(
                ArmVSpaceCleanData
                | ArmVSpaceInvalidateData
                | ArmVSpaceCleanInvalidateData
                | ArmVSpaceUnifyInstruction,
            ) => {}
            _ => return Err(Error::IllegalOperation),
        }
        call.needs(2, 0)?;
        let (start, end) = (call.words[0], call.words[1]);
        if end <= start {
            return Err(Error::InvalidArgument(1));
        }
        if end > self.config.address_space.top() {
            return Err(Error::IllegalOperation);
        }
        let asid = asid.ok_or(Error::InvalidCapability(0))?;
        self.check_asid(obj, asid, 0)?;
        let walk = self.walk(obj, start);
        if let Some(Entry::Frame { obj: frame, .. }) = walk.entry {
            if start >> walk.bits != (end - 1) >> walk.bits {
                return Err(Error::Range(start, start | ((1 << walk.bits) - 1)));
            }
            let at = frame.0 + (start & ((1 << walk.bits) - 1));
            let (first, past) = self.config.memory;
            if at < first || at + (end - start) > past {
                return Err(Error::IllegalOperation);
            }
        }
        Ok(vec![])
    }

    /// `ARMASIDControlMakePool(untyped, root; index, depth)`: a whole untyped of the size of a pool becomes one.
    ///
    /// Changes: the slot, the untyped (used up), the pools, the memory of the untyped (zeroed).
    pub(crate) fn asid_control_invocation(&mut self, call: &Invocation) -> Result<Words, Error> {
        if call.label != Some(Label::ArmAsidControlMakePool) {
            return Err(Error::IllegalOperation);
        }
        call.needs(2, 2)?;
        let (index, depth) = (call.words[0], call.words[1]);
        let pools = 0..1u64 << object::ASID_HIGH_BITS;
        let free =
            pools.map(|i| i << object::ASID_POOL_INDEX_BITS).find(|b| !self.asid_pools.contains_key(b));
        let base = free.ok_or(Error::DeleteFirst)?;
        let source = call.extra[0];
        let obj = match self.cap(source) {
            Some(Cap::Untyped { base, bits: object::ASID_POOL_BITS, device: false, .. }) => base,
            _ => return Err(Error::InvalidCapability(1)),
        };
        if self.has_children(source) {
            return Err(Error::RevokeFirst);
        }
        let target = self.lookup_target(self.cap(call.extra[1]), index, depth, false)?;
        self.require_empty(target)?;
        let bits = object::ASID_POOL_BITS;
        self.memory.retain(|&at, _| at < obj.0 || at >= obj.0 + (1 << bits));
        self.caps.insert(source, Cap::Untyped { base: obj, bits, device: false, used: 1 << bits });
        self.insert_new(Cap::AsidPool { obj, base }, source, target);
        self.asid_pools.insert(base, obj);
        Ok(vec![])
    }

    /// `ARMASIDPoolAssign(vspace)`: the first free ASID of the pool (never 0) goes to an address space without one.
    ///
    /// Changes: what that capability says, the ASID table.
    pub(crate) fn asid_pool_invocation(
        &mut self,
        pool: Obj,
        base: u64,
        call: &Invocation,
    ) -> Result<Words, Error> {
        if call.label != Some(Label::ArmAsidPoolAssign) {
            return Err(Error::IllegalOperation);
        }
        call.needs(0, 1)?;
        let Some(Cap::VSpace { obj, asid: None }) = self.cap(call.extra[0]) else {
            return Err(Error::InvalidCapability(1));
        };
        match self.asid_pools.get(&base) {
            None => return Err(Error::FailedLookup { source: false, why: Lookup::InvalidRoot }),
            Some(&found) if found != pool => return Err(Error::InvalidCapability(0)),
            Some(_) => {}
        }
        let asids = base.max(1)..base + (1 << object::ASID_POOL_INDEX_BITS);
        let asid = { asids }.find(|a| !self.asids.contains_key(a)).ok_or(Error::DeleteFirst)?;
        self.asids.insert(asid, obj);
        self.caps.insert(call.extra[0], Cap::VSpace { obj, asid: Some(asid) });
        Ok(vec![])
    }
}
