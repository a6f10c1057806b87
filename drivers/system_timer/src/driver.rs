// SPDX-License-Identifier: BSD-2-Clause
//! The driver without its channels: clients' time-outs on the comparator.
//!
//! Where the comparator's interrupt does not reach the processor (QEMU's `raspi4b` leaves the line unconnected), time-outs
//! end at **ticks**: somebody calls every few milliseconds, until the first interrupt has come.

use timer_driver::protocol::Request;

use crate::{Comparator, FREQUENCY_HZ, Registers};

/// Time-outs of all clients. Functions that take `notify` call it for each client whose time has come.
#[derive(Debug)]
pub struct Driver<R> {
    driver: timer_driver::driver::Driver<Comparator<R>>,
    /// Whether an interrupt has ever come.
    interrupted: bool,
}

impl<R: Registers> Driver<R> {
    /// Takes the timer over; nobody has a time-out.
    pub fn new(registers: R) -> Option<Self> {
        let driver = timer_driver::driver::Driver::new(Comparator::new(registers), FREQUENCY_HZ)?;
        Some(Self { driver, interrupted: false })
    }

    /// The comparator's interrupt has come.
    pub fn interrupt(&mut self, notify: impl FnMut(usize)) {
        self.interrupted = true;
        self.driver.interrupt(notify);
    }

    /// A tick has come. Gives whether further ones are of no use, because there are interrupts.
    pub fn tick(&mut self, notify: impl FnMut(usize)) -> bool {
        if !self.interrupted {
            self.driver.update(notify);
        }
        self.interrupted
    }

    /// A client's request. Gives the time in nanoseconds if it asked for that.
    pub fn request(&mut self, client: usize, request: Request, notify: impl FnMut(usize)) -> Option<u64> {
        self.driver.request(client, request, notify)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model;

    fn at(counter: u64) -> Model {
        Model { counter, step: 1, compare: None, matched: false }
    }

    /// Lets time pass up to `until`, a tick every millisecond and interrupts if they are `connected`. Gives who was notified
    /// when, and how many ticks there were until they were of no use.
    fn run(driver: &mut Driver<Model>, until: u64, connected: bool) -> (Vec<(u64, usize)>, u32) {
        let (mut notified, mut ticks, mut ticking) = (Vec::new(), 0, true);
        while driver.driver.hardware().registers().counter < until {
            driver.driver.hardware().registers().advance(100);
            let now = driver.driver.hardware().registers().counter;
            if connected && driver.driver.hardware().registers().matched {
                driver.interrupt(|client| notified.push((now, client)));
            }
            if ticking && now % 1000 < 100 {
                ticks += 1;
                ticking = !driver.tick(|client| notified.push((now, client)));
            }
        }
        (notified, ticks)
    }

    #[test]
    fn driver_may_die_at_every_point() {
        use crate::model::Shared;
        use std::{cell::RefCell, rc::Rc};
        timer_driver::deaths::driver_may_die_everywhere(|| Shared(Rc::new(RefCell::new(at(0)))));
    }

    #[test]
    fn time_outs_end_where_the_interrupt_does_not_arrive() {
        let mut driver = Driver::new(at(0)).unwrap();
        let nobody = |client| panic!("{client} is notified at once");
        assert_eq!(driver.request(3, Request::SetTimeout(2_500_000), nobody), None);
        assert_eq!(driver.request(5, Request::SetPeriodic(4_000_000), nobody), None);
        let (notified, ticks) = run(&mut driver, 19_000, false);
        let clients: Vec<usize> = notified.iter().map(|&(_, client)| client).collect();
        assert_eq!(clients, [3, 5, 5, 5, 5]);
        assert!((2_500..3_600).contains(&notified[0].0), "{notified:?}");
        assert!(ticks >= 17, "they are asked for as long as no interrupt comes: {ticks}");
    }

    #[test]
    fn ticks_are_of_no_use_from_the_first_interrupt_on() {
        let mut driver = Driver::new(at(0)).unwrap();
        driver.request(3, Request::SetTimeout(2_500_000), |_| {});
        driver.request(5, Request::SetPeriodic(4_000_000), |_| {});
        let (notified, ticks) = run(&mut driver, 19_000, true);
        let clients: Vec<usize> = notified.iter().map(|&(_, client)| client).collect();
        assert_eq!(clients, [3, 5, 5, 5, 5]);
        assert!((2_500..2_700).contains(&notified[0].0), "{notified:?}");
        assert!(ticks <= 4, "{ticks}");
    }

    #[test]
    fn time_is_told_in_nanoseconds() {
        let mut driver = Driver::new(at(5_000_000)).unwrap();
        let time = driver.request(0, Request::GetTime, |_| {}).unwrap();
        assert!((5_000_000_000..5_000_100_000).contains(&time), "{time}");
    }
}
