// SPDX-License-Identifier: BSD-2-Clause
//! A short run of every fuzz target: its corpus, then mutations with a fixed seed.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use fuzz::{Mutator, TARGETS, corpus, target};

/// Mutations of each target.
const MUTATIONS: usize = 1000;

fn short(name: &str) {
    let (target, corpus) = (target(name).unwrap(), corpus(name).unwrap());
    assert!(!corpus.is_empty(), "no corpus");
    for input in &corpus {
        target(input);
    }
    let mut mutator = Mutator::new(&corpus, 0x0b01_4ead);
    for _ in 0..MUTATIONS {
        target(&mutator.input());
    }
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test] fn $name() { short(stringify!($name)); })*
        #[test]
        fn every_target_has_a_test() {
            let tested = [$(stringify!($name)),*];
            let known: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(known, tested);
        }
    };
}

targets! {
    virtio_queue virtio_block virtio_net virtio_console virtio_entropy
    pl011 pl031 distributor gicv3
    ring_block ring_net ring_serial
    network_switch
}
