// SPDX-License-Identifier: BSD-2-Clause
//! The PL031 driver: the time of day for whoever may call it (Arm DDI 0224).
//!
//! This library is the part without a kernel: the [`protocol`] spoken by clients (each guest's VMM), the [`registers`], and
//! [`Rtc`], the logic, tested on the host against a model of the clock. The driver PD is `src/main.rs`. It trusts the
//! hardware, not its clients: they can ask for the time and nothing else.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod protocol;
pub mod registers;
mod rtc;

pub use rtc::Rtc;
