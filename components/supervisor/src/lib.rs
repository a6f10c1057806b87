// SPDX-License-Identifier: BSD-2-Clause
//! The supervisor: restarts the driver, virtualiser and VMM protection domains (PDs) below it when they crash or hang.
//!
//! This library is the part without a kernel: [`config`] reads the text that the system description gives the PD, and
//! [`Policy`] decides from faults, answers and the passing of time who is restarted and who is given up. The PD
//! (`src/main.rs`) asks the kernel to carry that out. Time is counted in beats of the `heartbeat` PD
//! (`src/bin/heartbeat.rs`), which needs no timer, so that the timer's driver can be supervised like any other.
//!
//! The supervisor trusts nobody below it: a child can only fault, answer, or not answer.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod config;
mod policy;
#[cfg(test)]
mod tests;

pub use config::Settings;
pub use policy::{Decision, Policy};

/// Most children: their numbers are 0 to one less.
pub const MAX_CHILDREN: usize = 24;

/// A child's name, cut if it is longer.
pub type Name = heapless::String<32>;
