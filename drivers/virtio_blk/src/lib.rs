// SPDX-License-Identifier: BSD-2-Clause
//! The virtio block driver (virtio 1.2, section 5.2): serves one block link from one device.
//!
//! It maps the device's registers, a region for rings and headers, and the link. It maps no data: requests name physical
//! addresses, which it passes on. Several requests become one notification of the device, several completions one of the
//! client.
//!
//! [`Driver`] is the logic, tested on the host against a model of the device. The driver PD is `src/main.rs`. Neither the
//! client nor the device is believed: what the client asks for is checked against the device's limits, and a device
//! that answers what nobody asked, or needs a reset, is reset. Whatever was in flight is then replayed by the
//! client, which holds it in its own tables: the driver begins a new epoch of the link.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod driver;
mod hardware;
pub mod protocol;
#[cfg(test)]
mod tests;

pub use driver::{Driver, Event};
pub use hardware::dma_size;
