// SPDX-License-Identifier: BSD-2-Clause
//! The Raspberry Pi's system timer (BCM2711 ARM Peripherals, chapter 10) for the clients of the timer protocol.
//!
//! A counter of 64 bits at 1 MHz, and comparators that match its lower half. [`Comparator`] makes one of them end at any moment of
//! the whole counter, [`driver::Driver`] serves clients with it; both are tested on the host against a model. The table of
//! time-outs is `timer-driver`'s.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod driver;
#[cfg(test)]
mod model;

use timer_driver::driver::Hardware;

/// Ticks a second.
pub const FREQUENCY_HZ: u64 = 1_000_000;

/// The farthest that the comparator is set ahead: well below a round of the lower half, so that what lies ahead and what
/// lies behind can be told apart.
const HORIZON: u64 = 1 << 31;

/// What the driver does with the timer's registers.
pub trait Registers {
    /// Reads CLO and CHI.
    fn counter(&mut self) -> (u32, u32);
    /// Writes the comparator.
    fn set_compare(&mut self, value: u32);
    /// Takes the comparator's match back.
    fn clear_match(&mut self);
}

/// The counter, and one comparator.
#[derive(Debug)]
pub struct Comparator<R>(R);

impl<R: Registers> Comparator<R> {
    /// A timer's comparator; a match of an earlier life is taken back.
    pub fn new(mut registers: R) -> Self {
        registers.clear_match();
        Self(registers)
    }

    /// The registers, for tests to look at.
    #[cfg(test)]
    pub(crate) const fn registers(&mut self) -> &mut R {
        &mut self.0
    }
}

impl<R: Registers> Hardware for Comparator<R> {
    fn now(&mut self) -> u64 {
        // The upper half is from the same moment as the lower one if it is the same before and after. It moves once in 71
        // minutes, so a third look is not needed; hardware that is broken is not waited for.
        let (_, before) = self.0.counter();
        let (low, high) = self.0.counter();
        let low = if high == before { low } else { 0 };
        u64::from(high) << 32 | u64::from(low)
    }

    /// A match that nobody needs any more costs less than taking it back. The counter may not have reached what was waited for
    /// when one comes: then this is called again.
    fn arm(&mut self, deadline: Option<u64>) -> bool {
        let Some(deadline) = deadline else { return true };
        let now = self.now();
        let target = deadline.min(now.saturating_add(HORIZON));
        if target <= now {
            return false;
        }
        self.0.set_compare(target as u32);
        // The counter may have passed the value before it was there.
        self.now() < target
    }

    fn acknowledge(&mut self) {
        self.0.clear_match();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model;
    use proptest::prelude::*;

    #[test]
    fn counter_is_one_number_when_its_upper_half_moves() {
        let mut model = Model { counter: 0x1_ffff_fffe, step: 1, compare: None, matched: false };
        let mut comparator = Comparator::new(&mut model);
        assert_eq!(comparator.now(), 0x2_0000_0000);
        assert_eq!(comparator.now(), 0x2_0000_0002);
    }

    #[test]
    fn deadline_that_has_passed_is_told() {
        let mut model = Model { counter: 1000, step: 1, compare: None, matched: false };
        let mut comparator = Comparator::new(&mut model);
        assert!(!comparator.arm(Some(1000)));
        // Passed between the look at the counter and the writing of the comparator, or so soon after that nobody can tell.
        assert!(!comparator.arm(Some(1006)));
        assert!(comparator.arm(Some(1100)));
    }

    #[test]
    fn match_of_an_earlier_life_is_taken_back() {
        let mut model = Model { counter: 0, step: 0, compare: Some(5), matched: true };
        Comparator::new(&mut model);
        assert!(!model.matched);
    }

    proptest! {
        #[test]
        fn match_comes_at_the_deadline_or_at_the_horizon(
            start in 0..1u64 << 40, ahead in 1..1u64 << 34, step in 0u64..4
        ) {
            let mut model = Model { counter: start, step, compare: None, matched: false };
            let deadline = start + ahead;
            if Comparator::new(&mut model).arm(Some(deadline)) {
                let first = deadline.min(start + HORIZON);
                model.advance(first - 1 - model.counter);
                prop_assert!(!model.matched, "not early");
                model.advance(1 + 4 * step);
                prop_assert!(model.matched);
            } else {
                prop_assert!(ahead <= 4 * step + 1);
            }
        }
    }
}
