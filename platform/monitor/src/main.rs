// SPDX-License-Identifier: BSD-2-Clause
//! The default fault handler: the protection domain above all others, started by the initialiser.
//!
//! It receives the faults of all protection domains without a parent and prints which one faulted, where and why; the
//! domain stays stopped, everything else goes on. A passive domain tells it with an empty message that its `init` is
//! done; the monitor then takes the domain's scheduling context away from its thread and gives it to its notification.
//! The tool writes the names into the symbols in `tables` and lays out the CSpace (`slot`).
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod handler;
#[cfg(target_os = "none")]
mod tables;

#[cfg(not(target_os = "none"))]
fn main() {}
