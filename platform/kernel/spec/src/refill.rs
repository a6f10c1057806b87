// SPDX-License-Identifier: BSD-2-Clause
//! Budgets: sporadic replenishment and round robin (manual 6.1.6 "Scheduling contexts").
//!
//! A configured scheduling context has a list of refills, whose amounts always sum to its budget. The first one is
//! what its thread runs on, from its time on. Time that was used comes back one period after the refill that it was
//! taken from. Two rules keep that safe with a bounded list: refills are in order and do not overlap, and the
//! first one is never smaller than the least budget.
//!
//! Round robin (period 0): two refills, what is left of the time slice and what was used of it.

use crate::state::{Config, SchedContext};

/// Budget that comes at a time. In ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refill {
    /// When it can be used from.
    pub time: u64,
    /// How much.
    pub amount: u64,
}

impl Refill {
    fn end(self) -> u64 {
        self.time + self.amount
    }
}

impl SchedContext {
    /// Whether it was configured.
    pub fn is_active(&self) -> bool {
        self.max_refills > 0
    }

    /// Whether it is scheduled round robin.
    pub fn is_round_robin(&self) -> bool {
        self.period == 0
    }

    /// Whether its first refill may be used at `now`.
    pub fn is_ready(&self, now: u64) -> bool {
        self.refills.first().is_some_and(|r| r.time <= now)
    }

    /// Whether, with `used` gone, its first refill is enough for one more way through the kernel.
    pub fn is_sufficient(&self, used: u64, config: &Config) -> bool {
        self.refills.first().is_some_and(|r| r.amount.saturating_sub(used) >= config.min_budget)
    }

    /// Budget per period: what the refills sum to.
    pub fn budget(&self) -> u64 {
        self.refills.iter().map(|r| r.amount).sum()
    }

    /// Configures it afresh: everything available from `now`. `period` 0 is round robin.
    pub(crate) fn configure(&mut self, budget: u64, period: u64, max_refills: usize, now: u64) {
        self.period = period;
        self.max_refills = max_refills;
        self.refills = vec![Refill { time: now, amount: budget }];
        self.add_used_part(now);
    }

    /// Configures it while its thread could run: what is left of the first refill can be used, up to the new budget;
    /// the rest of the budget comes one period after it, so that no window sees more than the new budget.
    pub(crate) fn reconfigure(&mut self, budget: u64, period: u64, max_refills: usize, now: u64) {
        let Some(&left) = self.refills.first() else { return };
        let first = Refill { time: left.time.max(now), amount: left.amount.min(budget) };
        let rest = Refill { time: first.time + period, amount: budget - first.amount };
        self.period = period;
        self.max_refills = max_refills;
        self.refills = [first, rest].into_iter().filter(|refill| refill.amount > 0).collect();
    }

    fn add_used_part(&mut self, now: u64) {
        if self.is_round_robin() {
            self.refills.push(Refill { time: now, amount: 0 });
        }
    }

    /// A round-robin time slice is over: a fresh one.
    pub(crate) fn renew_slice(&mut self) {
        if let [left, used] = &mut self.refills[..] {
            left.amount += used.amount;
            used.amount = 0;
        }
    }

    /// Takes `used` ticks from the budget; they come back a period later. More than the budget is taken from what comes.
    pub(crate) fn charge(&mut self, used: u64, config: &Config) {
        if self.is_round_robin() {
            if let [left, gone] = &mut self.refills[..] {
                left.amount -= used;
                gone.amount += used;
            }
            return;
        }
        // An overrun by whole budgets makes everything come as many periods later; what is left of it, one budget at
        // most, is taken refill by refill.
        let periods = used.saturating_sub(1) / self.budget().max(1);
        let mut rest = used - periods * self.budget();
        let room = config.end_of_time().saturating_sub(self.refills[0].time);
        let delay = periods.saturating_mul(self.period).min(room);
        for refill in &mut self.refills {
            refill.time = refill.time.saturating_add(delay);
        }
        while rest > 0 && self.refills[0].time < config.end_of_time() {
            let piece = self.take_first(rest);
            rest -= piece.amount;
            self.add_last(Refill { time: piece.time + self.period, ..piece });
        }
        self.join_crumbs(config.min_budget);
    }

    /// Takes up to `most` ticks off the front of the budget.
    fn take_first(&mut self, most: u64) -> Refill {
        let whole = self.refills[0];
        if whole.amount <= most {
            return self.refills.remove(0);
        }
        self.refills[0] = Refill { time: whole.time + most, amount: whole.amount - most };
        Refill { amount: most, ..whole }
    }

    /// What comes first and is too little to run on waits for more: it becomes the beginning of a refill after it.
    fn join_crumbs(&mut self, least: u64) {
        let mut crumbs = 0;
        let mut count = 0;
        let before_last = &self.refills[..self.refills.len() - 1];
        for refill in before_last {
            if crumbs + refill.amount >= least {
                break;
            }
            crumbs += refill.amount;
            count += 1;
        }
        self.refills.drain(..count);
        self.refills[0].time -= crumbs;
        self.refills[0].amount += crumbs;
    }

    /// Adds a refill that comes after all others; what touches the last one, or does not fit into the list, is
    /// joined with it (a refill that does not fit makes the last one later).
    fn add_last(&mut self, new: Refill) {
        let full = self.refills.len() >= self.max_refills;
        match self.refills.last_mut() {
            Some(last) if last.end() >= new.time => last.amount += new.amount,
            Some(last) if full => {
                last.time = new.time - last.amount;
                last.amount += new.amount;
            }
            _ => self.refills.push(new),
        }
    }

    /// Its thread starts to run at `now` after having waited: what has come so far counts from now, in one refill.
    /// Returns whether anything had.
    pub(crate) fn start_now(&mut self, now: u64) -> bool {
        if self.is_round_robin() || !self.is_ready(now) {
            return false;
        }
        let from_now = self.refills[1..].iter().scan(now + self.refills[0].amount, |end, next| {
            let joins = next.time <= *end;
            *end += next.amount;
            joins.then_some(next.amount)
        });
        let (count, more) = from_now.fold((0, 0), |(count, sum), amount| (count + 1, sum + amount));
        let first = Refill { time: now, amount: self.refills[0].amount + more };
        self.refills.splice(..=count, [first]);
        true
    }
}
