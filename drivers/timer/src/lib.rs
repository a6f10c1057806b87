// SPDX-License-Identifier: BSD-2-Clause
//! The timer driver: several clients' time-outs on one hardware timer.
//!
//! This library is the part without hardware: the [`protocol`] spoken by clients (the VMM, the console virtualiser), the
//! conversion of [`clock`] ticks, the table of [`timeouts`], and what a [`driver`] does with them. The driver PD (`src/main.rs`) adds
//! the generic timer's registers (Arm DDI 0487, "The Generic Timer in AArch64 state").
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod clock;
#[cfg(any(test, feature = "deaths"))]
pub mod deaths;
pub mod driver;
#[cfg(feature = "pd")]
pub mod pd;
pub mod protocol;
pub mod timeouts;
