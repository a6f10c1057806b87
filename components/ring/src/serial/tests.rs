// SPDX-License-Identifier: BSD-2-Clause
//! Behaviour of both sides together, and of each against a hostile peer.

use core::sync::atomic::Ordering;

use proptest::prelude::*;

use super::{Consumer, Producer};
use crate::memory::{LocalMemory, RingMemory, Word};

#[test]
fn bytes_arrive_in_order_across_the_wrap() {
    let memory = LocalMemory::<8>::new();
    let (mut producer, mut consumer) = (Producer::new(&memory), Consumer::new(&memory));
    let mut buffer = [0; 8];
    assert_eq!(producer.write(b"abcdef"), 6);
    assert_eq!(consumer.read(&mut buffer[..4]), 4);
    assert_eq!(producer.write(b"ghijklm"), 6);
    assert_eq!(consumer.read(&mut buffer), 8);
    assert_eq!(&buffer, b"efghijkl");
    assert_eq!(consumer.read(&mut buffer), 0);
}

#[test]
fn full_ring_takes_nothing_and_asks_for_a_signal() {
    let memory = LocalMemory::<4>::new();
    let (mut producer, mut consumer) = (Producer::new(&memory), Consumer::new(&memory));
    producer.cancel_space_signal();
    assert_eq!(producer.write(b"abcd"), 4);
    assert_eq!(producer.write(b"e"), 0);
    assert!(!consumer.should_notify(), "nobody asked");
    assert!(producer.request_space_signal());
    consumer.read(&mut [0; 2]);
    assert!(consumer.should_notify());
    assert!(!consumer.should_notify(), "asked once, signalled once");
    assert!(!producer.request_space_signal(), "there is space: do not sleep");
}

#[test]
fn consumer_with_older_bytes_is_not_notified_again() {
    let memory = LocalMemory::<16>::new();
    let (mut producer, mut consumer) = (Producer::new(&memory), Consumer::new(&memory));
    assert!(!producer.should_notify(), "nothing written");
    producer.write(b"a");
    assert!(producer.should_notify());
    producer.write(b"b");
    assert!(!producer.should_notify(), "has not read the first byte");
    consumer.read(&mut [0; 4]);
    producer.write(b"c");
    assert!(producer.should_notify());
    consumer.read(&mut [0; 4]);
    producer.write(b"d");
    consumer.read(&mut [0; 4]);
    assert!(!producer.should_notify(), "already read");
}

#[test]
fn consumer_that_slept_between_two_writes_is_notified() {
    let memory = LocalMemory::<16>::new();
    let (mut producer, mut consumer) = (Producer::new(&memory), Consumer::new(&memory));
    producer.write(b"a");
    consumer.read(&mut [0; 4]);
    producer.write(b"b");
    assert!(producer.should_notify());
}

#[test]
fn index_moved_backwards_cuts_the_ring_and_is_reported_once() {
    let memory = LocalMemory::<8>::new();
    let (mut producer, mut consumer) = (Producer::new(&memory), Consumer::new(&memory));
    producer.write(b"abcd");
    assert_eq!(consumer.len(), 4);
    (&memory).store(Word::Tail, 2, Ordering::Relaxed);
    assert_eq!(consumer.len(), 0);
    assert!(consumer.is_cut());
    let error = consumer.take_error().unwrap();
    assert_eq!((error.found, error.own, error.capacity), (2, 0, 8));
    assert_eq!(consumer.take_error(), None);
    assert_eq!(consumer.read(&mut [0; 8]), 0);
    assert!(consumer.should_notify(), "the producer may be a new one that can make it good");
    assert!(!consumer.should_notify());
}

#[test]
fn consumer_that_claims_bytes_never_written_cuts_the_producer() {
    let memory = LocalMemory::<8>::new();
    let mut producer = Producer::new(&memory);
    producer.write(b"abcd");
    (&memory).store(Word::Head, 5, Ordering::Relaxed);
    assert_eq!(producer.free(), 0);
    assert!(producer.take_error().is_some());
    assert_eq!(producer.write(b"x"), 0);
    assert!(producer.should_notify(), "the consumer may be a new one that can make it good");
    assert!(!producer.should_notify());
}

#[test]
fn own_index_is_not_taken_back_from_shared_memory() {
    let memory = LocalMemory::<8>::new();
    let (mut producer, mut consumer) = (Producer::new(&memory), Consumer::new(&memory));
    producer.write(b"ab");
    consumer.read(&mut [0; 1]);
    (&memory).store(Word::Head, 77, Ordering::Relaxed);
    let mut byte = [0];
    assert_eq!(consumer.read(&mut byte), 1);
    assert_eq!(&byte, b"b");
}

#[test]
fn restarted_sides_go_on_where_the_ring_stands() {
    let memory = LocalMemory::<8>::new();
    Producer::new(&memory).write(b"abc");
    Consumer::new(&memory).read(&mut [0; 1]);
    assert_eq!(Producer::new(&memory).write(b"defghijk"), 6);
    let mut buffer = [0; 8];
    assert_eq!(Consumer::new(&memory).read(&mut buffer), 8);
    assert_eq!(&buffer, b"bcdefghi");
}

#[test]
fn restarted_producer_loses_nothing_that_it_writes_after_the_consumer_has_looked() {
    let memory = LocalMemory::<8>::new();
    let (mut producer, mut consumer) = (Producer::new(&memory), Consumer::new(&memory));
    producer.write(b"abc");
    consumer.read(&mut [0; 8]);
    // An empty ring, but elsewhere.
    (&memory).store(Word::Tail, 50, Ordering::Relaxed);
    (&memory).store(Word::Head, 50, Ordering::Relaxed);
    let mut producer = Producer::begin(&memory, true);
    assert!(producer.should_notify(), "it is there");
    assert_eq!(consumer.read(&mut [0; 8]), 0);
    assert!(consumer.should_notify(), "it is cut off");
    assert!(producer.should_tell(), "it has gone to the consumer's place");
    let mut buffer = [0; 8];
    assert_eq!(consumer.read(&mut buffer), 0);
    assert_eq!(producer.write(b"alive"), 5);
    assert!(producer.should_notify());
    assert_eq!(consumer.read(&mut buffer), 5);
    assert_eq!(&buffer[..5], b"alive");
}

#[test]
fn closed_ring_is_told_from_an_empty_one_until_a_producer_begins_anew() {
    let memory = LocalMemory::<8>::new();
    Producer::new(&memory).write(b"abc");
    let mut consumer = Consumer::new(&memory);
    consumer.read(&mut [0; 8]);
    assert!(!consumer.is_closed());
    Producer::new(&memory).close();
    assert!(consumer.is_closed());
    assert!(Consumer::begin(&memory, true).is_closed(), "a consumer that begins anew finds out, too");
    let mut producer = Producer::begin(&memory, true);
    assert_eq!(producer.write(b"there"), 5);
    assert!(!consumer.is_closed());
    let mut buffer = [0; 8];
    assert_eq!(consumer.read(&mut buffer), 5);
    assert_eq!(&buffer[..5], b"there");
}

#[test]
fn ring_that_is_closed_after_the_consumer_has_read_is_cut_off() {
    let memory = LocalMemory::<8>::new();
    let mut consumer = Consumer::new(&memory);
    Producer::new(&memory).close();
    assert_eq!(consumer.read(&mut [0; 8]), 0);
    assert!(consumer.take_error().is_some());
}

/// As a program does that writes its log and looks at nothing else.
#[test]
fn restarted_producer_that_only_writes_is_heard() {
    let memory = LocalMemory::<16>::new();
    let mut consumer = Consumer::new(&memory);
    (&memory).store(Word::Tail, 5000, Ordering::Relaxed);
    (&memory).store(Word::Head, 5000, Ordering::Relaxed);
    let mut producer = Producer::begin(&memory, true);
    let mut heard = Vec::new();
    for number in 0..4 {
        assert_eq!(producer.write(format!("line {number}\n").as_bytes()), 7);
        if producer.should_notify() {
            let mut buffer = [0; 16];
            let count = consumer.read(&mut buffer);
            heard.extend_from_slice(&buffer[..count]);
        }
    }
    // With the first the consumer has found out, with the second the producer.
    assert_eq!(String::from_utf8(heard).unwrap(), "line 2\nline 3\n");
}

#[derive(Debug, Clone)]
enum Step {
    Write(Vec<u8>),
    Read(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..12).prop_map(Step::Write),
        (0usize..12).prop_map(Step::Read),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 200 }))]

    /// Against a queue that is right by construction, with the indices near the wrap of 32 bits.
    #[test]
    fn ring_is_a_queue(start in (u32::MAX - 20)..=u32::MAX, steps in prop::collection::vec(step(), 0..60)) {
        let memory = LocalMemory::<8>::new();
        (&memory).store(Word::Tail, start, Ordering::Relaxed);
        (&memory).store(Word::Head, start, Ordering::Relaxed);
        let (mut producer, mut consumer) = (Producer::new(&memory), Consumer::new(&memory));
        let mut model = std::collections::VecDeque::<u8>::new();
        for step in steps {
            match step {
                Step::Write(bytes) => {
                    let count = producer.write(&bytes);
                    prop_assert_eq!(count, bytes.len().min(8 - model.len()));
                    model.extend(&bytes[..count]);
                }
                Step::Read(length) => {
                    let mut buffer = vec![0; length];
                    let count = consumer.read(&mut buffer);
                    prop_assert_eq!(count, length.min(model.len()));
                    prop_assert!(model.drain(..count).eq(buffer[..count].iter().copied()));
                }
            }
            prop_assert_eq!(consumer.len(), model.len());
            prop_assert_eq!(producer.free(), 8 - model.len());
        }
        prop_assert_eq!(producer.take_error(), None);
        prop_assert_eq!(consumer.take_error(), None);
    }

    /// Whatever a side leaves behind when it dies, its successor and the survivor meet again, and bytes arrive.
    #[test]
    fn ring_recovers_from_words_that_a_dead_side_left(
        producer_dies: bool,
        written in 0usize..=8,
        read in 0usize..=8,
        left in prop::collection::vec((0usize..3, prop_oneof![Just(0u32), Just(u32::MAX), any::<u32>(), 0u32..12]), 0..6),
        first_looks: bool,
        goes_on: bool,
    ) {
        let memory = LocalMemory::<8>::new();
        let (mut producer, mut consumer) = (Producer::new(&memory), Consumer::new(&memory));
        producer.write(&vec![7; written]);
        consumer.read(&mut vec![0; read]);
        for (word, value) in left {
            let word = [Word::Tail, Word::Head, Word::ProducerSignalled][word];
            (&memory).store(word, value, Ordering::Relaxed);
        }
        if first_looks {
            producer.free();
            consumer.len();
        }
        if producer_dies {
            producer = Producer::begin(&memory, true);
        } else {
            consumer = Consumer::begin(&memory, true);
        }
        // Each is notified by the other as long as it has something to say.
        let tells = if producer_dies { producer.should_notify() } else { consumer.should_notify() };
        prop_assert!(tells, "the survivor must look");
        for _ in 0..8 {
            consumer.read(&mut [0; 8]);
            if producer.free() < 5 {
                producer.request_space_signal();
            }
            if goes_on {
                producer.write(b"?");
            }
        }
        prop_assert!(!producer.is_cut() && !consumer.is_cut());
        prop_assert_eq!(producer.write(b"alive"), 5);
        // Old bytes may come once more.
        let mut buffer = [0; 8];
        let count = consumer.read(&mut buffer);
        prop_assert!(buffer[..count].ends_with(b"alive"), "{:?}", buffer);
    }

    /// A consumer never reads more in total than a producer could have written between its looks, whatever the words say.
    #[test]
    fn hostile_words_never_panic_and_are_reported_at_most_once(
        words in prop::collection::vec((0usize..3, any::<u32>(), any::<bool>()), 0..40),
    ) {
        let memory = LocalMemory::<8>::new();
        let (mut producer, mut consumer) = (Producer::new(&memory), Consumer::new(&memory));
        let mut errors = [0, 0];
        for (word, value, near) in words {
            let word = [Word::Tail, Word::Head, Word::ProducerSignalled][word];
            (&memory).store(word, if near { value % 12 } else { value }, Ordering::Relaxed);
            prop_assert!(consumer.read(&mut [0; 32]) <= 8);
            prop_assert!(producer.write(&[0; 32]) <= 8);
            producer.should_notify();
            consumer.should_notify();
            producer.request_space_signal();
            prop_assert!(producer.free() <= 8 && consumer.len() <= 8);
            errors[0] += usize::from(producer.take_error().is_some());
            errors[1] += usize::from(consumer.take_error().is_some());
            prop_assert!(errors[0] <= 1 && errors[1] <= 1);
            prop_assert!(errors[0] == 1 || !producer.is_cut());
            prop_assert!(errors[1] == 1 || !consumer.is_cut());
        }
    }
}
