// SPDX-License-Identifier: BSD-2-Clause
//! Behaviour of both sides of a queue together, and of each against a hostile peer.

use core::sync::atomic::Ordering::Relaxed;
use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::pages::LocalPages;

/// An entry of one double word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Letter(u64);

impl Entry for Letter {
    const STRIDE: usize = 8;

    fn read<M: Memory>(memory: &M, offset: usize) -> Self {
        let [word] = memory.read(offset);
        Self(word)
    }

    fn write<M: Memory>(self, memory: &M, offset: usize) {
        memory.write(offset, [self.0]);
    }
}

/// Header of a queue and eight entries.
type Region = LocalPages<48>;
type Ends<'a> = (Producer<Letter, &'a Region>, Consumer<Letter, &'a Region>);

const CAPACITY: u32 = 8;
const TAIL: usize = Bulkhead::TAIL;
const HEAD: usize = Bulkhead::HEAD;

fn ends(memory: &Region) -> Ends<'_> {
    let mut ends = (Producer::new(memory, 0, CAPACITY).unwrap(), Consumer::new(memory, 0, CAPACITY).unwrap());
    ends.0.resume();
    ends.1.resume();
    ends
}

#[test]
fn queue_that_does_not_fit_or_cannot_be_counted_is_refused() {
    let memory = Region::new();
    for (base, capacity) in [(0, 0), (0, 3), (0, 16), (8, 8), (4, 4), (usize::MAX - 7, 8), (0, 1 << 31)] {
        assert!(Producer::<Letter, _>::new(&memory, base, capacity).is_none(), "{base} {capacity}");
        assert!(Consumer::<Letter, _>::new(&memory, base, capacity).is_none(), "{base} {capacity}");
    }
}

#[test]
fn consumer_that_waits_for_several_is_told_of_the_last_of_them() {
    let memory = Region::new();
    let (mut producer, mut consumer) = ends(&memory);
    assert!(consumer.wait());
    assert_eq!(producer.awaited(), Some(1));
    consumer.wait_for(3);
    assert!(consumer.wait());
    for left in [3, 2] {
        assert_eq!(producer.awaited(), Some(left));
        producer.push(Letter(0)).unwrap();
        assert!(!producer.publish());
        assert!(consumer.wait(), "fewer do not keep it awake");
    }
    producer.push(Letter(0)).unwrap();
    assert_eq!(producer.awaited(), None, "it is to be notified");
    assert!(producer.publish());
    assert!(!consumer.wait());
    assert_eq!(consumer.available(), 3);
    // What it wants next counts from what it has read.
    while consumer.pop().is_some() {}
    consumer.wait_for(u32::MAX);
    assert!(consumer.wait());
    assert_eq!(producer.awaited(), Some(CAPACITY));
    // The producer is told of a wish for sooner than it expects: at first for all.
    assert!(!consumer.tells(false, CAPACITY));
    consumer.wait_for(4);
    assert!(consumer.wait());
    assert!(!consumer.tells(false, 4), "as expected");
    assert!(consumer.tells(false, 5) && !consumer.tells(false, 5), "once");
    consumer.wait_for(5);
    assert!(!consumer.tells(false, 5), "later is no news");
    assert!(consumer.tells(true, 5));
    consumer.wait_for(2);
    assert!(consumer.wait());
    assert!(consumer.tells(false, 5));
    assert_eq!(producer.awaited(), Some(2));
    // What cannot be is no answer.
    (&memory).store(HEAD + 4, 100, Relaxed);
    assert_eq!(producer.awaited(), None);
}

#[test]
fn several_entries_are_pushed_and_popped_at_once() {
    let memory = Region::new();
    let (mut producer, mut consumer) = ends(&memory);
    for round in 0..10 {
        let letters = |count: u64| (0..count).map(move |number| Letter(10 * round + number));
        assert!(producer.has_space(5));
        producer.push_all(letters(5));
        let _ = producer.publish();
        let mut found = Vec::new();
        assert_eq!(consumer.pop(), Some(Letter(10 * round)));
        consumer.pop_while(|letter| {
            found.push(letter);
            found.len() < 3
        });
        assert_eq!(found, letters(4).skip(1).collect::<Vec<_>>());
        consumer.pop_while(|letter| letter == Letter(10 * round + 4));
        consumer.pop_while(|_| panic!("nothing is left"));
        let _ = consumer.release();
    }
    assert!(producer.has_space(CAPACITY));
    producer.push_all((0..20).map(Letter));
    assert_eq!(producer.space(), 0, "no more than fit");
    let _ = producer.publish();
    assert_eq!((consumer.available(), consumer.pop()), (CAPACITY, Some(Letter(0))));
}

#[test]
fn entries_are_seen_after_publishing_and_places_after_releasing() {
    let memory = Region::new();
    let (mut producer, mut consumer) = ends(&memory);
    for letter in 0..8 {
        producer.push(Letter(letter)).unwrap();
    }
    assert_eq!(producer.push(Letter(8)), Err(Full));
    assert_eq!(consumer.pop(), None);
    assert!(producer.publish());
    assert_eq!(consumer.available(), 8);
    assert_eq!(consumer.pop(), Some(Letter(0)));
    assert_eq!(producer.push(Letter(8)), Err(Full), "popped, but not released");
    let _ = consumer.release();
    assert_eq!(producer.space(), 1);
    producer.push(Letter(8)).unwrap();
}

#[test]
fn consumer_is_notified_once_for_each_time_it_asked() {
    let memory = Region::new();
    let (mut producer, mut consumer) = ends(&memory);
    assert!(!producer.publish(), "nothing pushed");
    producer.push(Letter(1)).unwrap();
    assert!(producer.publish(), "a consumer that never asked waits for the first entry");
    producer.push(Letter(2)).unwrap();
    assert!(!producer.publish(), "has been told");
    assert!(!consumer.wait(), "there are entries: do not sleep");
    while consumer.pop().is_some() {}
    assert!(consumer.wait());
    producer.push(Letter(3)).unwrap();
    producer.push(Letter(4)).unwrap();
    assert!(producer.publish());
}

#[test]
fn producer_is_notified_when_as_much_space_is_there_as_it_asked_for() {
    let memory = Region::new();
    let (mut producer, mut consumer) = ends(&memory);
    for letter in 0..8 {
        producer.push(Letter(letter)).unwrap();
    }
    let _ = producer.publish();
    assert!(producer.wait(3));
    for expected in [false, false, true, false] {
        consumer.pop().unwrap();
        assert_eq!(consumer.release(), expected);
    }
    assert!(!producer.wait(3), "there is space: do not sleep");
}

#[test]
fn batch_between_two_releases_is_bounded_however_fast_the_peer_is() {
    let memory = Region::new();
    let (_, mut consumer) = ends(&memory);
    let mut popped = 0;
    // A peer that moves its index on with every look, and ours with it.
    for index in 1..100 {
        (&memory).store(TAIL, index, Relaxed);
        (&memory).store(HEAD, index, Relaxed);
        popped += u32::from(consumer.pop().is_some());
    }
    assert_eq!(popped, CAPACITY);
    assert!(consumer.take_error().is_some());
}

#[test]
fn consumer_that_takes_what_was_not_published_is_cut_off() {
    let memory = Region::new();
    let (mut producer, _) = ends(&memory);
    producer.push(Letter(1)).unwrap();
    (&memory).store(HEAD, 1, Relaxed);
    assert_eq!(producer.space(), 0);
    assert_eq!(producer.take_error(), Some(PeerMisbehaved { found: 1, own: 1, capacity: 8 }));
    assert_eq!(producer.take_error(), None);
    assert!(!producer.publish());
    assert_eq!((&memory).load(TAIL, Relaxed), 0, "nothing is written any more");
}

/// Where these tests have the epochs of both sides: behind the queue.
const EPOCHS: [usize; 2] = [4 * 46, 4 * 47];

#[test]
fn index_that_goes_back_under_a_changed_epoch_is_a_restart() {
    let guard = Guard { words: EPOCHS, epoch: 6 };
    for (word, epoch, misbehaved) in [(0, 6, true), (0, 7, false), (0, 0, false), (1, 0, false)] {
        let memory = Region::new();
        let (mut producer, mut consumer) = ends(&memory);
        EPOCHS.iter().for_each(|&word| (&memory).store(word, 6, Relaxed));
        Side::start(&mut consumer, guard);
        Side::start(&mut producer, guard);
        producer.push(Letter(1)).unwrap();
        let _ = producer.publish();
        consumer.pop().unwrap();
        let _ = consumer.release();
        assert_eq!(producer.space(), 8);
        (&memory).store(EPOCHS[word], epoch, Relaxed);
        (&memory).store(TAIL, 0, Relaxed);
        (&memory).store(HEAD, 0, Relaxed);
        assert_eq!((consumer.pop(), producer.space()), (None, 0));
        assert!(consumer.is_stopped() && producer.is_stopped());
        assert_eq!(consumer.take_error().is_some(), misbehaved, "{epoch}");
        assert_eq!(producer.take_error().is_some(), misbehaved, "{epoch}");
    }
}

#[test]
fn zero_that_looks_like_progress_after_a_wrap_is_a_restart_if_the_epoch_says_so() {
    let guard = Guard { words: EPOCHS, epoch: 6 };
    for (word, epoch, popped) in [(0, 6, true), (0, 7, false), (1, 0, false)] {
        let memory = Region::new();
        EPOCHS.iter().for_each(|&word| (&memory).store(word, 6, Relaxed));
        (&memory).store(TAIL, u32::MAX, Relaxed);
        (&memory).store(HEAD, u32::MAX, Relaxed);
        let (_, mut consumer) = ends(&memory);
        consumer.common.guard = Some(guard);
        (&memory).store(EPOCHS[word], epoch, Relaxed);
        (&memory).store(TAIL, 0, Relaxed);
        assert_eq!(consumer.pop().is_some(), popped);
        assert_eq!(consumer.take_error(), None);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Push(u8),
    Publish,
    Pop(u8),
    Release,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0u8..10).prop_map(Step::Push),
        Just(Step::Publish),
        (0u8..10).prop_map(Step::Pop),
        Just(Step::Release),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 150 }))]

    /// Against a queue that is right by construction, with indices near the wrap. A side that was told to sleep is
    /// notified when there is something for it.
    #[test]
    fn queue_is_a_queue(start in (u32::MAX - 20)..=u32::MAX, steps in prop::collection::vec(step(), 0..80)) {
        let memory = Region::new();
        (&memory).store(TAIL, start, Relaxed);
        (&memory).store(HEAD, start, Relaxed);
        (&memory).store(0x44, start, Relaxed);
        (&memory).store(0x04, start.wrapping_sub(1), Relaxed);
        let (mut producer, mut consumer) = ends(&memory);
        let (mut pushed, mut visible, mut unreleased) = (VecDeque::new(), VecDeque::new(), 0);
        let (mut count, mut consumer_sleeps, mut producer_sleeps) = (0, true, false);
        for step in steps {
            let held = pushed.len() + visible.len() + unreleased;
            match step {
                Step::Push(number) => {
                    for room in 0..usize::from(number) {
                        let fits = held + room < CAPACITY as usize;
                        prop_assert_eq!(producer.push(Letter(count)).is_ok(), fits);
                        if fits {
                            pushed.push_back(count);
                            count += 1;
                        } else {
                            producer_sleeps = producer.wait(1);
                            prop_assert!(producer_sleeps);
                        }
                    }
                }
                Step::Publish => {
                    let notify = producer.publish();
                    prop_assert_eq!(notify, consumer_sleeps && !pushed.is_empty());
                    consumer_sleeps &= !notify;
                    visible.append(&mut pushed);
                }
                Step::Pop(number) => {
                    for _ in 0..number {
                        let letter = consumer.pop();
                        prop_assert_eq!(letter, visible.pop_front().map(Letter));
                        unreleased += usize::from(letter.is_some());
                    }
                    consumer_sleeps = consumer.wait();
                    prop_assert_eq!(consumer_sleeps, visible.is_empty());
                }
                Step::Release => {
                    let notify = consumer.release();
                    prop_assert_eq!(notify, producer_sleeps && unreleased > 0);
                    producer_sleeps &= !notify;
                    unreleased = 0;
                }
            }
        }
        prop_assert_eq!((producer.take_error(), consumer.take_error()), (None, None));
    }

    /// Whatever a peer writes at whatever moment: bounded results, one report, and nothing after it.
    #[test]
    fn hostile_words_never_panic_and_are_reported_at_most_once(
        words in prop::collection::vec((0usize..48, any::<u32>(), any::<bool>()), 0..60),
    ) {
        let memory = Region::new();
        let (mut producer, mut consumer) = ends(&memory);
        let mut errors = [0, 0];
        for (word, value, near) in words {
            let offset = [TAIL, HEAD, 0x04, 0x44].get(word % 8).copied().unwrap_or(4 * word);
            (&memory).store(offset, if near { value % 12 } else { value }, Relaxed);
            let pushed = (0..20).take_while(|&letter| producer.push(Letter(letter)).is_ok()).count();
            let popped = (0..20).map_while(|_| consumer.pop()).count();
            prop_assert!(pushed <= 8 && popped <= 8);
            let _ = (producer.publish(), consumer.release(), producer.wait(value), consumer.wait());
            prop_assert!(producer.space() <= 8 && consumer.available() <= 8);
            errors[0] += usize::from(producer.take_error().is_some());
            errors[1] += usize::from(consumer.take_error().is_some());
            prop_assert_eq!(errors[0] == 1, producer.is_stopped());
            prop_assert_eq!(errors[1] == 1, consumer.is_stopped());
        }
    }
}
