// SPDX-License-Identifier: BSD-2-Clause
//! Invariants of the implementation's state, beyond what the abstraction function checks by reading it.

use kernel_core::cap::Cap as CoreCap;
use kernel_core::layout::{self, Tcb, TcbSlot, queued};
use kernel_core::sched::Action;
use kernel_core::sim::SimMachine;
use kernel_core::{Kernel, Machine, PhysAddr};
use kernel_spec::cap::Cap;
use kernel_spec::{Obj, State, ThreadState};
use std::collections::BTreeMap;

/// Checks all of them; `state` is the abstraction of `kernel`.
///
/// # Errors
/// The first one that does not hold.
pub fn check(kernel: &Kernel<SimMachine>, state: &State) -> Result<(), String> {
    derivation_links(kernel, state)?;
    derivation_is_sound(state)?;
    memory_is_disjoint(state)?;
    queues(kernel, state)?;
    bindings(kernel, state)?;
    lookups(kernel)?;
    entry(kernel, state)?;
    switches(kernel, state)?;
    time(kernel, state)
}

/// What the fast paths remember of lookups is what a lookup finds now.
fn lookups(kernel: &Kernel<SimMachine>) -> Result<(), String> {
    for (tcb, address, slot) in kernel.lookups.iter() {
        let found = kernel.lookup_slot(tcb, address);
        ensure(found == Ok(slot), || {
            format!("{tcb:x?} remembers {slot:x?} for {address:#x}, not {found:x?}")
        })?;
    }
    Ok(())
}

/// What every kernel entry finds, and the fast paths rely on: no choice or deadline is outstanding, who runs waits with no
/// fault, and what is said to be quiet is.
fn entry(kernel: &Kernel<SimMachine>, state: &State) -> Result<(), String> {
    ensure(kernel.action == Action::ResumeCurrent, || format!("undone: {:?}", kernel.action))?;
    ensure(!kernel.reprogram, || "the deadline is not set".into())?;
    if state.current.is_some() {
        let label = kernel.current.fault_label(&kernel.m);
        ensure(label == kernel_abi::fault::NULL, || format!("the thread that runs has fault {label}"))?;
        ensure(kernel.loaded == Some(kernel.current), || format!("{:x?} is loaded", kernel.loaded))?;
    }
    let head = |sc: Obj| state.sched_contexts.get(&sc).and_then(|sc| sc.refills.first());
    let Some(quiet) = kernel.quiet_before.checked_sub(1) else { return Ok(()) };
    if let Some(refill) = state.current_sc.and_then(head).filter(|_| state.current.is_some()) {
        let budget = state.now + refill.amount - state.uncharged;
        ensure(quiet.saturating_add(state.config.min_budget) <= budget || quiet < state.now, || {
            format!("quiet until {quiet}, budget until {budget}")
        })?;
        ensure(refill.time <= state.now || quiet < state.now, || {
            format!("runs at {} on {refill:?}", state.now)
        })?;
    }
    let first = state.release.first().and_then(|tcb| state.tcbs.get(tcb)?.sched_context).and_then(head);
    if let Some(refill) = first {
        ensure(quiet < refill.time, || format!("quiet until {quiet}, release at {}", refill.time))?;
    }
    Ok(())
}

/// Threads that can be changed to without a look ([`Tcb::switch_key`]) have the translation that is kept for them, and a
/// virtual CPU or none as the key says.
fn switches(kernel: &Kernel<SimMachine>, state: &State) -> Result<(), String> {
    for (&at, thread) in &state.tcbs {
        let Some(tcb) = Tcb::at(PhysAddr(at.0)) else { continue };
        let key = tcb.switch_key(&kernel.m);
        if key != kernel.switch_key && key != !kernel.switch_key {
            continue;
        }
        ensure(thread.vcpu.is_none() == (key == kernel.switch_key), || {
            format!("{at:x?}: {:x?}", thread.vcpu)
        })?;
        let space = match tcb.slot(TcbSlot::VSpace).cap(&kernel.m) {
            CoreCap::VSpace { at, asid: Some(asid) } if kernel.vspace_of(asid) == Some(at) => {
                kernel.vmid_in_use(asid).map(|vmid| (at, vmid))
            }
            _ => None,
        };
        let kept = tcb.switch_space(&kernel.m);
        ensure(kept == kernel.m.space_word(space), || format!("{at:x?}: {kept:#x} is kept of {space:x?}"))?;
    }
    Ok(())
}

fn ensure(holds: bool, what: impl Fn() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("invariant: {}", what())) }
}

/// The derivation list can be walked both ways.
fn derivation_links(kernel: &Kernel<SimMachine>, state: &State) -> Result<(), String> {
    for &slot in state.caps.keys() {
        let base = match slot.holder {
            kernel_spec::Holder::CNode(at, _) | kernel_spec::Holder::Tcb(at) => at.0,
            kernel_spec::Holder::Irq => kernel.irq_slots.0,
        };
        let Some(here) = layout::Slot::at(PhysAddr(base + 32 * slot.index)) else { continue };
        for (neighbour, back) in [
            (
                here.next(&kernel.m),
                (|s: layout::Slot, k: &Kernel<SimMachine>| s.prev(&k.m)) as fn(_, &_) -> _,
            ),
            (here.prev(&kernel.m), |s: layout::Slot, k: &Kernel<SimMachine>| s.next(&k.m)),
        ] {
            if let Some(neighbour) = neighbour {
                ensure(back(neighbour, kernel) == Some(here), || format!("one-way link at {slot:x?}"))?;
                ensure(!neighbour.is_empty(&kernel.m), || format!("{slot:x?} is linked to an empty slot"))?;
            }
        }
    }
    Ok(())
}

/// Every capability that has a parent is within what the parent names and has no right that the parent lacks. (What
/// has none was there at boot, or its parent is gone.)
fn derivation_is_sound(state: &State) -> Result<(), String> {
    for (slot, parent) in state.tree.parents() {
        let (Some(cap), Some(parent)) = (state.cap(slot), parent.and_then(|p| state.cap(p))) else {
            continue;
        };
        ensure(parent.covers(cap, &state.config), || format!("{cap:x?} under {parent:x?}"))?;
        ensure(has_no_more_rights(parent, cap), || format!("{cap:x?} says more than {parent:x?}"))?;
        if let (Cap::Untyped { base, used, .. }, Some((at, bits))) = (parent, cap.memory(&state.config)) {
            ensure(at.0 + (1 << bits) <= base.0 + used, || {
                format!("{cap:x?} above the watermark of {parent:x?}")
            })?;
        }
    }
    Ok(())
}

/// Whether `cap` gives nothing that `parent`, which covers it, does not give.
pub(crate) fn has_no_more_rights(parent: Cap, cap: Cap) -> bool {
    match (parent, cap) {
        (Cap::Endpoint { rights: a, badge: x, .. }, Cap::Endpoint { rights: b, badge: y, .. })
        | (Cap::Notification { rights: a, badge: x, .. }, Cap::Notification { rights: b, badge: y, .. }) => {
            b & !a == 0 && (x == 0 || x == y)
        }
        (Cap::Frame { rights: a, .. }, Cap::Frame { rights: b, .. }) => {
            (a.read || !b.read) && (a.write || !b.write)
        }
        (Cap::Reply { can_grant: a, .. }, Cap::Reply { can_grant: b, .. }) => a || !b,
        (Cap::Untyped { device: a, .. }, Cap::Untyped { device: b, .. } | Cap::Frame { device: b, .. }) => {
            a == b
        }
        _ => true,
    }
}

/// No memory is in two objects.
fn memory_is_disjoint(state: &State) -> Result<(), String> {
    let mut objects: BTreeMap<Obj, (u64, Cap)> = BTreeMap::new();
    for cap in state.caps.values() {
        if matches!(cap, Cap::Untyped { .. }) {
            continue;
        }
        let Some((at, bits)) = cap.memory(&state.config) else { continue };
        let end = at.0 + (1 << bits);
        if let Some((other_end, other)) = objects.get(&at) {
            ensure(*other_end == end && same_kind(*other, *cap), || format!("{cap:x?} and {other:x?}"))?;
        }
        objects.insert(at, (end, *cap));
    }
    let mut before: Option<(u64, Cap)> = None;
    for (at, (end, cap)) in objects {
        if let Some((past, other)) = before {
            ensure(past <= at.0, || format!("memory in {cap:x?} and {other:x?}"))?;
        }
        before = Some((end, cap));
    }
    Ok(())
}

fn same_kind(a: Cap, b: Cap) -> bool {
    a.same_object(b)
        || match (a, b) {
            (Cap::Zombie { holder: a, .. }, Cap::Zombie { holder: b, .. }) => a == b,
            _ => false,
        }
}

/// Queues: double links, everybody in the queue that the thread's state says, nobody in two.
fn queues(kernel: &Kernel<SimMachine>, state: &State) -> Result<(), String> {
    let m = &kernel.m;
    let tcb = |o: Obj| Tcb::at(PhysAddr(o.0)).ok_or_else(|| format!("thread {o:?}"));
    let mut waits: BTreeMap<Obj, Obj> = BTreeMap::new();
    let ends = |at: Obj, queue: &[Obj], tail: Option<Tcb>| -> Result<(), String> {
        ensure(tail.map(|t| Obj(t.addr().0)) == queue.last().copied(), || format!("tail of {at:x?}"))?;
        let (mut before, mut better) = (None, None);
        let mut priority = 255;
        for (place, &t) in queue.iter().enumerate() {
            ensure(tcb(t)?.queue_prev(m) == before, || format!("{t:x?} in the queue of {at:x?}: link back"))?;
            ensure(tcb(t)?.priority(m) <= priority, || format!("{t:x?} in the queue of {at:x?}: order"))?;
            before = Some(tcb(t)?);
            priority = tcb(t)?.priority(m);
            // The last ones of the priorities are linked among each other, nobody else is.
            let (up, down) = (tcb(t)?.better_rank(m), tcb(t)?.worse_rank(m));
            let next = queue.get(place + 1).map(|&next| tcb(next)).transpose()?;
            if next.is_some_and(|next| next.priority(m) == priority) {
                ensure(up.is_none() && down.is_none(), || format!("{t:x?} is not the last of its rank"))?;
            } else {
                ensure(up == better, || format!("{t:x?} in the queue of {at:x?}: better rank"))?;
                ensure(better.is_none_or(|b: Tcb| b.worse_rank(m) == before), || {
                    format!("{t:x?} in the queue of {at:x?}: worse rank")
                })?;
                ensure(next.is_some() || down.is_none(), || format!("{t:x?} in the queue of {at:x?}: end"))?;
                better = before;
            }
        }
        Ok(())
    };
    for (&at, e) in &state.endpoints {
        ends(at, &e.queue, layout::Endpoint::at(PhysAddr(at.0)).and_then(|e| e.tail(m)))?;
        for &t in &e.queue {
            ensure(waits.insert(t, at).is_none(), || format!("{t:x?} waits twice"))?;
        }
    }
    for (&at, n) in &state.notifications {
        ends(at, &n.queue, layout::Notification::at(PhysAddr(at.0)).and_then(|n| n.tail(m)))?;
        for &t in &n.queue {
            ensure(waits.insert(t, at).is_none(), || format!("{t:x?} waits twice"))?;
        }
    }
    for (&t, thread) in &state.tcbs {
        let should = match thread.state {
            ThreadState::BlockedOnReceive { endpoint, .. } | ThreadState::BlockedOnSend { endpoint, .. } => {
                Some(endpoint)
            }
            ThreadState::BlockedOnNotification { notification } => Some(notification),
            _ => None,
        };
        ensure(waits.remove(&t) == should, || format!("{t:x?} is in another queue than its state says"))?;

        let ready = state.ready.iter().find(|(_, q)| q.contains(&t)).map(|(p, _)| *p);
        let release = state.release.contains(&t);
        let flag = tcb(t)?.queued(m);
        let expected = match (ready, release) {
            (Some(_), false) => queued::READY,
            (None, true) => queued::RELEASE,
            (None, false) => queued::NONE,
            (Some(_), true) => return Err(format!("invariant: {t:x?} is ready and waits for budget")),
        };
        ensure(flag == expected, || format!("{t:x?} is queued as {flag}, found in {expected}"))?;
        ensure(ready.is_none_or(|at| at == (thread.domain, thread.priority)), || {
            format!("{t:x?} in the wrong ready queue")
        })?;
        let can_run = state.is_schedulable(t);
        ensure(can_run == (ready.is_some() || state.current == Some(t)), || {
            format!("{t:x?} can run: {can_run}, ready {ready:?}, current {:x?}", state.current)
        })?;
    }
    ensure(waits.is_empty(), || format!("dead threads wait: {waits:x?}"))?;
    let mut last = 0;
    for &t in &state.release {
        release_links(kernel, state, tcb(t)?)?;
        let time =
            state.tcbs.get(&t).and_then(|x| x.sched_context).and_then(|sc| state.sched_contexts.get(&sc));
        let time = time.and_then(|sc| sc.refills.first()).map_or(0, |r| r.time);
        ensure(time >= last, || format!("{t:x?} waits for time: order"))?;
        last = time;
    }
    if let Some(begun) = kernel.cancelling {
        let queue = &state.endpoints[&Obj(begun.endpoint.addr().0)].queue;
        let next = queue.iter().position(|t| t.0 == begun.next.addr().0);
        let next = next.ok_or_else(|| format!("{begun:x?} goes on behind somebody who is not there"))?;
        for &t in &queue[..next] {
            ensure(tcb(t)?.blocked_badge(m) != begun.badge, || format!("{begun:x?} has missed {t:x?}"))?;
        }
    }
    for (at, listed) in &state.ready {
        let mut before = None;
        for &t in listed {
            ensure(tcb(t)?.sched_prev(m) == before, || format!("{t:x?} in ready {at:?}: link back"))?;
            before = Some(tcb(t)?);
        }
    }
    let domain = state.domains.domain;
    let best = state.ready.range((domain, 0)..=(domain, u64::MAX)).next_back().map(|(at, _)| at.1);
    ensure(kernel.ready.highest() == best, || {
        format!("highest ready {:?}, is {best:?}", kernel.ready.highest())
    })?;
    let running = state.current.and_then(|t| state.tcbs.get(&t));
    ensure(running.is_none_or(|t| t.domain == domain), || {
        format!("a thread runs in the turn of domain {domain}")
    })?;
    let running = running.map(|t| t.priority);
    ensure(best.is_none() || running >= best, || format!("runs at {running:?} while {best:?} is ready"))
}

/// Two-sided references say the same on both sides.
fn bindings(kernel: &Kernel<SimMachine>, state: &State) -> Result<(), String> {
    for (&t, tcb) in &state.tcbs {
        if let Some(sc) = tcb.sched_context {
            ensure(state.sched_contexts.get(&sc).is_some_and(|s| s.tcb == Some(t)), || {
                format!("{t:x?} and {sc:x?}")
            })?;
        }
        if let Some(n) = tcb.notification {
            ensure(state.notifications.get(&n).is_some_and(|n| n.tcb == Some(t)), || {
                format!("{t:x?} and {n:x?}")
            })?;
        }
        if let Some(sc) = tcb.yield_to {
            ensure(state.sched_contexts.get(&sc).is_some_and(|s| s.yield_from == Some(t)), || {
                format!("{t:x?} yielded to {sc:x?}")
            })?;
        }
        if let Some(v) = tcb.vcpu {
            ensure(state.vcpus.get(&v).is_some_and(|v| v.tcb == Some(t)), || format!("{t:x?} and {v:x?}"))?;
        }
        lender_links(kernel, state, t)?;
        let reply = match tcb.state {
            ThreadState::BlockedOnReply { reply } => Some(reply),
            ThreadState::BlockedOnReceive { reply, .. } => reply,
            _ => None,
        };
        if let Some(r) = reply {
            ensure(state.replies.get(&r) == Some(&Some(t)), || format!("{t:x?} and reply {r:x?}"))?;
        }
    }
    for (&sc, s) in &state.sched_contexts {
        if let Some(t) = s.tcb {
            ensure(state.tcbs.get(&t).is_some_and(|t| t.sched_context == Some(sc)), || {
                format!("{sc:x?} and {t:x?}")
            })?;
        }
        if let Some(n) = s.notification {
            ensure(state.notifications.get(&n).is_some_and(|n| n.sched_context == Some(sc)), || {
                format!("{sc:x?} and {n:x?}")
            })?;
        }
        if let Some(t) = s.yield_from {
            ensure(state.tcbs.get(&t).is_some_and(|t| t.yield_to == Some(sc)), || {
                format!("{sc:x?} from {t:x?}")
            })?;
        }
    }
    for (&n, ntfn) in &state.notifications {
        if let Some(t) = ntfn.tcb {
            ensure(state.tcbs.get(&t).is_some_and(|t| t.notification == Some(n)), || {
                format!("{n:x?} and {t:x?}")
            })?;
        }
        if let Some(sc) = ntfn.sched_context {
            ensure(state.sched_contexts.get(&sc).is_some_and(|s| s.notification == Some(n)), || {
                format!("{n:x?} and {sc:x?}")
            })?;
        }
    }
    for (&r, &tcb) in &state.replies {
        if let Some(t) = tcb {
            let waits = state.tcbs.get(&t).map(|t| t.state);
            let through = match waits {
                Some(ThreadState::BlockedOnReply { reply }) => Some(reply),
                Some(ThreadState::BlockedOnReceive { reply, .. }) => reply,
                _ => None,
            };
            ensure(through == Some(r), || format!("reply {r:x?} and {t:x?} in {waits:x?}"))?;
        }
    }
    for (&v, vcpu) in &state.vcpus {
        if let Some(t) = vcpu.tcb {
            ensure(state.tcbs.get(&t).is_some_and(|t| t.vcpu == Some(v)), || format!("{v:x?} and {t:x?}"))?;
        }
    }
    Ok(())
}

/// The heap of those that wait for time: links both ways, who is above comes first, the left side reaches at least as far.
fn release_links(kernel: &Kernel<SimMachine>, state: &State, tcb: Tcb) -> Result<(), String> {
    let m = &kernel.m;
    let (left, right) = (tcb.release_left(m), tcb.release_right(m));
    for later in left.into_iter().chain(right) {
        ensure(state.release.contains(&Obj(later.addr().0)), || format!("{later:x?} behind {tcb:x?}"))?;
        ensure(later.release_up(m) == Some(tcb), || format!("{later:x?} does not know {tcb:x?}"))?;
        let key = |t: Tcb| (t.release_time(m), t.release_order(m));
        ensure(key(tcb) < key(later), || format!("{later:x?} behind {tcb:x?}: order"))?;
    }
    let reach = |tcb: Option<Tcb>| tcb.map_or(0, |tcb| tcb.release_reach(m));
    let holds = reach(left) >= reach(right) && tcb.release_reach(m) == reach(right) + 1;
    ensure(holds, || format!("{tcb:x?} waits for time: reach"))?;
    let root = kernel.release_root == Some(tcb);
    ensure(root == tcb.release_up(m).is_none(), || format!("{tcb:x?} waits for time: root"))
}

/// Only callers lend; a lender's links go both ways and end at living objects.
fn lender_links(kernel: &Kernel<SimMachine>, state: &State, t: Obj) -> Result<(), String> {
    let m = &kernel.m;
    let Some(tcb) = Tcb::at(PhysAddr(t.0)) else { return Ok(()) };
    let (newer, older) = (tcb.newer_lender(m), tcb.older_lender(m));
    let waits = matches!(state.tcbs[&t].state, ThreadState::BlockedOnReply { .. });
    ensure(waits || tcb.lent(m).is_none() && newer.is_none() && older.is_none(), || {
        format!("{t:x?} lends and waits for no answer")
    })?;
    for other in newer.into_iter().chain(older) {
        ensure(state.tcbs.contains_key(&Obj(other.addr().0)), || format!("beside {t:x?} is no thread"))?;
    }
    ensure(newer.is_none_or(|newer| newer.older_lender(m) == Some(tcb)), || {
        format!("the lender behind {t:x?} does not know it")
    })?;
    ensure(older.is_none_or(|older| older.newer_lender(m) == Some(tcb)), || {
        format!("the lender before {t:x?} does not know it")
    })?;
    let Some(sc) = tcb.lent(m) else { return Ok(()) };
    let at = Obj(sc.addr().0);
    ensure(state.sched_contexts.contains_key(&at), || format!("{t:x?} has lent a dead context"))?;
    ensure(newer.is_none() && sc.newest_lender(m) == Some(tcb), || {
        format!("{t:x?} is not the newest lender of {at:x?}")
    })
}

/// Budgets: refills sum to the budget, are in order, and the first is never too small; the deadline is not missed.
fn time(kernel: &Kernel<SimMachine>, state: &State) -> Result<(), String> {
    for (&at, sc) in state.sched_contexts.iter().filter(|(_, sc)| sc.max_refills > 0) {
        let Some(object) = layout::SchedContext::at(PhysAddr(at.0)) else { continue };
        let budget = object.budget(&kernel.m);
        ensure(sc.budget() == budget, || format!("{at:x?}: refills {:?} of budget {budget}", sc.refills))?;
        ensure(sc.refills[0].amount >= state.config.min_budget || sc.is_round_robin(), || {
            format!("{at:x?}: first refill too small: {:?}", sc.refills)
        })?;
        let ordered = sc.refills.windows(2).all(|w| w[0].time + w[0].amount <= w[1].time);
        ensure(ordered || sc.is_round_robin(), || format!("{at:x?}: refills overlap: {:?}", sc.refills))?;
    }
    if let (Some(current), Some(sc)) = (state.current, state.current_sc) {
        let runs_on = state.tcbs.get(&current).and_then(|t| t.sched_context);
        ensure(runs_on == Some(sc), || format!("{current:x?} runs on {runs_on:x?}, charged is {sc:x?}"))?;
        let context = &state.sched_contexts[&sc];
        let latest = context.refills.first().map_or(0, |r| state.now + r.amount - state.uncharged);
        ensure(kernel.m.deadline <= state.domains.end, || {
            format!("deadline {} after the turn", kernel.m.deadline)
        })?;
        ensure(kernel.m.deadline <= latest, || format!("deadline {} after {latest}", kernel.m.deadline))?;
    }
    if let Some(&first) = state.release.first() {
        let sc =
            state.tcbs.get(&first).and_then(|t| t.sched_context).and_then(|sc| state.sched_contexts.get(&sc));
        let time = sc.and_then(|sc| sc.refills.first()).map_or(0, |r| r.time);
        ensure(kernel.m.deadline <= time, || {
            format!("deadline {} after the release at {time}", kernel.m.deadline)
        })?;
    }
    Ok(())
}
