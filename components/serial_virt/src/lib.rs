// SPDX-License-Identifier: BSD-2-Clause
//! The console virtualiser: several clients (VMMs with their guests, other PDs) share one UART.
//!
//! Output: a line on the terminal belongs to one client and begins with its name, if there is more than one client. Bytes
//! pass as soon as nobody else's unfinished line is in the way, so a shell prompt or an echoed key appears at once. An
//! unfinished line that keeps others waiting is broken off after a moment, and shown again when the others are quiet or
//! its client goes on. See [`output`].
//!
//! Input goes to the client that has the focus. The escape key, Ctrl-], begins a command; see [`input`].
//!
//! Clients are not trusted: one that floods, stalls or corrupts its rings harms only its own output. The PD (`src/main.rs`)
//! adds channels and memory.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod config;
#[cfg(test)]
mod deaths;
pub mod input;
pub mod output;
#[cfg(test)]
mod tests;
mod virtualiser;

pub use virtualiser::{ChannelFlags, Client, MAX_CLIENTS, MIN_DRIVER_RING, Name, Outcome, Virtualiser};
