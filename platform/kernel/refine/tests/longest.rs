// SPDX-License-Identifier: BSD-2-Clause
//! Looks for the longest kernel entry that users can cause, while an interrupt waits: how long it waits then.
//!
//! Counted are the simulated machine's steps: accesses to memory, and lines that are zeroed or cleaned. A system call that
//! is stopped at a preemption point is made again, and each time counts for itself. `cargo nextest run -p kernel-refine
//! --no-capture longest` prints what was found.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use kernel_abi::context::stored;
use kernel_abi::{Invocation, MessageInfo, ObjectType, Syscall, ipc};
use kernel_core::PhysAddr;
use kernel_core::cap::Cap;
use kernel_core::layout::{Slot, State, Tcb, queue_state};
use kernel_refine::random::{self, Focus, Rng, describe};
use kernel_refine::world::{self, busy, invoke, slot};
use kernel_refine::{Pair, Step};
use kernel_spec::Event;

/// Most steps of an entry whose length does not depend on how many objects users have made.
const LIMIT: u64 = 6000;

/// The longest entry so far.
#[derive(Default)]
struct Longest {
    steps: u64,
    what: String,
}

impl Longest {
    fn note(&mut self, steps: u64, what: impl FnOnce() -> String) {
        if steps > self.steps {
            *self = Self { steps, what: what() };
        }
    }
}

/// Takes a step while an interrupt waits; a call that is stopped is made again until it is done. Returns the steps of the
/// longest entry, or `None` when another thread runs before the call is done (the two sides are apart then).
fn entries(pair: &mut Pair, step: &Step) -> Option<u64> {
    let caller = pair.spec.current;
    pair.core.m.pending = true;
    let before = pair.core.m.steps.get();
    pair.enter(step);
    let mut longest = pair.core.m.steps.get() - before;
    if let (Some(caller), Event::Syscall(number)) = (caller, step.event)
        && pair.spec.tcbs.contains_key(&caller)
    {
        let tcb = Tcb::at(PhysAddr(caller.0))?;
        let after = pair.spec.tcb(caller).regs[stored::PC];
        while tcb.reg(&pair.core.m, stored::PC) == after.wrapping_sub(4) {
            if pair.core.current != tcb {
                return None;
            }
            tcb.set_reg(&mut pair.core.m, stored::PC, after);
            let before = pair.core.m.steps.get();
            pair.core.handle_syscall(number as u64);
            longest = longest.max(pair.core.m.steps.get() - before);
        }
    }
    pair.core.m.pending = false;
    Some(longest)
}

fn retype(kind: ObjectType, bits: u64, node: u64, at: u64, count: u64) -> Step {
    let (index, depth) = if node == 0 { (0, 0) } else { (node, 64) };
    let words = [kind as u64, bits, index, depth, at, count];
    invoke(slot::UNTYPED, Invocation::UntypedRetype, &words, &[slot::CNODE])
}

/// Random hostile users: of all the states on the way, those with the longest entries are gone on from.
fn search(longest: &mut Longest) {
    let mut best = vec![(0, world::busy_system())];
    for round in 0..12 {
        let mut found = Vec::new();
        for (place, (_, start)) in best.iter().enumerate() {
            for (seed, focus) in (1..)
                .zip([Focus::All, Focus::Ipc, Focus::Capabilities, Focus::Memory].into_iter().cycle().take(8))
            {
                let mut rng = Rng::new(1000 * round + 100 * place as u64 + seed);
                let mut pair = start.clone();
                let mut most = 0;
                for _ in 0..150 {
                    let step = random::step(&pair, &mut rng, focus);
                    let Some(steps) = entries(&mut pair, &step) else { break };
                    longest.note(steps, || describe(&step));
                    most = most.max(steps);
                }
                if pair.check().is_ok() && pair.spec.current.is_some() {
                    found.push((most, pair));
                }
            }
        }
        found.sort_by_key(|(most, _)| std::cmp::Reverse(*most));
        found.truncate(4);
        if !found.is_empty() {
            best = found;
        }
    }
}

/// What is known to be long: as many objects of a kind as one call makes, large memory, full messages.
fn known(longest: &mut Longest) {
    use ObjectType::*;
    for (kind, bits, count) in [
        (Endpoint, 0, 256),
        (Notification, 0, 256),
        (Reply, 0, 256),
        (SchedContext, 8, 256),
        (CNode, 1, 256),
        (Tcb, 0, 256),
        (Vcpu, 0, 256),
        (Untyped, 4, 256),
        (SmallPage, 0, 256),
        (PageTable, 0, 256),
        (LargePage, 0, 1),
        (CNode, 14, 1),
    ] {
        let mut pair = world::booted();
        let node = invoke(
            slot::SMALL_UNTYPED,
            Invocation::UntypedRetype,
            &[CNode as u64, 8, 0, 0, 16, 1],
            &[slot::CNODE],
        );
        // The CNode's address: its own slot with the guard of the root's.
        for step in [node, invoke(slot::CNODE, Invocation::CNodeMutate, &[17, 64, 16, 64, 0], &[slot::CNODE])]
        {
            pair.step(&step).unwrap();
        }
        let step = retype(kind, bits, 17, 0, count);
        let steps = entries(&mut pair, &step).expect("one thread");
        pair.check().unwrap();
        longest.note(steps, || format!("{count} of {kind:?}"));
        for what in [Invocation::CNodeRevoke, Invocation::CNodeDelete] {
            let step = invoke(slot::CNODE, what, &[slot::UNTYPED, 64], &[]);
            let steps = entries(&mut pair, &step).expect("one thread");
            longest.note(steps, || format!("{what:?} of {count} of {kind:?}"));
        }
        let steps = entries(&mut pair, &invoke(slot::CNODE, Invocation::CNodeDelete, &[17, 64], &[]));
        longest.note(steps.expect("one thread"), || "deletion of their CNode".into());
    }
    let mut pair = world::busy_system();
    let message = |call, x0, x6| {
        let mut regs = [0; 9];
        (regs[0], regs[6]) = (x0, x6);
        regs[1] = MessageInfo::new(7, 0, 3, 120).0;
        let mut step = Step::syscall(call, regs);
        step.buffer = (0..3).map(|i| (ipc::IPC_BUFFER_CAPS + 8 * i, busy::BADGED_ENDPOINT + i)).collect();
        step
    };
    for step in [
        message(Syscall::Call, busy::BADGED_ENDPOINT, 0),
        message(Syscall::ReplyRecv, busy::ENDPOINT, busy::REPLY),
        message(Syscall::NBSendRecv, busy::ENDPOINT, busy::REPLY),
    ] {
        if let Some(steps) = entries(&mut pair, &step) {
            longest.note(steps, || describe(&step));
        }
    }
}

/// Steps of a call to a passive server and its reply, which `make bench` measures in instructions
/// (`protected_call_passive_0w`): what a step is worth.
fn round_trip() -> u64 {
    let mut pair = world::busy_system();
    let message = |call, x0, x6| {
        let mut regs = [0; 9];
        (regs[0], regs[6]) = (x0, x6);
        Step::syscall(call, regs)
    };
    let call = message(Syscall::Call, busy::BADGED_ENDPOINT, 0);
    let reply = message(Syscall::ReplyRecv, busy::ENDPOINT, busy::REPLY);
    [call, reply].iter().map(|step| entries(&mut pair, step).expect("no interrupt in between")).sum()
}

#[test]
fn longest_entry_is_bounded() {
    println!("a call to a passive server and back: {} steps", round_trip());
    let mut longest = Longest::default();
    known(&mut longest);
    println!("longest known: {} steps: {}", longest.steps, longest.what);
    let mut found = Longest::default();
    search(&mut found);
    println!("longest found by random users: {} steps: {}", found.steps, found.what);
    assert!(longest.steps.max(found.steps) <= LIMIT, "{} or {}", longest.what, found.what);
    assert!(found.steps > 500, "the search does not reach long entries");
}

/// Whoever comes to a queue finds its place from priority to priority, however many threads wait: so many steps for each
/// priority, and no more. The end of the endpoint is stopped in between.
#[test]
fn no_entry_grows_with_the_threads_in_one_queue() {
    let insertion = |threads, priorities| waiting(threads, priorities).1;
    assert_eq!(insertion(20, 4), insertion(240, 4));
    let cost = (insertion(90, 90) - insertion(10, 10)) / 80;
    println!("each priority: {cost} steps of an insertion");
    assert!((1..=5).contains(&cost), "{cost}");

    let (mut pair, _) = waiting(250, 250);
    let endpoint = Slot::at(PhysAddr(world::ROOT + 32 * 16)).unwrap();
    pair.core.m.pending = true;
    let (mut stops, mut longest) = (0, 0);
    loop {
        let before = pair.core.m.steps.get();
        let done = pair.core.delete(endpoint);
        longest = longest.max(pair.core.m.steps.get() - before);
        if done.is_ok() {
            break;
        }
        stops += 1;
        assert!(stops < 1000, "no progress");
    }
    println!(
        "an endpoint in which 250 threads wait ends in {} entries, the longest of {longest} steps",
        stops + 1
    );
    assert!(stops >= 2 && longest <= LIMIT, "stopped {stops} times, {longest} steps");
    assert!(endpoint.is_empty(&pair.core.m));
}

/// A system in which so many threads of so many priorities wait to send in the endpoint in slot 16, and the steps of the last
/// one's insertion.
fn waiting(threads: u64, priorities: u64) -> (Pair, u64) {
    let mut pair = world::booted();
    for step in [
        retype(ObjectType::Endpoint, 0, 0, 16, 1),
        retype(ObjectType::CNode, 8, 0, 17, 1),
        retype(ObjectType::Tcb, 0, 17, 0, threads),
    ] {
        pair.step(&step).unwrap();
    }
    let slot = |at: u64, index: u64| Slot::at(PhysAddr(at + 32 * index)).unwrap();
    let Cap::Endpoint { at, .. } = slot(world::ROOT, 16).cap(&pair.core.m) else { panic!("an endpoint") };
    let Cap::CNode { at: node, .. } = slot(world::ROOT, 17).cap(&pair.core.m) else { panic!("a CNode") };
    let mut last = 0;
    for i in 0..threads {
        let Cap::Thread { at: tcb } = slot(node.addr().0, i).cap(&pair.core.m) else { panic!("a thread") };
        tcb.set_state(&mut pair.core.m, State::BlockedOnSend);
        tcb.set_blocked_on(&mut pair.core.m, at.addr().0);
        // None has a lower priority than those before: all priorities are passed.
        tcb.set_priority(&mut pair.core.m, i * priorities / threads);
        let before = pair.core.m.steps.get();
        pair.core.endpoint_insert(at, queue_state::SEND, tcb);
        last = pair.core.m.steps.get() - before;
    }
    (pair, last)
}
