// SPDX-License-Identifier: BSD-2-Clause
//! Budgets: how much time a scheduling context has, and from when on (manual 6.1.6).
//!
//! A budget is a list of refills in order of time, which do not overlap and whose amounts sum to the budget. The thread runs on
//! the first; what it uses comes back a period later, as a refill behind the others. The first refill lies in the object at a fixed
//! place, since every kernel entry looks at it; the later ones are a ring behind it.
//!
//! Where budget and period are equal the context is round robin, and its period is kept as 0. Then there is only one
//! refill: what is left of the time slice.

use crate::layout::SchedContext;
use crate::machine::Machine;
use kernel_abi::object::REFILL_BYTES;

/// An amount of time that may be used from a time on (both in ticks).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refill {
    /// When.
    pub time: u64,
    /// How much.
    pub amount: u64,
}

impl Refill {
    /// When it would be used up if it were used at once.
    pub const fn end(self) -> u64 {
        self.time.saturating_add(self.amount)
    }
}

/// What bounds a budget besides itself. In ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The least amount that is worth running on.
    pub least: u64,
    /// No refill is put off beyond this.
    pub end_of_time: u64,
}

impl SchedContext {
    /// The refill that its thread runs on.
    #[inline(always)]
    pub fn first<M: Machine>(self, m: &M) -> Refill {
        Refill { time: self.first_time(m), amount: self.first_amount(m) }
    }

    #[inline(always)]
    fn set_first<M: Machine>(self, m: &mut M, first: Refill) {
        self.set_first_time(m, first.time);
        self.set_first_amount(m, first.amount);
    }

    /// Whether it has been given a budget.
    #[inline(always)]
    pub fn is_configured<M: Machine>(self, m: &M) -> bool {
        self.max_refills(m) != 0
    }

    /// Whether its thread has the time slices of a round robin.
    #[inline(always)]
    pub fn is_round_robin<M: Machine>(self, m: &M) -> bool {
        self.period(m) == 0
    }

    /// Whether the first refill is at least `least` after `used` of it is used.
    #[inline(always)]
    pub fn has<M: Machine>(self, m: &M, least: u64, used: u64) -> bool {
        self.first_amount(m).saturating_sub(used) >= least
    }

    // ---- the later refills

    /// Byte offset of the `n`-th later refill.
    fn place<M: Machine>(self, m: &M, n: u64) -> u64 {
        let places = self.max_refills(m) - 1;
        let place = self.later_start(m) + n;
        Self::LATER + REFILL_BYTES * if place >= places { place - places } else { place }
    }

    /// The `n`-th of the refills behind the first.
    pub fn later<M: Machine>(self, m: &M, n: u64) -> Refill {
        let place = self.place(m, n);
        Refill { time: m.load_at(self.addr(), place), amount: m.load_at(self.addr(), place + 8) }
    }

    fn set_later<M: Machine>(self, m: &mut M, n: u64, refill: Refill) {
        let place = self.place(m, n);
        m.store_at(self.addr(), place, refill.time);
        m.store_at(self.addr(), place + 8, refill.amount);
    }

    /// Takes the earliest of the later refills.
    fn pop_later<M: Machine>(self, m: &mut M) -> Option<Refill> {
        let count = self.later_count(m).checked_sub(1)?;
        let earliest = self.later(m, 0);
        let start = self.later_start(m) + 1;
        self.set_later_start(m, if start == self.max_refills(m) - 1 { 0 } else { start });
        self.set_later_count(m, count);
        Some(earliest)
    }

    /// Adds a refill behind all others. It joins the last one if it touches it; if no place is left, the last one comes so
    /// much later that it does.
    fn add<M: Machine>(self, m: &mut M, refill: Refill) {
        let count = self.later_count(m);
        let last = if count == 0 { self.first(m) } else { self.later(m, count - 1) };
        let full = count + 1 == self.max_refills(m);
        if last.end() < refill.time && !full {
            self.set_later_count(m, count + 1);
            return self.set_later(m, count, refill);
        }
        let touches = last.end() >= refill.time;
        let time = if touches { last.time } else { refill.time.saturating_sub(last.amount) };
        let joined = Refill { time, amount: last.amount + refill.amount };
        if count == 0 { self.set_first(m, joined) } else { self.set_later(m, count - 1, joined) }
    }

    // ---- what becomes of a budget

    /// Gives it `budget` every `period` (0: a round robin's time slice), in `max_refills` at most, at least two: `first` now
    /// or when that says, and the rest of the budget a period after it.
    pub fn set_up<M: Machine>(self, m: &mut M, budget: u64, period: u64, max_refills: u64, first: Refill) {
        self.set_budget(m, budget);
        self.set_period(m, period);
        self.set_max_refills(m, max_refills);
        self.set_later_start(m, 0);
        self.set_later_count(m, 0);
        self.set_first(m, first);
        if first.amount < budget {
            self.add(m, Refill { time: first.time + period, amount: budget - first.amount });
        }
    }

    /// Takes what its thread has `used`. A round robin's slice is shorter; of any other budget it comes back a period later.
    pub fn charge<M: Machine>(self, m: &mut M, used: u64, bounds: Bounds) {
        if self.is_round_robin(m) {
            let left = self.first_amount(m).saturating_sub(used);
            self.set_first_amount(m, left);
        } else {
            self.charge_refills(m, used, bounds);
        }
    }

    #[inline(never)]
    fn charge_refills<M: Machine>(self, m: &mut M, used: u64, bounds: Bounds) {
        let (budget, period) = (self.budget(m).max(1), self.period(m));
        // Whole budgets too much (the machine was stopped, say): everything comes as many periods later.
        let whole = used.saturating_sub(1) / budget;
        if whole > 0 {
            self.put_off(m, whole.saturating_mul(period), bounds.end_of_time);
        }
        // The rest is one budget at most: once around the list.
        let mut rest = used - whole * budget;
        while rest > 0 {
            let first = self.first(m);
            if first.time >= bounds.end_of_time {
                break;
            }
            let taken = rest.min(first.amount);
            rest -= taken;
            let back = Refill { time: first.time + period, amount: taken };
            if taken < first.amount {
                self.set_first(m, Refill { time: first.time + taken, amount: first.amount - taken });
            } else if let Some(next) = self.pop_later(m) {
                self.set_first(m, next);
            } else {
                self.set_first(m, back);
                continue;
            }
            self.add(m, back);
        }
        // What is too little to run on waits for the next one.
        while self.first_amount(m) < bounds.least
            && let Some(next) = self.pop_later(m)
        {
            let little = self.first_amount(m);
            let time = next.time.saturating_sub(little);
            self.set_first(m, Refill { time, amount: next.amount + little });
        }
    }

    /// All refills come later by `ticks`, the first not after `latest`.
    #[cold]
    fn put_off<M: Machine>(self, m: &mut M, ticks: u64, latest: u64) {
        let first = self.first(m);
        let ticks = ticks.min(latest.saturating_sub(first.time));
        self.set_first(m, Refill { time: first.time + ticks, ..first });
        for n in 0..self.later_count(m) {
            let refill = self.later(m, n);
            self.set_later(m, n, Refill { time: refill.time.saturating_add(ticks), ..refill });
        }
    }

    /// The first refill, which is due, counts from `now`; so do those that follow without a gap.
    #[inline(never)]
    pub fn start<M: Machine>(self, m: &mut M, now: u64) {
        let mut first = Refill { time: now, ..self.first(m) };
        while self.later_count(m) > 0 && self.later(m, 0).time <= first.end() {
            let Some(next) = self.pop_later(m) else { break };
            first.amount += next.amount;
        }
        self.set_first(m, first);
    }

    /// A round robin's next time slice.
    pub fn renew<M: Machine>(self, m: &mut M) {
        let slice = self.budget(m);
        self.set_first_amount(m, slice);
    }
}
