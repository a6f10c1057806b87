// SPDX-License-Identifier: BSD-2-Clause
//! How long a kernel at EL2 is in one go: instructions between an exception from below and the `eret` that ends it.
//!
//! `entries=FILE,vectors=ADDRESS` (hexadecimal, VBAR_EL2) turns it on. An *entry* begins with the first instruction of a
//! vector for exceptions from below (DDI 0487, D1.3.1.5: offsets 0x400 to 0x780) and ends behind the `eret`; a `wfi` ends one,
//! too, and begins one of kind 0. A *stretch* is the part of an entry between two looks for a waiting interrupt: begin and end
//! of the entry, and reads of ISR_EL1. A *wait* is what an interrupt waits that is taken with no instruction after the
//! `eret`, so that it was waiting then: the last two stretches of that entry (it came in one of them, or the last look would
//! have seen it) and its own entry.
//!
//! A mark (see the crate) tells what is being done; at mark [`END`] the file is written: one line for each kind (the vector's
//! offset) and mark with the number of entries, the longest entry, the longest stretch and the longest wait, which belongs
//! to the entry that was waited for. Kind and mark are hexadecimal. Nothing else may have code at the vectors' addresses.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;

use crate::interface::{Instruction, TranslationBlock, virtual_address};

/// The mark at which the file is written.
pub const END: usize = 0xb0bf;

const ERET: u32 = 0xd69f_03e0;
const WFI: u32 = 0xd503_207f;
/// `mrs xN, isr_el1`, without N.
const MRS_ISR: u32 = 0xd538_c100;
/// Exceptions from below: 16 vectors, the first half from AArch64.
const FROM_BELOW: u64 = 0x400;
const VECTORS_END: u64 = 0x800;
const VECTOR: u64 = 0x80;
/// Kind of an entry that begins behind `wfi`.
const BEHIND_WFI: u64 = 0;
/// IRQ and FIQ among the four vectors of one origin.
const INTERRUPTS: std::ops::RangeInclusive<u64> = 1..=2;

static ENTRIES: Mutex<Option<Entries>> = Mutex::new(None);

struct Entries {
    path: String,
    vectors: u64,
    /// What the program says that it does.
    mark: usize,
    inside: Option<Inside>,
    /// Where the last entry ended, the sum of its last two stretches, and what it was.
    last: Option<(u64, u64, Key)>,
    longest: BTreeMap<Key, Longest>,
}

/// Kind and mark.
type Key = (u64, usize);

struct Inside {
    key: Key,
    begin: u64,
    /// Last look for interrupts.
    looked: u64,
    /// The stretch before that.
    before: u64,
    stretch: u64,
    /// What the interrupt that this entry takes waited for, and how long up to here.
    waited: Option<(Key, u64)>,
}

#[derive(Default)]
struct Longest {
    entries: u64,
    entry: u64,
    stretch: u64,
    wait: u64,
}

/// What happens at an instruction.
pub enum Event {
    /// First instruction of a vector, at this offset.
    Enter(u64),
    /// A look for waiting interrupts.
    Look,
    /// The end of an entry.
    Leave,
    /// The end of an entry, and the beginning of one.
    Wait,
}

/// Begins to watch.
pub fn begin(path: &str) {
    if let Ok(mut entries) = ENTRIES.lock() {
        let new = Entries {
            path: path.into(),
            vectors: u64::MAX,
            mark: 0,
            inside: None,
            last: None,
            longest: BTreeMap::new(),
        };
        *entries = Some(new);
    }
}

/// Where the vectors are.
pub fn set_vectors(address: u64) {
    with(|entries| entries.vectors = address);
}

fn with(action: impl FnOnce(&mut Entries)) {
    if let Ok(mut entries) = ENTRIES.lock()
        && let Some(entries) = entries.as_mut()
    {
        action(entries);
    }
}

/// The instructions of a block at which something happens.
pub fn events(block: TranslationBlock, instructions: &[Instruction]) -> Vec<(usize, Event)> {
    let mut found = Vec::new();
    with(|entries| {
        let first = virtual_address(block);
        for (index, instruction) in instructions.iter().enumerate() {
            let offset = (first + 4 * index as u64).wrapping_sub(entries.vectors);
            if (FROM_BELOW..VECTORS_END).contains(&offset) && offset % VECTOR == 0 {
                found.push((index, Event::Enter(offset)));
            }
            match instruction.word() {
                ERET => found.push((index, Event::Leave)),
                WFI => found.push((index, Event::Wait)),
                word if word & !0x1f == MRS_ISR => found.push((index, Event::Look)),
                _ => {}
            }
        }
    });
    found
}

/// A mark was reached.
pub fn mark(mark: usize) {
    with(|entries| {
        entries.mark = mark;
        if mark == END {
            entries.write();
        }
    });
}

/// Something happens at the next instruction, after `count` of them.
pub fn happens(event: &Event, count: u64) {
    with(|entries| match event {
        Event::Enter(kind) => entries.enter(*kind, count),
        Event::Look => {
            if let Some(inside) = &mut entries.inside {
                inside.look(count);
            }
        }
        Event::Leave => entries.leave(count + 1),
        Event::Wait => {
            if entries.inside.is_some() {
                entries.leave(count + 1);
                entries.last = None;
                entries.enter(BEHIND_WFI, count + 1);
            }
        }
    });
}

impl Inside {
    fn look(&mut self, now: u64) {
        self.before = now - self.looked;
        self.looked = now;
        self.stretch = self.stretch.max(self.before);
    }
}

impl Entries {
    fn enter(&mut self, kind: u64, now: u64) {
        let is_interrupt = INTERRUPTS.contains(&(kind / VECTOR % 4));
        let waited = self.last.take().filter(|(end, ..)| is_interrupt && *end == now);
        self.inside = Some(Inside {
            key: (kind, self.mark),
            begin: now,
            looked: now,
            before: 0,
            stretch: 0,
            waited: waited.map(|(_, stretches, key)| (key, stretches)),
        });
    }

    fn leave(&mut self, now: u64) {
        let Some(mut inside) = self.inside.take() else { return };
        let before = inside.before;
        inside.look(now);
        let longest = self.longest.entry(inside.key).or_default();
        longest.entries += 1;
        longest.entry = longest.entry.max(now - inside.begin);
        longest.stretch = longest.stretch.max(inside.stretch);
        if let Some((key, waited)) = inside.waited {
            let longest = self.longest.entry(key).or_default();
            longest.wait = longest.wait.max(waited + (now - inside.begin));
        }
        self.last = Some((now, before + inside.before, inside.key));
    }

    fn write(&self) {
        let mut text = String::new();
        for ((kind, mark), longest) in &self.longest {
            let Longest { entries, entry, stretch, wait } = longest;
            // Writing to a string does not fail.
            let _ = writeln!(text, "{kind:x} {mark:x} {entries} {entry} {stretch} {wait}");
        }
        // The reader notices that the file is missing.
        let _ = std::fs::write(&self.path, text);
    }
}
