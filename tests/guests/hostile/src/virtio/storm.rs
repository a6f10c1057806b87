// SPDX-License-Identifier: BSD-2-Clause
//! Many offences at once: resets while requests are on their way, chains that change under the device's eyes, and queues
//! full of random numbers.

use super::device::{Device, Kind, NEXT, SIZE, WRITE, register};
use crate::cpu::{store16, store64};
use crate::random::Random;
use crate::report::check;

/// Resets of each kind.
const RESETS: u64 = 60;
/// Queues of random numbers.
const ROUNDS: u64 = 400;

/// Runs the tests. A device that stands still ends them by the time it takes.
pub fn run(device: &Device, seed: u64) {
    resets(device);
    random_rings(device, seed);
}

fn resets(device: &Device) {
    let queue = device.kind.work_queue();
    let mut good = true;
    for round in 0..RESETS {
        good &= device.bring_up();
        device.describe_request();
        if device.kind == Kind::Block {
            // As much as one request may be, so that it takes its time.
            device.describe(queue, 1, device.buffers() + 0x1000, 0x8000, NEXT | WRITE, 2);
        }
        for at in 0..round % SIZE {
            device.offer(queue, at, 0);
        }
        device.offer(queue, 0, 0);
        device.show(queue, 1 + round % 2);
        match round % 4 {
            0 => {
                // The chain becomes another one.
                for index in 0..SIZE {
                    device.describe(queue, index, device.memory_end - 1, 0xffff_ffff, NEXT, index);
                }
            }
            1 => {
                device.write(register::QUEUE_SEL, queue);
                device.write(register::QUEUE_RESET, 1);
                let quiet = || device.read(register::QUEUE_RESET) == 0;
                good &= device.wait(quiet) && device.read(register::QUEUE_READY) == 0;
            }
            2 => {
                device.write(register::QUEUE_SEL, queue);
                device.write(register::QUEUE_READY, 0);
                good &= device.wait(|| device.read(register::QUEUE_READY) == 0);
            }
            _ => {}
        }
        good &= device.reset();
    }
    good &= device.works();
    check(device.kind.test("resets_while_at_work"), good, format_args!("it does not work any more"));
}

fn random_rings(device: &Device, seed: u64) {
    let mut random = Random::new(seed);
    let mut good = true;
    for _ in 0..ROUNDS {
        good &= device.bring_up();
        for queue in 0..=device.kind.work_queue() {
            fill(device, queue, &mut random);
        }
        for _ in 0..4 {
            let queue = random.next() % (device.kind.work_queue() + 1);
            // Mostly a step that is possible.
            let step =
                if random.next().is_multiple_of(4) { random.next() } else { random.next() % (SIZE + 1) };
            device.show(queue, step);
            device.write(register::INTERRUPT_ACK, random.next());
        }
        good &= device.reset();
    }
    good &= device.works();
    check(device.kind.test("random_rings"), good, format_args!("it does not work any more"));
}

fn fill(device: &Device, queue: u64, random: &mut Random) {
    for index in 0..SIZE {
        let address = match random.next() % 8 {
            0 => device.memory_end - random.next() % 8192,
            1 => random.next(),
            2 => device.queue(queue) + random.next() % 0x4000,
            _ => device.buffers() + random.next() % 0x8000,
        };
        let length = match random.next() % 8 {
            // What a console is given, people may have to read.
            _ if device.kind == Kind::Console => [0, 1, 8, 8, 16, 0xffff_fff0][(random.next() % 6) as usize],
            0 => random.next() & 0xffff_ffff,
            1 => 0,
            2 => 1,
            3 => 16,
            _ => 512 * (1 + random.next() % 8),
        };
        // Mostly the next one, so that chains are long.
        let next = if random.next().is_multiple_of(4) { random.next() % 16 } else { index + 1 };
        let flags = [0, NEXT, NEXT, NEXT | WRITE, WRITE, 4, random.next() % 8][(random.next() % 7) as usize];
        device.describe(queue, index, address, length, flags, next);
        device.offer(queue, index, random.next() % (SIZE + 1));
    }
    // Headers of block requests that read, and now and then of anything.
    for at in (0..0x8000).step_by(0x200) {
        let kind = if random.next().is_multiple_of(8) { random.next() } else { random.next() & 1 };
        store64(device.buffers() + at, if device.kind == Kind::Block { kind } else { 0 });
        store64(device.buffers() + at + 8, random.next() % 0x1_0000);
    }
    if device.kind == Kind::Console {
        for at in (0..0x8400).step_by(8) {
            store64(device.buffers() + at, u64::from_le_bytes(*b"console\n"));
        }
    }
    store16(device.queue(queue) + 0x2000, random.next() & 1);
}
