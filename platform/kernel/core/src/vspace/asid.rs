// SPDX-License-Identifier: BSD-2-Clause
//! Address space identifiers: pools, and the hardware's identifiers (VMIDs) that they borrow.
//!
//! A pool holds 512 words: the root's address with, in its low bits, the VMID if it has one. VMID 0 is the machine's own
//! for "nothing is mapped".

use crate::PhysAddr;
use crate::error::{Error, Lookup};
use crate::kernel::Kernel;
use crate::machine::Machine;
use kernel_abi::object as size;

/// Number of pools.
const POOLS: usize = 1 << size::ASID_HIGH_BITS;
/// ASIDs in a pool.
const POOL_SIZE: u64 = 1 << size::ASID_POOL_INDEX_BITS;
/// Number of VMIDs (8 bits).
const VMIDS: usize = 256;

/// Fields of a pool's word.
const ROOT: u64 = !((1 << size::PAGE_TABLE_BITS) - 1);
const HAS_VMID: u64 = 1 << 8;
const VMID: u64 = 0xff;

/// Which pools exist and which ASID has which VMID.
#[derive(Clone, Debug)]
pub struct AsidTable {
    pools: [u64; POOLS],
    owners: [u16; VMIDS],
    next_vmid: u8,
}

impl Default for AsidTable {
    fn default() -> Self {
        Self::new()
    }
}

impl AsidTable {
    /// No pools.
    pub const fn new() -> Self {
        Self { pools: [0; POOLS], owners: [0; VMIDS], next_vmid: 1 }
    }

    /// The pool whose first ASID is `base`.
    #[inline(always)]
    pub fn pool(&self, base: u16) -> Option<PhysAddr> {
        self.pools
            .get(usize::from(base >> size::ASID_POOL_INDEX_BITS))
            .filter(|&&p| p != 0)
            .map(|&p| PhysAddr(p))
    }

    /// First ASID of a pool that does not exist yet.
    pub fn free_base(&self) -> Option<u16> {
        let index = self.pools.iter().position(|&p| p == 0)?;
        u16::try_from(index << size::ASID_POOL_INDEX_BITS).ok()
    }

    /// Sets or clears a pool.
    pub fn set_pool(&mut self, base: u16, pool: Option<PhysAddr>) {
        if let Some(entry) = self.pools.get_mut(usize::from(base >> size::ASID_POOL_INDEX_BITS)) {
            *entry = pool.map_or(0, |p| p.0);
        }
    }
}

impl<M: Machine> Kernel<M> {
    #[inline(always)]
    fn asid_entry(&self, asid: u16) -> Option<PhysAddr> {
        Some(self.asids.pool(asid)?.add(u64::from(asid) % POOL_SIZE * 8))
    }

    /// The root that an ASID stands for.
    #[inline]
    pub fn vspace_of(&self, asid: u16) -> Option<PhysAddr> {
        let root = self.m.load(self.asid_entry(asid)?) & ROOT;
        (root != 0).then_some(PhysAddr(root))
    }

    /// As [`Self::vspace_of`], with the error an invocation gives.
    pub(crate) fn require_vspace_of(&self, asid: u16) -> Result<PhysAddr, Error> {
        self.vspace_of(asid).ok_or(Error::FailedLookup(false, Lookup::InvalidRoot))
    }

    /// The VMID that an ASID has at present, if any.
    pub fn vmid_in_use(&self, asid: u16) -> Option<u8> {
        let word = self.m.load(self.asid_entry(asid)?);
        (word & HAS_VMID != 0).then_some((word & VMID) as u8)
    }

    /// The VMID of an ASID that stands for `root`; gives it one if it has none.
    pub(crate) fn vmid_of(&mut self, asid: u16, root: PhysAddr) -> Option<u8> {
        let entry = self.asid_entry(asid)?;
        let word = self.m.load(entry);
        if word & ROOT != root.0 {
            return None;
        }
        if word & HAS_VMID != 0 {
            return Some((word & VMID) as u8);
        }
        let vmid = self.take_vmid(asid);
        self.m.store(entry, word & ROOT | HAS_VMID | u64::from(vmid));
        Some(vmid)
    }

    #[cold]
    /// A VMID for `asid`: a free one, or else the next in turn, taken from its owner.
    fn take_vmid(&mut self, asid: u16) -> u8 {
        let free = (1..=u8::MAX).find(|&vmid| self.asids.owners[usize::from(vmid)] == 0);
        let vmid = free.unwrap_or_else(|| {
            let vmid = self.asids.next_vmid;
            self.asids.next_vmid = vmid.checked_add(1).unwrap_or(1);
            self.drop_vmid(vmid);
            vmid
        });
        self.asids.owners[usize::from(vmid)] = asid;
        vmid
    }

    /// Takes a VMID from its owner; its translations are forgotten.
    fn drop_vmid(&mut self, vmid: u8) {
        self.forget_switches();
        let owner = core::mem::take(&mut self.asids.owners[usize::from(vmid)]);
        if owner != 0
            && let Some(entry) = self.asid_entry(owner)
        {
            let word = self.m.load(entry);
            self.m.store(entry, word & ROOT);
        }
        self.m.tlb_invalidate_vmid(vmid);
    }

    /// Gives a root the first free ASID of a pool.
    pub(crate) fn assign_asid(&mut self, base: u16, pool: PhysAddr, root: PhysAddr) -> Option<u16> {
        let first = if base == 0 { 1 } else { 0 };
        let index = (first..POOL_SIZE).find(|&i| self.m.load(pool.add(i * 8)) == 0)?;
        self.m.store(pool.add(index * 8), root.0 & ROOT);
        Some(base | index as u16)
    }

    /// An ASID no longer stands for `root` (its VSpace is being destroyed).
    pub fn delete_asid(&mut self, asid: u16, root: PhysAddr) {
        let Some(entry) = self.asid_entry(asid) else { return };
        if self.m.load(entry) & ROOT != root.0 {
            return;
        }
        if let Some(vmid) = self.vmid_in_use(asid) {
            self.drop_vmid(vmid);
        }
        self.m.store(entry, 0);
        self.reload_vspace();
    }

    /// A pool is being destroyed, and with it the ASIDs in it.
    pub fn delete_asid_pool(&mut self, base: u16, pool: PhysAddr) {
        if self.asids.pool(base) != Some(pool) {
            return;
        }
        for index in 0..POOL_SIZE {
            let word = self.m.load(pool.add(index * 8));
            if word & HAS_VMID != 0 {
                self.drop_vmid((word & VMID) as u8);
            }
        }
        self.asids.set_pool(base, None);
        self.reload_vspace();
    }

    /// Makes the hardware follow a change of address space of the thread whose state is loaded.
    fn reload_vspace(&mut self) {
        self.forget_switches();
        if let Some(tcb) = self.loaded {
            self.load_vspace(tcb);
        }
    }
}
