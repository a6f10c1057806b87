// SPDX-License-Identifier: BSD-2-Clause
//! The EL1 physical timer (CNTP) of one vCPU, emulated: the real one belongs to the timer driver.
//!
//! Times are ticks of the physical counter (CNTPCT_EL0), which the guest reads directly.

use serde::{Deserialize, Serialize};

/// CNTP_CTL_EL0.ENABLE.
const ENABLE: u64 = 1 << 0;
/// CNTP_CTL_EL0.IMASK.
const IMASK: u64 = 1 << 1;
/// CNTP_CTL_EL0.ISTATUS, read only.
const ISTATUS: u64 = 1 << 2;

/// Control and compare value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhysicalTimer {
    control: u64,
    compare: u64,
}

impl PhysicalTimer {
    /// Disabled, as after reset.
    pub const fn new() -> Self {
        Self { control: 0, compare: 0 }
    }

    /// CNTP_CTL_EL0. ISTATUS is only defined while the timer is enabled and reads as zero otherwise.
    pub const fn control(&self, now: u64) -> u64 {
        if self.condition(now) { self.control | ISTATUS } else { self.control }
    }

    /// Writes CNTP_CTL_EL0.
    pub const fn set_control(&mut self, value: u64) {
        self.control = value & (ENABLE | IMASK);
    }

    /// CNTP_CVAL_EL0.
    pub const fn compare(&self) -> u64 {
        self.compare
    }

    /// Writes CNTP_CVAL_EL0.
    pub const fn set_compare(&mut self, value: u64) {
        self.compare = value;
    }

    /// CNTP_TVAL_EL0: 32 bits of what is left.
    pub const fn value(&self, now: u64) -> u64 {
        self.compare.wrapping_sub(now) & 0xffff_ffff
    }

    /// Writes CNTP_TVAL_EL0: `value` is a signed 32-bit distance from now.
    pub const fn set_value(&mut self, value: u64, now: u64) {
        self.compare = now.wrapping_add(value as u32 as i32 as i64 as u64);
    }

    /// Level of the timer's interrupt (PPI 30).
    pub const fn asserted(&self, now: u64) -> bool {
        self.condition(now) && self.control & IMASK == 0
    }

    /// When the interrupt will be asserted if nothing changes; `None` if never. May be in the past.
    pub const fn deadline(&self) -> Option<u64> {
        if self.control & (ENABLE | IMASK) == ENABLE { Some(self.compare) } else { None }
    }

    const fn condition(&self, now: u64) -> bool {
        self.control & ENABLE != 0 && now >= self.compare
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disabled_timer_never_fires() {
        let timer = PhysicalTimer::new();
        assert!(!timer.asserted(u64::MAX));
        assert_eq!(timer.control(u64::MAX), 0);
        assert_eq!(timer.deadline(), None);
    }

    #[test]
    fn fires_at_the_compare_value() {
        let mut timer = PhysicalTimer::new();
        timer.set_compare(100);
        timer.set_control(1);
        assert_eq!(timer.deadline(), Some(100));
        assert!(!timer.asserted(99));
        assert!(timer.asserted(100));
        assert_eq!(timer.control(100), 0b101);
    }

    #[test]
    fn masked_timer_shows_status_but_no_interrupt() {
        let mut timer = PhysicalTimer::new();
        timer.set_control(0xff);
        assert_eq!(timer.control(5), 0b111);
        assert!(!timer.asserted(5));
        assert_eq!(timer.deadline(), None);
    }

    #[test]
    fn timer_value_is_a_signed_distance() {
        let mut timer = PhysicalTimer::new();
        timer.set_value(10, 1000);
        assert_eq!(timer.compare(), 1010);
        assert_eq!(timer.value(1004), 6);
        timer.set_value(0xffff_ffff, 1000);
        assert_eq!(timer.compare(), 999);
        timer.set_value(0xffff_ffff, 0);
        assert_eq!(timer.compare(), u64::MAX);
        assert_eq!(timer.value(1), 0xffff_fffe);
    }
}
