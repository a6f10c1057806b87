// SPDX-License-Identifier: BSD-2-Clause
//! PL031 real-time clock driver PD.
#![cfg_attr(not(test), no_std)]
