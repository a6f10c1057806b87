// SPDX-License-Identifier: BSD-2-Clause
//! Cache maintenance around DMA of devices that do not see the processor's caches, to the point of coherency (Arm ARM, DDI
//! 0487, D7.5.9). The kernel lets user level do it (`SCTLR_EL1.UCI`), as seL4's does.
//!
//! A region that such a device reads is [`clean`]ed behind each write; one that it writes is never written by the processor,
//! so that no line of it is dirty, and each part is [`discard`]ed before it is read. Elsewhere than on Arm, where tests run, both
//! do nothing.
#![no_std]

#[cfg(target_arch = "aarch64")]
mod arm;

#[cfg(target_arch = "aarch64")]
pub use arm::{clean, discard};

/// What the processor has written can be read by devices.
#[cfg(not(target_arch = "aarch64"))]
pub const fn clean(_start: *const u8, _length: usize) {}

/// What devices have written can be read by the processor.
#[cfg(not(target_arch = "aarch64"))]
pub const fn discard(_start: *const u8, _length: usize) {}
