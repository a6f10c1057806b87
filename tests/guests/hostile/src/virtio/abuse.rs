// SPDX-License-Identifier: BSD-2-Clause
//! One offence at a time: each stops the device, with a word to the driver; a reset mends it.

use super::device::{Device, INDIRECT, Kind, NEXT, SIZE, WRITE, describe_at, register};
use crate::cpu::{store16, store64};
use crate::println;
use crate::report::check;

/// What is done to a queue that is up and empty. It ends with a kick, or did all by setting up.
type Offence = fn(&Device, u64);

const OFFENCES: &[(&str, Offence)] = &[
    ("loop of one", |device, queue| {
        device.describe(queue, 0, device.buffers(), 16, NEXT, 0);
        kick(device, queue);
    }),
    ("loop of all", |device, queue| {
        for index in 0..SIZE {
            device.describe(queue, index, device.buffers(), 16, NEXT, (index + 1) % SIZE);
        }
        kick(device, queue);
    }),
    ("loop of writable ones", |device, queue| {
        for index in 0..SIZE {
            device.describe(queue, index, device.buffers(), 16, NEXT | WRITE, (index + 1) % SIZE);
        }
        kick(device, queue);
    }),
    ("next behind the table", |device, queue| {
        device.describe(queue, 0, device.buffers(), 16, NEXT, SIZE);
        kick(device, queue);
    }),
    ("next far behind the table", |device, queue| {
        device.describe(queue, 0, device.buffers(), 16, NEXT, 0xffff);
        kick(device, queue);
    }),
    ("head behind the table", |device, queue| {
        device.offer(queue, 0, SIZE);
        device.show(queue, 1);
    }),
    ("head far behind the table", |device, queue| {
        device.offer(queue, 0, 0xffff);
        device.show(queue, 1);
    }),
    ("index that jumps by one too many", |device, queue| device.show(queue, SIZE + 1)),
    ("index that jumps", |device, queue| device.show(queue, 0x8000)),
    ("index that goes back", |device, queue| device.show(queue, 0xffff)),
    ("nothing at address 0", |device, queue| buffer(device, queue, 0, 16)),
    ("another device's registers", |device, queue| buffer(device, queue, 0x0900_0000, 16)),
    ("its own registers", |device, queue| buffer(device, queue, device.base, 16)),
    ("the first byte behind memory", |device, queue| buffer(device, queue, device.memory_end, 1)),
    ("memory's end", |device, queue| buffer(device, queue, device.memory_end - 8, 16)),
    ("memory's start", |device, queue| buffer(device, queue, 0x4000_0000 - 8, 16)),
    ("around the end of all addresses", |device, queue| buffer(device, queue, u64::MAX - 7, 16)),
    ("the last byte of all addresses", |device, queue| buffer(device, queue, u64::MAX, 1)),
    ("where monitors keep things", |device, queue| buffer(device, queue, 0x40_0000_0000, 4096)),
    ("no bytes", |device, queue| buffer(device, queue, device.buffers(), 0)),
    ("4 GiB", |device, queue| buffer(device, queue, device.buffers(), 0xffff_ffff)),
    ("more than 4 GiB in pieces", |device, queue| {
        for index in 0..3 {
            let next = if index < 2 { NEXT } else { 0 };
            device.describe(queue, index, 0x4000_0000, 0x8000_0000, next, index + 1);
        }
        kick(device, queue);
    }),
    ("readable behind writable", |device, queue| {
        device.describe(queue, 0, device.buffers(), 16, NEXT | WRITE, 1);
        device.describe(queue, 1, device.buffers(), 16, 0, 0);
        kick(device, queue);
    }),
    ("table of no bytes", |device, queue| table(device, queue, device.buffers(), 0, INDIRECT)),
    ("table of half a descriptor", |device, queue| table(device, queue, device.buffers(), 24, INDIRECT)),
    ("table that goes on", |device, queue| table(device, queue, device.buffers(), 16, INDIRECT | NEXT)),
    ("table at memory's end", |device, queue| table(device, queue, device.memory_end - 16, 32, INDIRECT)),
    ("table nowhere", |device, queue| table(device, queue, 0, 16, INDIRECT)),
    ("table without an end", |device, queue| table(device, queue, device.buffers(), 0xffff_fff0, INDIRECT)),
    ("table in a table", |device, queue| {
        describe_at(device.buffers(), device.buffers(), 16, INDIRECT, 0);
        table(device, queue, device.buffers(), 16, INDIRECT);
    }),
    ("loop in a table", |device, queue| {
        for index in 0..200 {
            describe_at(device.buffers() + 16 * index, device.buffers(), 16, NEXT, (index + 1) % 200);
        }
        table(device, queue, device.buffers(), 3200, INDIRECT);
    }),
    ("descriptors outside memory", |device, queue| {
        move_to(
            device,
            queue,
            [device.memory_end - 16, device.queue(queue) + 0x2000, device.queue(queue) + 0x3000],
        );
    }),
    ("available ring outside memory", |device, queue| {
        move_to(device, queue, [device.queue(queue), device.memory_end - 4, device.queue(queue) + 0x3000]);
    }),
    ("used ring outside memory", |device, queue| {
        move_to(device, queue, [device.queue(queue), device.queue(queue) + 0x2000, device.memory_end - 16]);
    }),
    ("rings at the end of all addresses", |device, queue| {
        move_to(device, queue, [u64::MAX - 15, u64::MAX - 1, u64::MAX - 3]);
    }),
    ("rings that are not aligned", |device, queue| {
        let base = device.queue(queue);
        move_to(device, queue, [base + 8, base + 0x2001, base + 0x3002]);
    }),
];

/// Runs the tests of a device's queues.
pub fn run(device: &Device) {
    let (mut stopped, mut mended, mut count) = (0, 0, 0);
    for queue in 0..=device.kind.work_queue() {
        // A network card looks at its receive buffers when there is a packet, which is not ours to say.
        let must_stop = device.kind != Kind::Net || queue == device.kind.work_queue();
        for (name, offence) in OFFENCES {
            count += 1;
            device.bring_up();
            offence(device, queue);
            if !must_stop || device.wait(|| device.is_stopped()) {
                stopped += 1;
            } else {
                println!("queue {queue}: {name}: not stopped, status {:#x}", device.read(register::STATUS));
            }
            // It stays stopped, whatever it is told.
            device.show(queue, 2);
            device.write(register::QUEUE_NOTIFY, queue);
            if device.works() {
                mended += 1;
            } else {
                println!("queue {queue}: {name}: not mended, status {:#x}", device.read(register::STATUS));
            }
        }
    }
    check(device.kind.test("abuses_stop_the_device"), stopped == count, format_args!("{stopped} of {count}"));
    check(device.kind.test("works_after_each_abuse"), mended == count, format_args!("{mended} of {count}"));
    used_ring(device);
}

fn kick(device: &Device, queue: u64) {
    device.offer(queue, 0, 0);
    device.show(queue, 1);
}

/// A chain of one buffer.
fn buffer(device: &Device, queue: u64, address: u64, length: u64) {
    device.describe(queue, 0, address, length, if queue == device.kind.work_queue() { 0 } else { WRITE }, 0);
    kick(device, queue);
}

fn table(device: &Device, queue: u64, address: u64, length: u64, flags: u64) {
    device.describe(queue, 0, address, length, flags, 1);
    kick(device, queue);
}

/// The queue, reset alone, at other addresses.
fn move_to(device: &Device, queue: u64, [descriptors, available, used]: [u64; 3]) {
    device.write(register::QUEUE_SEL, queue);
    device.write(register::QUEUE_RESET, 1);
    device.wait(|| device.read(register::QUEUE_RESET) == 0 && device.read(register::QUEUE_READY) == 0);
    device.set_up_at(queue, descriptors, available, used);
}

/// The driver writes the device's ring, and lays it over other things.
fn used_ring(device: &Device) {
    let queue = device.kind.work_queue();
    let base = device.queue(queue);
    let mut good = device.bring_up();
    device.describe_request();
    for round in 0..32 {
        for at in (0x3000..0x3000 + 4 + 8 * SIZE).step_by(8) {
            store64(base + at, u64::MAX);
        }
        device.offer(queue, round, 0);
        device.show(queue, round + 1);
        // Its index is its own: it does not go on from what it finds.
        good &= device.wait(|| device.used(queue) == round + 1);
    }
    // The used ring over the descriptors, over the available ring, over the buffers, over everything.
    for used in [base, base + 0x2000, device.buffers(), device.buffers() + 0x100, base + 0x1ffc] {
        device.bring_up();
        move_to(device, queue, [base, base + 0x2000, used & !3]);
        device.describe_request();
        kick(device, queue);
        store16(base + 0x2002, 2);
        device.write(register::QUEUE_NOTIFY, queue);
        good &= device.works();
    }
    check(device.kind.test("used_ring_abuse"), good, format_args!("it does not work any more"));
}
