// SPDX-License-Identifier: BSD-2-Clause
//! Virtio block driver PD.
#![cfg_attr(not(test), no_std)]
