// SPDX-License-Identifier: BSD-2-Clause
//! Models of the memory order of queues: every interleaving, and every value a relaxed load may see. A lost wake-up is a
//! deadlock there, and an entry read before it was written, or written over before it was read, an access error.

use core::sync::atomic::Ordering;

use loom::sync::{Arc, Notify};
use loom::thread;

use super::{Bulkhead, Consumer, Entry, Producer, Wake, Wire};
use crate::loom_pages::LoomPages;
use crate::pages::Memory;

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

/// Two entries, indices of 16 bits, and a flag for the consumer, as in sDDF's network queues; and a flag for space.
/// Twice the distance between the indices, since a half word takes a whole one in the model.
enum Flags {}

impl Wire for Flags {
    const INDEX_MASK: u32 = 0xffff;
    const TAIL: usize = 0;
    const HEAD: usize = 2;
    const ENTRY_WAKE: Wake = Wake::Flag(0x08);
    const SPACE_WAKE: Wake = Wake::Flag(0x0c);
    const ENTRIES: usize = 0x80;
}

/// Sends the batches, sleeping as a PD does when there is no space.
fn send<W: Wire>(memory: &LoomPages, batches: &[&[u64]], entries: &Notify, space: &Notify) {
    let mut producer = Producer::<Letter, _, W>::new(memory.clone(), 0, 2).unwrap();
    producer.resume();
    for batch in batches {
        for &letter in *batch {
            while producer.push(Letter(letter)).is_err() {
                if producer.publish() {
                    entries.notify();
                }
                if producer.wait(1) {
                    space.wait();
                }
            }
        }
        if producer.publish() {
            entries.notify();
        }
    }
    assert_eq!(producer.take_error(), None);
}

/// Receives `count` letters, sleeping as a PD does, until there are `batch` of them. Releases after each look if space is
/// waited for.
fn receive<W: Wire>(
    memory: &LoomPages,
    (count, batch): (usize, usize),
    entries: &Notify,
    space: Option<&Notify>,
) -> Vec<u64> {
    let mut consumer = Consumer::<Letter, _, W>::new(memory.clone(), 0, 2).unwrap();
    consumer.resume();
    let mut found = Vec::new();
    loop {
        while let Some(Letter(letter)) = consumer.pop() {
            found.push(letter);
        }
        if let Some(space) = space
            && consumer.release()
        {
            space.notify();
        }
        if found.len() == count {
            break;
        }
        consumer.wait_for(batch.min(count - found.len()) as u32);
        if consumer.wait() {
            entries.wait();
        }
    }
    assert_eq!(consumer.take_error(), None);
    found
}

fn model<W: Wire>(batches: &'static [&'static [u64]]) {
    model_for::<W>(batches, 1);
}

/// With a consumer that sleeps until there are `batch` letters.
fn model_for<W: Wire>(batches: &'static [&'static [u64]], batch: usize) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        let memory = LoomPages::new(0x90, &[0, 8, 0x40], &[0x80..0x90]);
        if let Wake::Event(wish) | Wake::Flag(wish) = W::SPACE_WAKE {
            // Nobody waits for space, which an event says by a point that is passed, and a flag by anything but 0.
            memory.store(wish, u32::MAX, Ordering::Relaxed);
        }
        let (entries, space) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let all = batches.concat();
        let consumer = {
            let (memory, entries, space) = (memory.clone(), Arc::clone(&entries), Arc::clone(&space));
            // Letters that fit never make the producer wait; then `wait` alone must order the looks.
            let (count, fits) = (all.len(), all.len() <= 2);
            thread::spawn(move || receive::<W>(&memory, (count, batch), &entries, (!fits).then_some(&*space)))
        };
        send::<W>(&memory, batches, &entries, &space);
        assert_eq!(consumer.join().unwrap(), all);
    });
}

#[test]
fn no_wake_up_is_lost_entry_by_entry() {
    model::<Bulkhead>(&[&[1], &[2]]);
}

#[test]
fn no_wake_up_is_lost_by_a_consumer_that_waits_for_two() {
    model_for::<Bulkhead>(&[&[1], &[2]], 2);
}

#[test]
fn no_wake_up_is_lost_between_batches() {
    model::<Bulkhead>(&[&[1, 2], &[3]]);
}

#[test]
fn no_wake_up_is_lost_when_the_queue_fills_and_wraps() {
    model::<Bulkhead>(&[&[1], &[2], &[3]]);
}

#[test]
fn no_wake_up_is_lost_with_flags() {
    model::<Flags>(&[&[1], &[2]]);
}

#[test]
fn no_wake_up_is_lost_with_flags_when_the_queue_fills() {
    model::<Flags>(&[&[1, 2], &[3]]);
}
