// SPDX-License-Identifier: BSD-2-Clause
//! Driver side of virtio-mmio devices: transport and split virtqueues.
#![cfg_attr(not(test), no_std)]
