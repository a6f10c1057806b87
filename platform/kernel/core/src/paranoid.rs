// SPDX-License-Identifier: BSD-2-Clause
//! Invariants that a kernel built with feature `paranoid` checks after every entry (and the refinement tests with it).
//!
//! After every entry all of the scheduler is checked, and all that hangs together with the thread that runs: its scheduling
//! context with the refills and the call chain, its bindings, its remembered lookups. Capabilities and the objects that do
//! not run are too many to look at all of them each time: a few slots of the running thread's CNode are checked, others at
//! every entry, and everything (`paranoid/whole.rs`) once in so many entries, the first one included.

mod whole;

use crate::cspace::slot_of;
use crate::kernel::Kernel;
use crate::layout::{SchedContext, Slot, State, Tcb, TcbSlot, queued};
use crate::machine::Machine;
use kernel_abi::NUM_PRIORITIES;

/// What does not hold.
pub type Broken = &'static str;

/// Longest queue or chain that is believed.
const MOST: usize = 100_000;
/// Slots looked at in an entry.
const SLOTS: u64 = 16;

const fn ensure(holds: bool, what: Broken) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(what) }
}

impl<M: Machine> Kernel<M> {
    /// Checks what is to be checked after entry number `entry`.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check_invariants(&self, entry: u64) -> Result<(), Broken> {
        self.check_running()?;
        for priority in 0..NUM_PRIORITIES as u64 {
            self.check_ready(priority)?;
        }
        self.check_release()?;
        if self.current == self.idle {
            return Ok(());
        }
        self.check_context(self.current_sc)?;
        self.check_bindings(self.current)?;
        let root = self.current.slot(TcbSlot::CSpace).cap(&self.m);
        if let crate::Cap::CNode { at, radix, .. } = root {
            let slots = 1 << radix;
            for index in SLOTS * entry..SLOTS * (entry + 1) {
                self.check_slot(slot_of(at, index % slots))?;
            }
        }
        self.check_lookups()
    }

    fn check_running(&self) -> Result<(), Broken> {
        if self.current == self.idle {
            return ensure(self.ready.highest().is_none(), "nobody runs while somebody could");
        }
        let (m, tcb) = (&self.m, self.current);
        ensure(tcb.state(m) == State::Running, "the thread that runs does not")?;
        ensure(tcb.queued(m) == queued::NONE, "the thread that runs is queued")?;
        ensure(self.in_turn(tcb), "the thread that runs is not of this turn's domain")?;
        ensure(tcb.sched_context(m) == Some(self.current_sc), "time is charged to another context")?;
        ensure(self.loaded == Some(tcb), "another thread is loaded")?;
        let best = self.ready.highest();
        ensure(best.is_none_or(|best| best <= tcb.priority(m)), "a better thread is ready")
    }

    fn check_ready(&self, priority: u64) -> Result<(), Broken> {
        let (m, queue) = (&self.m, self.ready.queue(priority));
        let (mut before, mut next) = (None, queue.head);
        for _ in 0..MOST {
            let Some(tcb) = next else { break };
            ensure(tcb.sched_prev(m) == before, "ready queue: link back")?;
            ensure(tcb.queued(m) == queued::READY, "ready queue: mark")?;
            ensure(tcb.priority(m) == priority, "ready queue: priority")?;
            ensure(self.in_turn(tcb), "ready queue: domain")?;
            ensure(self.is_schedulable(tcb), "ready queue: a thread that cannot run")?;
            (before, next) = (Some(tcb), tcb.sched_next(m));
        }
        ensure(next.is_none(), "ready queue: no end")?;
        ensure(queue.tail == before, "ready queue: tail")
    }

    fn check_release(&self) -> Result<(), Broken> {
        let m = &self.m;
        let (mut up, mut next) = (None, self.release_root);
        // Down to the left as far as it goes, then up to where there is a right side that has not been looked at.
        for _ in 0..MOST {
            let Some(tcb) = next else { return Ok(()) };
            let Some(sc) = tcb.sched_context(m) else { return Err("waits for time: no context") };
            ensure(sc.tcb(m) == Some(tcb), "waits for time: context of another")?;
            ensure(tcb.queued(m) == queued::RELEASE, "waits for time: mark")?;
            ensure(tcb.release_up(m) == up, "waits for time: link up")?;
            let reach = |tcb: Option<Tcb>| tcb.map_or(0, |tcb| tcb.release_reach(m));
            let (left, right) = (tcb.release_left(m), tcb.release_right(m));
            ensure(reach(left) >= reach(right), "waits for time: the left side reaches less far")?;
            ensure(tcb.release_reach(m) == reach(right) + 1, "waits for time: reach")?;
            for later in left.into_iter().chain(right) {
                ensure(later.release_time(m) >= tcb.release_time(m), "waits for time: order")?;
            }
            (up, next) = (Some(tcb), left.or(right));
            let mut done = tcb;
            while next.is_none()
                && let Some(above) = done.release_up(m)
            {
                if above.release_left(m) == Some(done) {
                    (up, next) = (Some(above), above.release_right(m));
                }
                done = above;
            }
        }
        Err("waits for time: no end")
    }

    fn check_context(&self, sc: SchedContext) -> Result<(), Broken> {
        let m = &self.m;
        ensure(sc.tcb(m) == Some(self.current), "the context that is charged has another thread")?;
        self.check_refills(sc)?;
        let (mut newer, mut next) = (None, sc.newest_lender(m));
        for _ in 0..MOST {
            let Some(lender) = next else { return Ok(()) };
            ensure(lender.lent(m) == newer.map_or(Some(sc), |_| None), "lenders: the newest")?;
            ensure(lender.newer_lender(m) == newer, "lenders: link to the newer one")?;
            ensure(lender.state(m) == State::BlockedOnReply, "lenders: one that does not wait")?;
            (newer, next) = (Some(lender), lender.older_lender(m));
        }
        Err("lenders: no end")
    }

    fn check_refills(&self, sc: SchedContext) -> Result<(), Broken> {
        let m = &self.m;
        let (max, later, start) = (sc.max_refills(m), sc.later_count(m), sc.later_start(m));
        ensure(later < max && start < max - 1, "refills: ring")?;
        let first = sc.first(m);
        if sc.is_round_robin(m) {
            ensure(later == 0, "refills: more than a time slice")?;
            return ensure(first.amount <= sc.budget(m), "refills: longer than a time slice");
        }
        let (mut sum, mut end) = (first.amount, first.end());
        for n in 0..later {
            let refill = sc.later(m, n);
            ensure(refill.time >= end, "refills: overlap")?;
            (sum, end) = (sum.wrapping_add(refill.amount), refill.end());
        }
        ensure(sum == sc.budget(m), "refills: sum")
    }

    fn check_bindings(&self, tcb: Tcb) -> Result<(), Broken> {
        let m = &self.m;
        let ntfn = tcb.bound_notification(m).is_none_or(|ntfn| ntfn.bound_tcb(m) == Some(tcb));
        ensure(ntfn, "bound notification of another")?;
        ensure(tcb.vcpu(m).is_none_or(|vcpu| vcpu.tcb(m) == Some(tcb)), "virtual CPU of another")?;
        ensure(tcb.yield_to(m).is_none(), "runs and waits for what it yielded to")
    }

    fn check_slot(&self, slot: Slot) -> Result<(), Broken> {
        let m = &self.m;
        let (prev, next) = (slot.prev(m), slot.next(m));
        if slot.is_empty(m) {
            return ensure(prev.is_none() && next.is_none(), "derivation list: an empty slot");
        }
        ensure(prev.is_none_or(|p| p.next(m) == Some(slot) && !p.is_empty(m)), "derivation list: back")?;
        ensure(next.is_none_or(|n| n.prev(m) == Some(slot) && !n.is_empty(m)), "derivation list: on")?;
        let cap = slot.cap(m);
        ensure(
            cap != crate::Cap::Null && crate::Cap::decode(cap.encode()) == cap,
            "a capability that is none",
        )
    }

    fn check_lookups(&self) -> Result<(), Broken> {
        for (tcb, address, slot) in self.lookups.iter().filter(|(tcb, ..)| *tcb == self.current) {
            ensure(self.lookup_slot(tcb, address) == Ok(slot), "a remembered lookup is wrong")?;
        }
        Ok(())
    }
}
