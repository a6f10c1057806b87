// SPDX-License-Identifier: BSD-2-Clause
//! Integrity: a protection domain behaves arbitrarily, and what it has no capability to stays as it is.
//!
//! `REFINE_SEQUENCES`, `REFINE_STEPS` and `REFINE_SEED` as in `random.rs`.

use kernel_abi::{Invocation, MessageInfo, Syscall, ipc};
use kernel_refine::partition::{self, ATTACKER, BYSTANDER, PEER, Partition, SERVER, own, system};
use kernel_refine::random::{self, Focus, Rng, describe};
use kernel_refine::world::{self, invoke};
use kernel_refine::{Step, compare, integrity};
use kernel_spec::{Event, Holder, Obj, Slot, State, ThreadState};

/// Sequences for each focus.
const SEQUENCES: u64 = 4;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

fn normal(state: &State) -> State {
    let mut state = state.clone();
    compare::normalise(&mut state);
    state
}

fn message(rng: &mut Rng, call: Syscall, x0: u64, x6: u64, x8: u64) -> Step {
    let mut regs = [0; 9];
    for reg in &mut regs[2..6] {
        *reg = rng.below(1000);
    }
    (regs[0], regs[6], regs[8]) = (x0, x6, x8);
    regs[1] = MessageInfo::new(rng.pick(&[0, 0, 0, 1]), 0, 0, rng.below(8)).0;
    let mut step = Step { advance: rng.below(60), ..Step::syscall(call, regs) };
    step.buffer = (4..10).map(|i| (ipc::IPC_BUFFER_MSG + 8 * i, rng.below(1000))).collect();
    step
}

/// What a well-behaved protection domain does next.
fn behave(partition: &Partition, rng: &mut Rng, thread: Obj) -> Step {
    let receives_cap = |mut step: Step, rng: &mut Rng| {
        let slot = 64 + rng.below(32);
        step.buffer.extend([
            (ipc::IPC_BUFFER_RECEIVE_CNODE, world::slot::CNODE),
            (ipc::IPC_BUFFER_RECEIVE_INDEX, slot),
            (ipc::IPC_BUFFER_RECEIVE_DEPTH, 64),
        ]);
        step
    };
    if thread == partition.thread(SERVER) {
        let step = message(rng, Syscall::ReplyRecv, own::ENDPOINT, own::REPLY, 0);
        return receives_cap(step, rng);
    }
    if thread == partition.thread(PEER) {
        let step = match rng.below(12) {
            0..=1 => message(rng, Syscall::Wait, own::NOTIFICATION, 0, 0),
            2..=5 => message(rng, Syscall::Recv, own::ENDPOINT, own::REPLY, 0),
            6 => message(rng, Syscall::ReplyRecv, own::ENDPOINT, own::REPLY, 0),
            7 => message(rng, Syscall::Call, own::TO_OTHER, 0, 0),
            8 => message(rng, Syscall::Send, own::ORIGINAL_ENDPOINT, 0, 0),
            9 => message(rng, Syscall::Send, own::SIGNAL_OTHER, 0, 0),
            10 => {
                // A capability goes along, sometimes.
                let mut step = message(rng, Syscall::Call, own::TO_OTHER, 0, 0);
                step.regs[1] = MessageInfo::new(0, 0, 1, 2).0;
                step.buffer.push((ipc::IPC_BUFFER_CAPS, own::TO_SERVER));
                step
            }
            _ => message(rng, Syscall::Call, own::TO_SERVER, 0, 0),
        };
        return receives_cap(step, rng);
    }
    if thread == partition.thread(BYSTANDER) {
        return match rng.below(3) {
            0 => message(rng, Syscall::Call, own::TO_SERVER, 0, 0),
            _ => message(rng, Syscall::Wait, own::NOTIFICATION, 0, 0),
        };
    }
    // The initial thread: nobody else can run.
    invoke(rng.pick(&Partition::ATTACKING), Invocation::TcbResume, &[], &[])
}

/// What chance alone would seldom hit on.
fn attack(rng: &mut Rng) -> Step {
    let with_cap = |mut step: Step, cap| {
        step.regs[1] = MessageInfo::new(0, 0, 1, 2).0;
        step.buffer.push((ipc::IPC_BUFFER_CAPS, cap));
        step
    };
    let any = rng.below(1 << world::RADIX);
    let cap = rng.pick(&[own::ENDPOINT, own::FRAME, own::CHILD, world::slot::CNODE, any]);
    match rng.below(8) {
        0..=1 => with_cap(message(rng, Syscall::Call, own::TO_OTHER, 0, 0), cap),
        2 => with_cap(message(rng, Syscall::NBSend, own::TO_OTHER, 0, 0), cap),
        3 => with_cap(message(rng, Syscall::Call, own::TO_SERVER, 0, 0), cap),
        4 => message(rng, Syscall::Call, own::TO_SERVER, 0, 0),
        5 => message(rng, Syscall::NBSend, own::SIGNAL_OTHER, 0, 0),
        6 => message(rng, Syscall::Recv, own::ENDPOINT, own::REPLY, 0),
        _ => {
            let what = rng.pick(&[Invocation::CNodeDelete, Invocation::CNodeRevoke]);
            let at = rng.pick(&[own::ORIGINAL_ENDPOINT, own::REPLY, own::TO_OTHER, own::UNTYPED]);
            invoke(world::slot::CNODE, what, &[at, 64], &[])
        }
    }
}

fn step(partition: &Partition, rng: &mut Rng, focus: Focus) -> Step {
    let state = &partition.pair.spec;
    let attackers = [partition.thread(ATTACKER), partition.child()];
    match state.current {
        Some(thread) if attackers.contains(&thread) => {
            if rng.percent(15) {
                return attack(rng);
            }
            let mut step = random::step_in(&partition.pair, rng, focus, partition.node(ATTACKER));
            if rng.percent(3) {
                let irq = rng.pick(&[partition::ATTACKERS_IRQ, partition::BYSTANDERS_IRQ]);
                step = Step { event: Event::Interrupt(irq), ..Step::timer(0) };
            }
            step
        }
        Some(thread) if rng.percent(92) => behave(partition, rng, thread),
        _ => {
            let irq = rng.pick(&[partition::ATTACKERS_IRQ, partition::BYSTANDERS_IRQ]);
            let event = if rng.percent(40) { Event::Interrupt(irq) } else { Event::Timer };
            Step { event, ..Step::timer(rng.below(3000)) }
        }
    }
}

/// What of the bystander nobody but itself and the initial thread may ever change.
#[derive(Debug, PartialEq)]
struct Bystander {
    caps: Vec<String>,
    tables: Vec<String>,
    memory: Vec<(u64, u64)>,
    parameters: (u64, u64, u64, Option<Obj>, u64),
    budget: (u64, u64, usize, u64, bool),
}

fn bystander(partition: &Partition) -> Bystander {
    let state = &partition.pair.spec;
    let (thread, node) = (partition.thread(BYSTANDER), partition.node(BYSTANDER));
    let holders = [Holder::Tcb(thread), Holder::CNode(node, world::RADIX)];
    let caps = state.caps.iter().filter(|(slot, _)| holders.contains(&slot.holder));
    let frame = partition.frame(BYSTANDER).0;
    let (tcb, sc) = (state.tcb(thread), state.sc(partition.time(BYSTANDER)));
    Bystander {
        caps: caps.map(|(slot, cap)| format!("{slot:x?} {cap:x?}")).collect(),
        tables: vec![format!("{:x?}", state.tables[&partition.space(BYSTANDER)])],
        memory: state.memory.range(frame..frame + 0x1000).map(|(&at, &word)| (at, word)).collect(),
        parameters: (tcb.priority, tcb.mcp, tcb.domain, tcb.notification, tcb.flags),
        budget: (sc.budget(), sc.period, sc.max_refills, sc.badge, sc.sporadic),
    }
}

/// What sequences have to reach for the test to mean anything.
#[derive(Debug, Default)]
struct Reached {
    attacks: u64,
    served: u64,
    signalled: u64,
    granted: u64,
    ended: u64,
    peer_runs: u64,
    bystander_runs: u64,
}

fn run(focus: Focus, reached: &mut Reached) {
    let start = system();
    let initial = bystander(&start);
    let secret = start.frame(BYSTANDER).0 + 0x40;
    let (sequences, steps) = (setting("REFINE_SEQUENCES", SEQUENCES), setting("REFINE_STEPS", 1000));
    let first = setting("REFINE_SEED", 1);
    for seed in first..first + sequences {
        let mut rng = Rng::new(seed);
        let mut partition = start.clone();
        let mut done: Vec<Step> = Vec::new();
        let mut idle = 0;
        for _ in 0..steps {
            if done.len() == 250 || idle == 12 {
                partition = start.clone();
                done.clear();
            }
            let thread = partition.pair.spec.current;
            let attacks = thread == Some(partition.thread(ATTACKER)) || thread == Some(partition.child());
            idle = if attacks { 0 } else { idle + 1 };
            if attacks {
                // What it can write, it writes: also where the kernel looks for capabilities to come.
                let at = partition.frame(ATTACKER).0 + 8 * rng.below(512);
                partition.pair.write_memory(at, rng.number());
            }
            if thread == Some(partition.thread(BYSTANDER)) {
                partition.pair.write_memory(secret, 7);
                reached.bystander_runs += 1;
            }
            let step = step(&partition, &mut rng, focus);
            done.push(step.clone());
            let before = normal(&partition.pair.spec);
            let told = random::guarded(&mut partition.pair, &step).and_then(|()| {
                integrity::check(&before, &normal(&partition.pair.spec), taken(&before, step.event))
            });
            if let Err(error) = told {
                let last: Vec<String> = done.iter().rev().take(12).rev().map(describe).collect();
                panic!(
                    "{focus:?}, seed {seed}, step {}, of {thread:x?}\n{}\n{error}",
                    done.len(),
                    last.join("\n")
                );
            }
            let mut now = bystander(&partition);
            now.memory.retain(|&(at, _)| at != secret);
            assert_eq!(now, initial, "{}", describe(&step));
            reached.attacks += u64::from(attacks);
            note(reached, &partition, &before, attacks);
        }
    }
}

/// The event that is really taken: when nobody runs, only time passes.
fn taken(before: &State, event: Event) -> Event {
    match (before.current, event) {
        (None, Event::Syscall(_) | Event::Fault(_) | Event::Step) => Event::Timer,
        (_, event) => event,
    }
}

fn note(reached: &mut Reached, partition: &Partition, before: &State, attacks: bool) {
    let after = &partition.pair.spec;
    let wakes = |pd: u64| {
        let thread = partition.thread(pd);
        !before.tcb(thread).state.is_runnable() && after.tcb(thread).state.is_runnable()
    };
    let peer = partition.thread(PEER);
    if attacks {
        reached.served += u64::from(wakes(SERVER));
        let waited = matches!(before.tcb(peer).state, ThreadState::BlockedOnNotification { .. });
        reached.signalled += u64::from(waited && wakes(PEER));
        let holder = Holder::CNode(partition.node(PEER), world::RADIX);
        let peers = |state: &State| state.caps.keys().filter(|slot| slot.holder == holder).count();
        reached.granted += u64::from(peers(after) > peers(before));
        let objects = |state: &State| {
            state.endpoints.len() + state.notifications.len() + state.replies.len() + state.tcbs.len()
        };
        reached.ended += u64::from(objects(after) < objects(before));
    }
    reached.peer_runs += u64::from(before.current == Some(peer));
}

#[test]
fn arbitrary_behaviour_changes_only_what_capabilities_allow() {
    let mut reached = Reached::default();
    for focus in [Focus::All, Focus::Ipc, Focus::Capabilities, Focus::Memory] {
        run(focus, &mut reached);
    }
    println!("{reached:?}");
    let Reached { attacks, served, signalled, granted, ended, peer_runs, bystander_runs } = reached;
    for count in [attacks / 1000, served, signalled, granted, ended, peer_runs, bystander_runs] {
        assert!(count > 0, "{reached:?}");
    }
}

/// The server has said where a capability may come, and the attacker's call, which has no Grant, brings one.
#[test]
fn no_capability_comes_along_without_grant() {
    let mut partition = system();
    let (attacker, server) = (partition.thread(ATTACKER), partition.thread(SERVER));
    let buffer = partition.pair.spec.buffer(server, true).expect("the server has a buffer");
    for (offset, word) in [
        (ipc::IPC_BUFFER_RECEIVE_CNODE, world::slot::CNODE),
        (ipc::IPC_BUFFER_RECEIVE_INDEX, 64),
        (ipc::IPC_BUFFER_RECEIVE_DEPTH, 64),
    ] {
        partition.pair.write_memory(buffer + offset, word);
    }
    let mut call = invoke(own::TO_SERVER, Invocation::CNodeCopy, &[1, 2], &[own::CHILD]);
    call.regs[1] = MessageInfo::new(0, 0, 1, 2).0;
    for (step, next) in [
        // The child, which runs, stops itself; the initial thread lets the attacker go on.
        (invoke(own::CHILD, Invocation::TcbSuspend, &[], &[]), None),
        (invoke(Partition::ATTACKING[0], Invocation::TcbResume, &[], &[]), Some(attacker)),
        (call, Some(server)),
    ] {
        let before = normal(&partition.pair.spec);
        random::guarded(&mut partition.pair, &step)
            .and_then(|()| integrity::check(&before, &normal(&partition.pair.spec), step.event))
            .unwrap_or_else(|error| panic!("{}\n{error}", describe(&step)));
        assert!(next.is_none() || partition.pair.spec.current == next, "{}", describe(&step));
    }
    let to = Slot { holder: Holder::CNode(partition.node(SERVER), world::RADIX), index: 64 };
    assert_eq!(partition.pair.spec.cap(to), None);
}

/// The same for every thread of a system in which all share one CSpace: a step changes no more than what it names.
#[test]
fn steps_of_a_busy_system_change_only_what_capabilities_allow() {
    let start = world::busy_system();
    let (sequences, first) = (setting("REFINE_SEQUENCES", 8), setting("REFINE_SEED", 1));
    for (seed, focus) in (first..first + sequences)
        .zip([Focus::All, Focus::Ipc, Focus::Capabilities, Focus::Memory].into_iter().cycle())
    {
        let mut rng = Rng::new(seed);
        let mut pair = start.clone();
        for _ in 0..200 {
            let step = random::step(&pair, &mut rng, focus);
            let before = normal(&pair.spec);
            let event = taken(&before, step.event);
            random::guarded(&mut pair, &step)
                .and_then(|()| integrity::check(&before, &normal(&pair.spec), event))
                .unwrap_or_else(|error| panic!("{focus:?}, seed {seed}\n{}\n{error}", describe(&step)));
        }
    }
}
