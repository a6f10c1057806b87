// SPDX-License-Identifier: BSD-2-Clause
//! The back ends of a guest's virtio devices: this side of the links and rings to the virtualisers.
//!
//! A device model ([`vmm_virtio`]) knows virtio and no links, a virtualiser knows links and no guest. In between each back
//! end decides where data lies. A disk has two layouts, chosen by the system description:
//!
//! * *direct*: requests name guest memory, which the device reads and writes itself. No copy; the block virtualiser has
//!   to be allowed the guest's memory as its client's data region.
//! * *isolated*: requests name a data region of their own, and this PD copies between that and guest memory. One copy of
//!   each byte buys that nobody below this PD, DMA included, has any business with guest memory.
//!
//! Network packets are always copied: into the network's regions so that a guest cannot change a packet that has passed
//! a check, and out of them since which guest gets a packet is only known when it has been received.

pub mod block;
pub mod bounce;
pub mod net;
pub mod serial;

pub use block::BlockLink;
pub use net::NetLink;
pub use serial::{ConsoleRings, EntropyRing};

use ring::blk::Segment as Piece;
use vmm_virtio::{GuestMemory, Segment};

/// A region of bytes shared with a peer, beside guest memory of type `M`.
///
/// `None`: not all of it is inside the region and the guest's memory, nothing was done. The peer may change the bytes at
/// any time, which is why they can only be copied.
pub trait DataRegion<M: GuestMemory> {
    /// Copies `length` bytes at guest physical `address` to byte `offset` of the region.
    fn fill(&self, offset: u64, memory: &M, address: u64, length: u32) -> Option<()>;

    /// Copies `length` bytes at byte `offset` of the region to guest physical `address`.
    fn drain(&self, offset: u64, memory: &M, address: u64, length: u32) -> Option<()>;
}

/// Calls `act` with address, offset and length of each piece of guest memory in `data` and its counterpart in the region's
/// `pieces`, as far as there is both. `None` when `act` says so, or there are too few pieces.
#[inline]
fn each_piece(
    data: &[Segment],
    mut pieces: impl Iterator<Item = Piece>,
    mut act: impl FnMut(u64, u64, u32) -> Option<()>,
) -> Option<()> {
    let mut room = Piece { offset: 0, length: 0 };
    for segment in data {
        let mut left = *segment;
        while left.length > 0 {
            if room.length == 0 {
                room = pieces.next().filter(|piece| piece.length > 0)?;
            }
            let length = left.length.min(room.length);
            act(left.address, room.offset, length)?;
            left.address += u64::from(length);
            left.length -= length;
            room.offset += u64::from(length);
            room.length -= length;
        }
    }
    Some(())
}
