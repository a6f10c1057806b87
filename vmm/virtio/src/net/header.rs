// SPDX-License-Identifier: BSD-2-Clause
//! The header beside each packet (section 5.1.6).

use super::backend::{Offload, Segmentation};
use super::{Feature, Net};

/// Bytes.
pub(super) const SIZE: usize = 12;
/// Offset of `num_buffers`.
pub(super) const BUFFERS: u32 = 10;

const NEEDS_CSUM: u8 = 1;
const DATA_VALID: u8 = 2;
const GSO_NONE: u8 = 0;
const GSO_TCP4: u8 = 1;
const GSO_TCP6: u8 = 4;
const GSO_ECN: u8 = 0x80;

/// What the guest says about a packet of `length` bytes; `None` when it may not, or it makes no sense.
#[inline]
pub(super) fn parse(device: &Net, header: [u8; SIZE], length: u32) -> Option<Offload> {
    let [flags, gso, h0, h1, s0, s1, c0, c1, o0, o1, _, _] = header;
    let mut offload = Offload {
        header_length: u16::from_le_bytes([h0, h1]),
        segment_size: u16::from_le_bytes([s0, s1]),
        ..Offload::default()
    };
    if flags & NEEDS_CSUM != 0 {
        offload.needs_checksum = true;
        offload.checksum_start = u16::from_le_bytes([c0, c1]);
        offload.checksum_offset = u16::from_le_bytes([o0, o1]);
        let end = u32::from(offload.checksum_start) + u32::from(offload.checksum_offset) + 2;
        if !device.has(Feature::CSUM) || end > length {
            return None;
        }
    }
    let (segmentation, feature) = match gso & !GSO_ECN {
        // Not a large packet: what is said about its segments means nothing.
        GSO_NONE => {
            return (gso == GSO_NONE).then_some(Offload { header_length: 0, segment_size: 0, ..offload });
        }
        GSO_TCP4 => (Segmentation::Tcp4, Feature::HOST_TSO4),
        GSO_TCP6 => (Segmentation::Tcp6, Feature::HOST_TSO6),
        _ => return None,
    };
    offload.segmentation = segmentation;
    offload.congestion = gso & GSO_ECN != 0;
    let allowed = device.has(feature) && (!offload.congestion || device.has(Feature::HOST_ECN));
    let headers_fit = u32::from(offload.header_length) <= length;
    (allowed && headers_fit && offload.needs_checksum && offload.segment_size != 0).then_some(offload)
}

/// The header of a packet for the guest, in one buffer so far; `None` when the guest does not take such packets.
#[inline]
pub(super) fn build(device: &Net, offload: &Offload) -> Option<[u8; SIZE]> {
    let mut flags = 0;
    if offload.data_valid && device.has(Feature::GUEST_CSUM) {
        flags |= DATA_VALID;
    }
    if offload.needs_checksum {
        if !device.has(Feature::GUEST_CSUM) {
            return None;
        }
        flags |= NEEDS_CSUM;
    }
    let (mut gso, feature) = match offload.segmentation {
        Segmentation::None => (GSO_NONE, 0),
        Segmentation::Tcp4 => (GSO_TCP4, Feature::GUEST_TSO4),
        Segmentation::Tcp6 => (GSO_TCP6, Feature::GUEST_TSO6),
    };
    if gso != GSO_NONE {
        if !device.has(feature) || (offload.congestion && !device.has(Feature::GUEST_ECN)) {
            return None;
        }
        if offload.congestion {
            gso |= GSO_ECN;
        }
    }
    let [h0, h1] = offload.header_length.to_le_bytes();
    let [s0, s1] = offload.segment_size.to_le_bytes();
    let [c0, c1] = offload.checksum_start.to_le_bytes();
    let [o0, o1] = offload.checksum_offset.to_le_bytes();
    Some([flags, gso, h0, h1, s0, s1, c0, c1, o0, o1, 1, 0])
}
