// SPDX-License-Identifier: BSD-2-Clause
//! Deletion of CNodes and threads that hold each other, and of what was derived from them.

use super::world::{IRQ_CONTROL, ROOT, UNTYPED, World};
use crate::cap::Cap;
use crate::cspace::slot_of;
use crate::error::Stop;
use crate::kernel::IrqState;
use kernel_abi::{Invocation, ObjectType};

/// Moves the capability in slot `from` of the shared CNode into place `index` of the CNode in slot `node`.
fn put_into(world: &mut World, from: u64, node: u64, index: u64) {
    let Cap::CNode { at, .. } = world.cap(node) else { panic!("no CNode") };
    let slot = world.slot(from);
    let cap = slot.cap(&world.kernel.m);
    world.kernel.move_cap(cap, slot, slot_of(at, index));
}

fn delete(world: &mut World, index: u64) {
    let slot = world.slot(index);
    // Preemption is tested elsewhere: an interrupt that waits stops the work, which then goes on.
    for _ in 0..10_000 {
        match world.kernel.delete(slot) {
            Ok(()) => return,
            Err(Stop::Preempted) => world.kernel.m.pending = false,
            Err(other) => panic!("{other:?}"),
        }
    }
    panic!("deletion does not end");
}

fn all_memory_is_free(world: &mut World) {
    world.check_links();
    let untyped = world.slot(UNTYPED);
    assert!(
        !world.kernel.has_children(untyped),
        "{:?}",
        untyped.next(&world.kernel.m).map(|s| s.cap(&world.kernel.m))
    );
}

fn revoke_untyped(world: &mut World) {
    let untyped = world.slot(UNTYPED);
    world.kernel.revoke(untyped).unwrap();
    all_memory_is_free(world);
}

#[test]
fn cnode_found_in_a_dying_one_holds_itself_until_its_memory_is_revoked() {
    let (mut world, _) = World::new();
    let (outer, inner) = (world.make(ObjectType::CNode, 2), world.make(ObjectType::CNode, 2));
    let (first, kept) = (world.make(ObjectType::Endpoint, 0), world.make(ObjectType::Endpoint, 0));
    let Cap::CNode { at, .. } = world.cap(inner) else { panic!("no CNode") };
    put_into(&mut world, first, inner, 0);
    put_into(&mut world, kept, inner, 1);
    put_into(&mut world, inner, outer, 3);
    delete(&mut world, outer);
    world.check_links();
    assert_eq!(world.cap(outer), Cap::Null);
    let slot = |i| slot_of(at, i).cap(&world.kernel.m);
    assert!(matches!(slot(0), Cap::Zombie(z) if z.at == at));
    assert!(matches!(slot(1), Cap::Endpoint { .. }));
    revoke_untyped(&mut world);
}

#[test]
fn chain_of_nested_cnodes_is_freed_with_its_memory() {
    let (mut world, _) = World::new();
    let nodes: Vec<u64> = (0..40).map(|_| world.make(ObjectType::CNode, 2)).collect();
    for (place, pair) in nodes.windows(2).rev().enumerate() {
        put_into(&mut world, pair[1], pair[0], place as u64 % 4);
    }
    delete(&mut world, nodes[0]);
    assert_eq!(world.cap(nodes[0]), Cap::Null);
    revoke_untyped(&mut world);
}

#[test]
fn tree_of_cnodes_with_other_things_is_freed_with_its_memory() {
    let (mut world, _) = World::new();
    let outer = world.make(ObjectType::CNode, 3);
    for branch in 0..8 {
        let inner = world.make(ObjectType::CNode, 2);
        for leaf in 0..3 {
            let what =
                world.make([ObjectType::Endpoint, ObjectType::Tcb, ObjectType::CNode][leaf as usize], 1);
            put_into(&mut world, what, inner, leaf + 1);
        }
        put_into(&mut world, inner, outer, branch);
    }
    delete(&mut world, outer);
    assert_eq!(world.cap(outer), Cap::Null);
    revoke_untyped(&mut world);
}

#[test]
fn cnode_that_holds_itself_dies_by_revocation() {
    let (mut world, _) = World::new();
    for place in 0..4 {
        let node = world.make(ObjectType::CNode, 2);
        put_into(&mut world, node, node, place);
        assert_eq!(world.invoke(ROOT, Invocation::CNodeRevoke, &[UNTYPED, 64], &[]).0, 0);
        all_memory_is_free(&mut world);
    }
}

#[test]
fn cnodes_that_hold_each_other_die_by_revocation() {
    for (a_place, b_place) in (0..16).map(|n| (n / 4, n % 4)) {
        let (mut world, _) = World::new();
        let a = world.make(ObjectType::CNode, 2);
        let b = world.make(ObjectType::CNode, 2);
        let (Cap::CNode { at: a_at, .. }, Cap::CNode { at: b_at, .. }) = (world.cap(a), world.cap(b)) else {
            panic!("no CNodes")
        };
        let (a_slot, b_slot) = (world.slot(a), world.slot(b));
        let (a_cap, b_cap) = (world.cap(a), world.cap(b));
        world.kernel.move_cap(a_cap, a_slot, slot_of(b_at, b_place));
        world.kernel.move_cap(b_cap, b_slot, slot_of(a_at, a_place));
        let untyped = world.slot(UNTYPED);
        world.kernel.revoke(untyped).unwrap();
        all_memory_is_free(&mut world);
    }
}

#[test]
fn interrupted_deletion_goes_on_where_it_was() {
    let (mut world, _) = World::new();
    let node = world.make(ObjectType::CNode, 9);
    for index in 0..20 {
        let endpoint = world.make(ObjectType::Endpoint, 0);
        put_into(&mut world, endpoint, node, index * 25);
    }
    world.kernel.m.pending = true;
    let slot = world.slot(node);
    assert_eq!(world.kernel.delete(slot), Err(Stop::Preempted));
    assert!(matches!(world.cap(node), Cap::Zombie(_)));
    let mut stops = 1;
    while world.kernel.delete(slot) == Err(Stop::Preempted) {
        stops += 1;
        assert!(stops < 10_000);
    }
    assert!(stops > 2);
    all_memory_is_free(&mut world);
}

#[test]
fn dying_thread_gives_up_its_capabilities() {
    let (mut world, _) = World::new();
    let (index, tcb) = world.thread(50, 1000, 1000);
    delete(&mut world, index);
    assert_eq!(world.cap(index), Cap::Null);
    assert!(tcb.slot(crate::layout::TcbSlot::CSpace).is_empty(&world.kernel.m));
}

#[test]
fn badged_copies_are_revoked_with_their_badge_only() {
    let (mut world, _) = World::new();
    let (ep, _) = world.endpoint();
    let mut mint = |from: u64, badge: u64| {
        let to = world.free();
        let (label, _) = world.invoke(ROOT, Invocation::CNodeMint, &[to, 64, from, 64, 15, badge], &[ROOT]);
        assert_eq!(label, 0);
        to
    };
    let (five, six) = (mint(ep, 5), mint(ep, 6));
    let copy = world.free();
    assert_eq!(world.invoke(ROOT, Invocation::CNodeCopy, &[copy, 64, five, 64, 15], &[ROOT]).0, 0);
    assert_eq!(world.invoke(ROOT, Invocation::CNodeRevoke, &[five, 64], &[]).0, 0);
    assert_eq!(world.cap(copy), Cap::Null);
    assert_ne!(world.cap(six), Cap::Null);
    assert_ne!(world.cap(five), Cap::Null);
    assert_eq!(world.invoke(ROOT, Invocation::CNodeRevoke, &[ep, 64], &[]).0, 0);
    assert_eq!(world.cap(five), Cap::Null);
    assert_eq!(world.cap(six), Cap::Null);
    world.check_links();
}

#[test]
fn handler_of_an_interrupt_can_be_made_once() {
    let (mut world, _) = World::new();
    let (first, second) = (world.free(), world.free());
    let make = |world: &mut World, to| {
        world.invoke(IRQ_CONTROL, Invocation::IrqIssueIrqHandler, &[40, to, 64], &[ROOT]).0
    };
    assert_eq!(make(&mut world, first), 0);
    assert_eq!(make(&mut world, second), kernel_abi::error::REVOKE_FIRST);
    assert_eq!(world.irq_state(40), IrqState::Signal);
    delete(&mut world, first);
    assert_eq!(world.irq_state(40), IrqState::Inactive);
    assert_eq!(make(&mut world, second), 0);
}
