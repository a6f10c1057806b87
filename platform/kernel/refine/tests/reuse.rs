// SPDX-License-Identifier: BSD-2-Clause
//! What an owner leaves in memory is gone when the next object is made there. (That every word of a new frame is what the
//! specification says, zero, is looked at after each step: `kernel_refine::hardware`.)

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use kernel_abi::{Invocation, ObjectType};
use kernel_core::Machine as _;
use kernel_core::PhysAddr;
use kernel_refine::world::{self, invoke, slot, succeeded};
use kernel_refine::{Pair, Step};

/// Where the untyped memory of these tests is, and how much.
const FIRST: u64 = world::BASE + 0x14_0000;
const BYTES: u64 = 64 << 10;

fn retype(kind: ObjectType, bits: u64, at: u64) -> Step {
    let words = [kind as u64, bits, 0, 0, at, 1];
    invoke(slot::SMALL_UNTYPED, Invocation::UntypedRetype, &words, &[slot::CNODE])
}

fn take(pair: &mut Pair, step: &Step) {
    let caller = pair.spec.current;
    pair.step(step).unwrap();
    assert!(succeeded(pair, caller, step), "refused: {step:x?}");
}

/// The former owner had all of it as frames, wrote every word, and lost it.
fn left_by_a_former_owner() -> Pair {
    let mut pair = world::booted();
    for at in 0..BYTES >> 12 {
        take(&mut pair, &retype(ObjectType::SmallPage, 0, slot::FIRST_FREE + at));
    }
    for at in (FIRST..FIRST + BYTES).step_by(8) {
        pair.core.m.store_word(PhysAddr(at), u64::MAX);
    }
    take(&mut pair, &invoke(slot::CNODE, Invocation::CNodeRevoke, &[slot::SMALL_UNTYPED, 64], &[]));
    pair
}

#[test]
fn each_frame_that_is_made_of_used_memory_is_zero() {
    let mut pair = left_by_a_former_owner();
    for at in 0..BYTES >> 12 {
        take(&mut pair, &retype(ObjectType::SmallPage, 0, slot::FIRST_FREE + at));
        let words = (FIRST + (at << 12)..FIRST + (at << 12) + 0x1000).step_by(8);
        assert!(words.clone().all(|word| pair.core.m.load(PhysAddr(word)) == 0), "frame {at}");
    }
}

#[test]
fn objects_that_are_made_of_used_memory_begin_as_new_ones() {
    use ObjectType::*;
    let kinds = [
        (Endpoint, 0),
        (Notification, 0),
        (Reply, 0),
        (CNode, 2),
        (Tcb, 0),
        (SchedContext, 8),
        (PageTable, 0),
        (VSpace, 0),
        (Vcpu, 0),
    ];
    // Each of them as the second one, too: what is behind the first is as old.
    for (number, &(kind, bits)) in kinds.iter().enumerate() {
        let mut pair = left_by_a_former_owner();
        for at in 0..3 {
            take(&mut pair, &retype(kind, bits, slot::FIRST_FREE + at));
        }
        let (next, bits) = kinds[(number + 1) % kinds.len()];
        take(&mut pair, &retype(next, bits, slot::FIRST_FREE + 3));
    }
}
