// SPDX-License-Identifier: BSD-2-Clause
//! Restarts protection domains that crash or hang.
#![cfg_attr(not(test), no_std)]
