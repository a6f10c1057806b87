// SPDX-License-Identifier: BSD-2-Clause
//! The block virtualiser: several clients (VMMs with their guests, other PDs) share one disk, each its own part of it.
//!
//! Which part is configuration ([`config`]): a partition by number or name, the whole disk, or a range. The partition table
//! is read through a buffer of its own ([`table`]); then requests are checked against the client's part and the client's
//! memory, moved to their place on the disk, and passed on to the driver ([`Virtualiser`]). Data is not copied and not
//! even mapped here: segments become physical addresses inside the client's region.
//!
//! What is at the driver is held in [`Slots`]: a driver that restarts gets it again, in the same order. A client that restarts
//! is accepted when nothing of its old life is at the device any more.
//!
//! **Fairness.** Clients take turns, a few requests each, and each has at most its share of the slots, so that a flood of
//! one delays another by a bounded number of requests.
//!
//! **Flush.** A client's flush goes to the device when its earlier writes are done, and is answered when the device has
//! flushed. Flushes of several clients become one when they wait at the same time; a write that was done after
//! the device's flush began is never covered by it.
//!
//! Neither clients nor the disk's contents are trusted; the driver is trusted with what it is given and not with what it
//! answers.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod assign;
mod client;
pub mod config;
mod disk;
mod request;
mod slots;
pub mod table;
#[cfg(test)]
mod tests;
mod virtualiser;

pub use assign::{AssignError, Extent};
pub use client::DataRegion;
pub use slots::{SLOTS, Slots};
pub use virtualiser::{ChannelFlags, Event, MAX_CLIENTS, Outcome, Virtualiser, Wake};
