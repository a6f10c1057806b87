// SPDX-License-Identifier: BSD-2-Clause
//! The PL011 driver: moves bytes between the UART and two rings, driven by interrupts (Arm DDI 0183).
//!
//! [`registers`] names the registers and hides how they are accessed, [`Driver`] is the logic, tested on the host
//! against a model of the UART. The driver PD is `src/pd.rs`, with `src/main.rs` here and one for each other UART. It trusts
//! the hardware, not its peer on the rings.
#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]

#[cfg(any(test, feature = "deaths"))]
pub mod deaths;
mod driver;
#[cfg(feature = "pd")]
pub mod pd;
pub mod registers;
#[cfg(test)]
mod tests;

pub use driver::{Driver, Notify};
