// SPDX-License-Identifier: BSD-2-Clause
//! A client's request becomes one for the driver: checked, moved to its place on the disk, with physical addresses.

use ring::blk::{Abilities, Code, Info, Request, SECTOR, Segment, Status};

use crate::assign::Extent;
use crate::client::DataRegion;

/// Checks a request against the client's part of the disk, its memory and what the disk can do, and translates it in
/// place. Barriers and flushes are about no sectors, whatever they say.
///
/// # Errors
/// The status that the client gets instead.
#[inline]
pub(crate) fn translate(
    disk: &Info,
    extent: &Extent,
    data: DataRegion,
    request: &mut Request,
    segments: &mut [Segment],
) -> Result<(), Status> {
    let has = |ability| disk.abilities.contains(ability);
    let limit = match request.code {
        Code::Flush | Code::Barrier => {
            (request.sector, request.length) = (0, 0);
            return Ok(());
        }
        Code::Read | Code::Write => u64::from(disk.max_bytes),
        Code::Discard if has(Abilities::DISCARD) => bytes(disk.max_discard_sectors),
        Code::WriteZeroes if has(Abilities::WRITE_ZEROES) => bytes(disk.max_write_zeroes_sectors),
        Code::Discard | Code::WriteZeroes | Code::Unknown(_) => return Err(Status::UNSUPPORTED),
    };
    if request.code != Code::Read && (extent.read_only || has(Abilities::READ_ONLY)) {
        return Err(Status::READ_ONLY);
    }
    let block = u64::from(disk.block_size / SECTOR);
    let sectors = request.length / u64::from(SECTOR);
    let end = request.sector.checked_add(sectors).ok_or(Status::INVALID)?;
    let whole = request.sector.is_multiple_of(block) && sectors.is_multiple_of(block);
    if sectors == 0 || end > extent.sectors || !whole || request.length > limit {
        return Err(Status::INVALID);
    }
    if segments.len() > disk.max_segments as usize {
        return Err(Status::INVALID);
    }
    for segment in segments {
        let end = segment.offset.checked_add(segment.length.into()).ok_or(Status::INVALID)?;
        if end > data.size || segment.length > disk.max_segment_bytes {
            return Err(Status::INVALID);
        }
        // Cannot overflow for a region that exists; should the description be wrong, nothing is reached.
        segment.offset = data.physical.checked_add(segment.offset).ok_or(Status::INVALID)?;
    }
    // Inside the extent, which is inside the disk.
    request.sector += extent.first;
    Ok(())
}

const fn bytes(sectors: u32) -> u64 {
    sectors as u64 * SECTOR as u64
}

/// Whether a request changes what is on the disk.
#[inline]
pub(crate) const fn is_write(code: Code) -> bool {
    matches!(code, Code::Write | Code::Discard | Code::WriteZeroes)
}
