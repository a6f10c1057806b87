// SPDX-License-Identifier: BSD-2-Clause
//! The Ethernet of the Raspberry Pi 4, Broadcom GENET version 5: serves one network link.
//!
//! **Untested on hardware**: QEMU has no model of it. There is no public document either; register names and offsets are those
//! that the drivers of Linux, U-Boot and EDK2 agree on. Tested on the host against a model of the registers as this
//! driver understands them.
//!
//! One ring in each direction (number 16, the default one) with 256 descriptors, which are registers: there is no memory to be
//! shared with the device but packets', which are not mapped here. Indices that the device reports are checked; a device that
//! claims what it cannot have done is stopped. Whether the PHY's interrupt arrives differs between boards, so the line is also
//! looked at whenever there is something to do, once a second at most.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod device;
mod driver;
pub mod registers;
#[cfg(test)]
mod tests;

pub use device::DeviceError;
pub use driver::{Driver, Event};
