// SPDX-License-Identifier: BSD-2-Clause
//! Devices that a guest's machine has and no hardware stands behind: a UART and a clock.
//!
//! Each is a plain value with `read` and `write` by register offset; the VMM decodes the access, asks for the level
//! of the interrupt line afterwards and hands it to the interrupt controller. Nothing here panics on a guest's input.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod fifo;
pub mod pl011;
pub mod pl031;
mod primecell;

pub use pl011::{Pl011, Transmit};
pub use pl031::Pl031;
