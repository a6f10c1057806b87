// SPDX-License-Identifier: BSD-2-Clause
//! What a guest asks of its disk (section 5.2.6).

use super::backend::{Operation, SECTOR, SERIAL_SIZE};
use super::{Block, config};
use crate::abuse::Abuse;
use crate::memory::GuestMemory;
use crate::queue::{Chain, Queue};

/// Request types.
mod kind {
    pub const IN: u32 = 0;
    pub const OUT: u32 = 1;
    pub const FLUSH: u32 = 4;
    pub const GET_ID: u32 = 8;
    pub const DISCARD: u32 = 11;
    pub const WRITE_ZEROES: u32 = 13;
}

/// Bytes of the header: type, a reserved word, sector.
const HEADER: u32 = 16;
/// Bytes of a range to discard or to zero: sector, number of sectors, flags.
const RANGE: usize = 16;
/// Flag of a range.
const UNMAP: u32 = 1;

/// Status byte: done.
pub(super) const OK: u8 = 0;
/// Status byte: failed.
pub(super) const IO_ERROR: u8 = 1;
/// Status byte: not something this disk does.
pub(super) const UNSUPPORTED: u8 = 2;

/// A request with the place of its status byte.
pub(super) struct Asked {
    pub status: u64,
    pub what: What,
}

/// What to do about it.
pub(super) enum What {
    /// This, at the back end; the chain is left with the data.
    Do { operation: Operation, sector: u64, sectors: u32 },
    /// Nothing more: the status, and the bytes of data written.
    Answer(u8, u32),
}

/// Takes header and status off the chain and judges the request.
#[inline]
pub(super) fn parse(device: &Block, memory: &impl GuestMemory, chain: &mut Chain) -> Result<Asked, Abuse> {
    let head = chain.head();
    let mut header = [0; HEADER as usize];
    if !chain.read_front(memory, &mut header) {
        return Err(Abuse::Missing { what: "header", head });
    }
    let status = chain.take_last().ok_or(Abuse::Missing { what: "status", head })?;
    let [a, b, c, d, _, _, _, _, sector @ ..] = header;
    let (kind, sector) = (u32::from_le_bytes([a, b, c, d]), u64::from_le_bytes(sector));
    let what = match kind {
        kind::IN => transfer(device, Operation::Read, sector, chain.writable_bytes(), chain.writable().len()),
        kind::OUT if device.info.read_only => What::Answer(IO_ERROR, 0),
        kind::OUT => {
            transfer(device, Operation::Write, sector, chain.readable_bytes(), chain.readable().len())
        }
        // Without a cache all is stable.
        kind::FLUSH if !device.info.flush => What::Answer(OK, 0),
        kind::FLUSH => What::Do { operation: Operation::Flush, sector: 0, sectors: 0 },
        kind::GET_ID => serial(device, memory, chain),
        kind::DISCARD if config::discards(&device.info) => range(device, memory, chain, false),
        kind::WRITE_ZEROES if config::writes_zeroes(&device.info) => range(device, memory, chain, true),
        kind::DISCARD | kind::WRITE_ZEROES if device.info.read_only => What::Answer(IO_ERROR, 0),
        _ => What::Answer(UNSUPPORTED, 0),
    };
    Ok(Asked { status, what })
}

#[inline]
fn transfer(device: &Block, operation: Operation, sector: u64, bytes: u32, segments: usize) -> What {
    let sectors = bytes / SECTOR as u32;
    let whole = sectors != 0 && u64::from(bytes).is_multiple_of(SECTOR);
    if whole && inside(device, sector, sectors) && segments <= config::segments(&device.info).into() {
        What::Do { operation, sector, sectors }
    } else {
        What::Answer(IO_ERROR, 0)
    }
}

#[inline]
fn inside(device: &Block, sector: u64, sectors: u32) -> bool {
    sector.checked_add(sectors.into()).is_some_and(|end| end <= device.info.capacity)
}

fn serial(device: &Block, memory: &impl GuestMemory, chain: &mut Chain) -> What {
    let length = chain.writable_bytes().min(SERIAL_SIZE as u32);
    let serial = device.info.serial.get(..length as usize).unwrap_or_default();
    if chain.write_front(memory, serial) { What::Answer(OK, length) } else { What::Answer(IO_ERROR, 0) }
}

/// One range to discard or zero: the configuration says that there is never more than one.
fn range(device: &Block, memory: &impl GuestMemory, chain: &mut Chain, zeroes: bool) -> What {
    let mut range = [0; RANGE];
    if chain.readable_bytes() != RANGE as u32 || !chain.read_front(memory, &mut range) {
        return What::Answer(IO_ERROR, 0);
    }
    let word = |at: usize| {
        range.get(at..).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u32::from_le_bytes(*bytes))
    };
    let (sector, sectors, flags) = (u64::from(word(4)) << 32 | u64::from(word(0)), word(8), word(12));
    let most = if zeroes { device.info.max_write_zeroes_sectors } else { device.info.max_discard_sectors };
    if flags & !UNMAP != 0 || (!zeroes && flags != 0) {
        return What::Answer(UNSUPPORTED, 0);
    }
    if sectors > most || !inside(device, sector, sectors) {
        return What::Answer(IO_ERROR, 0);
    }
    if sectors == 0 {
        return What::Answer(OK, 0);
    }
    let operation =
        if zeroes { Operation::WriteZeroes { unmap: flags & UNMAP != 0 } } else { Operation::Discard };
    What::Do { operation, sector, sectors }
}

/// Leaves the data of a read or a write in `chain`, as when it was taken.
pub(super) fn data_again(
    queue: &Queue,
    memory: &impl GuestMemory,
    head: u16,
    operation: Operation,
    sectors: u32,
    chain: &mut Chain,
) -> Result<(), Abuse> {
    queue.walk(memory, head, chain)?;
    chain.skip_readable(HEADER);
    let bytes = match operation {
        Operation::Read if chain.take_last().is_some() => chain.writable_bytes(),
        Operation::Write => chain.readable_bytes(),
        _ => return Err(Abuse::Changed(head)),
    };
    // The number of segments may have grown; the back end copes or refuses.
    if u64::from(bytes) == u64::from(sectors) * SECTOR { Ok(()) } else { Err(Abuse::Changed(head)) }
}
