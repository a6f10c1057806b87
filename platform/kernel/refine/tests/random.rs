// SPDX-License-Identifier: BSD-2-Clause
//! Random sequences on a busy system.
//!
//! `REFINE_SEQUENCES` (for each kind) and `REFINE_STEPS` make them more and longer; `REFINE_SEED` is the first seed.

use kernel_abi::object::AddressSpace;
use kernel_refine::random::{self, Focus};
use kernel_refine::{Pair, world};

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

fn run(focus: Focus) {
    run_from(&world::busy_system(), focus);
}

fn run_from(start: &Pair, focus: Focus) {
    let (sequences, steps) = (setting("REFINE_SEQUENCES", 16), setting("REFINE_STEPS", 1000));
    let first = setting("REFINE_SEED", 1);
    for seed in first..first + sequences {
        random::sequences(start, seed, steps as usize, 200, focus).unwrap_or_else(|e| panic!("{e}"));
    }
}

#[test]
fn random_operations_refine() {
    run(Focus::All);
}

#[test]
fn random_messages_and_time_refine() {
    run(Focus::Ipc);
}

#[test]
fn random_capability_operations_refine() {
    run(Focus::Capabilities);
}

#[test]
fn random_address_space_operations_refine() {
    run(Focus::Memory);
}

#[test]
fn random_address_space_operations_refine_with_four_levels() {
    run_from(&world::busy_system_with(AddressSpace::BITS_44), Focus::Memory);
}
