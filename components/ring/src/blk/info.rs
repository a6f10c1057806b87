// SPDX-License-Identifier: BSD-2-Clause
//! What a block server tells its client.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::link::INFO_SIZE;

bitflags::bitflags! {
    /// What a block server can do.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Abilities: u32 {
        /// Writes are refused.
        const READ_ONLY = 1 << 0;
        /// Flush is needed and understood: there is a volatile cache.
        const FLUSH = 1 << 1;
        /// Discard works.
        const DISCARD = 1 << 2;
        /// Write-zeroes works.
        const WRITE_ZEROES = 1 << 3;
        /// The device is there.
        const PRESENT = 1 << 4;
        /// Later versions.
        const _ = !0;
    }
}

/// A disk, as its server describes it. Sectors have 512 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Info {
    /// Sectors.
    pub capacity: u64,
    /// Best unit of requests in bytes: a multiple of 512.
    pub block_size: u32,
    /// Most segments in a request; at most [`super::MAX_SEGMENTS`].
    pub max_segments: u32,
    /// Most bytes in a segment.
    pub max_segment_bytes: u32,
    /// Most bytes in a read or write.
    pub max_bytes: u32,
    /// Most sectors in a discard.
    pub max_discard_sectors: u32,
    /// Most sectors in a write-zeroes.
    pub max_write_zeroes_sectors: u32,
    /// Discards should begin at multiples of so many sectors.
    pub discard_alignment: u32,
    /// What the server can do.
    pub abilities: Abilities,
    /// Serial number, ASCII, padded with zeroes.
    pub serial: [u8; 20],
}

impl Default for Info {
    /// No device, and the smallest limits.
    fn default() -> Self {
        Self {
            capacity: 0,
            block_size: super::SECTOR,
            max_segments: 1,
            max_segment_bytes: 4096,
            max_bytes: 4096,
            max_discard_sectors: 0,
            max_write_zeroes_sectors: 0,
            discard_alignment: 1,
            abilities: Abilities::empty(),
            serial: [0; 20],
        }
    }
}

/// [`Info`] as it lies in the header.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Wire {
    capacity: u64,
    block_size: u32,
    max_segments: u32,
    max_segment_bytes: u32,
    max_bytes: u32,
    max_discard_sectors: u32,
    max_write_zeroes_sectors: u32,
    discard_alignment: u32,
    abilities: u32,
    serial: [u8; 20],
    reserved: [u8; 68],
}

const _: () = assert!(size_of::<Wire>() == INFO_SIZE);

impl Info {
    pub(crate) fn to_words(self) -> [u64; INFO_SIZE / 8] {
        zerocopy::transmute!(Wire {
            capacity: self.capacity,
            block_size: self.block_size,
            max_segments: self.max_segments,
            max_segment_bytes: self.max_segment_bytes,
            max_bytes: self.max_bytes,
            max_discard_sectors: self.max_discard_sectors,
            max_write_zeroes_sectors: self.max_write_zeroes_sectors,
            discard_alignment: self.discard_alignment,
            abilities: self.abilities.bits(),
            serial: self.serial,
            reserved: [0; 68],
        })
    }

    /// Limits that a server may get wrong are brought into range; capacity and abilities are its word.
    pub(crate) fn from_words(words: [u64; INFO_SIZE / 8]) -> Self {
        let wire: Wire = zerocopy::transmute!(words);
        Self {
            capacity: wire.capacity.min(u64::MAX / u64::from(super::SECTOR)),
            block_size: (wire.block_size & !(super::SECTOR - 1)).max(super::SECTOR),
            max_segments: wire.max_segments.clamp(1, super::MAX_SEGMENTS as u32),
            max_segment_bytes: (wire.max_segment_bytes & !(super::SECTOR - 1)).max(super::SECTOR),
            max_bytes: (wire.max_bytes & !(super::SECTOR - 1)).max(super::SECTOR),
            max_discard_sectors: wire.max_discard_sectors,
            max_write_zeroes_sectors: wire.max_write_zeroes_sectors,
            discard_alignment: wire.discard_alignment.max(1),
            abilities: Abilities::from_bits_retain(wire.abilities),
            serial: wire.serial,
        }
    }
}
