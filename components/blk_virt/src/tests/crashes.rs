// SPDX-License-Identifier: BSD-2-Clause
//! Crashes at every point: of the driver, of the virtualiser, of a client.

use super::*;
use crate::Event;
use ring::mortal::{self, Junk, Mortal, Way};

/// A client's program: writes, a flush, a read back, with what it has not had an answer for.
struct Program {
    waiting: Vec<u64>,
    answers: Vec<Response>,
}

/// What the request with this id is.
fn request(bench: &mut Bench, id: u64) {
    match id {
        1..=3 => bench.write(0, id, id, id * 100),
        4 => bench.flush(0, id),
        _ => bench.submit(0, id, Code::Read, 1, 3, 0x8000),
    }
}

impl Program {
    fn start(bench: &mut Bench) -> Self {
        (1..=3).for_each(|id| request(bench, id));
        request(bench, 4);
        Self { waiting: vec![1, 2, 3, 4], answers: Vec::new() }
    }

    /// A look; after a restart of the server, what has no answer is submitted again.
    fn look(&mut self, bench: &mut Bench) {
        if bench.clients[0].poll() == State::Fresh {
            for id in self.waiting.clone() {
                request(bench, id);
            }
        }
        for answer in bench.look(0) {
            assert_eq!(answer.status, Status::OK);
            let place = self.waiting.iter().position(|id| *id == answer.id);
            self.waiting.remove(place.expect("answered once"));
            self.answers.push(answer);
        }
        if self.answers.len() == 4 && self.waiting.is_empty() {
            self.waiting.push(5);
            request(bench, 5);
        }
    }
}

/// Steps between a request's way there and its answer's way back. Each may be followed by a crash.
const STEPS: [fn(&mut Bench, &mut Program); 7] = [
    |bench, program| program.look(bench),
    |bench, _| {
        bench.service();
    },
    |bench, _| bench.drive(),
    |bench, _| {
        if !bench.driver.at_device.is_empty() {
            bench.driver.perform(0);
        }
    },
    |bench, _| {
        if !bench.driver.at_device.is_empty() {
            bench.driver.answer(0, Status::OK);
        }
    },
    |bench, _| bench.drive(),
    |bench, _| {
        bench.service();
    },
];

/// Whatever has happened: all requests were answered, and the disk has what was flushed.
fn assert_done(bench: &mut Bench, program: &Program, crashes: &str) {
    assert_eq!(program.answers.len(), 5, "crashes {crashes}");
    for sector in 1..=3 {
        let number = Disk::number(&bench.driver.disk.durable, 32 + sector);
        assert_eq!(number, sector * 100, "flushed; crashes {crashes}");
        let place = 0x8000 + (sector as usize - 1) * SECTOR;
        let read = &bench.driver.memory(0)[place..place + 8];
        assert_eq!(read, number.to_le_bytes(), "read back; crashes {crashes}");
    }
}

/// Runs the program with a crash after each step in turn, and after each pair of steps.
fn crash_everywhere(crash: impl Fn(&mut Bench)) {
    const LENGTH: usize = 60;
    for first in 0..LENGTH {
        for second in [first, first + 1, first + 3, first + 7, LENGTH] {
            let mut bench = Bench::new(&["extent:32+8", "extent:64+8"]);
            let mut program = Program::start(&mut bench);
            for step in 0..400 {
                STEPS[step % STEPS.len()](&mut bench, &mut program);
                if step == first || step == second {
                    crash(&mut bench);
                }
            }
            assert_done(&mut bench, &program, &format!("after steps {first} and {second}"));
        }
    }
}

/// Everything together, and who of it dies.
struct Dying<C> {
    bench: Bench,
    crash: C,
    scribbled: Vec<&'static Pages>,
}

impl<C: Fn(&mut Bench)> Mortal for Dying<C> {
    fn begin(&mut self) {
        (self.crash)(&mut self.bench);
    }

    fn scribble(&mut self, junk: &mut Junk) {
        self.scribbled.iter().for_each(|pages| pages.scribble(junk));
    }
}

/// Runs the program with deaths, everywhere, of the one whose `steps` these are and whose next life is `crash`. It shares the
/// links to the driver and, if those are its own, to the clients.
fn die_everywhere(steps: &[usize], serves_clients: bool, crash: impl Fn(&mut Bench)) {
    mortal::everywhere(&[0, 1, 5], &Way::OTHERS, 20, |deaths| {
        let bench = Bench::new(&["extent:32+8", "extent:64+8"]);
        let mut scribbled = vec![bench.driver_pages()];
        if serves_clients {
            scribbled.extend(&bench.client_pages);
        }
        let mut dying = Dying { bench, crash: &crash, scribbled };
        let mut program = Program::start(&mut dying.bench);
        for step in 0..400 {
            let act = STEPS[step % STEPS.len()];
            if steps.contains(&(step % STEPS.len())) {
                deaths.act(&mut dying, |dying| act(&mut dying.bench, &mut program));
            } else {
                act(&mut dying.bench, &mut program);
            }
        }
        assert_done(&mut dying.bench, &program, "before stores");
    });
}

#[test]
fn driver_may_crash_at_every_point() {
    crash_everywhere(|bench| bench.driver.crash(|_| false));
}

#[test]
fn driver_may_crash_when_its_device_has_done_what_nobody_has_heard_of() {
    crash_everywhere(|bench| bench.driver.crash(|_| true));
}

#[test]
fn virtualiser_may_crash_at_every_point() {
    crash_everywhere(Bench::crash_virtualiser);
}

#[test]
fn both_may_crash_at_once() {
    crash_everywhere(|bench| {
        bench.driver.crash(|index| index % 2 == 0);
        bench.crash_virtualiser();
    });
}

#[test]
fn virtualiser_may_die_in_front_of_every_store() {
    die_everywhere(&[1, 6], true, Bench::crash_virtualiser);
}

#[test]
fn driver_may_die_in_front_of_every_store() {
    for done in [false, true] {
        die_everywhere(&[2, 4, 5], false, |bench| bench.driver.crash(|_| done));
    }
}

#[test]
fn replay_keeps_the_order() {
    let mut bench = Bench::new(&["disk"]);
    for id in 1..=100 {
        bench.write(0, id, 100 + id, id);
    }
    bench.look(0);
    bench.service();
    bench.drive();
    let log = core::mem::take(&mut bench.driver.log);
    assert_eq!(log.len(), 101, "and the partition table");
    // Slots are used again in another order.
    for index in [50, 7, 0] {
        bench.driver.answer(index, Status::OK);
    }
    bench.drive();
    for id in 101..=103 {
        bench.write(0, id, 100 + id, id);
    }
    bench.look(0);
    bench.service();
    bench.drive();
    bench.driver.log.clear();
    bench.driver.crash(|_| false);
    bench.drive();
    bench.service();
    bench.drive();
    let sectors: Vec<_> = bench.driver.log.iter().map(|request| request.sector).collect();
    assert_eq!(sectors.len(), 100);
    assert!(sectors.is_sorted());
}

#[test]
fn client_is_accepted_when_its_old_requests_are_done() {
    let mut bench = Bench::new(&["extent:0+50", "extent:50+50"]);
    bench.write(0, 1, 10, 1);
    bench.flush(0, 2);
    bench.submit(0, 3, Code::Barrier, 0, 0, 0);
    bench.look(0);
    bench.service();
    bench.drive();
    bench.crash_client(0);
    bench.look(0);
    bench.service();
    assert_eq!(bench.clients[0].poll(), State::Down, "the device may still read its memory");
    bench.write(1, 1, 0, 1);
    bench.look(1);
    bench.service();
    bench.drive();
    assert_eq!(bench.driver.at_device.len(), 2, "others go on; the old flush is forgotten");
    bench.driver.finish();
    bench.drive();
    bench.service();
    assert_eq!(bench.clients[0].poll(), State::Fresh);
    bench.write(0, 1, 11, 1);
    assert_eq!(bench.settle()[0], [ok(1)], "nothing of the old life is answered");
}

#[test]
fn client_that_restarts_with_the_virtualiser_waits_for_the_driver() {
    let mut bench = Bench::new(&["extent:0+50"]);
    bench.submit(0, 1, Code::Read, 10, 1, 0);
    bench.look(0);
    bench.service();
    bench.drive();
    bench.crash_virtualiser();
    bench.crash_client(0);
    for _ in 0..5 {
        bench.look(0);
        bench.service();
    }
    assert_eq!(bench.clients[0].poll(), State::Down, "the device may still write its memory");
    bench.drive();
    assert!(bench.driver.at_device.is_empty());
    bench.service();
    assert_eq!(bench.clients[0].poll(), State::Fresh);
}

#[test]
fn client_that_restarts_while_its_flush_is_at_the_device_does_not_disturb_the_others() {
    let mut bench = Bench::new(&["extent:0+50", "extent:50+50"]);
    bench.flush(0, 1);
    bench.flush(1, 1);
    bench.look(0);
    bench.look(1);
    bench.service();
    bench.drive();
    bench.crash_client(0);
    bench.look(0);
    bench.service();
    let answers = bench.settle();
    assert_eq!(answers, [vec![], vec![ok(1)]]);
    bench.flush(0, 7);
    assert_eq!(bench.settle()[0], [ok(7)]);
}

#[test]
fn client_that_is_gone_when_the_driver_restarts_is_not_replayed() {
    let mut bench = Bench::new(&["extent:0+50"]);
    bench.write(0, 1, 10, 1);
    bench.look(0);
    bench.service();
    bench.drive();
    bench.crash_client(0);
    bench.look(0);
    bench.service();
    bench.driver.crash(|_| false);
    bench.driver.log.clear();
    assert_eq!(bench.settle()[0], []);
    assert!(bench.clients[0].is_up());
    assert!(bench.driver.log.is_empty());
}

#[test]
fn requests_wait_while_the_driver_is_away() {
    let mut bench = Bench::new(&["extent:0+50"]);
    bench.driver.crash(|_| false);
    bench.look(0);
    bench.service();
    bench.write(0, 1, 10, 1);
    bench.look(0);
    bench.service();
    assert_eq!(bench.settle()[0], [ok(1)]);
}

#[test]
fn driver_that_does_not_answer_is_restarted() {
    let mut bench = Bench::new(&["disk"]);
    while bench.virt.take_event().is_some() {}
    bench.virt.check_progress();
    bench.virt.check_progress();
    assert_eq!(bench.virt.take_event(), None, "nothing to do is no fault");
    bench.write(0, 1, 10, 1);
    bench.look(0);
    assert!(bench.virt.service(&mut bench.slots, bench.woken).waiting);
    bench.drive();
    bench.virt.check_progress();
    assert_eq!(bench.virt.take_event(), Some(Event::Stalled));
    bench.service();
    assert_eq!(bench.settle()[0], [ok(1)]);
    assert_eq!(bench.driver.log.iter().filter(|request| request.code == Code::Write).count(), 2);
}
