// SPDX-License-Identifier: BSD-2-Clause
//! Models of the memory order: loom runs every interleaving and every value a relaxed load may see. A lost wake-up is a
//! deadlock there, and a byte read before it was written an access error.

use core::sync::atomic::Ordering;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU32, fence};
use loom::sync::{Arc, Notify};
use loom::thread;

use super::{Consumer, Producer};
use crate::memory::{RingMemory, Word};

/// A ring of two bytes on loom's memory. The bytes are cells, not atomics, so that loom sees races on them.
struct LoomMemory {
    words: [AtomicU32; 3],
    bytes: [UnsafeCell<u8>; 2],
}

impl LoomMemory {
    fn new() -> Arc<Self> {
        let bytes = [UnsafeCell::new(0), UnsafeCell::new(0)];
        Arc::new(Self { words: [AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(1)], bytes })
    }
}

impl RingMemory for Arc<LoomMemory> {
    fn capacity(&self) -> u32 {
        2
    }

    fn load(&self, word: Word, order: Ordering) -> u32 {
        self.words[word as usize].load(order)
    }

    fn store(&self, word: Word, value: u32, order: Ordering) {
        self.words[word as usize].store(value, order);
    }

    fn fence(&self) {
        fence(Ordering::SeqCst);
    }

    #[allow(unsafe_code, reason = "loom checks the access")]
    fn load_byte(&self, index: u32) -> u8 {
        // SAFETY: loom fails the test if another access may be concurrent.
        self.bytes[index as usize % 2].with(|byte| unsafe { *byte })
    }

    #[allow(unsafe_code, reason = "loom checks the access")]
    fn store_byte(&self, index: u32, value: u8) {
        // SAFETY: loom fails the test if another access may be concurrent.
        self.bytes[index as usize % 2].with_mut(|byte| unsafe { *byte = value });
    }
}

/// Reads until `count` bytes are there, sleeping as a PD does. Signals space if there is somebody to wait for it.
fn receive(memory: &Arc<LoomMemory>, count: usize, bytes: &Notify, space: Option<&Notify>) -> Vec<u8> {
    let mut consumer = Consumer::new(Arc::clone(memory));
    let mut received = Vec::new();
    while received.len() < count {
        let mut buffer = [0; 2];
        match consumer.read(&mut buffer) {
            0 => bytes.wait(),
            read => {
                received.extend_from_slice(&buffer[..read]);
                if let Some(space) = space
                    && consumer.should_notify()
                {
                    space.notify();
                }
            }
        }
    }
    assert_eq!(consumer.take_error(), None);
    received
}

/// Writes `message` byte by byte, sleeping as a PD does.
fn send(memory: &Arc<LoomMemory>, message: &[u8], bytes: &Notify, space: &Notify) {
    let mut producer = Producer::new(Arc::clone(memory));
    for byte in message {
        while producer.write(&[*byte]) == 0 {
            if producer.request_space_signal() {
                space.wait();
            }
        }
        if producer.should_notify() {
            bytes.notify();
        }
    }
    assert_eq!(producer.take_error(), None);
}

fn model(message: &'static [u8]) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        let memory = LoomMemory::new();
        let (bytes, space) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let consumer = {
            let (memory, bytes, space) = (Arc::clone(&memory), Arc::clone(&bytes), Arc::clone(&space));
            // A message that fits never makes the producer wait; then `read` alone must order its looks.
            let fits = message.len() <= 2;
            thread::spawn(move || receive(&memory, message.len(), &bytes, (!fits).then_some(&*space)))
        };
        send(&memory, message, &bytes, &space);
        assert_eq!(consumer.join().unwrap(), message);
    });
}

#[test]
fn no_wake_up_is_lost_for_two_messages() {
    model(b"ab");
}

#[test]
fn no_wake_up_is_lost_when_the_ring_fills_and_wraps() {
    model(b"abc");
}
