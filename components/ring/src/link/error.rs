// SPDX-License-Identifier: BSD-2-Clause
//! Why a link does not come up, or went down for good.

use crate::PeerMisbehaved;

/// The region cannot hold the header and queues of at least two entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a link does not fit into a region of {size:#x} bytes")]
pub struct LayoutError {
    /// Bytes in the region.
    pub size: usize,
}

/// Why the peer was cut off. It may come back by a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// An impossible index.
    #[error(transparent)]
    Index(#[from] PeerMisbehaved),
    /// A chain of entries that has no end, is too long, or contradicts itself.
    #[error("the peer's request or packet {id:#x} is malformed")]
    Chain {
        /// The request's id, or the packet's offset.
        id: u64,
    },
    /// The peer's line does not begin with the magic number.
    #[error("the peer's header has the magic number {found:#x}")]
    Magic {
        /// What is there.
        found: u32,
    },
    /// The peer speaks another version.
    #[error("the peer speaks version {found} of the link, this side version {expected}")]
    Version {
        /// The peer's.
        found: u16,
        /// Ours.
        expected: u16,
    },
    /// The peer is no end of this kind of link, or has this side's own role.
    #[error("the peer's end is {found:#06x} (role, kind), this side expects {expected:#06x}")]
    Kind {
        /// The peer's.
        found: u16,
        /// What this side expects.
        expected: u16,
    },
    /// The two sides know different sizes of the region, so different layouts.
    #[error("the peer's region has {found:#x} bytes, this side's {expected:#x}")]
    Size {
        /// The peer's.
        found: u32,
        /// Ours.
        expected: u32,
    },
    /// The peer restarted too often.
    #[error("the peer has restarted {restarts} times")]
    TooManyRestarts {
        /// So often.
        restarts: u32,
    },
}
