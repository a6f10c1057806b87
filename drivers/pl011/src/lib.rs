// SPDX-License-Identifier: BSD-2-Clause
//! PL011 UART driver PD.
#![no_std]
