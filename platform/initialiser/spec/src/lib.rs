// SPDX-License-Identifier: BSD-2-Clause
//! What the `microkit` tool hands to the initialiser, and the algorithms that both must run in the same way.
//!
//! * [`record`]: the objects, capabilities, mappings and threads of a system; [`format`]: their bytes.
//! * [`boot`]: which untyped memory the kernel will report, predicted from the kernel image and the board.
//! * [`allocator`]: which object is made from which untyped memory. The tool runs it on the predicted untypeds, so that
//!   physical addresses are known and a lack of memory shows when the system is built; the initialiser runs it on the
//!   untypeds it is really given.
//! * [`symbols`]: the function names of the programs, for the monitor's fault reports.
//!
//! Nothing here allocates; with the feature `write` the tool gets the writing half of [`format`].

#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "write")]
extern crate alloc;
#[cfg(test)]
#[macro_use]
extern crate std;

pub mod allocator;
pub mod boot;
pub mod format;
pub mod record;
pub mod symbols;

pub use format::{FormatError, Header, Spec};

/// One piece of untyped memory: a naturally aligned power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Untyped {
    /// Physical address, a multiple of the size.
    pub paddr: u64,
    /// log2 of the size in bytes.
    pub size_bits: u8,
    /// Device memory: frames only, never zeroed by the kernel.
    pub device: bool,
}

impl Untyped {
    /// First address behind it.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.paddr.saturating_add(1 << (self.size_bits & 63))
    }
}

/// A number that two lists of untypeds share only if they are equal (FNV-1a over the words; not against an adversary).
#[must_use]
pub fn fingerprint(untypeds: impl IntoIterator<Item = Untyped>) -> u64 {
    const PRIME: u64 = 0x100_0000_01b3;
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    untypeds.into_iter().fold(BASIS, |hash, untyped| {
        let shape = u64::from(untyped.size_bits) | u64::from(untyped.device) << 8;
        let hash = (hash ^ untyped.paddr).wrapping_mul(PRIME);
        (hash ^ shape).wrapping_mul(PRIME)
    })
}
