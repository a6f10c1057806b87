// SPDX-License-Identifier: BSD-2-Clause
//! The driver without its channels: clients' time-outs on a hardware timer.

use crate::clock::Clock;
use crate::protocol::Request;
use crate::timeouts::Timeouts;

/// Clients: channels of a PD.
const CLIENTS: usize = 62;

/// A counter, and an interrupt at one of its values.
pub trait Hardware {
    /// The counter, in ticks.
    fn now(&mut self) -> u64;
    /// Makes the interrupt come at `deadline`, or before it if that is far away, or not at all. Gives `false` when the deadline
    /// has passed and no interrupt may come.
    fn arm(&mut self, deadline: Option<u64>) -> bool;
    /// Takes an interrupt back that does not end by itself when it is armed for later.
    fn acknowledge(&mut self) {}
}

/// Time-outs of all clients. Functions that take `notify` call it for each client whose time has come.
#[derive(Debug)]
pub struct Driver<H> {
    clock: Clock,
    hardware: H,
    timeouts: Timeouts<CLIENTS>,
}

impl<H: Hardware> Driver<H> {
    /// Takes a timer of `frequency_hz` ticks a second over; nobody has a time-out. `None` for a frequency of 0.
    pub fn new(mut hardware: H, frequency_hz: u64) -> Option<Self> {
        hardware.arm(None);
        Some(Self { clock: Clock::new(frequency_hz)?, hardware, timeouts: Timeouts::new() })
    }

    /// The hardware, for tests to look at.
    #[cfg(any(test, feature = "deaths"))]
    pub const fn hardware(&mut self) -> &mut H {
        &mut self.hardware
    }

    /// A client's request. Gives the time in nanoseconds if it asked for that.
    pub fn request(&mut self, client: usize, request: Request, notify: impl FnMut(usize)) -> Option<u64> {
        let now = self.hardware.now();
        match request {
            Request::GetTime => return Some(self.clock.to_ns(now)),
            Request::SetTimeout(ns) => self.timeouts.set_once(client, now, self.clock.to_ticks(ns)),
            Request::SetPeriodic(ns) => self.timeouts.set_every(client, now, self.clock.to_ticks(ns)),
            Request::Cancel => self.timeouts.cancel(client),
        }
        if !self.hardware.arm(self.timeouts.next_deadline()) {
            self.update(notify);
        }
        None
    }

    /// The interrupt has come. To be followed by its acknowledgement to the kernel.
    pub fn interrupt(&mut self, notify: impl FnMut(usize)) {
        self.hardware.acknowledge();
        self.update(notify);
    }

    /// Notifies everybody whose time has come, and sets the hardware to the next deadline.
    pub fn update(&mut self, mut notify: impl FnMut(usize)) {
        // Bounded: each round ends a time-out, and periods are much longer than a round.
        for _ in 0..CLIENTS {
            self.timeouts.expire(self.hardware.now(), &mut notify);
            if self.hardware.arm(self.timeouts.next_deadline()) {
                return;
            }
        }
    }
}
