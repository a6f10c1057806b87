// SPDX-License-Identifier: BSD-2-Clause
//! One address space: what is mapped where, and the page tables that needs.

use std::collections::BTreeSet;

use system_spec::record::{CacheCare, Frame, Mapping, ObjectId, Table};

use crate::model::{Kind, Model};

const PAGE_BITS: u32 = 12;
const TABLE_INDEX_BITS: u32 = 9;

/// How frames are mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// May be written.
    pub write: bool,
    /// May be executed.
    pub execute: bool,
    /// Cached normal memory.
    pub cached: bool,
}

impl Access {
    /// Read-write data.
    pub const DATA: Self = Self { write: true, execute: false, cached: true };
    /// Read-only data.
    pub const READ: Self = Self { write: false, execute: false, cached: true };
}

/// A run of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frames {
    /// The first.
    pub first: Frame,
    /// How many.
    pub count: u32,
    /// log2 of the frame size.
    pub bits: u8,
}

impl Frames {
    /// Bytes.
    #[must_use]
    pub const fn size(&self) -> u64 {
        (self.count as u64) << self.bits
    }
}

/// An address space in the making.
#[derive(Debug)]
pub struct Space {
    /// Its top-level table.
    pub vspace: ObjectId,
    name: String,
    /// Pages by ascending level of the table that holds them: level 1 maps 4 KiB pages.
    tables: BTreeSet<(u8, u64)>,
    levels: u8,
}

impl Space {
    /// A new, empty address space; `levels` of page tables below its top.
    pub fn new(model: &mut Model, name: &str, levels: u8) -> Self {
        let vspace = model.add_one(Kind::VSpace, format!("vspace_{name}"));
        Self::of(vspace, name, levels)
    }

    /// An address space that exists.
    #[must_use]
    pub fn of(vspace: ObjectId, name: &str, levels: u8) -> Self {
        Self { vspace, name: name.to_owned(), tables: BTreeSet::new(), levels }
    }

    /// Maps frames from `vaddr` on. `copy`: they are mapped elsewhere, too. `cache`: what content that came with the
    /// image needs.
    pub fn map(
        &mut self,
        model: &mut Model,
        frames: Frames,
        vaddr: u64,
        access: Access,
        copy: bool,
        cache: CacheCare,
    ) {
        let lowest = if u32::from(frames.bits) == PAGE_BITS { 1 } else { 2 };
        let last = vaddr + (frames.size() - 1);
        for level in lowest..=self.levels {
            let covers = PAGE_BITS + TABLE_INDEX_BITS * u32::from(level);
            self.tables.extend((vaddr >> covers..=last >> covers).map(|index| (level, index << covers)));
        }
        model.content.mappings.push(Mapping {
            vspace: self.vspace,
            frame: frames.first,
            frame_bits: frames.bits,
            count: frames.count,
            vaddr,
            write: access.write,
            execute: access.execute,
            cached: access.cached,
            copy,
            cache: if matches!(frames.first, Frame::Image(_)) { cache } else { CacheCare::None },
        });
    }

    /// Says that there is a table for `vaddr` at `level` already.
    pub fn has_table(&mut self, level: u8, vaddr: u64) {
        let covers = PAGE_BITS + TABLE_INDEX_BITS * u32::from(level);
        self.tables.remove(&(level, vaddr >> covers << covers));
    }

    /// Asks for the tables down to `level` at `vaddr`, for mappings made later.
    pub fn need_tables(&mut self, level: u8, vaddr: u64) {
        for level in level..=self.levels {
            let covers = PAGE_BITS + TABLE_INDEX_BITS * u32::from(level);
            self.tables.insert((level, vaddr >> covers << covers));
        }
    }

    /// Adds the page tables, upper levels first.
    pub fn finish(self, model: &mut Model) {
        if self.tables.is_empty() {
            return;
        }
        let first = model.add(Kind::PageTable, format!("pt_{}", self.name), self.tables.len() as u32, None);
        for (object, (_, vaddr)) in (first..).zip(self.tables.iter().rev()) {
            model.content.tables.push(Table { object, vspace: self.vspace, vaddr: *vaddr });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(levels: u8, maps: &[(u8, u32, u64)]) -> Vec<u64> {
        let mut model = Model::default();
        let mut space = Space::new(&mut model, "x", levels);
        for &(bits, count, vaddr) in maps {
            let frames = Frames { first: Frame::Object(0), count, bits };
            space.map(&mut model, frames, vaddr, Access::DATA, false, CacheCare::None);
        }
        space.finish(&mut model);
        model.content.tables.iter().map(|table| table.vaddr).collect()
    }

    #[test]
    fn small_pages_need_a_table_for_each_2_mib_and_one_above() {
        assert_eq!(tables(2, &[(12, 1, 0x20_0000)]), [0, 0x20_0000]);
        assert_eq!(tables(2, &[(12, 2, 0x3f_f000)]), [0, 0x40_0000, 0x20_0000]);
    }

    #[test]
    fn large_pages_need_only_the_upper_table() {
        assert_eq!(tables(2, &[(21, 512, 0x4000_0000)]), [0x4000_0000]);
        assert_eq!(tables(2, &[(21, 513, 0x4000_0000)]), [0x8000_0000, 0x4000_0000]);
    }

    #[test]
    fn tables_are_shared_by_neighbours() {
        assert_eq!(tables(2, &[(12, 1, 0x1000), (12, 1, 0x3000), (21, 1, 0x20_0000)]), [0, 0]);
    }

    #[test]
    fn four_level_spaces_have_one_table_more() {
        assert_eq!(tables(3, &[(12, 1, 0)]).len(), 3);
    }
}
