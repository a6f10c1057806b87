// SPDX-License-Identifier: BSD-2-Clause
//! Who is woken when (sections 2.7.7 to 2.7.10).

use super::{BUFFERS, Pair, pair, pair_with};
use crate::mock::driver::Buffer;

#[test]
fn kick_is_asked_for_with_the_event_index() {
    let mut pair = pair(8);
    let add = |pair: &mut Pair| {
        pair.driver.add(&pair.ram, &[Buffer::writable(BUFFERS, 1)]);
        pair.driver.show(&pair.ram)
    };
    assert!(add(&mut pair), "as after reset");
    assert_eq!(pair.pop(), Ok(true));
    assert_eq!(pair.queue.ask_for_kick(&pair.ram, 0), Ok(false));
    assert!(add(&mut pair));
    assert_eq!(pair.pop(), Ok(true));
    assert_eq!(pair.queue.ask_for_kick(&pair.ram, 2), Ok(false));
    assert_eq!([add(&mut pair), add(&mut pair), add(&mut pair)], [false, false, true]);
    assert_eq!(pair.queue.ask_for_kick(&pair.ram, 0), Ok(true), "there are three already");
}

#[test]
fn queue_size_as_kick_distance_means_never() {
    let mut pair = pair(4);
    pair.queue.ask_for_kick(&pair.ram, 4).unwrap();
    for _ in 0..4 {
        pair.driver.add(&pair.ram, &[Buffer::writable(BUFFERS, 1)]);
        assert!(!pair.driver.show(&pair.ram));
    }
}

#[test]
fn kick_is_asked_for_with_the_flag() {
    let mut pair = pair_with(8, true, false);
    let add = |pair: &mut Pair| {
        pair.driver.add(&pair.ram, &[Buffer::writable(BUFFERS, 1)]);
        pair.driver.show(&pair.ram)
    };
    assert!(add(&mut pair));
    assert_eq!(pair.pop(), Ok(true));
    assert_eq!(pair.queue.ask_for_kick(&pair.ram, 1), Ok(false));
    assert!(!add(&mut pair));
    assert_eq!(pair.queue.ask_for_kick(&pair.ram, 0), Ok(true));
    assert!(add(&mut pair));
}

#[test]
fn interrupt_follows_the_used_event_index() {
    let mut pair = pair(8);
    let use_one = |pair: &mut Pair| {
        pair.driver.add(&pair.ram, &[Buffer::writable(BUFFERS, 1)]);
        pair.driver.show(&pair.ram);
        assert_eq!(pair.pop(), Ok(true));
        pair.queue.push_used(&pair.ram, pair.chain.head(), 0).unwrap();
        pair.queue.publish(&pair.ram).unwrap();
    };
    pair.driver.want_interrupt_at(&pair.ram, 2);
    let mut wanted = Vec::new();
    for _ in 0..5 {
        use_one(&mut pair);
        wanted.push(pair.queue.interrupt_wanted(&pair.ram).unwrap());
    }
    assert_eq!(wanted, [false, false, true, false, false]);
    assert_eq!(pair.queue.interrupt_wanted(&pair.ram), Ok(false), "nothing new");
    // Several at once, with the event among them: decided later, nothing is lost.
    pair.driver.want_interrupt_at(&pair.ram, 5);
    while pair.driver.take(&pair.ram).is_some() {}
    for _ in 0..3 {
        use_one(&mut pair);
    }
    assert_eq!(pair.queue.unsignalled(), 3);
    assert_eq!(pair.queue.interrupt_wanted(&pair.ram), Ok(true));
}

#[test]
fn interrupt_follows_the_flag() {
    let mut pair = pair_with(8, true, false);
    for (flags, wanted) in [(0u16, true), (1, false)] {
        pair.ram.poke(pair.driver.available, &flags.to_le_bytes());
        pair.driver.add(&pair.ram, &[Buffer::writable(BUFFERS, 1)]);
        pair.driver.show(&pair.ram);
        assert_eq!(pair.pop(), Ok(true));
        pair.queue.push_used(&pair.ram, pair.chain.head(), 0).unwrap();
        pair.queue.publish(&pair.ram).unwrap();
        assert_eq!(pair.queue.interrupt_wanted(&pair.ram), Ok(wanted));
    }
}

#[test]
fn wishes_are_read_behind_a_full_barrier() {
    // Sections 2.7.7.2 and 2.7.10.1: own index or wish first, then the other's.
    let mut pair = pair(8);
    let before = pair.ram.fences();
    pair.queue.ask_for_kick(&pair.ram, 0).unwrap();
    assert_eq!(pair.ram.fences(), before + 1);
    pair.driver.add(&pair.ram, &[Buffer::writable(BUFFERS, 1)]);
    pair.driver.show(&pair.ram);
    assert_eq!(pair.pop(), Ok(true));
    pair.queue.push_used(&pair.ram, pair.chain.head(), 0).unwrap();
    pair.queue.publish(&pair.ram).unwrap();
    pair.queue.interrupt_wanted(&pair.ram).unwrap();
    assert_eq!(pair.ram.fences(), before + 2);
}
