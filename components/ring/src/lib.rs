// SPDX-License-Identifier: BSD-2-Clause
//! Single-producer single-consumer rings in shared memory.
#![no_std]
