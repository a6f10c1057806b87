// SPDX-License-Identifier: BSD-2-Clause
//! The kernel's implementation, free of architecture: runs at EL2 and in host tests.
#![no_std]
