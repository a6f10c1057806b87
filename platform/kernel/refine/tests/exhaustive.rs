// SPDX-License-Identifier: BSD-2-Clause
//! All short sequences over small sets of steps.
//!
//! `REFINE_DEPTH` is added to the length of the sequences (and may be negative).

use kernel_abi::{Invocation, MessageInfo, ObjectType, Syscall};
use kernel_refine::random::{describe, guarded};
use kernel_refine::world::{self, busy, invoke, slot};
use kernel_refine::{Pair, Step};
use kernel_spec::Event;

/// Every sequence of `depth` of these steps, from `pair`.
fn all(pair: &Pair, steps: &[Step], depth: usize, path: &mut Vec<Step>) {
    if depth == 0 {
        return;
    }
    for step in steps {
        let mut next = pair.clone();
        path.push(step.clone());
        if let Err(error) = guarded(&mut next, step) {
            let path: Vec<String> = path.iter().map(describe).collect();
            panic!("{}\n{error}", path.join("\n"));
        }
        all(&next, steps, depth - 1, path);
        path.pop();
    }
}

fn run(pair: &Pair, steps: &[Step], depth: usize) {
    let more = std::env::var("REFINE_DEPTH").ok().and_then(|v| v.parse().ok()).unwrap_or(0);
    all(pair, steps, depth.saturating_add_signed(more), &mut Vec::new());
}

fn message(call: Syscall, x0: u64, x6: u64) -> Step {
    let mut regs = [0; 9];
    (regs[0], regs[6], regs[8]) = (x0, x6, x6);
    regs[1] = MessageInfo::new(7, 0, 0, 2).0;
    Step::syscall(call, regs)
}

const UNBADGED: u64 = busy::ENDPOINT;
const OTHER: u64 = busy::ENDPOINT + 1;

/// Calls, replies, receives and time, with active and passive threads.
#[test]
fn call_chains() {
    let steps = [
        message(Syscall::Call, busy::BADGED_ENDPOINT, 0),
        message(Syscall::Call, OTHER, 0),
        message(Syscall::Recv, UNBADGED, busy::REPLY),
        message(Syscall::Recv, OTHER, busy::REPLY + 1),
        message(Syscall::ReplyRecv, UNBADGED, busy::REPLY),
        message(Syscall::Send, busy::REPLY + 1, 0),
        invoke(busy::TCB + 2, Invocation::TcbSuspend, &[], &[]),
        invoke(slot::CNODE, Invocation::CNodeDelete, &[busy::REPLY, 64], &[]),
        Step::timer(20_000),
    ];
    run(&world::busy_system(), &steps, 4);
}

/// The way into a call chain of three threads, the last of them passive, and what can happen to it there.
#[test]
fn chains_are_cut_and_unwound() {
    let mut pair = world::busy_system();
    let way = [
        invoke(busy::TCB + 2, Invocation::TcbWriteRegisters, &[1, 1, 0x9000], &[]),
        invoke(busy::SC + 2, Invocation::SchedContextBind, &[], &[busy::TCB + 2]),
        invoke(slot::TCB, Invocation::TcbSetPriority, &[1], &[slot::TCB]),
    ];
    for step in &way {
        pair.step(step).unwrap();
    }
    // Every thread in turn waits as a server, the last becomes a client.
    let steps = [
        message(Syscall::Recv, UNBADGED, busy::REPLY),
        message(Syscall::Recv, OTHER, busy::REPLY + 1),
        message(Syscall::Call, UNBADGED, 0),
        message(Syscall::Call, OTHER, 0),
        message(Syscall::Send, busy::REPLY, 0),
        message(Syscall::NBSendWait, busy::NOTIFICATION, busy::REPLY + 1),
        invoke(busy::SC + 1, Invocation::SchedContextUnbindObject, &[], &[busy::TCB + 1]),
        invoke(slot::CNODE, Invocation::CNodeDelete, &[busy::REPLY + 1, 64], &[]),
    ];
    run(&pair, &steps, 4);
}

/// Notifications with waiting, bound and passive threads.
#[test]
fn signals() {
    let mut pair = world::busy_system();
    for step in [
        invoke(busy::TCB + 1, Invocation::TcbBindNotification, &[], &[busy::NOTIFICATION + 1]),
        invoke(busy::SPARE_SC, Invocation::SchedContextBind, &[], &[busy::NOTIFICATION]),
        invoke(
            slot::SCHED_CONTROL,
            Invocation::SchedControlConfigureFlags,
            &[100, 300, 0, 5, 1],
            &[busy::SPARE_SC],
        ),
    ] {
        pair.step(&step).unwrap();
    }
    let steps = [
        message(Syscall::Send, busy::BADGED_NOTIFICATION, 0),
        message(Syscall::Send, busy::BADGED_NOTIFICATION + 1, 0),
        message(Syscall::Wait, busy::NOTIFICATION, 0),
        message(Syscall::Wait, busy::NOTIFICATION + 1, 0),
        message(Syscall::NBWait, busy::NOTIFICATION, 0),
        message(Syscall::Recv, UNBADGED, busy::REPLY),
        message(Syscall::NBSendWait, busy::NOTIFICATION, busy::BADGED_NOTIFICATION + 1),
        Step { event: Event::Interrupt(33), ..Step::timer(300) },
        Step::timer(4000),
    ];
    run(&pair, &steps, 4);
}

/// Time: budgets that end, yields, reconfiguration.
#[test]
fn budgets() {
    let configure = |sc, budget, period, flags| {
        let words = [budget, period, 1, 9, flags];
        invoke(slot::SCHED_CONTROL, Invocation::SchedControlConfigureFlags, &words, &[sc])
    };
    let late = |step: Step, advance| Step { advance, ..step };
    let steps = [
        message(Syscall::Yield, 0, 0),
        late(message(Syscall::Yield, 0, 0), 900),
        Step::timer(250),
        Step::timer(5000),
        configure(busy::SC + 3, 30, 300, 1),
        configure(busy::SC, 400, 500, 0),
        invoke(busy::SC, Invocation::SchedContextYieldTo, &[], &[]),
        late(invoke(busy::SC + 3, Invocation::SchedContextConsumed, &[], &[]), 700),
        invoke(busy::TCB + 3, Invocation::TcbSetPriority, &[253], &[slot::TCB]),
    ];
    run(&world::busy_system(), &steps, 4);
}

/// Senders of several badges and rights in one queue, and the end of those of one badge.
#[test]
fn badged_senders() {
    let mut pair = world::busy_system();
    let (write_only, without_grant, read_only) =
        (busy::FIRST_FREE, busy::FIRST_FREE + 1, busy::FIRST_FREE + 2);
    let mint = |to, rights, badge| {
        let words = [to, 64, UNBADGED, 64, rights, badge];
        invoke(slot::CNODE, Invocation::CNodeMint, &words, &[slot::CNODE])
    };
    for step in [
        // Nobody receives there any more.
        invoke(busy::TCB + 2, Invocation::TcbSuspend, &[], &[]),
        mint(write_only, 1, 5),
        mint(without_grant, 9, 7),
        mint(read_only, 2, 7),
    ] {
        pair.step(&step).unwrap();
    }
    let cancel = |at| invoke(slot::CNODE, Invocation::CNodeCancelBadgedSends, &[at, 64], &[]);
    let steps = [
        message(Syscall::Call, busy::BADGED_ENDPOINT, 0),
        message(Syscall::Send, write_only, 0),
        message(Syscall::Call, write_only, 0),
        message(Syscall::Call, without_grant, 0),
        message(Syscall::NBSend, read_only, 0),
        message(Syscall::Send, read_only, 0),
        cancel(busy::BADGED_ENDPOINT),
        cancel(busy::BADGED_ENDPOINT + 2),
        message(Syscall::Recv, UNBADGED, busy::REPLY),
    ];
    run(&pair, &steps, 3);
}

/// Who waits after a `YieldTo`, and the end of what it yielded to, while others run.
#[test]
fn yields() {
    let delete = |at| invoke(slot::CNODE, Invocation::CNodeDelete, &[at, 64], &[]);
    let priority = |tcb, to| invoke(tcb, Invocation::TcbSetPriority, &[to], &[slot::TCB]);
    let steps = [
        invoke(busy::SC, Invocation::SchedContextYieldTo, &[], &[]),
        invoke(busy::SC + 3, Invocation::SchedContextYieldTo, &[], &[]),
        priority(busy::TCB, 1),
        priority(busy::TCB + 3, 1),
        delete(busy::SC),
        delete(busy::SC + 3),
        delete(busy::TCB),
        invoke(busy::SC + 3, Invocation::SchedContextUnbind, &[], &[]),
        invoke(busy::TCB + 3, Invocation::TcbSuspend, &[], &[]),
        Step::timer(2000),
    ];
    run(&world::busy_system(), &steps, 3);
}

/// Turns of two domains, and threads that wake each other across them.
#[test]
fn domains() {
    use Invocation::{DomainScheduleConfigure, DomainScheduleSetStart, DomainSetSet};
    let mut pair = world::busy_system();
    for step in [
        invoke(slot::DOMAIN, DomainScheduleConfigure, &[0, 0, 2000], &[]),
        invoke(slot::DOMAIN, DomainScheduleConfigure, &[1, 1, 1500], &[]),
        invoke(slot::DOMAIN, DomainSetSet, &[1], &[busy::TCB]),
        invoke(slot::DOMAIN, DomainSetSet, &[1], &[busy::TCB + 2]),
    ] {
        pair.step(&step).unwrap();
    }
    let steps = [
        invoke(slot::DOMAIN, DomainScheduleSetStart, &[0], &[]),
        invoke(slot::DOMAIN, DomainScheduleSetStart, &[1], &[]),
        invoke(slot::DOMAIN, DomainSetSet, &[0], &[busy::TCB]),
        invoke(slot::DOMAIN, DomainSetSet, &[1], &[busy::TCB + 3]),
        message(Syscall::Call, busy::BADGED_ENDPOINT, 0),
        message(Syscall::Call, OTHER, 0),
        message(Syscall::ReplyRecv, UNBADGED, busy::REPLY),
        invoke(busy::SC + 3, Invocation::SchedContextYieldTo, &[], &[]),
        Step { event: Event::Interrupt(33), ..Step::timer(300) },
        Step::timer(2000),
    ];
    run(&pair, &steps, 4);
}

/// CNodes and threads in each other's slots, deleted and revoked.
#[test]
fn containers() {
    let mut pair = world::booted();
    let untyped = slot::SMALL_UNTYPED;
    let retype = |kind: ObjectType, bits, at, count| {
        let words = [kind as u64, bits, 0, 0, at, count];
        invoke(untyped, Invocation::UntypedRetype, &words, &[slot::CNODE])
    };
    let (a, b, tcb, ep) = (16, 17, 18, 19);
    for step in [
        retype(ObjectType::CNode, 2, a, 2),
        retype(ObjectType::Tcb, 0, tcb, 1),
        retype(ObjectType::Endpoint, 0, ep, 1),
    ] {
        pair.step(&step).unwrap();
    }
    let to = |root, at, from| invoke(root, Invocation::CNodeMove, &[at, 2, from, 64], &[slot::CNODE]);
    let delete = |at| invoke(slot::CNODE, Invocation::CNodeDelete, &[at, 64], &[]);
    let steps = [
        to(a, 0, tcb),
        to(a, 3, b),
        to(a, 1, ep),
        to(a, 2, a),
        to(b, 0, a),
        to(b, 3, tcb),
        to(b, 1, ep),
        invoke(slot::CNODE, Invocation::CNodeCopy, &[20, 64, b, 64, 15], &[slot::CNODE]),
        delete(a),
        delete(b),
        delete(20),
        invoke(slot::CNODE, Invocation::CNodeRevoke, &[untyped, 64], &[]),
    ];
    run(&pair, &steps, 4);
}

/// Copies, badges, moves, and what revocation reaches.
#[test]
fn derivation() {
    let pair = world::busy_system();
    let on = |what, words: &[u64]| invoke(slot::CNODE, what, words, &[slot::CNODE]);
    let (ep, six) = (busy::ENDPOINT + 1, busy::BADGED_ENDPOINT + 1);
    let free = busy::FIRST_FREE;
    let steps = [
        on(Invocation::CNodeCopy, &[free, 64, six, 64, 15]),
        on(Invocation::CNodeMint, &[free + 1, 64, ep, 64, 15, 6]),
        on(Invocation::CNodeCopy, &[free + 2, 64, free, 64, 15]),
        on(Invocation::CNodeMove, &[free + 3, 64, six, 64]),
        on(Invocation::CNodeDelete, &[six, 64]),
        on(Invocation::CNodeDelete, &[ep, 64]),
        on(Invocation::CNodeRevoke, &[free + 1, 64]),
        on(Invocation::CNodeRevoke, &[six, 64]),
        on(Invocation::CNodeRevoke, &[ep, 64]),
        invoke(slot::CNODE, Invocation::CNodeCopy, &[free + 4, 64, busy::UNTYPED, 64, 15], &[slot::CNODE]),
        invoke(
            busy::UNTYPED,
            Invocation::UntypedRetype,
            &[ObjectType::Untyped as u64, 12, 0, 0, free + 5, 1],
            &[slot::CNODE],
        ),
        on(Invocation::CNodeRevoke, &[slot::UNTYPED, 64]),
    ];
    run(&pair, &steps, 3);
}
