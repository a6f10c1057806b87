// SPDX-License-Identifier: BSD-2-Clause
//! The virtio network driver (virtio 1.2, section 5.1): serves one network link from one device.
//!
//! It maps the device's registers, a region for rings and packet headers, and the link. It maps no packets: buffers are named
//! by physical addresses, which it passes on; `virtio_net_hdr` is a buffer of its own. So it does not take part in
//! mergeable receive buffers, where a packet goes on over the place of a header, nor in the large packets that need them.
//!
//! [`Driver`] is the logic, tested on the host against a model of the device. The driver PD is `src/main.rs`. A device that
//! writes what cannot be, or asks for it, is reset; packets at it are lost, as on a wire. The client is trusted with
//! the addresses of its buffers (without an IOMMU nobody could check them) and with nothing else.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod driver;
mod hardware;
mod pieces;
pub mod protocol;
#[cfg(test)]
mod tests;

pub use driver::{Driver, Event};
pub use hardware::DMA_SIZE;
