// SPDX-License-Identifier: BSD-2-Clause
//! A guest that sleeps until its timer, while the timer's driver dies at every point.

use super::fake::*;
use crate::machine::Run;
use crate::{Exit, Host, Reply, SystemRegister};
use ring::mortal::{Deaths, Junk, Mortal, Way, before_store, everywhere};
use timer_driver::clock::Clock;
use timer_driver::deaths::{LevelTimer, Model as _};
use timer_driver::driver::Driver;
use timer_driver::protocol::Request;

const WFI: Exit = Exit::Trapped(0x07e0_0000);
/// Ticks until the guest's timer is due.
const SLEEP: u64 = 500;

struct Bench {
    guest: TestGuest,
    clock: Clock,
    timer: LevelTimer,
    driver: Driver<LevelTimer>,
    told: bool,
    /// Requests of the guest's monitor that have been made.
    asked: usize,
}

impl Bench {
    fn new() -> Self {
        let guest = guest(1);
        let frequency = guest.host().frequency_hz();
        let timer = LevelTimer::default();
        let driver = Driver::new(timer.clone(), frequency).unwrap();
        Self { guest, clock: Clock::new(frequency).unwrap(), timer, driver, told: false, asked: 0 }
    }

    fn event(&mut self) {
        if self.timer.interrupts() {
            let told = &mut self.told;
            self.driver.interrupt(|_| tell(told));
        }
    }

    /// The monitor has its turn, and its requests are made.
    fn monitor(&mut self, deaths: &mut Deaths) {
        self.guest.host_mut().now = self.timer.count();
        if core::mem::take(&mut self.told) {
            self.guest.timeout();
        }
        while let Some(&deadline) = self.guest.host().timeouts.get(self.asked) {
            self.asked += 1;
            let now = self.timer.count();
            let request = match deadline {
                Some(deadline) => Request::SetTimeout(self.clock.to_ns(deadline.saturating_sub(now)) + 1),
                None => Request::Cancel,
            };
            deaths.call(self, |bench| {
                let told = &mut bench.told;
                bench.driver.request(0, request, |_| tell(told));
            });
        }
    }

    fn sleeps(&self) -> bool {
        self.guest.machine().cpus[0].run != Run::Running
    }
}

fn tell(told: &mut bool) {
    before_store();
    *told = true;
}

impl Mortal for Bench {
    fn begin(&mut self) {
        self.driver = Driver::new(self.timer.clone(), self.guest.host().frequency_hz()).unwrap();
        tell(&mut self.told);
    }

    fn scribble(&mut self, _junk: &mut Junk) {
        unreachable!("it shares no memory");
    }
}

#[test]
fn sleeping_guest_wakes_in_time_whenever_the_timers_driver_dies() {
    everywhere(&[0, 1, 2, 3], &[Way::HANG], 10, |deaths| {
        let mut bench = Bench::new();
        for _ in 0..4 {
            let due = bench.timer.count() + SLEEP;
            *cpu(&bench.guest, 0).system(SystemRegister::CntvCtl) = 1;
            *cpu(&bench.guest, 0).system(SystemRegister::CntvCval) = due;
            bench.guest.host_mut().now = bench.timer.count();
            assert_eq!(take(&mut bench.guest, 0, WFI), Reply::Hold);
            while bench.sleeps() {
                bench.monitor(deaths);
                deaths.act(&mut bench, Bench::event);
                bench.timer.advance(50);
                let patience = if deaths.hung() { 30 * 50 } else { 5 * 50 };
                assert!(bench.timer.count() < due + patience, "it sleeps on");
            }
            assert!(bench.timer.count() >= due, "too early");
        }
    });
}
