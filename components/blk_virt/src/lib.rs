// SPDX-License-Identifier: BSD-2-Clause
//! Block virtualiser: partitions of one disk for several clients.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod table;
