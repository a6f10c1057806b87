// SPDX-License-Identifier: BSD-2-Clause
//! Equality of states, without what cannot be observed, and a readable difference.

use kernel_spec::refill::Refill;
use kernel_spec::{State, ThreadState};
use std::collections::BTreeMap;
use std::fmt::{Debug, Write as _};

/// Brings a state into the form in which unobservable differences are gone.
pub fn normalise(state: &mut State) {
    // Trees stand side by side in no order.
    let mut trees: Vec<Vec<_>> = Vec::new();
    for node in std::mem::take(&mut state.tree.0) {
        if node.depth == 0 {
            trees.push(Vec::new());
        }
        if let Some(tree) = trees.last_mut() {
            tree.push(node);
        }
    }
    trees.sort_by_key(|tree| tree.first().map(|n| n.slot));
    state.tree.0 = trees.into_iter().flatten().collect();
    // Whether only originals are marked as such shows in the tree; copies never have children.
    for endpoint in state.endpoints.values_mut() {
        endpoint.sending &= !endpoint.queue.is_empty();
    }
    for tcb in state.tcbs.values_mut() {
        // To start again where it would go on anyway is to go on.
        if tcb.state == ThreadState::Restart && tcb.fault_ip == tcb.regs[kernel_abi::context::stored::PC] {
            tcb.state = ThreadState::Running;
        }
        // A stopped thread tells nobody of its fault any more: resuming it forgets it.
        if tcb.state == ThreadState::Inactive {
            tcb.fault = None;
        }
        if tcb.fault.is_some()
            && let ThreadState::BlockedOnSend { is_call, .. } = &mut tcb.state
        {
            *is_call = false;
        }
    }
    // Round robin: what is left of the slice and what was used of it; the times mean nothing.
    for sc in state.sched_contexts.values_mut() {
        if sc.max_refills > 0 && sc.is_round_robin() {
            let total = sc.budget();
            let left = sc.refills.first().map_or(0, |r| r.amount);
            sc.refills = vec![Refill { time: 0, amount: left }, Refill { time: 0, amount: total - left }];
        }
        if sc.max_refills == 0 {
            sc.refills.clear();
        }
    }
    state.ready.retain(|_, queue| !queue.is_empty());
    if state.current_sc.is_none() {
        state.uncharged = 0;
    }
    state.charge = false;
}

/// What differs, one line each: specification first.
pub fn difference(spec: &State, core: &State) -> String {
    let mut out = String::new();
    maps(&mut out, "cap", &spec.caps, &core.caps);
    if spec.tree != core.tree {
        let nodes =
            |s: &State| s.tree.0.iter().map(|n| (n.slot, (n.depth, n.original))).collect::<BTreeMap<_, _>>();
        let before = out.len();
        maps(&mut out, "tree", &nodes(spec), &nodes(core));
        if out.len() == before {
            for (a, b) in spec.tree.0.iter().zip(&core.tree.0).filter(|(a, b)| a != b).take(4) {
                let _ = writeln!(out, "tree order: spec {a:?}, core {b:?}");
            }
        }
    }
    maps(&mut out, "tcb", &spec.tcbs, &core.tcbs);
    maps(&mut out, "endpoint", &spec.endpoints, &core.endpoints);
    maps(&mut out, "notification", &spec.notifications, &core.notifications);
    maps(&mut out, "reply", &spec.replies, &core.replies);
    maps(&mut out, "sched context", &spec.sched_contexts, &core.sched_contexts);
    maps(&mut out, "table", &spec.tables, &core.tables);
    maps(&mut out, "asid pool", &spec.asid_pools, &core.asid_pools);
    maps(&mut out, "asid", &spec.asids, &core.asids);
    maps(&mut out, "vcpu", &spec.vcpus, &core.vcpus);
    maps(&mut out, "memory", &spec.memory, &core.memory);
    maps(&mut out, "ready", &spec.ready, &core.ready);
    field(&mut out, "domains", &spec.domains, &core.domains);
    field(&mut out, "irqs issued", &spec.irqs_issued, &core.irqs_issued);
    field(&mut out, "irqs enabled", &spec.irqs_enabled, &core.irqs_enabled);
    field(&mut out, "current", &spec.current, &core.current);
    field(&mut out, "current sc", &spec.current_sc, &core.current_sc);
    field(&mut out, "release", &spec.release, &core.release);
    field(&mut out, "action", &spec.action, &core.action);
    field(&mut out, "now", &spec.now, &core.now);
    field(&mut out, "uncharged", &spec.uncharged, &core.uncharged);
    out
}

fn field<T: Debug + PartialEq>(out: &mut String, name: &str, spec: &T, core: &T) {
    if spec != core {
        let _ = writeln!(out, "{name}: spec {spec:x?}\n      core {core:x?}");
    }
}

fn maps<K: Ord + Debug, V: Debug + PartialEq>(
    out: &mut String,
    name: &str,
    spec: &BTreeMap<K, V>,
    core: &BTreeMap<K, V>,
) {
    for key in spec.keys().chain(core.keys().filter(|k| !spec.contains_key(k))) {
        let (a, b) = (spec.get(key), core.get(key));
        if a != b {
            let _ = writeln!(out, "{name} {key:x?}: spec {a:x?}\n      core {b:x?}");
        }
    }
}
