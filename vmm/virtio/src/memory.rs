// SPDX-License-Identifier: BSD-2-Clause
//! A guest's memory as its devices reach it. The VMM implements it on the guest's RAM.
//!
//! The guest runs at the same time: what was read once may read otherwise the next time.

use serde::{Deserialize, Serialize};

/// Bytes of guest memory: the whole range was inside it when it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Guest physical address of the first byte.
    pub address: u64,
    /// Bytes; not zero.
    pub length: u32,
}

/// A guest's memory. Words are little endian. `None`: not all of it is inside the memory, nothing was done.
///
/// Implementations have to refuse ranges that wrap around or straddle the end.
pub trait GuestMemory {
    /// Whether `length` bytes from `address` are all inside.
    fn contains(&self, address: u64, length: u64) -> bool;

    /// Reads 16 bits at an even address, at once.
    fn load16(&self, address: u64) -> Option<u16>;

    /// Writes 16 bits at an even address, at once.
    fn store16(&self, address: u64, value: u16) -> Option<()>;

    /// Writes 64 bits at a multiple of four, in any order.
    fn store64(&self, address: u64, value: u64) -> Option<()>;

    /// Reads two times 64 bits at any address, in any order.
    fn load_pair(&self, address: u64) -> Option<[u64; 2]>;

    /// Copies out of the guest's memory.
    fn read(&self, address: u64, to: &mut [u8]) -> Option<()>;

    /// Copies into the guest's memory.
    fn write(&self, address: u64, from: &[u8]) -> Option<()>;

    /// Loads before this are done before loads and stores after it.
    fn acquire(&self);

    /// Loads and stores before this are done before stores after it.
    fn release(&self);

    /// Everything before this is done before everything after it, stores before loads too.
    fn fence(&self);
}
