// SPDX-License-Identifier: BSD-2-Clause
//! The numbers of the system-call interface: labels, object types, sizes, errors, faults, BootInfo.
#![no_std]
