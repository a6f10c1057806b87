// SPDX-License-Identifier: BSD-2-Clause
//! What no driver may do. Each of these stops the device until it is reset.

use thiserror::Error;

/// A driver's offence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Abuse {
    /// A queue's size is zero, no power of two, or above the device's (section 2.7).
    #[error("queue size {0}")]
    QueueSize(u16),
    /// A part of a queue is not aligned (section 2.7).
    #[error("part of a queue at {0:#x}, not aligned")]
    Alignment(u64),
    /// An address that is not, or not for that long, in the guest's memory.
    #[error("{length} bytes at {address:#x} are not in the guest's memory")]
    OutsideMemory {
        /// Guest physical address.
        address: u64,
        /// Bytes.
        length: u64,
    },
    /// The available index is further ahead than the queue is long (section 2.7.13.3).
    #[error("available index {found} after {taken} in a queue of {size}")]
    AvailableIndex {
        /// The driver's index.
        found: u16,
        /// The device's.
        taken: u16,
        /// Entries.
        size: u16,
    },
    /// A descriptor index that the table does not have.
    #[error("descriptor {index} in a table of {entries}")]
    DescriptorIndex {
        /// The index.
        index: u16,
        /// Entries.
        entries: u16,
    },
    /// A chain that is longer than it may be, or that has no end (section 2.7.5.3.1).
    #[error("descriptor chain without an end from descriptor {0}")]
    Endless(u16),
    /// More buffers than the device takes in one request.
    #[error("descriptor chain too long from descriptor {0}")]
    TooLong(u16),
    /// A buffer of no bytes.
    #[error("empty buffer in the descriptor chain from {0}")]
    Empty(u16),
    /// More than 2^32 - 1 bytes in one chain (section 2.7.4.2).
    #[error("too many bytes in the descriptor chain from {0}")]
    Huge(u16),
    /// A buffer for reading behind one for writing (section 2.7.4.2).
    #[error("readable behind writable buffer in the descriptor chain from {0}")]
    Order(u16),
    /// An indirect descriptor that is not negotiated, nested, continued, or of an odd size (section 2.7.5.3).
    #[error("bad indirect descriptor in the chain from {0}")]
    Indirect(u16),
    /// A chain that was made available again before the device was done with it.
    #[error("descriptor chain from {0} made available twice")]
    Twice(u16),
    /// A chain that was changed before the device was done with it.
    #[error("descriptor chain from {0} changed while in use")]
    Changed(u16),
    /// A request without the place for its header or its status.
    #[error("request without {what} in the descriptor chain from {head}")]
    Missing {
        /// What is missing.
        what: &'static str,
        /// First descriptor.
        head: u16,
    },
}
