// SPDX-License-Identifier: BSD-2-Clause
//! Master boot record (UEFI 2.10, section 5.2) and the chain of extended partitions.

use ring::pages::Memory;

use super::gpt::Fields;
use super::{Geometry, Name, SECTOR, Table};

/// Of the four entries.
const ENTRIES: usize = 446;
const ENTRY_SIZE: usize = 16;

/// The last two bytes.
const SIGNATURE: [u8; 2] = [0x55, 0xaa];

/// The disk has a GPT.
const PROTECTIVE: u8 = 0xee;

/// Partitions that contain partitions: for old and for large disks, and Linux's own.
const EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];

/// The first number of a partition inside an extended one.
pub(super) const FIRST_LOGICAL: u32 = 5;

/// The first sector in `memory`.
pub(super) fn sector(memory: &impl Memory) -> [u8; SECTOR as usize] {
    let mut bytes = [0; SECTOR as usize];
    for (place, offset) in bytes.chunks_exact_mut(8).zip((0..).step_by(8)) {
        let [word] = memory.read(offset);
        place.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// An entry that is in use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// Its number, from 0.
    pub index: u32,
    kind: u8,
    /// First block, relative to what the record says.
    pub first: u64,
    pub blocks: u64,
}

impl Entry {
    pub fn is_extended(&self) -> bool {
        EXTENDED.contains(&self.kind)
    }
}

/// A boot record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record {
    entries: [Option<Entry>; 4],
}

impl Record {
    /// The record at the begin of `memory`, if there is one.
    pub fn read(memory: &impl Memory) -> Option<Self> {
        let bytes = sector(memory);
        let record = Fields(&bytes);
        if record.bytes(510) != SIGNATURE {
            return None;
        }
        let entry = |index: usize| {
            let place = ENTRIES + index * ENTRY_SIZE;
            let [kind] = record.bytes(place + 4);
            let (first, blocks) = (record.u32(place + 8).into(), record.u32(place + 12).into());
            (kind != 0).then_some(Entry { index: index as u32, kind, first, blocks })
        };
        Some(Self { entries: core::array::from_fn(entry) })
    }

    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().flatten()
    }

    /// Whether the disk says that it has a GPT.
    pub fn is_protective(&self) -> bool {
        self.entries().any(|entry| entry.kind == PROTECTIVE)
    }

    /// Adds the primary partitions; gives the first block of the extended one.
    pub fn add_primary(&self, geometry: Geometry, table: &mut Table) -> Option<Entry> {
        let mut extended = None;
        for entry in self.entries() {
            if entry.is_extended() {
                extended = extended.or(Some(*entry));
            } else {
                table.add(geometry, entry.index + 1, entry.first, entry.blocks, Name::EMPTY);
            }
        }
        extended
    }
}
