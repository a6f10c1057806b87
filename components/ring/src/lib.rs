// SPDX-License-Identifier: BSD-2-Clause
//! Single-producer single-consumer rings in memory shared between protection domains.
//!
//! Used by drivers, virtualisers and their clients. The wire layout is sDDF 0.7's. The peer is not trusted: it may write
//! anything into the shared memory at any time. So each side keeps its own index privately, checks the peer's index whenever
//! it reads it, and cuts the ring off when that index is impossible; contents are only ever copied, never referenced.
//!
//! [`memory`] is the only place that touches shared memory. The protocol is written against its trait, so that the same
//! code runs on shared pages, on ordinary memory in property tests, and on loom's model of the memory order.
#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]

pub mod blk;
pub mod inflight;
pub mod link;
pub mod memory;
#[cfg(feature = "mortal")]
pub mod mortal;
pub mod net;
pub mod pages;
pub mod queue;
pub mod sddf;
pub mod serial;

#[cfg(all(test, loom))]
mod loom_pages;

/// The peer has moved its index where it cannot be. The ring is cut off: it takes and gives no more bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the peer's index {found:#x} is impossible: own index {own:#x}, capacity {capacity:#x}")]
pub struct PeerMisbehaved {
    /// The index the peer wrote.
    pub found: u32,
    /// This side's index.
    pub own: u32,
    /// The ring's capacity.
    pub capacity: u32,
}
