// SPDX-License-Identifier: BSD-2-Clause
//! A driver that breaks the rules stops its disk, and nothing else happens.

use super::{BASE, Bench, DATA, HEADERS, kind};
use crate::mmio::registers;
use crate::mock::driver::{Buffer, bring_up, flag, read, write};

/// The guest is told that the device stopped, and can start over.
fn stops(bench: &mut Bench) {
    assert!(bench.stopped(), "not stopped");
    assert_eq!(read(&bench.device, registers::INTERRUPT_STATUS) & 2, 2);
    let written = bench.ram.written();
    let log = bench.disk.log.len();
    bench.run();
    let _ = write(&mut bench.device, &bench.ram, registers::QUEUE_NOTIFY, 0);
    bench.run();
    assert_eq!((bench.ram.written(), bench.disk.log.len()), (written, log), "it goes on");
    bench.disk.complete_all(&bench.ram);
    bench.run();
    let _ = write(&mut bench.device, &bench.ram, registers::STATUS, 0);
    bench.queue = bring_up(&mut bench.device, &bench.ram, u64::MAX, 64).remove(0);
    let number = bench.ask(kind::IN, 1, &[Buffer::writable(DATA, 512)]);
    bench.settle();
    assert_eq!(bench.status(number), 0, "and works after a reset");
}

#[test]
fn request_without_a_whole_header() {
    let mut bench = Bench::direct();
    bench.queue.add(&bench.ram, &[Buffer::readable(HEADERS, 15), Buffer::writable(DATA, 513)]);
    bench.show();
    stops(&mut bench);
}

#[test]
fn request_without_a_status_byte() {
    let mut bench = Bench::direct();
    bench.queue.add(&bench.ram, &[Buffer::readable(HEADERS, 16), Buffer::readable(DATA, 512)]);
    bench.show();
    stops(&mut bench);
}

#[test]
fn descriptor_loop() {
    let mut bench = Bench::direct();
    bench.queue.describe(&bench.ram, 3, HEADERS, 16, flag::NEXT, 3);
    bench.queue.offer(&bench.ram, 3);
    bench.show();
    stops(&mut bench);
}

#[test]
fn data_outside_memory() {
    let end = BASE + 0x20_0000;
    for (address, length) in [(end - 256, 512), (end, 512), (0, 512), (u64::MAX - 511, 512), (DATA, 0)] {
        for write in [false, true] {
            let mut bench = Bench::direct();
            let kind = if write { kind::IN } else { kind::OUT };
            bench.ask(kind, 0, &[Buffer { address, length, write }]);
            assert!(bench.disk.log.is_empty(), "{length} at {address:#x}");
            assert_eq!(bench.ram.refused(), 0, "not even tried");
            stops(&mut bench);
        }
    }
}

#[test]
fn good_requests_before_a_bad_one_are_done() {
    let mut bench = Bench::direct();
    let good = bench.add(kind::GET_ID, 0, &[Buffer::writable(DATA, 20)]);
    let at_work = bench.add(kind::IN, 0, &[Buffer::writable(DATA, 512)]);
    bench.queue.offer(&bench.ram, 300);
    bench.show();
    assert_eq!(bench.status(good), 0);
    assert_eq!(bench.disk.pending.len(), 1);
    assert_eq!(bench.disk.signals, 1, "the back end knows of it");
    assert_eq!(bench.status(at_work), 0xff);
    // Not reset before that one is over.
    assert_eq!(write(&mut bench.device, &bench.ram, registers::STATUS, 0), crate::mmio::Written::Again);
    stops(&mut bench);
}

#[test]
fn chain_in_use_made_available_again() {
    let mut bench = Bench::direct();
    bench.ask(kind::IN, 0, &[Buffer::writable(DATA, 512)]);
    let head = (0..256).find(|&head| bench.device.model().table.get(head).is_some()).unwrap();
    bench.queue.offer(&bench.ram, head);
    bench.queue.show(&bench.ram);
    bench.run();
    stops(&mut bench);
}

#[test]
fn index_that_jumps() {
    let mut bench = Bench::direct();
    bench.ram.poke(bench.queue.available + 2, &1000u16.to_le_bytes());
    bench.run();
    stops(&mut bench);
}

#[test]
fn chain_changed_while_its_data_is_on_the_way() {
    // Only the copying layout looks at it again.
    let [mut direct, mut bounce] = Bench::both();
    for bench in [&mut direct, &mut bounce] {
        bench.ask(kind::IN, 0, &[Buffer::writable(DATA, 512)]);
        let head = (0..256).find(|&head| bench.device.model().table.get(head).is_some()).unwrap();
        bench.queue.describe(&bench.ram, head, HEADERS, 16, flag::NEXT, head);
        bench.disk.complete_all(&bench.ram);
        bench.run();
    }
    assert!(!direct.stopped());
    stops(&mut bounce);
}

#[test]
fn chain_that_grew_while_its_data_is_on_the_way() {
    let [_, mut bench] = Bench::both();
    bench.ask(kind::IN, 0, &[Buffer::writable(DATA, 512)]);
    for index in 0..256 {
        let place = bench.queue.descriptors + 16 * index;
        if bench.ram.peek::<8>(place) == DATA.to_le_bytes() {
            bench.ram.poke(place + 8, &4096u32.to_le_bytes());
        }
    }
    bench.disk.complete_all(&bench.ram);
    bench.run();
    stops(&mut bench);
}

#[test]
fn header_is_read_once() {
    let [_, mut bench] = Bench::both();
    let number = bench.ask(kind::IN, 3, &[Buffer::writable(DATA, 512)]);
    bench.ram.poke(HEADERS, &crate::mock::hostile::block_header(kind::OUT, 200));
    bench.settle();
    assert_eq!(bench.status(number), 0);
    assert_eq!(bench.ram.peek_vec(DATA, 512), bench.disk.data[3 * 512..4 * 512]);
}

#[test]
fn answers_to_nothing_are_ignored() {
    let mut bench = Bench::direct();
    let number = bench.ask(kind::IN, 3, &[Buffer::writable(DATA, 512)]);
    let id = bench.disk.pending[0].0.id;
    for stray in [id + 1, id ^ 1 << 16, id ^ 1 << 63, u64::MAX] {
        bench.disk.say(stray, super::super::Outcome::Done);
    }
    bench.run();
    assert_eq!((bench.status(number), bench.device.model().in_flight()), (0xff, 1));
    bench.settle();
    assert_eq!((bench.status(number), bench.used()), (0, Some(513)));
    bench.disk.say(id, super::super::Outcome::Done);
    bench.run();
    assert_eq!((bench.used(), bench.stopped()), (None, false), "not twice");
}

#[test]
fn every_message_is_one_and_there_are_few() {
    // The counter of messages is part of the state.
    let mut bench = Bench::direct();
    for _ in 0..20 {
        bench.ram.poke(bench.queue.available + 2, &1000u16.to_le_bytes());
        bench.run();
        assert!(bench.stopped());
        let _ = write(&mut bench.device, &bench.ram, registers::STATUS, 0);
        bench.queue = bring_up(&mut bench.device, &bench.ram, u64::MAX, 64).remove(0);
    }
    assert_eq!(bench.device.offences(), 8);
}
