// SPDX-License-Identifier: BSD-2-Clause
//! The driver's logic.

use crate::protocol::GET_TIME;
use crate::registers::{CONTROL_START, INTERRUPT, Registers};

/// A clock that is only read.
#[derive(Debug)]
pub struct Rtc<R> {
    registers: R,
}

impl<R: Registers> Rtc<R> {
    /// Lets the clock run, if it does not yet, with its alarm off. Sets no time.
    pub fn new(mut registers: R) -> Self {
        registers.set_interrupt_mask(0);
        registers.clear_interrupts(INTERRUPT);
        if registers.control() & CONTROL_START == 0 {
            registers.set_control(CONTROL_START);
        }
        Self { registers }
    }

    /// The answer to a request with this label: message register 0 of the reply. `None` when there is no such request.
    pub fn answer(&self, label: u64) -> Option<u64> {
        (label == GET_TIME).then(|| self.registers.seconds().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clock that stands still.
    #[derive(Debug)]
    struct Model {
        seconds: u32,
        control: u32,
        control_writes: u32,
        mask: u32,
        raised: u32,
    }

    impl Model {
        fn new(control: u32) -> Self {
            Self { seconds: 1_700_000_000, control, control_writes: 0, mask: 1, raised: 1 }
        }
    }

    impl Registers for Model {
        fn seconds(&self) -> u32 {
            if self.control & CONTROL_START == 0 { 0 } else { self.seconds }
        }

        fn control(&self) -> u32 {
            self.control
        }

        fn set_control(&mut self, value: u32) {
            self.control = value;
            self.control_writes += 1;
        }

        fn set_interrupt_mask(&mut self, value: u32) {
            self.mask = value;
        }

        fn clear_interrupts(&mut self, value: u32) {
            self.raised &= !value;
        }
    }

    #[test]
    fn clock_that_stands_is_started_and_a_running_one_left_alone() {
        let stopped = Rtc::new(Model::new(0));
        assert_eq!(stopped.answer(GET_TIME), Some(1_700_000_000));
        assert_eq!(stopped.registers.control_writes, 1);
        let running = Rtc::new(Model::new(CONTROL_START));
        assert_eq!(running.answer(GET_TIME), Some(1_700_000_000));
        assert_eq!(running.registers.control_writes, 0);
    }

    #[test]
    fn alarm_left_by_somebody_else_is_off() {
        let rtc = Rtc::new(Model::new(CONTROL_START));
        assert_eq!((rtc.registers.mask, rtc.registers.raised), (0, 0));
    }

    #[test]
    fn time_beyond_2038_is_no_negative_number() {
        let rtc = Rtc::new(Model { seconds: u32::MAX, ..Model::new(CONTROL_START) });
        assert_eq!(rtc.answer(GET_TIME), Some(4_294_967_295));
    }

    #[test]
    fn anything_but_the_request_is_refused() {
        let rtc = Rtc::new(Model::new(CONTROL_START));
        assert_eq!(rtc.answer(1), None);
        assert_eq!(rtc.answer(u64::MAX), None);
    }
}
