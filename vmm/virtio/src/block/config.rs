// SPDX-License-Identifier: BSD-2-Clause
//! Features and configuration of a disk (sections 5.2.3 and 5.2.4).

use super::backend::Info;
use crate::model::CONFIG_SIZE;

/// Feature bits.
pub struct Feature;

impl Feature {
    /// `size_max` is valid.
    pub const SIZE_MAX: u64 = 1 << 1;
    /// `seg_max` is valid.
    pub const SEG_MAX: u64 = 1 << 2;
    /// Read only.
    pub const READ_ONLY: u64 = 1 << 5;
    /// `blk_size` is valid.
    pub const BLOCK_SIZE: u64 = 1 << 6;
    /// Flushes.
    pub const FLUSH: u64 = 1 << 9;
    /// `topology` is valid.
    pub const TOPOLOGY: u64 = 1 << 10;
    /// `writeback` can be written.
    pub const CONFIG_WCE: u64 = 1 << 11;
    /// Discards.
    pub const DISCARD: u64 = 1 << 13;
    /// Writes zeroes.
    pub const WRITE_ZEROES: u64 = 1 << 14;
}

/// Offset of `writeback`.
pub(super) const WRITEBACK: usize = 32;

/// Data segments of a request: a chain's, without header and status.
const MOST_SEGMENTS: u16 = 254;

pub(super) fn features(info: &Info) -> u64 {
    let mut features = Feature::SEG_MAX | Feature::BLOCK_SIZE | Feature::TOPOLOGY;
    let mut offer = |condition: bool, feature: u64| {
        if condition {
            features |= feature;
        }
    };
    offer(info.max_segment_bytes != 0, Feature::SIZE_MAX);
    offer(info.read_only, Feature::READ_ONLY);
    // A disk without a cache has nothing to flush, and no cache to turn off.
    offer(info.flush, Feature::FLUSH | Feature::CONFIG_WCE);
    offer(discards(info), Feature::DISCARD);
    offer(writes_zeroes(info), Feature::WRITE_ZEROES);
    features
}

pub(super) const fn discards(info: &Info) -> bool {
    info.max_discard_sectors != 0 && !info.read_only
}

pub(super) const fn writes_zeroes(info: &Info) -> bool {
    info.max_write_zeroes_sectors != 0 && !info.read_only
}

/// Most data segments of one request.
pub(super) fn segments(info: &Info) -> u16 {
    info.max_segments.clamp(1, MOST_SEGMENTS)
}

pub(super) fn fill(space: &mut [u8; CONFIG_SIZE], info: &Info, writeback: bool) {
    let mut put = |offset: usize, bytes: &[u8]| {
        if let Some(place) = space.get_mut(offset..offset.saturating_add(bytes.len())) {
            place.copy_from_slice(bytes);
        }
    };
    // Larger blocks are told as the physical size: the guest may still write 512 bytes, and the back end takes them.
    let exponent = (info.block_size.max(512) / 512).ilog2().min(255) as u8;
    put(0, &info.capacity.to_le_bytes());
    put(8, &info.max_segment_bytes.to_le_bytes());
    put(12, &u32::from(segments(info)).to_le_bytes());
    put(20, &512u32.to_le_bytes());
    put(24, &[exponent, 0]);
    put(26, &1u16.to_le_bytes());
    put(WRITEBACK, &[writeback.into()]);
    put(34, &1u16.to_le_bytes());
    if discards(info) {
        put(36, &info.max_discard_sectors.to_le_bytes());
        put(40, &1u32.to_le_bytes());
        put(44, &info.discard_alignment.max(1).to_le_bytes());
    }
    if writes_zeroes(info) {
        put(48, &info.max_write_zeroes_sectors.to_le_bytes());
        put(52, &1u32.to_le_bytes());
        put(56, &[1]);
    }
}
