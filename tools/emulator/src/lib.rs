// SPDX-License-Identifier: BSD-2-Clause
//! Starts QEMU and talks to the machine's serial console.
//!
//! [`Machine`] describes what to emulate: a Bulkhead image on the whole board, or a bare Linux for comparison.
//! [`Emulator`] is one running process of it; [`Console`] is what it printed so far and the way to wait for more.
//! [`Devices`] are what is connected to it; [`gpt`] makes disks, [`peer`] is who answers on its network, [`program`] finds the
//! QEMU that a board needs. Used by `xtask run`, `xtask bench` and the whole-system tests. All time-outs are of the host's
//! clock and only bound how long a broken system is waited for; nothing depends on the guest's notion of time.

#![forbid(unsafe_code)]

mod console;
mod devices;
pub mod gpt;
mod machine;
pub mod peer;
mod process;
pub mod program;

pub use console::{Console, ExpectError, Mark};
pub use devices::{Attachment, Devices, Disk, Writes};
pub use machine::{Machine, Payload, Time};
pub use process::Emulator;
