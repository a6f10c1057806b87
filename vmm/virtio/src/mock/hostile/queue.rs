// SPDX-License-Identifier: BSD-2-Clause
//! A queue alone, without a device.

use super::input::Input;
use super::{BASE, MOST_STEPS, SIZE};
use crate::memory::{GuestMemory, Segment};
use crate::mock::Ram;
use crate::mock::driver::{DriverQueue, flag};
use crate::queue::{Chain, MAX_SIZE, Queue};

/// A queue alone, in memory that changes under it.
pub fn queue(data: &[u8]) {
    let mut input = Input(data);
    let ram = Ram::new(BASE, SIZE);
    let size = 1 << (input.byte() % 9);
    let layout = DriverQueue::new(0, size, BASE, true);
    let mut queue = Queue::new(MAX_SIZE);
    queue.size = size;
    (queue.descriptors, queue.driver, queue.device) = (layout.descriptors, layout.available, layout.used);
    let kind = input.byte();
    queue.enable(&ram, kind & 1 != 0, kind & 2 != 0).expect("a good queue");
    // Past all wrap-arounds.
    let start = input.half();
    queue.start_at(start);
    ram.poke(layout.available + 2, &start.to_le_bytes());
    let mut chain = Chain::new();
    let (mut taken, mut used) = (0u16, 0u16);
    for _ in 0..MOST_STEPS {
        if input.is_empty() {
            return;
        }
        let before = ram.accesses();
        match input.byte() % 8 {
            0 | 1 => {
                let (at, word) = (u64::from(input.byte()), input.half());
                let address = input.pick(&[2, 4 + 2 * at, 0]) + layout.available;
                ram.poke(address, &word.to_le_bytes());
            }
            2 => {
                let next = ram.peek16(layout.available + 2).wrapping_add(1 + u16::from(input.byte() % 4));
                ram.poke(layout.available + 2, &next.to_le_bytes());
            }
            3 | 4 => {
                let (index, next) = (input.byte().into(), input.byte().into());
                let flags =
                    input.pick(&[0, flag::NEXT, flag::NEXT | flag::WRITE, flag::WRITE, flag::INDIRECT]);
                let (address, length) = (input.address(), input.length());
                layout.describe(&ram, index, address, length, flags, next);
            }
            5 => match queue.pop(&ram, &mut chain) {
                Ok(true) => {
                    taken = taken.wrapping_add(1);
                    check(&ram, &mut chain, &mut input);
                }
                Ok(false) => {}
                // A device stops at once.
                Err(_) => return,
            },
            6 if taken != used => {
                queue.push_used(&ram, chain.head(), 0).expect("the ring is in memory");
                used = used.wrapping_add(1);
                queue.publish(&ram).expect("the ring is in memory");
            }
            _ => {
                let looked = queue.ask_for_kick(&ram, input.byte().into());
                if looked.is_err() || queue.interrupt_wanted(&ram).is_err() {
                    return;
                }
            }
        }
        let accesses = ram.accesses() - before;
        assert!(accesses <= u64::from(MAX_SIZE) + 8, "{accesses} accesses in one step");
    }
}

/// Whatever a chain says is in memory and adds up.
fn check(ram: &Ram, chain: &mut Chain, input: &mut Input<'_>) {
    let sum = |segments: &[Segment]| segments.iter().map(|it| u64::from(it.length)).sum::<u64>();
    assert_eq!(sum(chain.readable()), chain.readable_bytes().into());
    assert_eq!(sum(chain.writable()), chain.writable_bytes().into());
    for segment in chain.readable().iter().chain(chain.writable()) {
        assert!(segment.length > 0 && ram.contains(segment.address, segment.length.into()));
    }
    let (readable, writable) = (chain.readable_bytes(), chain.writable_bytes());
    let mut bytes = vec![0; input.byte().into()];
    let fits = bytes.len() <= readable as usize;
    assert_eq!(chain.read_front(ram, &mut bytes), fits);
    assert_eq!(chain.readable_bytes(), if fits { readable - bytes.len() as u32 } else { readable });
    assert_eq!(chain.take_last().is_some(), writable > 0);
    let fits = bytes.len() as u32 <= chain.writable_bytes();
    assert_eq!(chain.write_front(ram, &bytes), fits);
    assert_eq!(sum(chain.writable()), chain.writable_bytes().into());
}
