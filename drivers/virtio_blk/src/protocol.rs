// SPDX-License-Identifier: BSD-2-Clause
//! What a virtio block device understands (virtio 1.2, section 5.2).

use bitflags::bitflags;
use ring::blk::{Abilities, Code, Info, SECTOR, Status};
use virtio_driver::Device;
use virtio_driver::registers::Registers;

bitflags! {
    /// Features of a block device (5.2.3).
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Features: u64 {
        /// `size_max` is there: the largest segment.
        const SIZE_MAX = 1 << 1;
        /// `seg_max` is there: the largest number of segments.
        const SEG_MAX = 1 << 2;
        /// Read-only.
        const RO = 1 << 5;
        /// `blk_size` is there.
        const BLK_SIZE = 1 << 6;
        /// There is a cache to flush.
        const FLUSH = 1 << 9;
        /// Discard works.
        const DISCARD = 1 << 13;
        /// Write-zeroes works.
        const WRITE_ZEROES = 1 << 14;
    }
}

/// Types of requests (5.2.6).
pub mod request {
    /// Read.
    pub const IN: u32 = 0;
    /// Write.
    pub const OUT: u32 = 1;
    /// Flush.
    pub const FLUSH: u32 = 4;
    /// The device's name, 20 bytes.
    pub const GET_ID: u32 = 8;
    /// Discard.
    pub const DISCARD: u32 = 11;
    /// Write zeroes.
    pub const WRITE_ZEROES: u32 = 13;
}

/// Bytes of the answer to [`request::GET_ID`].
pub const ID_SIZE: usize = 20;

/// In the flags of write-zeroes: the sectors may be deallocated.
pub const UNMAP: u64 = 1;

/// What a status byte holds until the device has written it.
pub const NO_STATUS: u8 = 0xff;

/// Offsets in the configuration (5.2.4).
mod config {
    pub const CAPACITY: usize = 0;
    pub const SIZE_MAX: usize = 8;
    pub const SEG_MAX: usize = 12;
    pub const BLK_SIZE: usize = 20;
    pub const MAX_DISCARD_SECTORS: usize = 36;
    pub const DISCARD_SECTOR_ALIGNMENT: usize = 44;
    pub const MAX_WRITE_ZEROES_SECTORS: usize = 48;
}

/// The status of an answered request (5.2.6).
pub const fn status(byte: u8) -> Status {
    match byte {
        0 => Status::OK,
        1 => Status::IO,
        2 => Status::UNSUPPORTED,
        // Nothing the specification knows: the device is not to be trusted with this request.
        _ => Status::UNSPECIFIED,
    }
}

/// The type of a request that the device is asked; `None` for one that it does not know.
pub const fn kind(code: Code) -> Option<u32> {
    match code {
        Code::Read => Some(request::IN),
        Code::Write => Some(request::OUT),
        Code::Flush => Some(request::FLUSH),
        Code::Discard => Some(request::DISCARD),
        Code::WriteZeroes => Some(request::WRITE_ZEROES),
        Code::Barrier | Code::Unknown(_) => None,
    }
}

/// Describes the device from its configuration, for a driver that can pass on `max_segments` segments. The serial number
/// stays empty.
pub fn describe<R: Registers>(device: &mut Device<R>, max_segments: u32, max_bytes: u32) -> Info {
    let features = Features::from_bits_retain(device.features().bits());
    let field = |registers: &mut R, feature, offset, default: u32| match features.contains(feature) {
        true => registers.config_u32(offset),
        false => default,
    };
    device.config(|registers| {
        let low = registers.config_u32(config::CAPACITY);
        let high = registers.config_u32(config::CAPACITY + 4);
        let block_size = field(registers, Features::BLK_SIZE, config::BLK_SIZE, SECTOR);
        let segments = field(registers, Features::SEG_MAX, config::SEG_MAX, max_segments);
        let segment_bytes = field(registers, Features::SIZE_MAX, config::SIZE_MAX, max_bytes);
        let discard = |registers: &mut R, offset| field(registers, Features::DISCARD, offset, 0);
        let mut abilities = Abilities::PRESENT;
        abilities.set(Abilities::READ_ONLY, features.contains(Features::RO));
        abilities.set(Abilities::FLUSH, features.contains(Features::FLUSH));
        abilities.set(Abilities::DISCARD, features.contains(Features::DISCARD));
        abilities.set(Abilities::WRITE_ZEROES, features.contains(Features::WRITE_ZEROES));
        Info {
            capacity: (u64::from(high) << 32 | u64::from(low)).min(u64::MAX / u64::from(SECTOR)),
            block_size: if block_size.is_power_of_two() { block_size.max(SECTOR) } else { SECTOR },
            max_segments: segments.clamp(1, max_segments),
            max_segment_bytes: segment_bytes.min(max_bytes).max(SECTOR) / SECTOR * SECTOR,
            max_bytes,
            max_discard_sectors: discard(registers, config::MAX_DISCARD_SECTORS),
            max_write_zeroes_sectors: field(
                registers,
                Features::WRITE_ZEROES,
                config::MAX_WRITE_ZEROES_SECTORS,
                0,
            ),
            discard_alignment: discard(registers, config::DISCARD_SECTOR_ALIGNMENT).max(1),
            abilities,
            serial: [0; ID_SIZE],
        }
    })
}
