// SPDX-License-Identifier: BSD-2-Clause
//! Temporal isolation, seen from outside: on a machine whose timer keeps its deadlines, no scheduling context runs for
//! more than its budget in any window as long as its period, whatever the threads do. A sporadic one counts its period
//! from when its thread is woken, not from when it gets to run; like a periodic task that was delayed it can have
//! two budgets next to each other.

use kernel_abi::{Invocation, MessageInfo};
use kernel_core::sim::HW_DEBUG;
use kernel_refine::random::{self, Focus, Rng};
use kernel_refine::{Step, world};
use kernel_spec::{Event, Obj};
use std::collections::BTreeMap;

/// Whether a step would change what is asked of a budget.
fn reconfigures(step: &Step) -> bool {
    matches!(step.event, Event::Syscall(_))
        && Invocation::from_label(MessageInfo(step.regs[1]).label(), HW_DEBUG)
            == Some(Invocation::SchedControlConfigureFlags)
}

#[test]
fn no_window_sees_more_than_the_budget() {
    let start = world::busy_system();
    let mut longest: BTreeMap<Obj, u64> = BTreeMap::new();
    for seed in 1..20 {
        let mut pair = start.clone();
        let mut rng = Rng::new(seed);
        let mut runs: BTreeMap<Obj, Vec<(u64, u64)>> = BTreeMap::new();
        for _ in 0..1500 {
            let mut step = random::step(&pair, &mut rng, Focus::Ipc);
            if reconfigures(&step) {
                continue;
            }
            // Threads run for a while; the timer fires at its deadline.
            step.advance = rng.below(400);
            let now = pair.core.m.clock;
            if now + step.advance >= pair.core.m.deadline {
                step = Step::timer(pair.core.m.deadline.saturating_sub(now));
            }
            let (runs_on, idle) = (pair.core.current_sc, pair.core.idle_sc);
            let running = (runs_on != idle).then(|| Obj(runs_on.addr().0));
            pair.step(&step).unwrap_or_else(|e| panic!("{}\n{e}", random::describe(&step)));
            let end = pair.core.m.clock;
            let Some(sc) = running else { continue };
            runs.entry(sc).or_default().push((now, end));
            let Some(context) = pair.spec.sched_contexts.get(&sc).filter(|c| c.is_active()) else { continue };
            if context.is_round_robin() {
                continue;
            }
            let from = end.saturating_sub(context.period);
            let used: u64 =
                runs[&sc].iter().rev().take_while(|r| r.1 > from).map(|&(a, b)| b - a.max(from)).sum();
            let most = longest.entry(sc).or_default();
            *most = used.max(*most);
            let limit = if context.sporadic { 2 * context.budget() } else { context.budget() };
            assert!(used <= limit, "seed {seed}: {sc:x?} ran {used} of {limit} in {from}..{end}");
        }
    }
    assert!(longest.values().filter(|&&used| used > 500).count() >= 2, "too little ran: {longest:x?}");
}
