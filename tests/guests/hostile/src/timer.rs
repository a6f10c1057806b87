// SPDX-License-Identifier: BSD-2-Clause
//! The virtual timer.

use crate::{cpu, read_register, write_register};

/// CNTV_CTL_EL0 values: enabled; enabled and masked; ISTATUS.
pub const ENABLED: u64 = 1;
const MASKED: u64 = 3;
pub const STATUS: u64 = 4;

/// The virtual count.
pub fn now() -> u64 {
    cpu::barrier();
    read_register!("cntvct_el0")
}

/// Ticks a second.
pub fn frequency() -> u64 {
    read_register!("cntfrq_el0")
}

/// The timer's interrupt at `compare`.
pub fn set(compare: u64) {
    write_register!("cntv_cval_el0", compare);
    write_register!("cntv_ctl_el0", ENABLED);
}

/// No interrupt, whatever the time.
pub fn mask() {
    write_register!("cntv_ctl_el0", MASKED);
}

/// Whether the condition is met.
pub fn status() -> bool {
    read_register!("cntv_ctl_el0") & STATUS != 0
}

/// Runs for `milliseconds`.
pub fn spin(milliseconds: u64) {
    let start = now();
    let ticks = frequency() / 1000 * milliseconds;
    while now().wrapping_sub(start) < ticks {}
}
