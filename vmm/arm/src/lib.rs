// SPDX-License-Identifier: BSD-2-Clause
//! Arm exception syndromes and emulated system registers of a guest.
#![no_std]
