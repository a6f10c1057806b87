// SPDX-License-Identifier: BSD-2-Clause
//! The SD card driver: serves one block link from the card in the slot of a standard host controller.
//!
//! It maps the controller's registers, a region for DMA lists, and the link; no data: requests name physical addresses,
//! which go into the lists. The controller does one request at a time, of up to 1 MiB, by ADMA2. A controller without DMA of
//! its own (QEMU's) gets it from an engine beside it.
//!
//! [`Driver`] is the logic, tested on the host against a model of controller and card. The driver PD is `src/main.rs`. Neither
//! client nor hardware is believed: requests are checked against the card's size, every wait is bounded, and hardware that fails
//! again and again, or interrupts without end, is given up. A card that is removed is reported, and what is asked of it answered
//! so; the same card is taken back when it returns, another one is not.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod card;
mod driver;
mod host;
pub mod registers;
mod tables;
#[cfg(test)]
mod tests;

pub use card::CardError;
pub use driver::{Driver, Event};
pub use host::HostError;
pub use tables::DMA_SIZE;
