// SPDX-License-Identifier: BSD-2-Clause
//! The header of a link's region: one line of 64 bytes for each side's words, then what the server tells its client.

use super::LayoutError;
use crate::queue::{Bulkhead, Wire};

/// First word of each side's line: "BHLK".
pub const MAGIC: u32 = u32::from_le_bytes(*b"BHLK");
/// Version of the layout and the protocol. Both sides must have the same.
pub const VERSION: u16 = 1;
/// Bytes before the first queue.
pub const HEADER_SIZE: usize = 0x100;
/// Bytes of the information that the server publishes.
pub const INFO_SIZE: usize = 0x80;

/// Offsets in a side's line.
pub(super) const MAGIC_WORD: usize = 0x00;
/// Version, kind, role: see [`identity`].
pub(super) const IDENTITY: usize = 0x04;
/// Bytes of the region as this side knows it.
pub(super) const SIZE: usize = 0x08;
/// See the module.
pub(super) const EPOCH: usize = 0x0c;
/// Server's line only: odd while the information is being written, 0 when there is none.
pub(super) const INFO_SEQUENCE: usize = 0x10;
/// Client's line only: what the client takes of what the server may do, as the kind of link defines it; 0 at first.
pub(super) const ACCEPTED: usize = 0x14;
/// Where the information lies in the region.
pub(super) const INFO: usize = 0x80;

const _: () = assert!(INFO + INFO_SIZE == HEADER_SIZE, "the queues follow the information");

/// The side of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// The side near the device.
    Server = 0,
    /// The side that asks.
    Client = 1,
}

impl Role {
    /// The peer's role.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Server => Self::Client,
            Self::Client => Self::Server,
        }
    }
}

/// What a link carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Block requests and responses.
    Block = 1,
    /// Packets and their buffers.
    Net = 2,
}

/// The line of `role`.
pub(super) const fn line(role: Role) -> usize {
    match role {
        Role::Server => 0x00,
        Role::Client => 0x40,
    }
}

/// Byte offset of the epoch of `role` in the region.
pub(crate) const fn offset_of_epoch(role: Role) -> usize {
    line(role) + EPOCH
}

/// Bits 15..0 version, 23..16 kind, 31..24 role.
pub(super) const fn identity(kind: Kind, role: Role) -> u32 {
    VERSION as u32 | (kind as u32) << 16 | (role as u32) << 24
}

/// The largest power of two of entries for which queues with the given strides fit into a region of `size` bytes.
pub(crate) fn largest_capacity(size: usize, strides: &[usize]) -> Result<u32, LayoutError> {
    let fixed = HEADER_SIZE + strides.len() * Bulkhead::ENTRIES;
    let entries = size.saturating_sub(fixed) / strides.iter().sum::<usize>().max(1);
    match entries.checked_ilog2() {
        // Sizes are told in 32 bits, and more entries than that help nobody.
        Some(log) if log >= 1 && u32::try_from(size).is_ok() => Ok(1 << log.min(15)),
        _ => Err(LayoutError { size }),
    }
}
