// SPDX-License-Identifier: BSD-2-Clause
//! Network switch between guests and an uplink.
#![cfg_attr(not(test), no_std)]
