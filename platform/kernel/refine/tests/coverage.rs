// SPDX-License-Identifier: BSD-2-Clause
//! The random sequences reach what they are meant to reach: every invocation succeeds somewhere, every error is
//! answered, every thread state and every shape of call chain comes up.

use kernel_abi::Invocation;
use kernel_core::sim::HW_DEBUG;
use kernel_refine::random::{self, Focus, Rng};
use kernel_refine::world;
use kernel_spec::{Event, State, ThreadState};
use std::collections::BTreeMap;

fn features(state: &State) -> Vec<String> {
    let mut seen = Vec::new();
    for tcb in state.tcbs.values() {
        let state = format!("{:?}", tcb.state);
        let name = state.split([' ', '{']).next().unwrap_or_default().to_owned();
        seen.push(format!("thread {name}"));
        if let Some(fault) = tcb.fault {
            seen.push(format!("fault {} in {name}", fault.label()));
        }
        if tcb.state.is_runnable() && tcb.sched_context.is_none() {
            seen.push("passive and runnable".into());
        }
        if tcb.steps != 0 {
            seen.push("steps".into());
        }
        if tcb.steps_left != tcb.steps {
            seen.push("counts steps".into());
        }
        if tcb.yield_to.is_some() {
            seen.push("yielded".into());
        }
        if matches!(tcb.state, ThreadState::BlockedOnReceive { reply: None, .. }) {
            seen.push("receives without reply object".into());
        }
    }
    for sc in state.sched_contexts.values() {
        seen.push(format!("call chain of {}", sc.replies.len().min(3)));
        seen.push(format!("{} refills", sc.refills.len().min(4)));
        if sc.notification.is_some() && sc.tcb.is_some() {
            seen.push("context of thread and notification".into());
        }
    }
    if state.release.len() > 1 {
        seen.push("two wait for budget".into());
    }
    if state.domains.domain != 0 && state.current.is_some() {
        seen.push("runs in another domain".into());
    }
    if state.ready.keys().any(|(domain, _)| *domain != state.domains.domain) {
        seen.push("ready in another domain".into());
    }
    if state.current.is_none() {
        seen.push("idle".into());
    }
    if state.caps.values().any(|c| matches!(c, kernel_spec::Cap::Zombie { .. })) {
        seen.push("zombie".into());
    }
    for endpoint in state.endpoints.values() {
        seen.push(format!("{} at an endpoint", endpoint.queue.len().min(3)));
    }
    for notification in state.notifications.values() {
        seen.push(format!("{} at a notification", notification.queue.len().min(2)));
    }
    seen
}

/// Invocations of the kernel extension.
const EXTENSION: [u64; 4] = {
    use kernel_abi::extension::vcpu::{INJECT, LIST_REGISTER, READ_STATE, WRITE_STATE};
    [INJECT, LIST_REGISTER, READ_STATE, WRITE_STATE]
};

/// What an invocation's label means, if anything.
fn name(label: u64) -> Option<String> {
    if EXTENSION.contains(&label) {
        return Some(format!("extension {label:#x}"));
    }
    Invocation::from_label(label, HW_DEBUG).map(|what| format!("{what:?}"))
}

#[test]
fn random_sequences_reach_everything() {
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    let start = world::busy_system();
    for (seed, focus) in
        (1..).zip([Focus::All, Focus::Ipc, Focus::Capabilities, Focus::Memory].into_iter().cycle().take(400))
    {
        let mut pair = start.clone();
        let mut rng = Rng::new(seed);
        let mut idle = 0;
        for _ in 0..200 {
            idle = if pair.spec.current.is_none() { idle + 1 } else { 0 };
            if idle == 8 {
                pair = start.clone();
            }
            let step = random::step(&pair, &mut rng, focus);
            let caller = pair.spec.current;
            pair.enter(&step);
            if let (Event::Syscall(-1), Some(caller)) = (step.event, caller)
                && let Some(tcb) = pair.spec.tcbs.get(&caller)
                && tcb.state == ThreadState::Running
                && let Some(label) = name(step.regs[1] >> 12)
            {
                *seen.entry(format!("{label} -> {}", tcb.regs[1] >> 12)).or_default() += 1;
                *seen.entry(format!("error {}", tcb.regs[1] >> 12)).or_default() += 1;
            }
            for feature in features(&pair.spec) {
                *seen.entry(feature).or_default() += 1;
            }
        }
    }
    let mut wanted: Vec<String> =
        Invocation::ALL.iter().map(|(what, ..)| *what).map(|what| format!("{what:?} -> 0")).collect();
    wanted.extend(EXTENSION.iter().map(|label| format!("extension {label:#x} -> 0")));
    wanted.extend((0..=10).map(|error| format!("error {error}")));
    wanted.extend(
        [
            "thread Inactive",
            "thread Running",
            "thread BlockedOnReceive",
            "thread BlockedOnSend",
            "thread BlockedOnReply",
            "thread BlockedOnNotification",
            "fault 1 in BlockedOnSend",
            "fault 2 in BlockedOnSend",
            "fault 3 in BlockedOnSend",
            "fault 4 in BlockedOnSend",
            "fault 5 in BlockedOnSend",
            "fault 6 in BlockedOnSend",
            "fault 7 in BlockedOnSend",
            "fault 8 in BlockedOnSend",
            "fault 9 in BlockedOnSend",
            "fault 1 in BlockedOnReply",
            "fault 5 in BlockedOnReply",
            "passive and runnable",
            "yielded",
            "receives without reply object",
            "call chain of 1",
            "call chain of 2",
            "1 refills",
            "2 refills",
            "3 refills",
            "4 refills",
            "context of thread and notification",
            "two wait for budget",
            "steps",
            "counts steps",
            "runs in another domain",
            "ready in another domain",
            "idle",
            "zombie",
            "3 at an endpoint",
            "2 at a notification",
        ]
        .map(str::to_owned),
    );
    let missing: Vec<&String> = wanted.iter().filter(|w| !seen.contains_key(*w)).collect();
    assert!(missing.is_empty(), "never reached: {missing:#?}\nreached: {seen:#?}");
}
