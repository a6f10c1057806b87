// SPDX-License-Identifier: BSD-2-Clause
//! Packets and buffers, as the caller sees them and as they lie in the queues: one and two double words.

use crate::pages::Memory;
use crate::queue::Entry;

/// Most buffers in a packet: 64 KiB and headers in buffers of 2 KiB.
pub const MAX_BUFFERS: usize = 40;

/// Offsets and bus addresses have so many bits.
const OFFSET_BITS: u32 = 48;
const OFFSET_MASK: u64 = (1 << OFFSET_BITS) - 1;

/// A piece of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Buffer {
    /// Byte offset in the data region of this direction; a bus address on links to a driver. Below 2^48.
    pub offset: u64,
    /// Bytes: of data in a packet, of space in an empty buffer; 0 when it does not matter.
    pub length: u16,
}

bitflags::bitflags! {
    /// Flags of a packet, with the meaning of virtio 1.2 section 5.1.6.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct OffloadFlags: u16 {
        /// The checksum at `csum_start + csum_offset` has to be completed.
        const NEEDS_CSUM = 1 << 0;
        /// The checksum has been verified.
        const DATA_VALID = 1 << 1;
    }
}

/// How a packet is to be cut into segments (virtio 1.2 section 5.1.6, `gso_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gso(pub u8);

impl Gso {
    /// Not at all.
    pub const NONE: Self = Self(0);
    /// TCP over IPv4.
    pub const TCP4: Self = Self(1);
    /// UDP fragmentation.
    pub const UDP: Self = Self(3);
    /// TCP over IPv6.
    pub const TCP6: Self = Self(4);
    /// UDP segmentation over IPv4 or IPv6.
    pub const UDP_L4: Self = Self(5);
    /// Added to a TCP type: the packet has ECN set.
    pub const ECN: u8 = 0x80;

    /// The type without ECN.
    #[must_use]
    pub const fn kind(self) -> Self {
        Self(self.0 & !Self::ECN)
    }
}

/// What is left to do with a packet: `struct virtio_net_hdr` without what can be derived (`hdr_len`, `num_buffers`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Offload {
    /// See [`OffloadFlags`].
    pub flags: OffloadFlags,
    /// See [`Gso`].
    pub gso: Gso,
    /// Bytes of payload in each segment.
    pub gso_size: u16,
    /// Where the checksummed part begins, in bytes from the start of the packet.
    pub csum_start: u16,
    /// Where the checksum lies, in bytes from `csum_start`: 6 for UDP, 16 for TCP.
    pub csum_offset: u8,
}

/// The next entry continues this packet.
const MORE: u64 = 1 << 15;

/// A packet, or a part of one, in the queue. From bit 0 of the first word: offset (48 bits), flags (16: [`OffloadFlags`],
/// bit 15 = the next entry continues this packet); of the second: length (16), gso size (16), csum start (16), csum
/// offset (8), gso type (8). Only the first entry of a packet has offload data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketEntry(pub [u64; 2]);

impl PacketEntry {
    #[inline(always)]
    pub(super) fn new(buffer: Buffer, more: bool, offload: Option<&Offload>) -> Self {
        let mut flags = if more { MORE } else { 0 };
        let mut second = u64::from(buffer.length);
        if let Some(offload) = offload {
            flags |= u64::from(offload.flags.bits());
            second |= u64::from(offload.gso_size) << 16
                | u64::from(offload.csum_start) << 32
                | u64::from(offload.csum_offset) << 48
                | u64::from(offload.gso.0) << 56;
        }
        Self([buffer.offset & OFFSET_MASK | flags << OFFSET_BITS, second])
    }

    #[inline(always)]
    pub(super) fn buffer(self) -> Buffer {
        Buffer { offset: self.0[0] & OFFSET_MASK, length: self.0[1] as u16 }
    }

    #[inline(always)]
    pub(super) fn has_more(self) -> bool {
        self.0[0] >> OFFSET_BITS & MORE != 0
    }

    #[inline(always)]
    pub(super) fn offload(self) -> Offload {
        let second = self.0[1];
        Offload {
            flags: OffloadFlags::from_bits_truncate((self.0[0] >> OFFSET_BITS) as u16),
            gso: Gso((second >> 56) as u8),
            gso_size: (second >> 16) as u16,
            csum_start: (second >> 32) as u16,
            csum_offset: (second >> 48) as u8,
        }
    }
}

/// A buffer without a packet in the queue. From bit 0: offset (48 bits), length (16).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferEntry(pub u64);

impl From<Buffer> for BufferEntry {
    #[inline(always)]
    fn from(buffer: Buffer) -> Self {
        Self(buffer.offset & OFFSET_MASK | u64::from(buffer.length) << OFFSET_BITS)
    }
}

impl From<BufferEntry> for Buffer {
    #[inline(always)]
    fn from(entry: BufferEntry) -> Self {
        Self { offset: entry.0 & OFFSET_MASK, length: (entry.0 >> OFFSET_BITS) as u16 }
    }
}

impl Entry for PacketEntry {
    const STRIDE: usize = 16;

    #[inline(always)]
    fn read<M: Memory>(memory: &M, offset: usize) -> Self {
        Self(memory.read(offset))
    }

    #[inline(always)]
    fn write<M: Memory>(self, memory: &M, offset: usize) {
        memory.write(offset, self.0);
    }
}

impl Entry for BufferEntry {
    const STRIDE: usize = 8;

    #[inline(always)]
    fn read<M: Memory>(memory: &M, offset: usize) -> Self {
        let [word] = memory.read(offset);
        Self(word)
    }

    #[inline(always)]
    fn write<M: Memory>(self, memory: &M, offset: usize) {
        memory.write(offset, [self.0]);
    }
}
