// SPDX-License-Identifier: BSD-2-Clause
//! Emulated PL011 and PL031.
#![no_std]
