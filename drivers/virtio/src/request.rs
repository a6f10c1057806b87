// SPDX-License-Identifier: BSD-2-Clause
//! What goes into a virtqueue and what comes out of it.

/// Who writes a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The device reads it.
    ToDevice,
    /// The device writes it.
    FromDevice,
}

/// A piece of memory that a request is about, as the device sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buffer {
    /// Its physical address.
    pub address: u64,
    /// Its length in bytes.
    pub length: u32,
    /// Who writes it.
    pub direction: Direction,
}

/// A completed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completion {
    /// What [`Queue::add`](crate::Queue::add) gave for it. Free for the next one from now on.
    pub id: u16,
    /// Number of bytes that the device says it has written. Not checked against the buffers' sizes.
    pub written: u32,
}

/// Why a request cannot be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// Not now: the descriptors are in use.
    #[error("the queue is full")]
    Full,
    /// Never: no buffers, or more than the queue has descriptors.
    #[error("a request of {0} buffers does not fit a queue")]
    Length(usize),
}

/// The device has written into the used ring what cannot be. Nothing more comes out of the queue until the device is reset
/// and so is the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeviceMisbehaved {
    /// It has used more than there was.
    #[error("used index {found} from {last} on, {outstanding} requests are outstanding")]
    UsedIndex {
        /// What it wrote.
        found: u16,
        /// Up to where requests have been taken.
        last: u16,
        /// Number of requests that it has.
        outstanding: u16,
    },
    /// It has completed what it was not given, or the same twice.
    #[error("completion of request {0}, which is not outstanding")]
    Identifier(u32),
}
