// SPDX-License-Identifier: BSD-2-Clause
//! Console virtualiser: several PDs and guests share one UART.
#![no_std]
