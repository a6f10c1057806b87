// SPDX-License-Identifier: BSD-2-Clause
//! Domains: groups of threads that only run in their own turns, and the schedule of the turns (seL4 manual, section 6.4;
//! `seL4_DomainSet_*`).
//!
//! The schedule is a list of turns; the one after the last, or at an end marker (no ticks), is the starting one again. A
//! turn ends at the kernel's timer interrupt and nowhere else, so that no system call has to look for its end. The ready
//! threads of the domain whose turn it is are in [`Kernel::ready`]; those of the others are parked in memory of the
//! kernel's own, and are exchanged when the turn changes (at most all 256 priorities, each once).

use crate::addr::PhysAddr;
use crate::cap::Cap;
use crate::error::Error;
use crate::invoke::{Message, Outcome};
use crate::kernel::Kernel;
use crate::layout::{Tcb, queued};
use crate::machine::Machine;
use crate::sched::Queue;
use kernel_abi::{Invocation, MAX_DOMAIN_DURATION, NUM_DOMAIN_SCHEDULES, NUM_DOMAINS, NUM_PRIORITIES};

/// A turn in the schedule. No ticks: an end marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Whose.
    pub domain: u64,
    /// How long.
    pub ticks: u64,
}

/// The schedule and where it is.
#[derive(Clone, Debug)]
pub struct Domains {
    /// The domain whose turn it is.
    pub current: u64,
    /// Time at which the turn ends.
    pub end: u64,
    /// The turns.
    pub schedule: [Turn; NUM_DOMAIN_SCHEDULES],
    /// Turn that the schedule starts with.
    pub start: usize,
    /// The present turn.
    pub index: usize,
    /// Ready queues of the domains whose turn it is not.
    parked: PhysAddr,
}

/// Bytes of a parked queue: first and last thread.
const QUEUE_BYTES: u64 = 16;
/// Bytes of a domain's parked queues.
const QUEUES_BYTES: u64 = NUM_PRIORITIES as u64 * QUEUE_BYTES;
/// Bytes that all domains' parked queues take.
pub const PARKED_BYTES: u64 = NUM_DOMAINS as u64 * QUEUES_BYTES;

impl Domains {
    /// Domain 0 alone, as after boot. `parked`: [`PARKED_BYTES`] of zeroed memory.
    pub fn new(parked: PhysAddr, now: u64) -> Self {
        let mut schedule = [Turn { domain: 0, ticks: 0 }; NUM_DOMAIN_SCHEDULES];
        if let Some(first) = schedule.first_mut() {
            first.ticks = MAX_DOMAIN_DURATION;
        }
        let end = now.saturating_add(MAX_DOMAIN_DURATION);
        Self { current: 0, end, schedule, start: 0, index: 0, parked }
    }

    /// A turn, if there is one and it is no end marker.
    fn turn(&self, index: usize) -> Option<Turn> {
        self.schedule.get(index).copied().filter(|turn| turn.ticks != 0)
    }

    fn parked_at(&self, domain: u64, priority: u64) -> PhysAddr {
        let domain = domain % NUM_DOMAINS as u64;
        self.parked.add(domain * QUEUES_BYTES + (priority & 255) * QUEUE_BYTES)
    }
}

/// The last turn of the schedule, always an end marker: it cannot be configured.
const LAST_TURN: u64 = NUM_DOMAIN_SCHEDULES as u64 - 1;

fn turn_index(index: u64, most: u64) -> Result<usize, Error> {
    if index > most { Err(Error::Range(0, most)) } else { Ok(index as usize) }
}

impl<M: Machine> Kernel<M> {
    /// The ready queue of a priority in a domain.
    #[inline]
    pub fn ready_queue(&self, domain: u64, priority: u64) -> Queue {
        if domain == self.domains.current {
            self.ready.queue(priority)
        } else {
            self.parked_queue(domain, priority)
        }
    }

    /// Sets the ready queue of a priority in a domain.
    #[inline]
    pub(crate) fn set_ready_queue(&mut self, domain: u64, priority: u64, queue: Queue) {
        if domain == self.domains.current {
            self.ready.set(priority, queue);
        } else {
            self.park_queue(domain, priority, queue);
        }
    }

    #[cold]
    fn parked_queue(&self, domain: u64, priority: u64) -> Queue {
        let at = self.domains.parked_at(domain, priority);
        let thread = |word: u64| Tcb::at(PhysAddr(word));
        Queue { head: thread(self.m.load(at)), tail: thread(self.m.load(at.add(8))) }
    }

    #[cold]
    fn park_queue(&mut self, domain: u64, priority: u64, queue: Queue) {
        let at = self.domains.parked_at(domain, priority);
        let word = |thread: Option<Tcb>| thread.map_or(0, |tcb| tcb.addr().0);
        self.m.store(at, word(queue.head));
        self.m.store(at.add(8), word(queue.tail));
    }

    /// Whether it is the turn of the domain of `tcb`.
    #[inline(always)]
    pub(crate) fn in_turn(&self, tcb: Tcb) -> bool {
        tcb.domain(&self.m) == self.domains.current
    }

    /// At the kernel's timer interrupt: ends the turn that is over.
    pub(crate) fn check_turn(&mut self) {
        if self.now < self.domains.end {
            return;
        }
        let next = self.domains.index + 1;
        let next = if self.domains.turn(next).is_some() { next } else { self.domains.start };
        self.begin_turn(next);
    }

    /// A turn of the schedule begins.
    fn begin_turn(&mut self, index: usize) {
        let Some(turn) = self.domains.turn(index) else { return };
        // Whoever was to be switched to goes into a queue of the old turn.
        self.reschedule();
        self.reprogram = true;
        self.domains.index = index;
        self.domains.end = self.now.saturating_add(turn.ticks);
        let old = self.domains.current;
        if turn.domain == old {
            return;
        }
        while let Some(priority) = self.ready.highest() {
            let queue = self.ready.queue(priority);
            self.park_queue(old, priority, queue);
            self.ready.set(priority, Queue::default());
        }
        for priority in 0..NUM_PRIORITIES as u64 {
            let queue = self.parked_queue(turn.domain, priority);
            if queue.head.is_some() {
                self.ready.set(priority, queue);
                self.park_queue(turn.domain, priority, Queue::default());
            }
        }
        self.domains.current = turn.domain;
    }

    /// Invocations of the domain capability.
    pub fn decode_domain(&mut self, msg: &Message) -> Outcome {
        match msg.invocation {
            Some(Invocation::DomainSetSet) => self.set_domain(msg)?,
            Some(Invocation::DomainScheduleConfigure) => self.configure_turn(msg)?,
            Some(Invocation::DomainScheduleSetStart) => {
                self.require(msg, 1, 0)?;
                let index = turn_index(self.arg(msg, 0), LAST_TURN)?;
                if self.domains.turn(index).is_none() {
                    return Err(Error::InvalidArgument(0).into());
                }
                self.domains.start = index;
                self.begin_turn(index);
            }
            _ => return Err(Error::IllegalOperation.into()),
        }
        Ok(0)
    }

    fn set_domain(&mut self, msg: &Message) -> Result<(), Error> {
        self.require(msg, 1, 0)?;
        let domain = self.arg(msg, 0);
        if domain >= NUM_DOMAINS as u64 {
            return Err(Error::InvalidArgument(0));
        }
        self.require(msg, 1, 1)?;
        let Cap::Thread { at } = self.extra(msg, 0)?.1 else {
            return Err(Error::InvalidArgument(1));
        };
        if at.queued(&self.m) != queued::RELEASE {
            self.dequeue(at);
        }
        at.set_domain(&mut self.m, domain);
        if self.is_schedulable(at) {
            self.enqueue_first(at);
            self.reschedule();
        }
        Ok(())
    }

    fn configure_turn(&mut self, msg: &Message) -> Result<(), Error> {
        self.require(msg, 3, 0)?;
        let [index, domain, ticks] = [0, 1, 2].map(|i| self.arg(msg, i));
        let index = turn_index(index, LAST_TURN - 1)?;
        let most = NUM_DOMAINS as u64 - 1;
        if domain > most {
            return Err(Error::Range(0, most));
        }
        if ticks > MAX_DOMAIN_DURATION || ticks == 0 && domain == 0 && index == self.domains.start {
            return Err(Error::InvalidArgument(2));
        }
        if ticks == 0 && domain != 0 {
            return Err(Error::InvalidArgument(1));
        }
        if let Some(turn) = self.domains.schedule.get_mut(index) {
            *turn = Turn { domain, ticks };
        }
        Ok(())
    }
}
