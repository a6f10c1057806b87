// SPDX-License-Identifier: BSD-2-Clause
//! What a guest's network interface is connected to.

use crate::memory::{GuestMemory, Segment};
use crate::model::Full;
use serde::{Deserialize, Serialize};

/// What the network is like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// The interface's address.
    pub mac: [u8; 6],
    /// Most bytes of a frame's payload; 0: not told, 1500.
    pub mtu: u16,
    /// The cable is plugged in.
    pub link: bool,
    /// What the network does for the guest: bits of [`super::Feature::OFFLOADS`].
    pub offloads: u64,
}

/// What virtio's packet header says beside the packet (section 5.1.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    /// The checksum from `checksum_start` on is to be written `checksum_offset` behind that place, where there is the
    /// pseudo header's. Otherwise these two mean nothing.
    pub needs_checksum: bool,
    /// Checksums were verified.
    pub data_valid: bool,
    /// Byte of the frame.
    pub checksum_start: u16,
    /// Bytes behind that.
    pub checksum_offset: u16,
    /// The packet is to be cut into segments.
    pub segmentation: Segmentation,
    /// Explicit congestion notification is in use.
    pub congestion: bool,
    /// Bytes of headers that each segment gets; a hint.
    pub header_length: u16,
    /// Payload bytes of a segment.
    pub segment_size: u16,
}

/// How a packet is cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Segmentation {
    /// It is one packet.
    #[default]
    None,
    /// TCP over IPv4.
    Tcp4,
    /// TCP over IPv6.
    Tcp6,
}

/// A packet for the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes of the frame.
    pub length: u32,
    /// What is to be said beside it.
    pub offload: Offload,
}

/// The network.
pub trait Backend<M: GuestMemory> {
    /// What the guest can take: bits of [`super::Feature::OFFLOADS`] that begin with `GUEST_`. Called when it changes.
    fn accept(&mut self, offloads: u64) {
        let _ = offloads;
    }

    /// Takes a packet of `length` bytes, all of `data`, by copying it: the guest may write its memory again after this.
    ///
    /// # Errors
    /// No room now; nothing was taken.
    fn send(&mut self, offload: &Offload, length: u32, data: &[Segment], memory: &M) -> Result<(), Full>;

    /// How many more packets of the guest's may lie in its queue without a kick. With more than 0 the caller of
    /// [`NetDevice`](crate::NetDevice)'s `run` calls it again soon, kick or no kick.
    fn patience(&self) -> u16 {
        0
    }

    /// The next packet for the guest. The same one until [`Backend::done`].
    fn received(&mut self) -> Option<Received>;

    /// Copies `length` bytes from byte `offset` of that packet to `to`, which may be longer. False: it cannot be had.
    fn copy(&mut self, offset: u32, length: u32, to: &[Segment], memory: &M) -> bool;

    /// That packet is no longer needed.
    fn done(&mut self);

    /// Everything that will be sent and done for now has been.
    fn flush(&mut self);
}
