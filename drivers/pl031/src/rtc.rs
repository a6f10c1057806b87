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
    use ring::mortal::{Junk, Mortal, Way, before_store, everywhere};
    use std::cell::RefCell;
    use std::rc::Rc;

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

    /// A clock that goes on when its driver dies.
    #[derive(Clone)]
    struct Shared(Rc<RefCell<Model>>);

    impl Registers for Shared {
        fn seconds(&self) -> u32 {
            self.0.borrow().seconds()
        }

        fn control(&self) -> u32 {
            self.0.borrow().control()
        }

        fn set_control(&mut self, value: u32) {
            before_store();
            self.0.borrow_mut().set_control(value);
        }

        fn set_interrupt_mask(&mut self, value: u32) {
            before_store();
            self.0.borrow_mut().set_interrupt_mask(value);
        }

        fn clear_interrupts(&mut self, value: u32) {
            before_store();
            self.0.borrow_mut().clear_interrupts(value);
        }
    }

    struct Bench {
        clock: Shared,
        rtc: Option<Rtc<Shared>>,
    }

    impl Mortal for Bench {
        fn begin(&mut self) {
            self.rtc = Some(Rtc::new(self.clock.clone()));
        }

        fn scribble(&mut self, _junk: &mut Junk) {
            unreachable!("it shares no memory");
        }
    }

    #[test]
    fn driver_may_die_at_every_point_and_callers_get_the_time() {
        everywhere(&[0, 1, 2], &[Way::HANG], 3, |deaths| {
            let mut bench = Bench { clock: Shared(Rc::new(RefCell::new(Model::new(0)))), rtc: None };
            deaths.act(&mut bench, Mortal::begin);
            for _ in 0..3 {
                let time = deaths.call(&mut bench, |bench| bench.rtc.as_ref().unwrap().answer(GET_TIME));
                assert_eq!(time, Some(1_700_000_000));
            }
        });
    }
}
