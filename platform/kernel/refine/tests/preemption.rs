// SPDX-License-Identifier: BSD-2-Clause
//! Long operations stop when an interrupt waits, and go on when the system call is made again: in the end the state is
//! that of the specification, for which they are one step.

use kernel_abi::context::stored;
use kernel_abi::{Invocation, ObjectType};
use kernel_core::PhysAddr;
use kernel_core::layout::Tcb;
use kernel_refine::world::{self, invoke, slot};
use kernel_refine::{Pair, Step};
use kernel_spec::Event;

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
