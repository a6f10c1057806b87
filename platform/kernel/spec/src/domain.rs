// SPDX-License-Identifier: BSD-2-Clause
//! Domains and the schedule of their turns (manual 6.4; `seL4_DomainSet_*`).
//!
//! Every thread is in one domain and runs in its turns only. The schedule is a list of turns. After the last one, or at
//! an end marker, it goes on with the starting turn. A turn ends at the first timer interrupt at or after its time is
//! over, and the next one is given all of its time from there on.

use crate::cap::Cap;
use crate::error::Error;
use crate::state::State;
use crate::syscall::{Invocation, Words};
use kernel_abi::{Invocation as Label, MAX_DOMAIN_DURATION, NUM_DOMAIN_SCHEDULES, NUM_DOMAINS};

/// A turn of a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Whose.
    pub domain: u64,
    /// For how many ticks.
    pub ticks: u64,
}

/// The schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The turns; `None` is an end marker.
    pub turns: Vec<Option<Turn>>,
    /// Number of the starting turn.
    pub start: usize,
    /// Number of the present turn.
    pub index: usize,
    /// The domain whose turn it is.
    pub domain: u64,
    /// When the present turn ends.
    pub end: u64,
}

impl Schedule {
    /// After boot: domain 0, as long as can be.
    pub fn new(now: u64) -> Self {
        let mut turns = vec![None; NUM_DOMAIN_SCHEDULES];
        turns[0] = Some(Turn { domain: 0, ticks: MAX_DOMAIN_DURATION });
        Self { turns, start: 0, index: 0, domain: 0, end: now + MAX_DOMAIN_DURATION }
    }
}

/// A turn's number, at most `most`.
fn number(index: u64, most: usize) -> Result<usize, Error> {
    let most = most as u64;
    if index > most { Err(Error::Range(0, most)) } else { Ok(index as usize) }
}

impl State {
    /// At a timer interrupt: if the turn is over, the next one begins.
    ///
    /// Changes: the schedule's present turn, the scheduler.
    pub(crate) fn end_turn_if_over(&mut self) {
        if self.now >= self.domains.end {
            let next = self.domains.index + 1;
            let goes_on = self.domains.turns.get(next).is_some_and(Option::is_some);
            self.begin_turn(if goes_on { next } else { self.domains.start });
        }
    }

    fn begin_turn(&mut self, index: usize) {
        let Some(turn) = self.domains.turns[index] else { return };
        self.reschedule();
        self.charge = true;
        self.domains.index = index;
        self.domains.domain = turn.domain;
        self.domains.end = self.now.saturating_add(turn.ticks);
    }

    /// An invocation of the domain capability. `DomainSetSet(tcb; domain)`: puts a thread into a domain.
    /// `DomainScheduleConfigure(index, domain, ticks)`: sets a turn, or (all zero) an end marker, which the starting turn
    /// cannot be; the last of the schedule always is one and cannot be set. `DomainScheduleSetStart(index)`: sets the
    /// starting turn, which begins at once.
    ///
    /// Changes: the thread's domain, its place in the ready queues; the schedule; the scheduler.
    pub(crate) fn domain_invocation(&mut self, call: &Invocation) -> Result<Words, Error> {
        let last = NUM_DOMAIN_SCHEDULES - 1;
        match call.label {
            Some(Label::DomainSetSet) => {
                call.needs(1, 0)?;
                if call.words[0] >= NUM_DOMAINS as u64 {
                    return Err(Error::InvalidArgument(0));
                }
                call.needs(1, 1)?;
                let Some(Cap::Tcb { obj }) = self.cap(call.extra[0]) else {
                    return Err(Error::InvalidArgument(1));
                };
                self.leave_ready_queue(obj);
                self.tcb_mut(obj).domain = call.words[0];
                if self.is_schedulable(obj) {
                    self.enqueue_first(obj);
                    self.reschedule();
                }
            }
            Some(Label::DomainScheduleConfigure) => {
                call.needs(3, 0)?;
                let (index, domain, ticks) = (number(call.words[0], last - 1)?, call.words[1], call.words[2]);
                if domain >= NUM_DOMAINS as u64 {
                    return Err(Error::Range(0, NUM_DOMAINS as u64 - 1));
                }
                let turn = match ticks {
                    0 if domain != 0 => return Err(Error::InvalidArgument(1)),
                    0 if index == self.domains.start => return Err(Error::InvalidArgument(2)),
                    0 => None,
                    _ if ticks > MAX_DOMAIN_DURATION => return Err(Error::InvalidArgument(2)),
                    _ => Some(Turn { domain, ticks }),
                };
                self.domains.turns[index] = turn;
            }
            Some(Label::DomainScheduleSetStart) => {
                call.needs(1, 0)?;
                let index = number(call.words[0], last)?;
                if self.domains.turns[index].is_none() {
                    return Err(Error::InvalidArgument(0));
                }
                self.domains.start = index;
                self.begin_turn(index);
            }
            _ => return Err(Error::IllegalOperation),
        }
        Ok(vec![])
    }
}
