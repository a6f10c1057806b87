// SPDX-License-Identifier: BSD-2-Clause
//! Both ends of a byte ring, while somebody writes over the indices.

use crate::steps::Steps;
use core::sync::atomic::Ordering;
use ring::memory::{LocalMemory, RingMemory, Word};
use ring::serial::{Consumer, Producer};

const CAPACITY: usize = 64;

pub fn serial(data: &[u8]) {
    let memory = LocalMemory::<CAPACITY>::new();
    let mut steps = Steps(data);
    let (mut producer, mut consumer) = (Producer::new(&memory), Consumer::new(&memory));
    // Nobody has scribbled yet: what comes out is what went in.
    let (mut honest, mut sent, mut received) = (true, 0u8, 0u8);
    while !steps.is_empty() {
        match steps.byte() % 6 {
            0 | 1 => {
                let length = steps.byte() % 80;
                let bytes: Vec<u8> = (0..length).map(|at| sent.wrapping_add(at)).collect();
                sent = sent.wrapping_add(producer.write(&bytes) as u8);
            }
            2 | 3 => {
                let mut buffer = [0; 80];
                let count = consumer.read(&mut buffer[..usize::from(steps.byte() % 81)]);
                assert!(count <= CAPACITY);
                for byte in &buffer[..count] {
                    assert!(!honest || *byte == received, "{byte} instead of {received}");
                    received = received.wrapping_add(1);
                }
            }
            4 => {
                let _ = (producer.should_notify(), consumer.should_notify(), producer.request_space_signal());
                let _ = (producer.take_error(), consumer.take_error());
            }
            _ => {
                honest = false;
                let word = steps.pick(&[Word::Tail, Word::Head, Word::ProducerSignalled]);
                let value = if steps.byte() & 1 == 0 { steps.byte().into() } else { steps.word() };
                (&memory).store(word, value, Ordering::Relaxed);
            }
        }
        assert!(producer.free() <= CAPACITY && consumer.len() <= CAPACITY);
    }
}
