// SPDX-License-Identifier: BSD-2-Clause
//! What requests cost: kicks of the guest, interrupts, signals to the back end.

use super::{Bench, DATA, everything, kind};
use crate::mmio::registers::Feature;
use crate::mock::driver::Buffer;

/// Exits of an interrupt: the driver reads why and acknowledges.
const EXITS_OF_AN_INTERRUPT: usize = 2;

/// A guest that keeps `depth` requests in flight, asking for one more for each that it was told of, on a disk that
/// completes them one by one. Returns exits and interrupts for each 1000 requests.
fn steady(bench: &mut Bench, depth: u64) -> (usize, usize) {
    let ask = |bench: &mut Bench| {
        let at = bench.count % depth;
        bench.ask(kind::IN, at, &[Buffer::writable(DATA + 4096 * at, 512)]);
    };
    for _ in 0..depth {
        ask(bench);
    }
    let (mut interrupts, mut told) = (0, 0);
    bench.kicks = 0;
    let mut idle = 0;
    while told < 1000 {
        if bench.disk.pending.is_empty() {
            bench.run();
            idle += 1;
            assert!(idle < 3, "stuck with {told} done");
            continue;
        }
        idle = 0;
        bench.disk.complete(0, &bench.ram);
        bench.run();
        if let Some(count) = bench.interrupt() {
            interrupts += 1;
            told += count;
            for _ in 0..count {
                ask(bench);
            }
        }
    }
    (bench.kicks + EXITS_OF_AN_INTERRUPT * interrupts, interrupts)
}

#[test]
fn at_queue_depth_1_nothing_waits() {
    let mut bench = Bench::direct();
    for at in 0..100 {
        bench.ask(kind::IN, at, &[Buffer::writable(DATA, 512)]);
        assert_eq!(bench.disk.pending.len(), 1, "submitted at once");
        bench.disk.complete(0, &bench.ram);
        bench.run();
        assert_eq!(bench.interrupt(), Some(1), "told at once");
    }
    assert_eq!((bench.kicks, bench.disk.signals), (100, 100));
}

#[test]
fn second_request_does_not_wait_for_the_first() {
    let mut bench = Bench::direct();
    for at in 0..2 {
        bench.ask(kind::IN, at, &[Buffer::writable(DATA, 512)]);
    }
    assert_eq!(bench.disk.pending.len(), 2);
}

#[test]
fn at_queue_depth_32_half_an_exit_a_request_is_enough() {
    for features in [u64::MAX, !Feature::EVENT_INDEX] {
        let mut bench = Bench::with(everything(), features, 256, false);
        let (exits, interrupts) = steady(&mut bench, 32);
        assert!(exits <= 500, "{exits} exits, {interrupts} interrupts for 1000 requests");
    }
}

#[test]
fn exits_do_not_grow_with_the_queue_depth() {
    let mut before = usize::MAX;
    for depth in [1, 2, 4, 8, 16, 32, 60] {
        let (exits, _) = steady(&mut Bench::direct(), depth);
        assert!(
            exits <= before.saturating_add(50),
            "{exits} exits for 1000 requests at depth {depth}, {before} before"
        );
        before = exits;
    }
}

#[test]
fn back_end_may_collect_as_many_as_the_guest_is_told_of() {
    for depth in 1..40u64 {
        let mut bench = Bench::direct();
        assert_eq!(bench.device.awaited(), 1, "there is nothing");
        for at in 0..depth {
            bench.add(kind::IN, at, &[Buffer::writable(DATA + 512 * at, 512)]);
        }
        bench.show();
        bench.device.set_busy(true);
        assert_eq!(u64::from(bench.device.awaited()), depth, "one that is busy may be told of all");
        bench.device.set_busy(false);
        let mut told = 0;
        while told < depth {
            let awaited = bench.device.awaited();
            for number in 1..=awaited {
                assert!(!bench.device.asserted());
                assert_eq!(bench.interrupt(), None, "{number} of {awaited}");
                bench.disk.complete(0, &bench.ram);
                bench.run();
            }
            told += bench.interrupt().expect("as many as were waited for") as u64;
        }
    }
}

#[test]
fn busy_guest_that_has_completions_to_look_at_kicks_once_for_several() {
    let mut bench = Bench::direct();
    bench.device.set_busy(true);
    let add = |bench: &mut Bench| {
        let at = bench.count % 8;
        bench.add(kind::IN, at, &[Buffer::writable(DATA + 512 * at, 512)]);
        bench.show();
    };
    add(&mut bench);
    assert_eq!(
        (bench.kicks, bench.device.is_to_be_attended(), bench.device.defers_kicks()),
        (1, true, false)
    );
    for _ in 0..7 {
        add(&mut bench);
    }
    bench.run();
    bench.disk.complete_all(&bench.ram);
    bench.run();
    // It has not looked at the eight, and nothing is at work: two more do not make it kick, but are not forgotten.
    bench.kicks = 0;
    add(&mut bench);
    add(&mut bench);
    assert_eq!((bench.kicks, bench.disk.pending.len()), (0, 0));
    assert!(bench.device.is_to_be_attended() && bench.device.defers_kicks());
    bench.device.set_busy(false);
    bench.run();
    assert_eq!(bench.disk.pending.len(), 2, "the caller's look when the guest goes to sleep");
    bench.disk.complete_all(&bench.ram);
    bench.run();
    assert_eq!(bench.interrupt(), Some(10));
    bench.run();
    assert!(!bench.device.is_to_be_attended());
    add(&mut bench);
    assert_eq!(bench.kicks, 1, "nobody else would look");
}

#[test]
fn busy_guest_is_expected_to_keep_as_many_going_as_before() {
    let mut bench = Bench::direct();
    let add = |bench: &mut Bench| bench.ask(kind::IN, 0, &[Buffer::writable(DATA, 512)]);
    for _ in 0..8 {
        add(&mut bench);
    }
    bench.run();
    bench.settle();
    // All are done, and it looks at all of them before it adds any.
    for _ in 0..3 {
        assert_eq!(bench.interrupt(), Some(8));
        bench.device.set_busy(true);
        bench.kicks = 0;
        for number in 1..=8 {
            add(&mut bench);
            assert_eq!(
                bench.kicks,
                usize::from(number > 4),
                "half of them are at work while it adds the others"
            );
            assert_eq!(bench.device.defers_kicks(), number <= 4, "nobody else looks after the first ones");
        }
        bench.device.set_busy(false);
        bench.run();
        bench.settle();
    }
    // It needs only one from now on: the first ones may be found late, those after them are kicked for.
    for kicks in [0, 0, 1] {
        assert!(bench.interrupt().is_some());
        bench.device.set_busy(true);
        bench.kicks = 0;
        add(&mut bench);
        assert_eq!(bench.kicks, kicks);
        bench.device.set_busy(false);
        bench.run();
        bench.settle();
    }
}

#[test]
fn request_does_not_wait_for_a_flush_alone() {
    let mut bench = Bench::direct();
    for _ in 0..3 {
        bench.ask(kind::FLUSH, 0, &[]);
    }
    bench.run();
    bench.device.set_busy(true);
    bench.kicks = 0;
    bench.ask(kind::IN, 0, &[Buffer::writable(DATA, 512)]);
    assert!(bench.kicks == 1 || bench.device.defers_kicks(), "its turn comes before the flush is done");
}

#[test]
fn batch_is_one_kick_one_signal_one_interrupt() {
    let mut bench = Bench::direct();
    for at in 0..32 {
        bench.add(kind::IN, at, &[Buffer::writable(DATA + 512 * at, 512)]);
    }
    bench.show();
    assert_eq!((bench.kicks, bench.disk.signals, bench.disk.pending.len()), (1, 1, 32));
    bench.disk.complete_all(&bench.ram);
    bench.run();
    assert_eq!(bench.interrupt(), Some(32));
    assert!(!bench.device.asserted());
}

#[test]
fn last_completions_are_told_whatever_came_before() {
    // However many are at work, and in whatever order they end.
    for count in 1..40u64 {
        let mut bench = Bench::direct();
        for at in 0..count {
            bench.add(kind::IN, at, &[Buffer::writable(DATA + 512 * at, 512)]);
        }
        bench.show();
        let mut told = 0;
        while let Some(last) = bench.disk.pending.len().checked_sub(1) {
            bench.disk.complete(last * 7 % (last + 1), &bench.ram);
            bench.run();
            told += bench.interrupt().unwrap_or(0);
        }
        assert_eq!(told as u64, count);
    }
}

#[test]
fn slow_flush_does_not_hold_back_reads() {
    let mut bench = Bench::direct();
    for _ in 0..8 {
        bench.add(kind::FLUSH, 0, &[]);
    }
    bench.add(kind::IN, 0, &[Buffer::writable(DATA, 512)]);
    bench.show();
    bench.disk.complete(8, &bench.ram);
    bench.run();
    assert_eq!(bench.interrupt(), Some(1));
}

#[test]
fn driver_that_wants_no_interrupt_gets_none() {
    let mut bench = Bench::direct();
    bench.queue.want_interrupt_at(&bench.ram, 100);
    bench.ask(kind::IN, 0, &[Buffer::writable(DATA, 512)]);
    bench.settle();
    assert!(!bench.device.asserted());
    assert_eq!(bench.used(), Some(513), "it can look by itself");
}

#[test]
fn requests_that_come_while_it_works_are_found() {
    // The guest adds one between the device's last look and its wish for a kick.
    let mut bench = Bench::direct();
    bench.ask(kind::IN, 0, &[Buffer::writable(DATA, 512)]);
    bench.ask(kind::IN, 1, &[Buffer::writable(DATA, 512)]);
    bench.ask(kind::IN, 2, &[Buffer::writable(DATA, 512)]);
    bench.ask(kind::IN, 3, &[Buffer::writable(DATA, 512)]);
    let kicks = bench.kicks;
    assert!(kicks < 4, "some were not kicked for");
    bench.disk.complete(0, &bench.ram);
    bench.run();
    assert_eq!(bench.disk.log.len(), 4, "completions look at the queue");
}

/// A disk that is faster than its guest: what is submitted is done before the guest gets round to add as many again.
#[test]
fn fast_disk_is_kicked_for_every_few_requests() {
    let mut bench = Bench::direct();
    let depth = 32;
    let ask = |bench: &mut Bench| {
        let at = bench.count % depth;
        bench.ask(kind::IN, at, &[Buffer::writable(DATA + 4096 * at, 512)]);
    };
    for _ in 0..depth {
        ask(&mut bench);
    }
    bench.run();
    bench.kicks = 0;
    let (mut told, mut added) = (0, 0u64);
    while told < 1000 {
        bench.disk.complete_all(&bench.ram);
        bench.run();
        // It is told, or looks, when all is done; then it adds one by one, and four times as slowly as the disk works.
        let mut count = bench.interrupt().unwrap_or(0);
        while bench.used().is_some() {
            count += 1;
        }
        bench.queue.want_interrupt(&bench.ram);
        told += count;
        for _ in 0..count {
            ask(&mut bench);
            added += 1;
            if added.is_multiple_of(4) {
                bench.disk.complete_all(&bench.ram);
                bench.run();
            }
        }
    }
    assert!(bench.kicks <= 350, "{} kicks for {told} requests", bench.kicks);
}
