// SPDX-License-Identifier: BSD-2-Clause
//! Partition tables: GPT (UEFI 2.10, chapter 5) with its backup, and MBR with its extended partitions.
//!
//! [`Probe`] says which sectors it wants to see and is told when they are in its buffer. What is on the disk is hostile:
//! a guest may have written it. So sizes and positions are checked, the number of reads is bounded, and whatever is
//! wrong ends up as a [`Problem`] in words, with as much of the table as can be trusted.

pub mod crc;
mod gpt;
mod mbr;
mod probe;
#[cfg(test)]
mod tests;

use core::fmt;

use heapless::Vec;

pub use gpt::{Copy, GptFault};
pub use probe::{Probe, Step};

/// Bytes of a sector, the unit of all positions here and on the links.
pub const SECTOR: u64 = 512;

/// Most partitions that are remembered.
pub const MAX_PARTITIONS: usize = 128;

/// Most problems that are remembered.
pub const MAX_PROBLEMS: usize = 16;

/// UTF-16 units of a partition's name.
const NAME_UNITS: usize = 36;

/// Size of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Sectors of 512 bytes.
    pub sectors: u64,
    /// Bytes of a logical block, the unit of positions in partition tables: a power of two from 512 to 4096.
    pub block_size: u32,
}

impl Geometry {
    /// Sectors in a logical block; at least 1.
    pub const fn block_sectors(&self) -> u64 {
        let sectors = self.block_size as u64 / SECTOR;
        if sectors == 0 { 1 } else { sectors }
    }

    /// Number of whole logical blocks.
    pub const fn blocks(&self) -> u64 {
        self.sectors / self.block_sectors()
    }
}

/// The name of a partition (GPT only).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name([u16; NAME_UNITS]);

impl Name {
    /// No name.
    pub const EMPTY: Self = Self([0; NAME_UNITS]);

    /// Its characters.
    pub fn chars(&self) -> impl Iterator<Item = char> {
        let units = self.0.iter().copied().take_while(|unit| *unit != 0);
        char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It goes to a console: no control characters.
        self.chars().filter(|c| !c.is_control()).try_for_each(|c| fmt::Write::write_char(f, c))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A partition, inside the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// Its number, from 1, as Linux counts.
    pub number: u32,
    /// Its first sector.
    pub first: u64,
    /// Its size in sectors, at least 1.
    pub sectors: u64,
    /// Its name.
    pub name: Name,
}

/// What kind of table there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    /// None that can be trusted.
    None,
    /// The primary GPT or its backup.
    Gpt(Copy),
    /// The older table of IBM-compatible computers.
    Mbr,
}

/// Something wrong with the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Neither GPT nor MBR.
    #[error("no partition table")]
    NoTable,
    /// One of the copies of the GPT is of no use.
    #[error("{0} partition table (GPT): {1}")]
    Gpt(Copy, GptFault),
    /// A partition is ignored.
    #[error("partition {0} does not lie inside the disk, ignored")]
    Outside(u32),
    /// There are more than are remembered.
    #[error("more than {MAX_PARTITIONS} partitions, the others are ignored")]
    TooMany,
    /// The chain of extended partitions cannot be followed to its end.
    #[error("extended partition: {0}, the rest is ignored")]
    Extended(&'static str),
    /// The device could not read.
    #[error("cannot read sector {0}")]
    Unreadable(u64),
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Table {
    /// What kind of table it is.
    pub kind: TableKind,
    /// Its partitions, in the table's order.
    pub partitions: Vec<Partition, MAX_PARTITIONS>,
    /// What was wrong with it.
    pub problems: Vec<Problem, MAX_PROBLEMS>,
}

impl Table {
    const fn new() -> Self {
        Self { kind: TableKind::None, partitions: Vec::new(), problems: Vec::new() }
    }

    /// Notes a problem; beyond the first few they are lost.
    fn report(&mut self, problem: Problem) {
        let _ = self.problems.push(problem);
    }

    /// Adds a partition of the given blocks if it lies inside the disk.
    fn add(&mut self, geometry: Geometry, number: u32, first: u64, blocks: u64, name: Name) {
        let end = first.checked_add(blocks);
        if blocks == 0 || first == 0 || end.is_none_or(|end| end > geometry.blocks()) {
            self.report(Problem::Outside(number));
            return;
        }
        // Inside the disk, so neither product overflows.
        let (first, sectors) = (first * geometry.block_sectors(), blocks * geometry.block_sectors());
        if self.partitions.push(Partition { number, first, sectors, name }).is_err()
            && self.problems.last() != Some(&Problem::TooMany)
        {
            self.report(Problem::TooMany);
        }
    }
}
