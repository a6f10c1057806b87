// SPDX-License-Identifier: BSD-2-Clause
//! The root task: builds the system that the `microkit` tool described, starts it, and stops.
//!
//! The kernel starts it at EL0 with all capabilities and the address of the boot information in x0. Behind its image the
//! tool has put the description (`system_spec`) and the data for filling frames, and has written their addresses into
//! the symbols below. It works through the description once, record by record; nothing is allocated. What goes wrong is
//! printed (in kernels that print), and the system does not start.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![cfg_attr(
    not(target_os = "none"),
    allow(dead_code, unused_imports, reason = "on the host it is only checked that the rest compiles")
)]

#[cfg(target_os = "none")]
mod bootinfo;
#[cfg(target_os = "none")]
mod console;
#[cfg(target_os = "none")]
mod copy;
#[cfg(target_os = "none")]
mod create;
#[cfg(target_os = "none")]
mod error;
#[cfg(target_os = "none")]
mod fill;
#[cfg(target_os = "none")]
mod install;
#[cfg(target_os = "none")]
mod kernel;
#[cfg(target_os = "none")]
mod start;

#[cfg(not(target_os = "none"))]
fn main() {}
