// SPDX-License-Identifier: BSD-2-Clause
//! Virtio entropy driver PD.
#![cfg_attr(not(test), no_std)]
