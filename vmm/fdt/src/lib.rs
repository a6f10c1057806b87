// SPDX-License-Identifier: BSD-2-Clause
//! What a guest finds in its memory when it starts: the kernel, the initramfs and a device tree.
//!
//! [`image`] reads the header of an arm64 Linux Image, [`layout`] decides where everything goes, [`machine`] writes the
//! device tree of QEMU's `virt` machine as far as the guest has it, [`writer`] is the format. No heap: the tree is written
//! straight into guest memory. Images are prefilled by whoever built the system and not trusted: every size is checked.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod image;
pub mod layout;
pub mod machine;
pub mod writer;

pub use image::{Image, ImageError};
pub use layout::{Layout, LayoutError};
pub use machine::Machine;
pub use vgic::Version as GicVersion;
pub use writer::{Full, Writer};
