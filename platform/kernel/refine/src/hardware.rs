// SPDX-License-Identifier: BSD-2-Clause
//! What the specification does not know of: translations that the hardware may remember, and what is in a new frame.
//!
//! The hardware is taken to have remembered every translation that there was after any entry. Whatever is not invalidated has
//! to be what the tables say.

use crate::abstraction::MOST;
use kernel_core::sim::SimMachine;
use kernel_core::{Kernel, Machine, PhysAddr};
use kernel_spec::cap::{Cap, Mapping};
use kernel_spec::state::tcb_slot;
use kernel_spec::vspace::Entry;
use kernel_spec::{Obj, State};
use std::collections::{BTreeMap, BTreeSet};

/// A translation: log2 of its bytes, and the entry.
type Translation = (u64, Entry);

/// What may be remembered, and which frames there were.
#[derive(Clone, Debug, Default)]
pub struct Hardware {
    /// By VMID and first address.
    remembered: BTreeMap<(u8, u64), Translation>,
    /// Invalidations that were taken into account.
    seen: usize,
    frames: BTreeSet<Obj>,
}

fn ensure(holds: bool, what: impl Fn() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("hardware: {}", what())) }
}

impl Hardware {
    /// After an entry; `state` is the abstraction of `kernel`.
    ///
    /// # Errors
    /// What is remembered and wrong, or in a new frame and should not be.
    pub fn check(&mut self, kernel: &Kernel<SimMachine>, state: &State) -> Result<(), String> {
        for &(vmid, at) in kernel.m.invalidated.get(self.seen..).unwrap_or_default() {
            self.remembered.retain(|&(v, first), &mut (bits, _)| {
                v != vmid || at.is_some_and(|at| at < first || at - first >= 1 << bits)
            });
        }
        self.seen = kernel.m.invalidated.len();
        let now = translations(kernel, state)?;
        for (place, was) in &self.remembered {
            let is = now.get(place);
            ensure(is == Some(was), || format!("{place:x?} is remembered as {was:x?}, is {is:x?}"))?;
        }
        self.remembered = now;
        translates(kernel, state)?;
        self.new_frames(kernel, state)
    }

    /// A frame that was not there before holds what its owner has written, and nothing of a former owner.
    fn new_frames(&mut self, kernel: &Kernel<SimMachine>, state: &State) -> Result<(), String> {
        let mut frames = BTreeSet::new();
        for cap in state.caps.values() {
            let Cap::Frame { obj, bits, device: false, .. } = *cap else { continue };
            if frames.insert(obj) && !self.frames.contains(&obj) {
                for at in (obj.0..obj.0 + (1 << bits)).step_by(8) {
                    let (is, should) = (kernel.m.load(PhysAddr(at)), state.word(at));
                    ensure(is == should, || format!("new frame {obj:x?} holds {is:#x} at {at:#x}"))?;
                }
            }
        }
        self.frames = frames;
        Ok(())
    }
}

/// All translations of address spaces that have a VMID. Each has a capability that says so.
fn translations(
    kernel: &Kernel<SimMachine>,
    state: &State,
) -> Result<BTreeMap<(u8, u64), Translation>, String> {
    let shape = state.config.address_space;
    let mapped: BTreeSet<(u64, u64, Obj)> = state
        .caps
        .values()
        .filter_map(|cap| match *cap {
            Cap::Frame { obj, mapping: Some(Mapping { asid, vaddr }), .. } => Some((asid, vaddr, obj)),
            _ => None,
        })
        .collect();
    let mut found = BTreeMap::new();
    for (&asid, &root) in &state.asids {
        let mut todo = vec![(root, 0, shape.root_shift())];
        while let Some((table, first, bits)) = todo.pop() {
            let entries = state.tables.get(&table);
            let entries = entries.ok_or_else(|| format!("hardware: table {table:x?} is mapped and gone"))?;
            for (&index, &entry) in entries {
                let at = first + (index << bits);
                match entry {
                    Entry::Table(next) => todo.push((next, at, bits - 9)),
                    Entry::Frame { obj, .. } => {
                        ensure(mapped.contains(&(asid, at, obj)), || {
                            format!("{obj:x?} is mapped at {at:#x} of ASID {asid}, and no capability says so")
                        })?;
                        if let Some(vmid) = kernel.vmid_in_use(asid as u16) {
                            found.insert((vmid, at), (bits, entry));
                        }
                    }
                }
                ensure(todo.len() + found.len() < MOST, || "tables do not end".into())?;
            }
        }
    }
    Ok(found)
}

/// The machine translates by the address space of the thread that runs, and never by one that is gone.
fn translates(kernel: &Kernel<SimMachine>, state: &State) -> Result<(), String> {
    let living = |root: Obj, asid: u64| {
        let vmid = kernel.vmid_in_use(asid as u16).filter(|_| state.asids.get(&asid) == Some(&root))?;
        Some((PhysAddr(root.0), vmid))
    };
    if let Some(current) = state.current {
        let should = match state.tcb_cap(current, tcb_slot::VSPACE) {
            Some(Cap::VSpace { obj, asid: Some(asid) }) => living(obj, asid),
            _ => None,
        };
        let is = kernel.m.vspace;
        ensure(is == should, || format!("{current:x?} runs in {is:x?} instead of {should:x?}"))
    } else if let Some(space) = kernel.m.vspace {
        let lives = state.asids.iter().any(|(&asid, &root)| living(root, asid) == Some(space));
        ensure(lives, || format!("nobody runs, in {space:x?}, which is gone"))
    } else {
        Ok(())
    }
}
