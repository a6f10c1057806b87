// SPDX-License-Identifier: BSD-2-Clause
//! Links that carry block requests: driver, virtualiser, and whoever reads and writes blocks.
//!
//! A request is one entry, or a chain of entries for several segments of memory. Requests may be answered in any order; each
//! gets exactly one response. The server takes a request only when its response has a place, so that answering
//! cannot fail.

mod client;
mod entry;
mod info;
mod server;

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(test)]
mod tests;

pub use client::Client;
pub use entry::{Code, MAX_SEGMENTS, Request, Response, Segment, Status};
pub use info::{Abilities, Info};
pub use server::Server;

pub use entry::{RequestEntry, ResponseEntry};

use crate::link::{LayoutError, largest_capacity};
use crate::queue::{Bulkhead, Entry, Wire};

/// Bytes in a sector, the unit of disk addresses.
pub const SECTOR: u32 = 512;

/// Where the queues lie in a region: request queue, then response queue, of the same capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Entries in each queue.
    pub capacity: u32,
    /// Byte offset of the request queue.
    pub requests: usize,
    /// Byte offset of the response queue.
    pub responses: usize,
}

impl Layout {
    /// The layout of a region of `size` bytes. Both sides derive the same.
    ///
    /// # Errors
    /// [`LayoutError`] when the region is too small.
    pub fn of(size: usize) -> Result<Self, LayoutError> {
        let capacity = largest_capacity(size, &[RequestEntry::STRIDE, ResponseEntry::STRIDE])?;
        let requests = crate::link::HEADER_SIZE;
        let responses = requests + Bulkhead::ENTRIES + RequestEntry::STRIDE * capacity as usize;
        Ok(Self { capacity, requests, responses })
    }
}
