// SPDX-License-Identifier: BSD-2-Clause
//! Address spaces: translation tables, frames and address space identifiers.
//!
//! A VSpace is a stage 2 translation (Arm DDI 0487, D8.2 and D8.3) of the shape that the machine has
//! ([`AddressSpace`](kernel_abi::object::AddressSpace)): 4 KiB granule, pages of 4 KiB, 2 MiB and 1 GiB. Invocations as in the seL4 manual, chapter 7.
//! Frames and tables remember where they are mapped by address space identifier (ASID); the pools translate that into
//! the root, so that a VSpace that is gone leaves nothing dangling. Hardware identifiers (VMIDs) are few and are handed
//! to ASIDs as they run.

mod asid;
mod invoke;
#[cfg(test)]
mod tests;

pub use asid::AsidTable;

use crate::PhysAddr;
use crate::cap::{self, Cap, FrameRights, FrameSize, Mapping};
use crate::kernel::Kernel;
use crate::layout::{Tcb, TcbSlot};
use crate::machine::Machine;
use kernel_abi::object as size;

/// Descriptor types and fields (stage 2).
mod descriptor {
    pub const VALID: u64 = 1;
    /// A table above level 3, a page at level 3.
    pub const TABLE_OR_PAGE: u64 = 0b11;
    pub const BLOCK: u64 = 0b01;
    pub const TYPE: u64 = 0b11;
    pub const ADDRESS: u64 = ((1 << 48) - 1) & !0xfff;
    /// MemAttr: Normal, inner and outer write-back.
    pub const NORMAL: u64 = 0b1111 << 2;
    /// MemAttr: Device-nGnRnE.
    pub const DEVICE: u64 = 0;
    pub const READ: u64 = 1 << 6;
    pub const WRITE: u64 = 1 << 7;
    pub const INNER_SHAREABLE: u64 = 3 << 8;
    pub const ACCESS_FLAG: u64 = 1 << 10;
    pub const EXECUTE_NEVER: u64 = 1 << 54;
}

/// How a frame is mapped (`seL4_ARM_VMAttributes`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes(pub u64);

impl Attributes {
    /// Cacheable.
    pub const CACHEABLE: u64 = 1;
    /// Not executable.
    pub const EXECUTE_NEVER: u64 = 4;
    /// Cacheable and executable.
    pub const DEFAULT: Self = Self(3);
}

/// Where a walk ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk {
    /// The entry.
    pub(crate) entry: PhysAddr,
    /// What it holds.
    pub(crate) descriptor: u64,
    /// log2 of the bytes that the entry translates.
    pub(crate) bits: u64,
}

impl Walk {
    fn is_valid(self) -> bool {
        self.descriptor & descriptor::VALID != 0
    }
    fn is_table(self) -> bool {
        self.bits > size::SMALL_PAGE_BITS && self.descriptor & descriptor::TYPE == descriptor::TABLE_OR_PAGE
    }
    fn is_page(self) -> bool {
        self.is_valid() && !self.is_table()
    }
    pub(crate) fn address(self) -> PhysAddr {
        PhysAddr(self.descriptor & descriptor::ADDRESS)
    }
}

/// The descriptor of a frame.
fn page_descriptor(at: PhysAddr, size: FrameSize, rights: FrameRights, attributes: Attributes) -> u64 {
    let kind = if size == FrameSize::Small { descriptor::TABLE_OR_PAGE } else { descriptor::BLOCK };
    let memory =
        if attributes.0 & Attributes::CACHEABLE != 0 { descriptor::NORMAL } else { descriptor::DEVICE };
    let execute = if attributes.0 & Attributes::EXECUTE_NEVER != 0 { descriptor::EXECUTE_NEVER } else { 0 };
    // A frame that may not be read is mapped for nobody.
    let access = match (rights.read, rights.write) {
        (true, true) => descriptor::READ | descriptor::WRITE,
        (true, false) => descriptor::READ,
        (false, _) => 0,
    };
    at.0 & descriptor::ADDRESS
        | kind
        | memory
        | execute
        | access
        | descriptor::INNER_SHAREABLE
        | descriptor::ACCESS_FLAG
}

impl<M: Machine> Kernel<M> {
    /// Follows tables from `root` towards `vaddr` (at most the last user address) until something that is no table.
    pub(crate) fn walk(&self, root: PhysAddr, vaddr: u64) -> Walk {
        let space = self.m.address_space();
        let mut bits = space.root_shift();
        let mut index = vaddr >> bits & ((1 << space.root_index_bits) - 1);
        let mut table = root;
        loop {
            let entry = table.add(index * 8);
            let walk = Walk { entry, descriptor: self.m.load(entry), bits };
            if !walk.is_table() {
                return walk;
            }
            table = walk.address();
            bits -= size::PAGE_TABLE_INDEX_BITS;
            index = vaddr >> bits & ((1 << size::PAGE_TABLE_INDEX_BITS) - 1);
        }
    }

    /// Maps a frame; the walk must have ended at an entry of its size that holds no table.
    pub(crate) fn write_page(
        &mut self,
        walk: Walk,
        mapping: Mapping,
        frame: (PhysAddr, FrameSize),
        rights: FrameRights,
        attributes: Attributes,
    ) {
        let descriptor = page_descriptor(frame.0, frame.1, rights, attributes);
        if walk.is_valid() && walk.descriptor != descriptor {
            // Break before make: the old translation is gone before the new one can be seen.
            self.clear_entry(walk, mapping);
        }
        self.m.store(walk.entry, descriptor);
        self.m.publish_tables();
    }

    /// Maps a table where the walk ended; the entry must be empty.
    pub(crate) fn write_table(&mut self, walk: Walk, table: PhysAddr) {
        self.m.store(walk.entry, table.0 & descriptor::ADDRESS | descriptor::TABLE_OR_PAGE);
        self.m.publish_tables();
    }

    fn clear_entry(&mut self, walk: Walk, mapping: Mapping) {
        self.m.store(walk.entry, 0);
        self.m.publish_tables();
        if let Some(vmid) = self.vmid_in_use(mapping.asid) {
            if walk.is_table() {
                self.m.tlb_invalidate_vmid(vmid);
            } else {
                self.m.tlb_invalidate_page(vmid, mapping.vaddr);
            }
        }
    }

    /// Unmaps a frame from where its capability says that it is mapped. Nothing happens when it no longer is.
    pub fn unmap_frame(&mut self, at: PhysAddr, size: FrameSize, mapping: Mapping) {
        let Some(root) = self.vspace_of(mapping.asid) else { return };
        let walk = self.walk(root, mapping.vaddr);
        if walk.bits == size.bits() && walk.is_page() && walk.address() == at {
            self.clear_entry(walk, mapping);
        }
    }

    /// Unmaps a table from where its capability says that it is mapped. Nothing happens when it no longer is.
    pub fn unmap_page_table(&mut self, at: PhysAddr, mapping: Mapping) {
        let Some(root) = self.vspace_of(mapping.asid) else { return };
        let space = self.m.address_space();
        let mut bits = space.root_shift();
        let mut index = mapping.vaddr >> bits & ((1 << space.root_index_bits) - 1);
        let mut table = root;
        loop {
            let entry = table.add(index * 8);
            let walk = Walk { entry, descriptor: self.m.load(entry), bits };
            if !walk.is_table() {
                return;
            }
            if walk.address() == at {
                self.clear_entry(walk, mapping);
                return;
            }
            table = walk.address();
            bits -= size::PAGE_TABLE_INDEX_BITS;
            index = mapping.vaddr >> bits & ((1 << size::PAGE_TABLE_INDEX_BITS) - 1);
        }
    }

    /// What the loss of `cap` means for translation; `last`: it was the last one to its object.
    pub fn finalise_vspace(&mut self, cap: Cap, last: bool) {
        match cap {
            Cap::Frame { at, size, mapping: Some(mapping), .. } => self.unmap_frame(at, size, mapping),
            Cap::PageTable { at, mapping: Some(mapping) } if last => self.unmap_page_table(at, mapping),
            Cap::VSpace { at, asid: Some(asid) } if last => self.delete_asid(asid, at),
            Cap::AsidPool { at, base } if last => self.delete_asid_pool(base, at),
            _ => {}
        }
    }

    /// Puts a thread's translation into the hardware; an address space that is missing or gone maps nothing. Returns it
    /// as a word.
    pub fn load_vspace(&mut self, tcb: Tcb) -> u64 {
        const SLOT: u64 = (TcbSlot::VSpace as u64) << size::SLOT_BITS;
        let word0 = self.m.load_at(tcb.addr(), SLOT);
        if word0 >> cap::TAG_SHIFT == cap::tag::VSPACE {
            let at = PhysAddr(word0 & cap::ADDR_MASK);
            // ASID 0 is in no pool's hands: a VSpace that has none maps nothing.
            let asid = self.m.load_at(tcb.addr(), SLOT + 8) as u16;
            if let Some(vmid) = self.vmid_of(asid, at) {
                self.m.set_vspace(Some((at, vmid)));
                return self.m.space_word(Some((at, vmid)));
            }
        }
        self.m.set_vspace(None);
        self.m.space_word(None)
    }
}
