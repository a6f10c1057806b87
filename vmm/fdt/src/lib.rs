// SPDX-License-Identifier: BSD-2-Clause
//! The guest's device tree, and loading of a Linux Image.
#![no_std]
