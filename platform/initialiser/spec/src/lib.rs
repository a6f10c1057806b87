// SPDX-License-Identifier: BSD-2-Clause
//! The description that the microkit tool hands to the initialiser, and the allocator both replay.
#![no_std]
