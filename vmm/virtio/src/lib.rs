// SPDX-License-Identifier: BSD-2-Clause
//! Virtio devices of a guest: virtio-mmio transport, split virtqueues, device models.
#![cfg_attr(not(test), no_std)]
