// SPDX-License-Identifier: BSD-2-Clause
//! For tests: a timer's driver that dies at every point, with clients that keep to the protocol.

extern crate std;

use core::cell::Cell;
use std::boxed::Box;
use std::rc::Rc;
use std::vec::Vec;

use ring::mortal::{Deaths, Junk, Mortal, Way, before_store, everywhere};

use crate::clock::Clock;
use crate::driver::{Driver, Hardware};
use crate::protocol::Request;

/// A model of a timer. Clones are the same one; writing a register is a point ([`before_store`]).
pub trait Model: Clone {
    /// What a life of the driver sees of it.
    type Hardware: Hardware;

    /// Ticks a second.
    const FREQUENCY_HZ: u64;

    /// The registers, for a life of the driver.
    fn hardware(&self) -> Self::Hardware;
    /// The counter.
    fn now(&self) -> u64;
    /// Lets time pass.
    fn advance(&self, ticks: u64);
    /// Whether its interrupt line is up.
    fn interrupts(&self) -> bool;
}

/// The count of a timer, and where it interrupts; level-triggered, as the generic timer. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct LevelTimer(Rc<(Cell<u64>, Cell<Option<u64>>)>);

impl LevelTimer {
    /// The counter.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.0.get()
    }
}

impl Hardware for LevelTimer {
    fn now(&mut self) -> u64 {
        self.count()
    }

    fn arm(&mut self, deadline: Option<u64>) -> bool {
        before_store();
        self.0.1.set(deadline);
        true
    }
}

impl Model for LevelTimer {
    type Hardware = Self;

    const FREQUENCY_HZ: u64 = 62_500_000;

    fn hardware(&self) -> Self {
        self.clone()
    }

    fn now(&self) -> u64 {
        self.count()
    }

    fn advance(&self, ticks: u64) {
        self.0.0.set(self.count() + ticks);
    }

    fn interrupts(&self) -> bool {
        self.0.1.get().is_some_and(|deadline| deadline <= self.count())
    }
}

/// A client that wants to be told every `period` nanoseconds.
#[derive(Debug)]
struct Client {
    period: u64,
    /// It has the driver repeat its time-out.
    periodic: bool,
    deadline: u64,
    told: bool,
    /// How often it was told in time.
    count: usize,
}

struct Bench<T: Model> {
    timer: T,
    driver: Driver<T::Hardware>,
    clients: Vec<Client>,
    /// The interrupt has come and is not acknowledged.
    masked: bool,
}

fn driver<T: Model>(timer: &T) -> Driver<T::Hardware> {
    Driver::new(timer.hardware(), T::FREQUENCY_HZ).expect("a frequency")
}

impl<T: Model> Bench<T> {
    /// Each has been told that the driver is there.
    fn new(timer: T) -> Self {
        let client = |period, periodic| Client { period, periodic, deadline: 0, told: true, count: 0 };
        let clients = [client(3_000_000, false), client(5_000_000, true), client(11_000_000, false)];
        Self { driver: driver(&timer), timer, clients: clients.into(), masked: false }
    }

    fn now(&self) -> u64 {
        Clock::new(T::FREQUENCY_HZ).expect("a frequency").to_ns(self.timer.now())
    }

    /// What the PD does for its interrupt.
    fn interrupt(&mut self) {
        if self.timer.interrupts() && !self.masked {
            self.masked = true;
            let clients = &mut self.clients;
            self.driver.interrupt(|client| tell(clients, client));
            before_store();
            self.masked = false;
        }
    }

    fn request(&mut self, client: usize, request: Request) {
        let clients = &mut self.clients;
        self.driver.request(client, request, |client| tell(clients, client));
    }

    /// Client `index` has its turn. Whenever it is notified it asks again: the driver may have forgotten it.
    fn client(&mut self, deaths: &mut Deaths, index: usize) {
        let now = self.now();
        let client = &mut self.clients[index];
        if !core::mem::take(&mut client.told) {
            return;
        }
        if now >= client.deadline {
            client.count += 1;
            client.deadline = now + client.period;
        }
        let request = match client.periodic {
            true => Request::SetPeriodic(client.period),
            false => Request::SetTimeout(client.deadline - now),
        };
        if client.periodic {
            client.deadline = now + client.period;
        }
        deaths.call(self, |bench| bench.request(index, request));
    }
}

fn tell(clients: &mut [Client], index: usize) {
    before_store();
    clients[index].told = true;
}

impl<T: Model> Mortal for Bench<T> {
    fn begin(&mut self) {
        self.driver = driver(&self.timer);
        // Their time-outs are forgotten.
        (0..self.clients.len()).for_each(|client| tell(&mut self.clients, client));
        before_store();
        self.masked = false;
    }

    fn scribble(&mut self, _junk: &mut Junk) {
        unreachable!("it shares no memory");
    }
}

/// Whenever the driver dies, every client is told in time, or when the driver is back; and its calls are answered.
///
/// # Panics
/// When that is not so.
pub fn driver_may_die_everywhere<T: Model>(timer: impl Fn() -> T) {
    const ROUND_NS: u64 = 500_000;
    everywhere(&[0, 1, 3, 5], &[Way::HANG], 40, |deaths| {
        let mut bench = Box::new(Bench::new(timer()));
        let ticks = Clock::new(T::FREQUENCY_HZ).expect("a frequency").to_ticks(ROUND_NS);
        for _ in 0..150 {
            for client in 0..bench.clients.len() {
                bench.client(deaths, client);
            }
            deaths.act(&mut *bench, Bench::interrupt);
            bench.timer.advance(ticks);
            let now = bench.now();
            // As long as it hangs nobody can be told; a call waits for its end at once.
            let patience = if deaths.hung() { 60 } else { 4 };
            let forgotten = bench.clients.iter().find(|client| client.deadline + patience * ROUND_NS < now);
            assert!(forgotten.is_none(), "{forgotten:?} at {now}");
        }
        // The hang takes a while; a new life's notification begins a period anew.
        assert!(bench.clients.iter().all(|client| client.count >= 5), "{:?}", bench.clients);
    });
}

#[cfg(test)]
#[test]
fn driver_may_die_at_every_point() {
    driver_may_die_everywhere(LevelTimer::default);
}
