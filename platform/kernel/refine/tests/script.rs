// SPDX-License-Identifier: BSD-2-Clause
//! The system that other tests start from comes up in the same way on both sides.

use kernel_refine::{random, world};

#[test]
fn booted_states_are_equal() {
    world::booted().check().unwrap();
}

#[test]
fn every_step_of_the_way_to_a_busy_system_is_the_same() {
    let mut pair = world::booted();
    for (number, step) in world::busy_script().iter().enumerate() {
        let caller = pair.spec.current;
        pair.step(step).unwrap_or_else(|e| panic!("step {number}: {}\n{e}", random::describe(step)));
        assert!(
            world::succeeded(&pair, caller, step),
            "step {number} was refused: {}",
            random::describe(step)
        );
    }
}
