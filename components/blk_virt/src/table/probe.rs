// SPDX-License-Identifier: BSD-2-Clause
//! Which sectors are read to find the partitions, and what follows from them.

use ring::pages::Memory;

use super::gpt::{Copy, GptFault, Header};
use super::mbr::{Entry, FIRST_LOGICAL, Record};
use super::{Geometry, Name, Problem, Table, TableKind};

/// Most logical partitions.
const MAX_LOGICAL: u32 = 60;

/// What the probe needs next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// These sectors at the begin of its memory; then [`Probe::advance`].
    Read {
        /// The first.
        sector: u64,
        /// How many. They fit.
        sectors: u64,
    },
    /// Nothing: the table is known.
    Done,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    /// The boot record is being read.
    BootRecord,
    /// A header of the GPT.
    GptHeader(Copy, u64),
    /// Entries of the GPT.
    GptEntries(Copy, Header),
    /// A boot record in the extended partition.
    Logical {
        extended: Entry,
        /// The record's block.
        block: u64,
        /// Number of the next partition.
        number: u32,
    },
    Done,
}

/// Reads a partition table.
#[derive(Debug)]
pub struct Probe<M> {
    memory: M,
    geometry: Geometry,
    stage: Stage,
    table: Table,
}

impl<M: Memory> Probe<M> {
    /// A probe of a disk of this size which reads into `memory`, at least one logical block. To be begun with
    /// [`start`](Self::start).
    pub const fn new(memory: M) -> Self {
        let geometry = Geometry { sectors: 0, block_size: 512 };
        Self { memory, geometry, stage: Stage::Done, table: Table::new() }
    }

    /// Begins with a disk of this size, forgetting what is known.
    pub fn start(&mut self, geometry: Geometry) -> Step {
        self.table.kind = TableKind::None;
        self.table.partitions.clear();
        self.table.problems.clear();
        self.geometry = geometry;
        if geometry.blocks() == 0 || u64::from(geometry.block_size) > self.memory.size() as u64 {
            return self.end(Some(Problem::NoTable));
        }
        self.stage = Stage::BootRecord;
        self.read(0, 1)
    }

    /// The sectors that the last step named are in the memory, or the device could not read them.
    pub fn advance(&mut self, readable: bool) -> Step {
        match self.stage {
            Stage::Done => Step::Done,
            Stage::BootRecord if !readable => self.end(Some(Problem::Unreadable(0))),
            Stage::BootRecord => self.boot_record(),
            Stage::GptHeader(copy, _) | Stage::GptEntries(copy, _) if !readable => {
                self.gpt_fault(copy, GptFault::Unreadable, None)
            }
            Stage::GptHeader(copy, block) => match Header::read(&self.memory, self.geometry, block) {
                Ok(header) => {
                    self.stage = Stage::GptEntries(copy, header);
                    self.read(header.entries, header.blocks(self.geometry))
                }
                Err(fault) => self.gpt_fault(copy, fault, None),
            },
            Stage::GptEntries(copy, header) => {
                match header.read_entries(&self.memory, self.geometry, &mut self.table) {
                    Ok(()) => {
                        self.table.kind = TableKind::Gpt(copy);
                        self.end(None)
                    }
                    Err(fault) => self.gpt_fault(copy, fault, Some(header.alternate)),
                }
            }
            Stage::Logical { block, .. } if !readable => {
                self.end(Some(Problem::Unreadable(block.saturating_mul(self.geometry.block_sectors()))))
            }
            Stage::Logical { extended, block, number } => self.logical(extended, block, number),
        }
    }

    /// What was found; complete when the last step was [`Step::Done`].
    pub const fn table(&self) -> &Table {
        &self.table
    }

    /// The disk it was found on.
    pub const fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn read(&mut self, block: u64, blocks: u64) -> Step {
        let per_block = self.geometry.block_sectors();
        // Callers have checked that the blocks are inside the disk.
        Step::Read { sector: block * per_block, sectors: blocks * per_block }
    }

    fn end(&mut self, problem: Option<Problem>) -> Step {
        if let Some(problem) = problem {
            self.table.report(problem);
        }
        self.stage = Stage::Done;
        Step::Done
    }

    fn boot_record(&mut self) -> Step {
        let Some(record) = Record::read(&self.memory) else {
            return self.end(Some(Problem::NoTable));
        };
        if record.is_protective() {
            return self.gpt_header(Copy::Primary, 1);
        }
        self.table.kind = TableKind::Mbr;
        let extended = record.add_primary(self.geometry, &mut self.table);
        match extended {
            Some(extended) => self.read_logical(extended, extended.first, FIRST_LOGICAL),
            None => self.end(None),
        }
    }

    fn gpt_header(&mut self, copy: Copy, block: u64) -> Step {
        if block == 0 || block >= self.geometry.blocks() {
            return self.gpt_fault(copy, GptFault::NoPlace, None);
        }
        self.stage = Stage::GptHeader(copy, block);
        self.read(block, 1)
    }

    /// Of two copies the backup is tried when the primary is broken. It is where a primary header with a right checksum says,
    /// otherwise in the last block.
    fn gpt_fault(&mut self, copy: Copy, fault: GptFault, alternate: Option<u64>) -> Step {
        self.table.report(Problem::Gpt(copy, fault));
        match copy {
            Copy::Primary => {
                let last = self.geometry.blocks().saturating_sub(1);
                self.gpt_header(Copy::Backup, alternate.unwrap_or(last))
            }
            Copy::Backup => self.end(Some(Problem::NoTable)),
        }
    }

    fn read_logical(&mut self, extended: Entry, block: u64, number: u32) -> Step {
        let end = extended.first.saturating_add(extended.blocks).min(self.geometry.blocks());
        if block < extended.first || block >= end || block == 0 {
            return self.end(Some(Problem::Extended("its chain leaves it")));
        }
        if number >= FIRST_LOGICAL + MAX_LOGICAL {
            return self.end(Some(Problem::Extended("its chain is too long")));
        }
        self.stage = Stage::Logical { extended, block, number };
        self.read(block, 1)
    }

    /// A record in the extended partition: a partition, relative to the record, and the next record, relative to the
    /// extended partition.
    fn logical(&mut self, extended: Entry, block: u64, number: u32) -> Step {
        let Some(record) = Record::read(&self.memory) else {
            return self.end(Some(Problem::Extended("a record has no signature")));
        };
        let (mut next, mut number) = (None, number);
        for entry in record.entries().take(2) {
            if entry.is_extended() {
                next = Some(extended.first.saturating_add(entry.first));
            } else {
                let first = block.saturating_add(entry.first);
                // A partition that begins on its own record would be over the chain.
                let blocks = if entry.first == 0 { 0 } else { entry.blocks };
                self.table.add(self.geometry, number, first, blocks, Name::EMPTY);
                number += 1;
            }
        }
        match next {
            // Only forward, so that it ends.
            Some(next) if next <= block => self.end(Some(Problem::Extended("its chain goes back"))),
            Some(next) => self.read_logical(extended, next, number),
            None => self.end(None),
        }
    }
}
