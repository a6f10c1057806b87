// SPDX-License-Identifier: BSD-2-Clause
//! Registers: every one, in every size, with anything, at any time.

use super::device::{Device, Kind, register};
use crate::boot::UNALIGNED_ALIAS;
use crate::cpu::{self, load16, store16};
use crate::exception::{fault_count, probe};
use crate::random::Random;
use crate::report::check;

/// Wild writes.
const ROUNDS: u64 = 4000;

/// Runs the tests of a device's registers.
pub fn run(device: &Device) {
    reads(device);
    too_early(device);
    writes(device);
    kicks(device);
}

fn reads(device: &Device) {
    let mut most = 0;
    for width in [1u64, 2, 4, 8] {
        for offset in (0..0x200).step_by(width as usize) {
            let _ = probe(|| cpu::load(width, device.base + offset));
            most = most.max(fault_count());
        }
        for offset in (1..0x200).step_by(13) {
            let _ = probe(|| cpu::load(width, device.base + UNALIGNED_ALIAS + offset));
        }
    }
    let name = device.kind.test("reads_of_every_size_everywhere");
    check(name, most <= 1, format_args!("{most} exceptions for one access"));
}

/// Kicks before DRIVER_OK have no effect (section 2.1.2), whatever has been set up.
fn too_early(device: &Device) {
    let queue = device.kind.work_queue();
    let mut good = device.agree();
    device.set_up(queue);
    device.describe_request();
    device.offer(queue, 0, 0);
    device.show(queue, 1);
    for number in 0..100 {
        device.write(register::QUEUE_NOTIFY, number);
    }
    crate::timer::spin(20);
    good &= device.used(queue) == 0 && device.read(register::INTERRUPT_STATUS) == 0;
    // And before anything was agreed at all.
    good &= device.reset();
    device.set_up_at(queue, 0, 1, u64::MAX);
    device.write(register::STATUS, super::device::DRIVER_OK);
    device.write(register::QUEUE_NOTIFY, queue);
    good &= load16(device.queue(queue) + 0x3002, 0) == 0;
    good &= device.read(register::QUEUE_READY) == 0;
    check(device.kind.test("writes_before_the_driver_is_ready"), good, format_args!("an effect"));
}

fn writes(device: &Device) {
    let mut random = Random::new(device.base);
    let mut most = 0;
    for round in 0..ROUNDS {
        let offset = random.next() % 0x200;
        let width = [4, 4, 4, 1, 2, 8][(random.next() % 6) as usize];
        let value = match random.next() % 5 {
            0 => random.next() % 16,
            1 => u64::MAX,
            2 => device.memory + random.next() % 0x1_0000,
            3 => device.memory_end - random.next() % 64,
            _ => random.next(),
        };
        let _ = probe(|| cpu::store(width, device.base + (offset & !(width - 1)), value));
        most = most.max(fault_count());
        if round % 64 == 0 {
            // From some state that drivers get to.
            device.bring_up();
        }
    }
    let name = device.kind.test("works_after_wild_registers");
    let works = device.works();
    check(name, works && most <= 1, format_args!("works: {works}, {most} exceptions for one access"));
}

/// Numbers of queues that are there, and of those that are not.
fn kicks(device: &Device) {
    let mut good = device.bring_up();
    for number in (0..64).chain([255, 256, 0xffff, 0x1_0000, 0x7fff_ffff, 0xffff_ffff]) {
        device.write(register::QUEUE_NOTIFY, number);
    }
    for number in 0..2000 {
        device.write(register::QUEUE_NOTIFY, number % 3);
    }
    // An empty queue is no offence.
    good &= device.read(register::STATUS) & super::device::NEEDS_RESET == 0;
    if device.kind == Kind::Block {
        // A queue number is a queue number, not what its low bits say.
        let queue = device.kind.work_queue();
        device.describe_request();
        device.offer(queue, 0, 0);
        store16(device.queue(queue) + 0x2002, 1);
        device.write(register::QUEUE_NOTIFY, 0x1_0000);
        good &= device.used(queue) == 0;
    }
    check(device.kind.test("kicks_of_every_number"), good, format_args!("an effect"));
}
