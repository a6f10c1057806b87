// SPDX-License-Identifier: BSD-2-Clause
//! Capability lookup: from a user's capability address to a slot.

use crate::cap::{self, Cap};
use crate::error::{Error, Lookup};
use crate::kernel::Kernel;
use crate::layout::{Slot, Tcb, TcbSlot};
use crate::machine::Machine;

const WORD_BITS: u64 = 64;

/// What the fast paths have looked up, as a processor remembers translations: a thread's capability address, and the
/// slot that it names. What a lookup finds depends on nothing but CNode capabilities on the way, the first of them in
/// the thread; whenever a slot gets or loses one (`Kernel::put`), everything is forgotten.
#[derive(Clone, Debug)]
pub struct Lookups {
    entries: [Remembered; REMEMBERED],
    any: bool,
}

#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
struct Remembered {
    tcb: Option<Tcb>,
    address: u64,
    slot: Option<Slot>,
}

/// Lookups that are remembered.
const REMEMBERED: usize = 64;

impl Lookups {
    /// None yet.
    #[expect(clippy::new_without_default, reason = "one place makes them")]
    pub const fn new() -> Self {
        Self { entries: [Remembered { tcb: None, address: 0, slot: None }; REMEMBERED], any: false }
    }

    /// Addresses are small numbers with a meaning in bits 6 and up; threads differ from bit 11 on.
    #[inline(always)]
    fn place(tcb: Tcb, address: u64) -> usize {
        (address ^ address >> 6 ^ tcb.addr().0 >> kernel_abi::object::TCB_BITS) as usize % REMEMBERED
    }

    #[inline(always)]
    fn get(&self, tcb: Tcb, address: u64) -> Option<Slot> {
        let entry = &self.entries[Self::place(tcb, address)];
        if (entry.tcb == Some(tcb)) & (entry.address == address) { entry.slot } else { None }
    }

    pub(crate) fn forget(&mut self) {
        if self.any {
            *self = Self::new();
        }
    }

    /// All that are remembered: thread, address, slot.
    pub fn iter(&self) -> impl Iterator<Item = (Tcb, u64, Slot)> + '_ {
        self.entries.iter().filter_map(|entry| Some((entry.tcb?, entry.address, entry.slot?)))
    }
}

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

    /// As [`lookup_slot`](Self::lookup_slot), remembered. `None` when there is no such slot. (In line, all of it: fast
    /// paths that call nothing save no registers.)
    #[inline(always)]
    pub(crate) fn find_slot(&mut self, tcb: Tcb, address: u64) -> Option<Slot> {
        let known = self.lookups.get(tcb, address);
        if known.is_some() {
            return known;
        }
        let slot = self.lookup_slot(tcb, address).ok()?;
        self.lookups.entries[Lookups::place(tcb, address)] =
            Remembered { tcb: Some(tcb), address, slot: Some(slot) };
        self.lookups.any = true;
        Some(slot)
    }

    /// Puts a capability into a slot. All writing of slots that may hold or get a CNode capability comes through here.
    #[inline]
    pub(crate) fn put(&mut self, slot: Slot, cap: Cap) {
        let old = slot.word0(&self.m);
        if matches!(cap, Cap::CNode { .. }) || cap::CNodeWord::of(old).is_some() {
            self.lookups.forget();
        }
        if matches!(cap, Cap::VSpace { .. }) || old >> cap::TAG_SHIFT == cap::tag::VSPACE {
            self.forget_spaces(slot);
        }
        slot.set_cap(&mut self.m, cap);
    }

    /// A VSpace capability comes into a slot or goes: the slot may be a thread's. The one whose translation the machine
    /// has gets another before it runs on.
    #[cold]
    fn forget_spaces(&mut self, slot: Slot) {
        self.forget_switches();
        if let Some(tcb) = self.loaded.filter(|tcb| tcb.slot(TcbSlot::VSpace) == slot) {
            self.reload(tcb);
        }
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
