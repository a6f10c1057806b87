// SPDX-License-Identifier: BSD-2-Clause
//! Ticks of the system counter and nanoseconds.

const NS_PER_SECOND: u64 = 1_000_000_000;

/// A counter's rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    frequency_hz: u64,
}

impl Clock {
    /// A counter of `frequency_hz` ticks a second (`CNTFRQ_EL0`); `None` for 0.
    pub const fn new(frequency_hz: u64) -> Option<Self> {
        if frequency_hz == 0 { None } else { Some(Self { frequency_hz }) }
    }

    /// Nanoseconds that `ticks` take, rounded down; the largest number if it does not fit.
    pub const fn to_ns(self, ticks: u64) -> u64 {
        // Short times, of which there are many, without a division of 128 bits, which the processor has not.
        match ticks.checked_mul(NS_PER_SECOND) {
            Some(product) => product / self.frequency_hz,
            None => saturate(ticks as u128 * NS_PER_SECOND as u128 / self.frequency_hz as u128),
        }
    }

    /// Ticks that cover `ns` nanoseconds: rounded up, so that nothing ends early; the largest number if it does not fit.
    pub const fn to_ticks(self, ns: u64) -> u64 {
        match ns.checked_mul(self.frequency_hz) {
            Some(product) => product.div_ceil(NS_PER_SECOND),
            None => saturate((ns as u128 * self.frequency_hz as u128).div_ceil(NS_PER_SECOND as u128)),
        }
    }
}

const fn saturate(value: u128) -> u64 {
    if value > u64::MAX as u128 { u64::MAX } else { value as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn whole_ticks_convert_exactly() {
        let clock = Clock::new(62_500_000).unwrap();
        assert_eq!(clock.to_ns(1), 16);
        assert_eq!(clock.to_ticks(16), 1);
        assert_eq!(clock.to_ticks(17), 2);
        assert_eq!(clock.to_ticks(0), 0);
    }

    #[test]
    fn times_that_do_not_fit_saturate() {
        let slow = Clock::new(1).unwrap();
        assert_eq!(slow.to_ns(u64::MAX), u64::MAX);
        let fast = Clock::new(u64::MAX).unwrap();
        assert_eq!(fast.to_ticks(u64::MAX), u64::MAX);
        assert_eq!(Clock::new(0), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn waiting_the_ticks_never_ends_early(frequency in 1_000_000u64..2_000_000_000, ns in 0u64..1 << 60) {
            let clock = Clock::new(frequency).unwrap();
            let ticks = clock.to_ticks(ns);
            prop_assert!(u128::from(ticks) * u128::from(NS_PER_SECOND) >= u128::from(ns) * u128::from(frequency));
            prop_assert!(ticks == 0 || clock.to_ns(ticks - 1) < ns);
        }
    }
}
