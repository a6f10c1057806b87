// SPDX-License-Identifier: BSD-2-Clause
//! Virtio entropy device (virtio 1.2, section 5.4): random bytes for several clients, each by a byte ring of its own.
//!
//! Every byte comes from the device, goes to one client and is then erased here. There is no other source: as long as the
//! device gives nothing, clients get nothing.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

#[cfg(test)]
mod deaths;
mod driver;
#[cfg(test)]
mod tests;

pub use driver::{DMA_SIZE, Driver, Event, MAX_CLIENTS, Work};
