// SPDX-License-Identifier: BSD-2-Clause
//! Back ends that are full, crash, and come back.

use super::super::{Feature, Operation, Outcome};
use super::{BASE, Bench, DATA, everything, kind};
use crate::mmio::{Written, registers};
use crate::mock::driver::{Buffer, write};

fn data(number: u64, write: bool) -> Buffer {
    Buffer { address: DATA + 512 * number, length: 512, write }
}

#[test]
fn full_back_end_leaves_requests_in_the_queue() {
    for mut bench in Bench::both() {
        bench.disk.room = 2;
        let numbers: Vec<u64> = (0..10).map(|at| bench.add(kind::IN, at, &[data(at, true)])).collect();
        bench.show();
        assert_eq!((bench.disk.pending.len(), bench.device.model().in_flight()), (2, 2));
        bench.settle();
        assert!(numbers.iter().all(|&number| bench.status(number) == 0));
        for at in 0..10 {
            let place = at as usize * 512;
            assert_eq!(bench.ram.peek_vec(DATA + 512 * at, 512), bench.disk.data[place..place + 512]);
        }
        assert_eq!(bench.kicks, 1, "room is what it waits for");
    }
}

#[test]
fn crashed_back_end_gets_everything_again_in_order() {
    for mut bench in Bench::both() {
        let count = 40;
        for at in 0..count {
            bench.ram.poke(DATA + 512 * at, &[at as u8 + 1; 512]);
            let (kind, write) = if at % 3 == 0 { (kind::OUT, false) } else { (kind::IN, true) };
            bench.ask(kind, at, &[data(at, write)]);
        }
        bench.run();
        // Some are done, some are done and not told, some are under way.
        bench.disk.complete(5, &bench.ram);
        bench.run();
        bench.disk.complete(3, &bench.ram);
        bench.disk.crash();
        let before = bench.disk.log.clone();
        bench.device.replay();
        bench.disk.room = 7;
        bench.run();
        assert_eq!(bench.disk.pending.len(), 7, "as far as there is room");
        bench.disk.room = usize::MAX;
        bench.settle();
        bench.run();
        let again: Vec<_> = bench.disk.log[before.len()..].to_vec();
        let expected: Vec<_> =
            before.iter().enumerate().filter(|(at, _)| *at != 5).map(|(_, it)| *it).collect();
        assert_eq!(again, expected);
        let mut told = 0;
        while bench.used().is_some() {
            told += 1;
        }
        assert_eq!(told, count, "each once");
        for at in (0..count).filter(|at| at % 3 == 0) {
            let place = at as usize * 512;
            assert_eq!(bench.disk.data[place..place + 512], [at as u8 + 1; 512]);
        }
    }
}

#[test]
fn flush_of_a_write_is_replayed_as_a_flush() {
    let mut bench = Bench::with(everything(), !Feature::FLUSH, 64, false);
    let number = bench.ask(kind::OUT, 5, &[data(0, false)]);
    bench.disk.complete_all(&bench.ram);
    bench.run();
    assert_eq!(bench.disk.pending[0].0.operation, Operation::Flush);
    bench.disk.crash();
    bench.device.replay();
    bench.run();
    assert_eq!(bench.disk.pending[0].0.operation, Operation::Flush);
    bench.settle();
    assert_eq!(bench.status(number), 0);
}

#[test]
fn completions_of_the_crashed_back_end_do_not_count() {
    let mut bench = Bench::direct();
    let number = bench.ask(kind::IN, 5, &[data(0, true)]);
    let id = bench.disk.pending[0].0.id;
    bench.disk.crash();
    bench.device.replay();
    bench.disk.room = 0;
    bench.disk.say(id, Outcome::Done);
    bench.run();
    assert_eq!((bench.status(number), bench.device.model().in_flight()), (0xff, 1));
    bench.disk.room = 1;
    bench.run();
    bench.settle();
    assert_eq!(bench.status(number), 0);
}

#[test]
fn chain_changed_before_a_replay_stops_the_device() {
    let mut bench = Bench::direct();
    bench.ask(kind::OUT, 5, &[data(0, false)]);
    bench.disk.crash();
    bench.device.replay();
    for index in 0..256u64 {
        bench.ram.poke(bench.queue.descriptors + 16 * index, &(BASE - 4096).to_le_bytes());
    }
    bench.run();
    assert!(bench.stopped());
    assert!(bench.disk.pending.is_empty());
    assert_eq!(write(&mut bench.device, &bench.ram, registers::STATUS, 0), Written::Done);
}

#[test]
fn reset_while_the_back_end_is_down_waits_until_it_has_stopped() {
    // What it was given before the crash may still be written to memory.
    let mut bench = Bench::direct();
    bench.ask(kind::IN, 5, &[data(0, true)]);
    bench.disk.room = 0;
    assert_eq!(write(&mut bench.device, &bench.ram, registers::STATUS, 0), Written::Again);
    bench.disk.crash();
    bench.device.replay();
    bench.run();
    assert_eq!(write(&mut bench.device, &bench.ram, registers::STATUS, 0), Written::Done);
}

#[test]
fn state_moves_to_another_host_with_requests_in_flight() {
    for mut bench in Bench::both() {
        for at in 0..5 {
            bench.ask(kind::IN, at, &[data(at, true)]);
        }
        bench.run();
        let bytes = postcard::to_allocvec(&bench.device).unwrap();
        bench.device = postcard::from_bytes(&bytes).unwrap();
        bench.disk.crash();
        bench.device.replay();
        bench.run();
        bench.settle();
        let mut told = 0;
        while bench.used().is_some() {
            told += 1;
        }
        assert_eq!(told, 5);
        assert_eq!(bench.ram.peek_vec(DATA, 5 * 512), bench.disk.data[..5 * 512]);
    }
}
