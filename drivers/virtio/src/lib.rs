// SPDX-License-Identifier: BSD-2-Clause
//! Driver side of virtio devices: the memory-mapped transport, version 2, and split virtqueues (virtio 1.2, sections 2.7
//! and 4.2). Used by the driver PDs for block, network and entropy.
//!
//! A driver PD maps its device's registers and one region for DMA, with the rings and its own small buffers. It maps no
//! data: requests name physical addresses that the driver passes on ([`Buffer`]). That is why this is not written on the
//! `virtio-drivers` crate, see `docs/decisions/0007-own-virtio-driver-side.md`.
//!
//! [`Device`] is the transport, [`Queue`] a virtqueue, [`DmaMemory`] the memory that driver and device share, [`barrier`] what
//! orders accesses to it. What a device writes is not believed: identifiers and indices are checked, an impossible one
//! is an error ([`DeviceMisbehaved`]) after which the device is reset. (A device that does DMA without an IOMMU can reach
//! all memory anyway; this is against broken ones.) Nothing here allocates or panics, and every wait is bounded.
#![cfg_attr(not(any(test, feature = "mock")), no_std)]
#![deny(unsafe_code)]

pub mod barrier;
mod device;
mod memory;
#[cfg(any(test, feature = "mock"))]
pub mod mock;
mod queue;
pub mod registers;
mod request;
#[cfg(test)]
mod tests;

pub use device::{Device, DeviceType, Error, Features, InterruptStatus, Status};
pub use memory::{Cell, DmaArray, DmaMemory};
pub use queue::Queue;
pub use request::{AddError, Buffer, Completion, DeviceMisbehaved, Direction};
