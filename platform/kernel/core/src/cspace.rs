// SPDX-License-Identifier: BSD-2-Clause
//! Capability lookup: from a user's capability address to a slot.

use crate::cap::{self, Cap};
use crate::error::{Error, Lookup};
use crate::kernel::Kernel;
use crate::layout::{Slot, Tcb, TcbSlot};
use crate::machine::Machine;

const WORD_BITS: u64 = 64;

impl<M: Machine> Kernel<M> {
    /// Walks CNodes from `root` along the `depth` low bits of `address`, until the bits are used up or something
    /// that is no CNode is met. Returns the slot and the bits that are left.
    pub fn resolve(&self, root: Cap, address: u64, depth: u64) -> Result<(Slot, u64), Lookup> {
        self.resolve_words(root.encode(), address, depth)
    }

    /// As [`resolve`](Self::resolve), on the words of a slot: every system call comes through here.
    #[inline(always)]
    fn resolve_words(&self, root: [u64; 2], address: u64, depth: u64) -> Result<(Slot, u64), Lookup> {
        let [word0, mut guard] = root;
        let mut left = depth;
        let Some(mut node) = cap::CNodeWord::of(word0) else { return Err(Lookup::InvalidRoot) };
        loop {
            let (radix, guard_size) = (node.radix(), node.guard_size());
            let level = radix + guard_size;
            // The guard has to match wholly; with fewer bits left than it has, it cannot.
            let found = address >> (left.wrapping_sub(guard_size) & (WORD_BITS - 1)) & mask(guard_size);
            if guard_size > left || found != guard {
                return Err(Lookup::GuardMismatch { bits_left: left, guard, guard_size });
            }
            if level > left {
                return Err(Lookup::DepthMismatch { bits_left: left, bits_found: level });
            }
            // Every CNode has two slots at least: each round uses up a bit.
            left -= level;
            let index = address >> (left & (WORD_BITS - 1)) & mask(radix);
            let at = node.at().add(index << kernel_abi::object::SLOT_BITS);
            if left != 0
                && let Some(inner) = cap::CNodeWord::of(self.m.load_at(at, 0))
            {
                node = inner;
                guard = self.m.load_at(at, 8);
                continue;
            }
            return Slot::at(at).map(|slot| (slot, left)).ok_or(Lookup::InvalidRoot);
        }
    }

    /// The slot that a thread's capability address names. Bits may be left over when a slot that is no CNode is met
    /// on the way.
    #[inline(always)]
    pub fn lookup_slot(&self, tcb: Tcb, address: u64) -> Result<Slot, Lookup> {
        let root = tcb.slot(TcbSlot::CSpace);
        let words = [root.word0(&self.m), root.word1(&self.m)];
        self.resolve_words(words, address, WORD_BITS).map(|(slot, _)| slot)
    }

    /// The capability that a thread's capability address names, with its slot.
    #[inline]
    pub fn lookup_cap(&self, tcb: Tcb, address: u64) -> Result<(Slot, Cap), Lookup> {
        let slot = self.lookup_slot(tcb, address)?;
        Ok((slot, slot.cap(&self.m)))
    }

    /// The slot that `index` names with exactly `depth` bits under `root`, as the arguments of CNode operations do.
    /// `source` tells the error which of the two lookups failed.
    pub fn lookup_target(&self, root: Cap, index: u64, depth: u64, source: bool) -> Result<Slot, Error> {
        let Cap::CNode { .. } = root else { return Err(Error::FailedLookup(source, Lookup::InvalidRoot)) };
        if !(1..=WORD_BITS).contains(&depth) {
            return Err(Error::Range(1, WORD_BITS));
        }
        let (slot, left) = self.resolve(root, index, depth).map_err(|l| Error::FailedLookup(source, l))?;
        if left != 0 {
            return Err(Error::FailedLookup(
                source,
                Lookup::DepthMismatch { bits_left: left, bits_found: 0 },
            ));
        }
        Ok(slot)
    }
}

/// `bits` low bits set (0 to 63).
const fn mask(bits: u64) -> u64 {
    (1u64 << (bits & (WORD_BITS - 1))) - 1
}

/// The slot `index` places behind `first`.
#[inline]
pub fn slot_of(first: Slot, index: u64) -> Slot {
    Slot::at(first.addr().add(index << kernel_abi::object::SLOT_BITS)).unwrap_or(first)
}
