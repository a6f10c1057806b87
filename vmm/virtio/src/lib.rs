// SPDX-License-Identifier: BSD-2-Clause
//! Virtio devices of a guest: virtio-mmio transport, split virtqueues, device models (virtio 1.2, cited by section).
//!
//! The VMM owns one [`Mmio`] per device, a plain serialisable value. It forwards the guest's accesses to the register
//! page ([`Mmio::read`], [`Mmio::write`]) and lets the device work with its `run` method when the guest kicked it
//! ([`Written::Kick`]) or when the back end has something new. Guest memory is behind [`GuestMemory`], what a device
//! does its work with behind one small trait per device ([`block::Backend`], [`net::Backend`], [`console::Backend`],
//! [`entropy::Backend`]): submit now, complete later.
//!
//! # What is trusted
//!
//! Nothing that comes from the guest: accesses of any size anywhere, rings and descriptors that change under the
//! device's eyes. What the device needs is read once and kept. What no driver may do ([`Abuse`]) stops that device
//! until the guest resets it (DEVICE_NEEDS_RESET, section 2.1.1), with one log message. The work of one call is
//! bounded by the queue's size.
#![cfg_attr(not(any(test, feature = "mock")), no_std)]
#![forbid(unsafe_code)]

mod abuse;
pub mod block;
pub mod console;
pub mod entropy;
pub mod memory;
pub mod mmio;
#[cfg(any(test, feature = "mock"))]
pub mod mock;
pub mod model;
pub mod net;
pub mod queue;
#[cfg(test)]
mod tests;

pub use abuse::Abuse;
pub use memory::{GuestMemory, Segment};
pub use mmio::{Mmio, Written};
pub use model::{Full, Model, Progress};
pub use queue::{Chain, Queue};

/// A guest's disk.
pub type BlockDevice = Mmio<block::Block>;
/// A guest's network interface.
pub type NetDevice = Mmio<net::Net>;
/// A guest's console.
pub type ConsoleDevice = Mmio<console::Console>;
/// A guest's source of entropy.
pub type EntropyDevice = Mmio<entropy::Entropy>;
