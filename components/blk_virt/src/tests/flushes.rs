// SPDX-License-Identifier: BSD-2-Clause
//! Flushes and barriers: what was acknowledged survives a power cut at any point.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

#[test]
fn flush_waits_for_the_writes_before_it() {
    let mut bench = Bench::new(&["disk"]);
    bench.write(0, 1, 10, 1);
    bench.write(0, 2, 11, 2);
    bench.flush(0, 3);
    bench.look(0);
    bench.service();
    bench.drive();
    assert_eq!(bench.driver.at_device.len(), 2, "no flush yet");
    bench.driver.perform(1);
    bench.driver.answer(1, Status::OK);
    bench.drive();
    bench.service();
    bench.drive();
    assert_eq!(bench.driver.at_device.len(), 1, "one write is missing");
    bench.driver.perform(0);
    bench.driver.answer(0, Status::OK);
    bench.drive();
    bench.service();
    bench.drive();
    assert_eq!(bench.driver.at_device[0].request.code, Code::Flush);
    assert_eq!(bench.look(0), [ok(2), ok(1)]);
    bench.settle();
    assert_eq!(Disk::number(&bench.driver.disk.durable, 11), 2);
}

#[test]
fn flush_does_not_wait_for_reads_or_for_other_clients() {
    let mut bench = Bench::new(&["extent:0+50", "extent:50+50"]);
    bench.submit(0, 1, Code::Read, 0, 1, 0);
    bench.write(1, 1, 0, 1);
    bench.flush(0, 2);
    bench.look(0);
    bench.look(1);
    bench.service();
    bench.drive();
    assert!(bench.driver.at_device.iter().any(|entry| entry.request.code == Code::Flush));
}

#[test]
fn flushes_that_wait_together_are_one_and_later_ones_get_their_own() {
    let mut bench = Bench::new(&["extent:0+50", "extent:50+50", "extent:100+50"]);
    bench.flush(0, 1);
    bench.flush(1, 1);
    bench.look(0);
    bench.look(1);
    bench.service();
    bench.drive();
    assert_eq!(bench.driver.at_device.len(), 1);
    // Its write is done while the device is flushing: that flush may have begun too early.
    bench.write(2, 1, 0, 5);
    bench.flush(2, 2);
    bench.look(2);
    bench.service();
    bench.drive();
    bench.driver.perform(1);
    bench.driver.answer(1, Status::OK);
    bench.drive();
    bench.service();
    bench.drive();
    assert_eq!(bench.driver.at_device.len(), 1, "not before the first is done");
    bench.driver.perform(0);
    bench.driver.answer(0, Status::OK);
    bench.drive();
    bench.service();
    assert_eq!((bench.look(0), bench.look(1), bench.look(2)), (vec![ok(1)], vec![ok(1)], vec![ok(1)]));
    bench.drive();
    assert_eq!(bench.driver.at_device.len(), 1);
    assert_eq!(bench.settle()[2], [ok(2)]);
    assert_eq!(Disk::number(&bench.driver.disk.durable, 100), 5);
}

#[test]
fn failed_flush_fails_for_all_who_waited_for_it() {
    let mut bench = Bench::new(&["extent:0+50", "extent:50+50"]);
    bench.flush(0, 1);
    bench.flush(1, 2);
    bench.look(0);
    bench.look(1);
    bench.service();
    bench.drive();
    bench.driver.answer(0, Status::IO);
    assert_eq!(bench.settle(), [vec![failed(1, Status::IO)], vec![failed(2, Status::IO)]]);
}

#[test]
fn disk_without_a_cache_is_not_asked_to_flush() {
    let mut bench = Bench::with_disk(&["disk"], |driver| driver.info.abilities.remove(Abilities::FLUSH));
    let before = bench.driver.log.len();
    bench.write(0, 1, 10, 1);
    bench.flush(0, 2);
    assert_eq!(bench.settle()[0], [ok(1), ok(2)]);
    assert_eq!(bench.driver.log.len(), before + 1);
    assert!(!bench.clients[0].info().unwrap().abilities.contains(Abilities::FLUSH));
}

#[test]
fn barrier_separates_what_is_before_it_from_what_is_behind() {
    let mut bench = Bench::new(&["disk"]);
    bench.write(0, 1, 10, 1);
    bench.submit(0, 2, Code::Barrier, 0, 0, 0);
    bench.write(0, 3, 10, 3);
    bench.look(0);
    bench.service();
    bench.drive();
    assert_eq!(bench.driver.at_device.len(), 1);
    assert_eq!(bench.settle()[0], [ok(1), ok(2), ok(3)]);
    assert_eq!(Disk::number(&bench.driver.disk.cached, 10), 3);
    bench.submit(0, 4, Code::Barrier, 0, 0, 0);
    assert_eq!(bench.settle()[0], [ok(4)], "with nothing before it");
}

/// What a client knows.
#[derive(Default)]
struct Knowledge {
    next: u64,
    /// Of each write in flight and not yet covered: sector, number.
    writes: HashMap<u64, (u64, u64)>,
    /// Of each flush in flight: the writes submitted before it.
    flushes: HashMap<u64, Vec<(u64, u64)>>,
    /// All writes ever submitted, in order.
    all: Vec<(u64, u64)>,
    /// Of each sector: the least number that must survive.
    floor: HashMap<u64, u64>,
}

impl Knowledge {
    fn answered(&mut self, response: Response) {
        assert_eq!(response.status, Status::OK);
        if self.writes.remove(&response.id).is_none() {
            let covered = self.flushes.remove(&response.id).expect("answered once");
            for (sector, number) in covered {
                let floor = self.floor.entry(sector).or_default();
                *floor = number.max(*floor);
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Act {
    Write(usize, u64),
    Flush(usize),
    Service,
    Drive,
    Perform(prop::sample::Index),
    Crash(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        5 => (0usize..3, 0u64..6).prop_map(|(client, sector)| Act::Write(client, sector)),
        3 => (0usize..3).prop_map(Act::Flush),
        5 => Just(Act::Service),
        5 => Just(Act::Drive),
        8 => any::<prop::sample::Index>().prop_map(Act::Perform),
        1 => any::<u64>().prop_map(Act::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Writes and flushes of three clients, done in any order, with crashes of the driver: whenever the power is cut,
    /// everything that a flush has acknowledged is there. A device's flush here covers only what was done when it began.
    #[test]
    fn acknowledged_flushes_survive_a_power_cut_at_any_point(acts in prop::collection::vec(act(), 1..150)) {
        let mut bench = Bench::new(&["extent:0+6", "extent:6+6", "extent:12+6"]);
        let mut known: [Knowledge; 3] = Default::default();
        for act in acts {
            match act {
                Act::Write(client, sector) => {
                    let known = &mut known[client];
                    // One write of a sector at a time: the order of two would be anybody's guess.
                    if known.writes.len() < 30 && known.writes.values().all(|write| write.0 != sector) {
                        known.next += 1;
                        let id = known.next;
                        known.writes.insert(id, (sector, id));
                        known.all.push((sector, id));
                        bench.write(client, id, sector, id);
                    }
                }
                Act::Flush(client) => {
                    let known = &mut known[client];
                    known.next += 1;
                    known.flushes.insert(known.next, known.all.clone());
                    bench.flush(client, known.next);
                }
                Act::Service => { bench.service(); }
                Act::Drive => bench.drive(),
                Act::Perform(which) => {
                    if !bench.driver.at_device.is_empty() {
                        let index = which.index(bench.driver.at_device.len());
                        bench.driver.perform(index);
                        bench.driver.answer(index, Status::OK);
                    }
                }
                Act::Crash(done) => bench.driver.crash(|index| done >> (index % 64) & 1 != 0),
            }
            for (client, known) in known.iter_mut().enumerate() {
                for response in bench.look(client) {
                    known.answered(response);
                }
                // The power is cut here.
                for (sector, floor) in &known.floor {
                    let number = Disk::number(&bench.driver.disk.durable, client as u64 * 6 + sector);
                    prop_assert!(number >= *floor, "sector {sector} of client {client}: {number} < {floor}");
                }
            }
        }
        for (known, responses) in known.iter_mut().zip(bench.settle()) {
            responses.into_iter().for_each(|response| known.answered(response));
            prop_assert!(known.writes.is_empty() && known.flushes.is_empty(), "everything is answered");
        }
    }
}
