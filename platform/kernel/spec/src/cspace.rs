// SPDX-License-Identifier: BSD-2-Clause
//! Capability addresses (manual 3.3). Reading only: nothing here changes anything.

use crate::cap::Cap;
use crate::error::{Error, Lookup};
use crate::state::{Holder, Obj, Slot, State, tcb_slot};

impl State {
    /// Translates the `depth` least significant bits of `address`, starting at the CNode capability `root`, until no
    /// bits are left or something that is no CNode is met. Returns the slot and the bits left.
    pub fn resolve(&self, root: Option<Cap>, address: u64, depth: u64) -> Result<(Slot, u64), Lookup> {
        let mut node = root;
        let mut bits_left = depth;
        loop {
            let Some(Cap::CNode { obj, radix, guard, guard_bits }) = node else {
                return Err(Lookup::InvalidRoot);
            };
            let level_bits = radix + guard_bits;
            let found = if guard_bits == 0 { 0 } else { bits_of(address, bits_left, guard_bits) };
            if guard_bits > bits_left || found != guard {
                return Err(Lookup::GuardMismatch { bits_left, guard, guard_bits });
            }
            if level_bits > bits_left {
                return Err(Lookup::DepthMismatch { bits_left, bits_found: level_bits });
            }
            let index = bits_of(address, bits_left - guard_bits, radix);
            let slot = Slot { holder: Holder::CNode(obj, radix), index };
            bits_left -= level_bits;
            match self.cap(slot) {
                next @ Some(Cap::CNode { .. }) if bits_left > 0 => node = next,
                _ => return Ok((slot, bits_left)),
            }
        }
    }

    /// The slot at an address in a thread's CSpace; all 64 bits are translated, left-over bits do not matter.
    pub fn lookup_slot(&self, tcb: Obj, address: u64) -> Result<Slot, Lookup> {
        self.resolve(self.tcb_cap(tcb, tcb_slot::CSPACE), address, 64).map(|(slot, _)| slot)
    }

    /// The slot that an invocation names relative to `root`; all of `depth` bits must be translated.
    /// `source` is told in the error.
    pub fn lookup_target(
        &self,
        root: Option<Cap>,
        address: u64,
        depth: u64,
        source: bool,
    ) -> Result<Slot, Error> {
        if !matches!(root, Some(Cap::CNode { .. })) {
            return Err(Error::FailedLookup { source, why: Lookup::InvalidRoot });
        }
        if !(1..=64).contains(&depth) {
            return Err(Error::Range(1, 64));
        }
        match self.resolve(root, address, depth) {
            Ok((slot, 0)) => Ok(slot),
            Ok((_, bits_left)) => {
                Err(Error::FailedLookup { source, why: Lookup::DepthMismatch { bits_left, bits_found: 0 } })
            }
            Err(why) => Err(Error::FailedLookup { source, why }),
        }
    }

    /// Refuses a full slot.
    pub fn require_empty(&self, slot: Slot) -> Result<(), Error> {
        if self.caps.contains_key(&slot) { Err(Error::DeleteFirst) } else { Ok(()) }
    }
}

/// The first `count` bits of the lowest `bits_left` bits of `address`; missing ones are taken as they are.
fn bits_of(address: u64, bits_left: u64, count: u64) -> u64 {
    if count == 0 || bits_left == 0 {
        return 0;
    }
    let shift = bits_left.saturating_sub(count);
    address >> shift & if count >= 64 { u64::MAX } else { (1 << count) - 1 }
}
