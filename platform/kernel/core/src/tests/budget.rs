// SPDX-License-Identifier: BSD-2-Clause
//! Budgets by themselves: whatever is used of them, they stay whole, and no window of a period sees more.

use super::world::World;
use crate::budget::{Bounds, Refill};
use crate::layout::SchedContext;
use crate::sim::SimMachine;

const BOUNDS: Bounds = Bounds { least: 20, end_of_time: u64::MAX / 2 };

fn refills(m: &SimMachine, sc: SchedContext) -> Vec<Refill> {
    [sc.first(m)].into_iter().chain((0..sc.later_count(m)).map(|n| sc.later(m, n))).collect()
}

fn check(m: &SimMachine, sc: SchedContext, budget: u64) {
    let all = refills(m, sc);
    assert_eq!(all.iter().map(|refill| refill.amount).sum::<u64>(), budget, "{all:?}");
    assert!(all.is_sorted_by(|one, next| one.end() <= next.time), "{all:?}");
    assert!(all.len() as u64 <= sc.max_refills(m), "{all:?}");
}

/// A thread that runs and waits at random, on whatever it has: what it got in any window as long as the period.
#[test]
fn no_window_of_a_period_sees_more_than_the_budget() {
    let (mut world, tcb) = World::new();
    let sc = tcb.sched_context(&world.kernel.m).unwrap();
    let m = &mut world.kernel.m;
    let mut seed = 7u64;
    let mut random = |end: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % end
    };
    for round in 0..if cfg!(miri) { 2 } else { 60 } {
        let (budget, period, max) = (100 + random(400), 1000, 2 + random(7));
        let mut now = 1000 * round;
        sc.set_up(m, budget, period, max, Refill { time: now, amount: budget });
        // From when to when it ran.
        let mut ran: Vec<(u64, u64)> = Vec::new();
        for _ in 0..if cfg!(miri) { 20 } else { 300 } {
            now += random(300);
            let first = sc.first(m);
            if first.time > now {
                now = first.time;
            }
            sc.start(m, now);
            // It is charged before less than the least is left, or after, when it has used all of it.
            let first = sc.first(m);
            assert!(first.amount >= BOUNDS.least);
            let used = 1 + random(first.amount);
            ran.push((now, now + used));
            now += used;
            sc.charge(m, used, BOUNDS);
            check(m, sc, budget);
        }
        for &(start, _) in &ran {
            let end = start + period;
            let got: u64 = ran.iter().map(|&(from, to)| to.min(end).saturating_sub(from.max(start))).sum();
            assert!(got <= budget, "{got} of {budget} from {start} on, {max} refills: {ran:?}");
        }
    }
}

#[test]
fn what_overran_is_paid_back() {
    let (mut world, tcb) = World::new();
    let sc = tcb.sched_context(&world.kernel.m).unwrap();
    let m = &mut world.kernel.m;
    sc.set_up(m, 100, 1000, 4, Refill { time: 0, amount: 100 });
    // Two and a half budgets at once: it may run again when the third period has begun, and then half as long.
    sc.charge(m, 250, BOUNDS);
    assert_eq!(refills(m, sc), [Refill { time: 2050, amount: 50 }, Refill { time: 3000, amount: 50 }]);
    sc.charge(m, u64::MAX / 8, BOUNDS);
    check(m, sc, 100);
}

#[test]
fn round_robin_has_one_slice() {
    let (mut world, tcb) = World::new();
    let sc = tcb.sched_context(&world.kernel.m).unwrap();
    let m = &mut world.kernel.m;
    sc.set_up(m, 100, 0, 2, Refill { time: 5, amount: 100 });
    sc.charge(m, 60, BOUNDS);
    assert_eq!(refills(m, sc), [Refill { time: 5, amount: 40 }]);
    sc.charge(m, 60, BOUNDS);
    assert_eq!(refills(m, sc), [Refill { time: 5, amount: 0 }]);
    sc.renew(m);
    assert_eq!(refills(m, sc), [Refill { time: 5, amount: 100 }]);
}
