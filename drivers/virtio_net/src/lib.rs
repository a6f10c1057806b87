// SPDX-License-Identifier: BSD-2-Clause
//! Virtio network driver PD.
#![cfg_attr(not(test), no_std)]
