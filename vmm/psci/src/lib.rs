// SPDX-License-Identifier: BSD-2-Clause
//! PSCI and SMCCC as a guest sees them.
#![no_std]
