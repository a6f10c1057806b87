// SPDX-License-Identifier: BSD-2-Clause
//! The disk as the driver describes it, as the partition table divides it, and as each client is told of it.

use ring::blk::{Abilities, Info, SECTOR};

use crate::assign::{AssignError, Extent};
use crate::table::Geometry;

/// Largest request that clients may make, so that one cannot keep the device busy for long.
const MAX_BYTES: u32 = 4 << 20;

/// What is known of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disk {
    /// The driver has not said anything yet.
    Unknown,
    /// There is none.
    Absent,
    /// Its partition table is being read.
    Reading(Info),
    /// Clients have their parts.
    Ready(Info),
}

impl Disk {
    /// Its description once clients can be served.
    #[inline]
    pub const fn ready(&self) -> Option<&Info> {
        match self {
            Self::Ready(info) => Some(info),
            _ => None,
        }
    }
}

/// What the driver says, with our own limits. Its link has `capacity` entries, one for each segment.
pub(crate) fn limit(info: Info, capacity: u32) -> Info {
    Info { max_bytes: info.max_bytes.min(MAX_BYTES), max_segments: info.max_segments.min(capacity), ..info }
}

/// The size of the disk that `info` describes. A logical block larger than anything here knows is refused as 0 sectors.
pub(crate) fn geometry(info: &Info) -> Geometry {
    let known = info.block_size.is_power_of_two() && info.block_size <= 4096;
    Geometry {
        sectors: if known { info.capacity } else { 0 },
        block_size: info.block_size.clamp(SECTOR, 4096),
    }
}

/// What a client that has `part` of the disk is told.
pub(crate) fn describe(disk: &Info, part: Result<Extent, AssignError>) -> Info {
    let Ok(extent) = part else { return Info::default() };
    let mut abilities = disk.abilities & (Abilities::PRESENT | Abilities::READ_ONLY | Abilities::FLUSH);
    if extent.read_only {
        abilities |= Abilities::READ_ONLY;
    }
    if !abilities.contains(Abilities::READ_ONLY) {
        abilities |= disk.abilities & (Abilities::DISCARD | Abilities::WRITE_ZEROES);
    }
    Info { capacity: extent.sectors, abilities, ..*disk }
}
