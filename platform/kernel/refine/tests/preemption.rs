// SPDX-License-Identifier: BSD-2-Clause
//! Long operations stop when an interrupt waits, and go on when the system call is made again: in the end the state is
//! that of the specification, for which they are one step.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use kernel_abi::context::stored;
use kernel_abi::{Invocation, ObjectType, Syscall};
use kernel_core::Machine as _;
use kernel_core::PhysAddr;
use kernel_core::layout::Tcb;
use kernel_refine::world::{self, invoke, slot};
use kernel_refine::{Pair, Step};
use kernel_spec::{Event, Obj};

/// Takes a step that the implementation does in pieces; returns how often it was stopped.
fn stopped(pair: &mut Pair, step: &Step) -> usize {
    let caller = pair.spec.current.expect("somebody runs");
    let Event::Syscall(number) = step.event else { panic!("a system call") };
    pair.core.m.pending = true;
    pair.enter(step);
    let tcb = Tcb::at(PhysAddr(caller.0)).expect("not 0");
    let after = pair.spec.tcb(caller).regs[stored::PC];
    let mut stops = 0;
    while tcb.reg(&pair.core.m, stored::PC) != after {
        assert_eq!(pair.core.current, tcb, "it goes on with the caller");
        assert_eq!(tcb.reg(&pair.core.m, stored::PC), after.wrapping_sub(4), "at the system call");
        tcb.set_reg(&mut pair.core.m, stored::PC, after);
        pair.core.handle_syscall(number as u64);
        stops += 1;
        assert!(stops < 1000, "no progress");
    }
    pair.core.m.pending = false;
    stops
}

fn retype(kind: ObjectType, bits: u64, at: u64, count: u64) -> Step {
    invoke(slot::UNTYPED, Invocation::UntypedRetype, &[kind as u64, bits, 0, 0, at, count], &[slot::CNODE])
}

#[test]
fn interrupted_revocation_ends_in_the_same_state() {
    let mut pair = world::booted();
    // Priority and budget of the caller: it is the only thread.
    pair.step(&retype(ObjectType::CNode, 8, 16, 1)).unwrap();
    let words = [ObjectType::Endpoint as u64, 0, 16, 64, 0, 250];
    pair.step(&invoke(slot::UNTYPED, Invocation::UntypedRetype, &words, &[slot::CNODE])).unwrap();
    pair.step(&retype(ObjectType::Tcb, 0, 17, 60)).unwrap();
    let stops = stopped(&mut pair, &invoke(slot::CNODE, Invocation::CNodeRevoke, &[slot::UNTYPED, 64], &[]));
    assert!(stops > 3, "stopped {stops} times");
    pair.check().unwrap();
    assert!(!pair.spec.has_children(kernel_spec::Slot {
        holder: kernel_spec::Holder::CNode(pair.root.0, pair.root.1),
        index: slot::UNTYPED,
    }));
}

#[test]
fn interrupted_retype_of_large_frames_ends_in_the_same_state() {
    let mut pair = world::booted();
    pair.step(&retype(ObjectType::SmallPage, 0, 16, 1)).unwrap();
    // What the former owner leaves behind, up to the last page of what will be one object.
    let Some(kernel_spec::Cap::Untyped { base, .. }) = pair.spec.cap(kernel_spec::Slot {
        holder: kernel_spec::Holder::CNode(pair.root.0, pair.root.1),
        index: slot::UNTYPED,
    }) else {
        panic!("untyped memory")
    };
    for page in 0..512 {
        pair.core.m.store_word(PhysAddr(base.0 + 0x1000 * page + 8 * (page % 512)), u64::MAX);
    }
    pair.step(&invoke(slot::CNODE, Invocation::CNodeRevoke, &[slot::UNTYPED, 64], &[])).unwrap();
    let stops = stopped(&mut pair, &retype(ObjectType::LargePage, 0, 17, 1));
    assert!(stops > 20, "stopped {stops} times");
    pair.check().unwrap();
    for word in 0..(1u64 << 21) / 8 {
        assert_eq!(pair.core.m.load(PhysAddr(base.0 + 8 * word)), 0, "word {word} of the new frame");
    }
}

#[test]
fn a_stopped_retype_is_not_taken_up_by_another_one() {
    let mut pair = world::booted();
    let large = retype(ObjectType::LargePage, 0, 17, 1);
    let caller = Tcb::at(PhysAddr(world::TCB)).unwrap();
    pair.core.m.pending = true;
    let mut alone = pair.clone();
    alone.enter(&large);
    // The first pieces are zero and noted. Now another retype hands the same memory out, it is written, and taken back.
    for step in [
        retype(ObjectType::SmallPage, 0, 18, 16),
        invoke(slot::CNODE, Invocation::CNodeRevoke, &[slot::UNTYPED, 64], &[]),
    ] {
        let mut regs = step.regs;
        regs[7] = Syscall::Call as i64 as u64;
        alone.core.m.pending = false;
        for (index, value) in regs.into_iter().enumerate() {
            caller.set_reg(&mut alone.core.m, index, value);
        }
        let buffer = PhysAddr(alone.spec.buffer(Obj(world::TCB), true).unwrap());
        for (offset, value) in step.buffer {
            alone.core.m.store_word(buffer.add(offset), value);
        }
        alone.core.handle_syscall(regs[7]);
        assert_eq!(caller.reg(&alone.core.m, 1) >> 12, 0, "refused");
        alone.core.m.store_word(PhysAddr(world::BASE + 0x20_0000), u64::MAX);
    }
    let stops = {
        let mut again = alone.clone();
        again.spec = pair.spec.clone();
        let stops = stopped(&mut again, &large);
        assert_eq!(again.core.m.load(PhysAddr(world::BASE + 0x20_0000)), 0, "what was written there is gone");
        stops
    };
    assert!(stops > 20, "it starts from the beginning: {stops}");
}

#[test]
fn a_stopped_retype_does_not_shorten_another_one() {
    let mut pair = world::booted();
    let revoke = invoke(slot::CNODE, Invocation::CNodeRevoke, &[slot::UNTYPED, 64], &[]);
    // A former owner of the first half.
    pair.step(&retype(ObjectType::SmallPage, 0, 16, 100)).unwrap();
    for page in 0..256 {
        pair.core.m.store_word(PhysAddr(world::BASE + 0x20_0000 + 0x1000 * page), u64::MAX);
    }
    pair.step(&revoke).unwrap();
    pair.step(&retype(ObjectType::SmallPage, 0, 16, 1)).unwrap();
    // A large object, aligned to its size, that is stopped and given up: the implementation alone notices.
    pair.core.m.pending = true;
    let mut alone = pair.clone();
    alone.enter(&retype(ObjectType::CNode, 15, 17, 1));
    let node = kernel_core::layout::Slot::at(PhysAddr(world::ROOT + 32 * slot::UNTYPED)).unwrap();
    assert!(
        matches!(node.cap(&alone.core.m), kernel_core::cap::Cap::Untyped { zeroing: true, .. }),
        "it was stopped"
    );
    // Its caller makes small ones instead, which begin before it.
    alone.spec = pair.spec.clone();
    let caller = Tcb::at(PhysAddr(world::TCB)).unwrap();
    let after = pair.spec.tcb(Obj(world::TCB)).regs[stored::PC];
    caller.set_reg(&mut alone.core.m, stored::PC, after);
    alone.core.m.pending = false;
    alone.step(&retype(ObjectType::SmallPage, 0, 17, 100)).unwrap();
}

#[test]
fn interrupted_cache_maintenance_covers_the_whole_range_once() {
    let mut pair = world::booted();
    for step in [
        invoke(
            slot::ASID_CONTROL,
            Invocation::ArmAsidControlMakePool,
            &[slot::ASID_POOL, 64],
            &[slot::PAGE_UNTYPED, slot::CNODE],
        ),
        retype(ObjectType::LargePage, 0, 16, 1),
    ] {
        pair.step(&step).unwrap();
    }
    let small = |kind: ObjectType, at| {
        let words = [kind as u64, 0, 0, 0, at, 1];
        invoke(slot::SMALL_UNTYPED, Invocation::UntypedRetype, &words, &[slot::CNODE])
    };
    for step in [
        small(ObjectType::VSpace, slot::VSPACE),
        small(ObjectType::PageTable, 17),
        invoke(slot::ASID_POOL, Invocation::ArmAsidPoolAssign, &[], &[slot::VSPACE]),
        invoke(17, Invocation::ArmPageTableMap, &[0x20_0000, 0], &[slot::VSPACE]),
        invoke(16, Invocation::ArmPageMap, &[0x20_0000, 3, 1], &[slot::VSPACE]),
    ] {
        pair.step(&step).unwrap();
    }
    let (first, end) = (0x1234, 0x1f_f000);
    for step in [
        invoke(16, Invocation::ArmPageCleanData, &[first, end], &[]),
        invoke(
            slot::VSPACE,
            Invocation::ArmVSpaceUnifyInstruction,
            &[0x20_0000 + first, 0x20_0000 + end],
            &[],
        ),
    ] {
        pair.core.m.cache_ops.clear();
        let stops = stopped(&mut pair, &step);
        assert!(stops > 20, "stopped {stops} times");
        // The register of the first word tells how far it got; the message of an answer without words says nothing of it.
        let caller = Tcb::at(PhysAddr(world::TCB)).unwrap();
        pair.spec.tcb_mut(Obj(world::TCB)).regs[2] = caller.reg(&pair.core.m, 2);
        pair.check().unwrap();
        let mut next = pair.core.m.cache_ops[0].1;
        for &(_, at, bytes) in &pair.core.m.cache_ops {
            assert_eq!(at, next, "no gap, nothing twice");
            next = at + bytes;
        }
        assert_eq!(next - pair.core.m.cache_ops[0].1, end - first);
    }
}

#[test]
fn interrupted_deletion_of_nested_containers_ends_in_the_same_state() {
    let mut pair = world::booted();
    pair.step(&retype(ObjectType::CNode, 9, 16, 1)).unwrap();
    pair.step(&retype(ObjectType::CNode, 2, 17, 20)).unwrap();
    pair.step(&retype(ObjectType::Tcb, 0, 40, 20)).unwrap();
    for i in 0..20 {
        let into = |node, at, from| {
            invoke(
                node,
                Invocation::CNodeMove,
                &[at, if node == 16 { 9 } else { 2 }, from, 64],
                &[slot::CNODE],
            )
        };
        pair.step(&into(17 + i, 0, 40 + i)).unwrap();
        pair.step(&into(16, 25 * i, 17 + i)).unwrap();
    }
    let stops = stopped(&mut pair, &invoke(slot::CNODE, Invocation::CNodeDelete, &[16, 64], &[]));
    assert!(stops > 3, "stopped {stops} times");
    pair.check().unwrap();
    stopped(&mut pair, &invoke(slot::CNODE, Invocation::CNodeRevoke, &[slot::UNTYPED, 64], &[]));
    pair.check().unwrap();
}

/// Many threads wait in an endpoint or a notification, which ends.
/// How many of them are let go before the kernel looks for interrupts.
const UNITS: usize = kernel_abi::WORK_UNITS_PER_PREEMPTION as usize;
/// Threads that wait in one queue, and where the capability to it is.
const THREADS: u64 = 230;
const OBJECT: u64 = 16;

/// A system where threads wait, each by `call` on one of the capabilities that `make` puts into free slots, in turn.
fn waiting(kind: ObjectType, call: Syscall, make: &[(u64, Step)]) -> Pair {
    const NODE: u64 = 17;
    const FIRST: u64 = 18;
    let mut pair = world::booted();
    for step in [
        retype(kind, 0, OBJECT, 1),
        retype(ObjectType::CNode, 8, NODE, 1),
        retype(ObjectType::SchedContext, 8, FIRST, 1),
    ] {
        pair.step(&step).unwrap();
    }
    let words = [ObjectType::Tcb as u64, 0, NODE, 64, 0, THREADS];
    pair.step(&invoke(slot::UNTYPED, Invocation::UntypedRetype, &words, &[slot::CNODE])).unwrap();
    pair.step(&retype(ObjectType::VSpace, 0, slot::VSPACE, 1)).unwrap();
    for step in [
        invoke(
            slot::ASID_CONTROL,
            Invocation::ArmAsidControlMakePool,
            &[slot::ASID_POOL, 64],
            &[slot::PAGE_UNTYPED, slot::CNODE],
        ),
        invoke(slot::ASID_POOL, Invocation::ArmAsidPoolAssign, &[], &[slot::VSPACE]),
        invoke(slot::SCHED_CONTROL, Invocation::SchedControlConfigureFlags, &[1000, 1000, 0, 0, 0], &[FIRST]),
        invoke(slot::TCB, Invocation::TcbSetPriority, &[100], &[slot::TCB]),
    ] {
        pair.step(&step).unwrap();
    }
    for (_, step) in make {
        pair.step(step).unwrap();
    }
    let mut caps = make.iter().map(|&(cap, _)| cap).chain([OBJECT]).cycle();
    // One after the other gets the time, waits, and gives it back.
    let (thread, empty) = (FIRST + 1, FIRST + 2);
    for i in 0..THREADS {
        let mut wait = Step::syscall(call, [0; 9]);
        wait.regs[0] = caps.next().unwrap();
        for step in [
            invoke(slot::CNODE, Invocation::CNodeMove, &[thread, 64, i, 8], &[NODE]),
            invoke(thread, Invocation::TcbSetSpace, &[0, 0], &[empty, slot::CNODE, slot::VSPACE]),
            invoke(thread, Invocation::TcbSetSchedParams, &[0, 101 + i % 100], &[slot::TCB, FIRST, empty]),
            invoke(thread, Invocation::TcbResume, &[], &[]),
            wait,
            invoke(FIRST, Invocation::SchedContextUnbindObject, &[], &[thread]),
            invoke(NODE, Invocation::CNodeMove, &[i, 8, thread, 64], &[slot::CNODE]),
        ] {
            pair.enter(&step);
        }
    }
    pair.check().unwrap();
    let queue = match kind {
        ObjectType::Endpoint => pair.spec.endpoints.values().next().map(|e| e.queue.len()),
        _ => pair.spec.notifications.values().next().map(|n| n.queue.len()),
    };
    assert_eq!(queue, Some(THREADS as usize));
    pair
}

fn end_of_a_queue(kind: ObjectType, call: Syscall) {
    let mut pair = waiting(kind, call, &[]);
    let stops = stopped(&mut pair, &invoke(slot::CNODE, Invocation::CNodeDelete, &[OBJECT, 64], &[]));
    assert_eq!(stops, THREADS as usize / UNITS, "an entry for so many threads each");
    pair.check().unwrap();
}

#[test]
fn interrupted_end_of_an_endpoint_ends_in_the_same_state() {
    end_of_a_queue(ObjectType::Endpoint, Syscall::Send);
}

#[test]
fn interrupted_end_of_a_notification_ends_in_the_same_state() {
    end_of_a_queue(ObjectType::Notification, Syscall::Wait);
}

#[test]
fn interrupted_end_of_the_sends_of_a_badge_ends_in_the_same_state() {
    const BADGED: u64 = 100;
    let words = [BADGED, 64, OBJECT, 64, 15, 5];
    let mint = invoke(slot::CNODE, Invocation::CNodeMint, &words, &[slot::CNODE]);
    // Every second one sends through the badged capability.
    let mut pair = waiting(ObjectType::Endpoint, Syscall::Send, &[(BADGED, mint)]);
    let cancel = invoke(slot::CNODE, Invocation::CNodeCancelBadgedSends, &[BADGED, 64], &[]);
    let stops = stopped(&mut pair, &cancel);
    pair.check().unwrap();
    let left = pair.spec.endpoints.values().next().map(|e| e.queue.len());
    let half = THREADS as usize / 2;
    assert_eq!((stops, left), (half / UNITS, Some(half)));
}
