// SPDX-License-Identifier: BSD-2-Clause
//! Which sectors of the disk each client gets.

use crate::config::{Assignment, Target};
use crate::table::{Geometry, Partition, Table};
use crate::virtualiser::MAX_CLIENTS;

/// A part of the disk, inside it and in whole logical blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Its first sector.
    pub first: u64,
    /// Its size in sectors, at least 1.
    pub sectors: u64,
    /// No writes.
    pub read_only: bool,
}

impl Extent {
    /// Whether both have a sector in common.
    fn overlaps(&self, other: &Self) -> bool {
        self.first < other.first + other.sectors && other.first < self.first + self.sectors
    }

    /// Whether it lies inside a disk of this size, in whole blocks.
    pub fn fits(&self, geometry: Geometry) -> bool {
        let end = self.first.checked_add(self.sectors);
        let whole = |sectors: u64| sectors.is_multiple_of(geometry.block_sectors());
        self.sectors > 0
            && end.is_some_and(|end| end <= geometry.sectors)
            && whole(self.first)
            && whole(self.sectors)
    }
}

/// Why a client gets nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AssignError {
    /// The configuration does not say what.
    #[error("nothing is assigned to it")]
    Nothing,
    /// The configuration cannot be read.
    #[error("its assignment is not understood")]
    Syntax,
    /// The disk has no such partition.
    #[error("there is no such partition")]
    NoPartition,
    /// More than one partition has this name.
    #[error("several partitions have this name")]
    Ambiguous,
    /// Outside the disk, or not in whole blocks.
    #[error("not whole blocks of the disk")]
    Outside,
    /// Another client has a part of the same, and one of them writes.
    #[error("it shares sectors with client {0}, and one of them may write")]
    Overlap(usize),
}

/// What each client gets on this disk.
pub type Assigned = [Result<Extent, AssignError>; MAX_CLIENTS];

/// Finds what was assigned. Of clients that share sectors all may read; otherwise none of them gets anything: which of
/// them was meant cannot be told.
pub fn assign(
    assignments: &[Option<Result<Assignment<'_>, crate::config::ParseError>>; MAX_CLIENTS],
    geometry: Geometry,
    table: &Table,
) -> Assigned {
    let wanted: Assigned = core::array::from_fn(|index| match assignments.get(index) {
        Some(Some(Ok(assignment))) => find(assignment, geometry, table),
        Some(Some(Err(_))) => Err(AssignError::Syntax),
        _ => Err(AssignError::Nothing),
    });
    let mut assigned = wanted;
    for (index, (place, mine)) in assigned.iter_mut().zip(&wanted).enumerate() {
        let Ok(mine) = mine else { continue };
        let clash = wanted.iter().enumerate().find(|(other, theirs)| {
            *other != index
                && theirs.is_ok_and(|theirs| theirs.overlaps(mine) && !(theirs.read_only && mine.read_only))
        });
        if let Some((other, _)) = clash {
            *place = Err(AssignError::Overlap(other));
        }
    }
    assigned
}

fn find(assignment: &Assignment<'_>, geometry: Geometry, table: &Table) -> Result<Extent, AssignError> {
    let whole = geometry.blocks().saturating_mul(geometry.block_sectors());
    let (first, sectors) = match assignment.target {
        Target::Disk => (0, whole),
        Target::Extent { first, sectors } => (first, sectors),
        Target::Partition(number) => only(table, |partition| partition.number == number)?,
        Target::Label(name) => only(table, |partition| partition.name.chars().eq(name.chars()))?,
    };
    let extent = Extent { first, sectors, read_only: assignment.read_only };
    if extent.fits(geometry) { Ok(extent) } else { Err(AssignError::Outside) }
}

fn only(table: &Table, wanted: impl Fn(&Partition) -> bool) -> Result<(u64, u64), AssignError> {
    let mut found = table.partitions.iter().filter(|partition| wanted(partition));
    let partition = found.next().ok_or(AssignError::NoPartition)?;
    match found.next() {
        None => Ok((partition.first, partition.sectors)),
        Some(_) => Err(AssignError::Ambiguous),
    }
}
