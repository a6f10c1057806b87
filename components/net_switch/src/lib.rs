// SPDX-License-Identifier: BSD-2-Clause
//! The network switch between up to eight clients (VMMs with their guests, other PDs) and one uplink (a network driver).
//!
//! It learns where stations are, or is told; who may talk to whom, and from which addresses, is configuration ([`policy`]). Every
//! packet is copied from its sender's region to its receiver's, who share no memory. On the way the switch does the work
//! that a sender left to it and a receiver cannot do: checksums, and cutting TCP packets of up to 64 KiB into segments
//! ([`segment`]); segments that come in from outside it puts together again ([`merge`]). Between two guests nobody does that work: the packet is as good in memory as it is.
//!
//! Clients are not trusted: malformed packets, lying lengths and offsets are refused one by one ([`frame`]), broken queues
//! cut off that client ([`ring`]). The driver is trusted with the device's memory, which it names by address, and with
//! nothing else. The PD (`src/main.rs`) adds channels and memory.
#![cfg_attr(not(any(test, feature = "mock")), no_std)]
#![deny(unsafe_code)]

pub mod checksum;
mod client;
pub mod counters;
pub mod frame;
#[cfg(test)]
mod frame_tests;
pub mod headers;
pub mod merge;
pub mod neighbour;
#[cfg(test)]
#[allow(missing_docs, reason = "for tests")]
mod packets;
pub mod policy;
mod receive;
#[allow(unsafe_code, reason = "copies between memory that other programs share")]
pub mod region;
mod rules;
pub mod segment;
mod switch;
pub mod table;
#[cfg(test)]
mod tests;
mod uplink;

pub use client::Client;
pub use switch::{Outcome, Switch};
pub use uplink::{DmaRegion, MIN_BUFFERS, TooSmall, Uplink};
