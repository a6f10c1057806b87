// SPDX-License-Identifier: BSD-2-Clause
//! A flood of one client delays another by a bounded number of requests.

use super::*;
use crate::SLOTS;

/// The number of the flooding client's requests that the driver has to do before it has done `answers` of the other's, when
/// it does them in order.
fn delay(bench: &mut Bench, answers: usize) -> usize {
    let (mut others, mut found) = (0, 0);
    for _ in 0..2000 {
        bench.look(0);
        found += bench.look(1).len();
        if found >= answers {
            return others;
        }
        bench.service();
        bench.drive();
        if !bench.driver.at_device.is_empty() {
            let sector = bench.driver.at_device[0].request.sector;
            others += usize::from(sector < 100);
            bench.driver.perform(0);
            bench.driver.answer(0, Status::OK);
            bench.drive();
        }
        bench.service();
    }
    panic!("never answered");
}

fn flood(bench: &mut Bench) {
    for id in 0..500 {
        bench.submit(0, id, Code::Read, id % 100, 1, 0);
    }
    bench.look(0);
}

#[test]
fn flood_leaves_the_other_client_its_slots() {
    let mut bench = Bench::new(&["extent:0+100", "extent:100+100"]);
    flood(&mut bench);
    bench.service();
    bench.drive();
    let share = bench.driver.at_device.len();
    assert!(share <= SLOTS / 2);
    bench.submit(1, 1, Code::Read, 0, 1, 0);
    assert!(delay(&mut bench, 1) <= share, "behind what is at the device already");
}

#[test]
fn two_that_flood_take_turns() {
    let mut bench = Bench::new(&["extent:0+100", "extent:100+100"]);
    flood(&mut bench);
    for id in 0..200 {
        bench.submit(1, id, Code::Read, id % 100, 1, 0);
    }
    let others = delay(&mut bench, 200);
    assert!((150..=270).contains(&others), "{others} of the one for 200 of the other");
}

#[test]
fn flood_of_requests_that_are_refused_delays_nobody() {
    let mut bench = Bench::new(&["extent:0+100", "extent:100+100"]);
    for id in 0..500 {
        bench.submit(0, id, Code::Read, 100, 1, 0);
    }
    bench.look(0);
    bench.submit(1, 1, Code::Read, 0, 1, 0);
    bench.look(1);
    bench.service();
    bench.drive();
    assert_eq!(bench.driver.at_device.len(), 1);
    assert_eq!(bench.settle()[1], [ok(1)]);
}

#[test]
fn client_that_takes_no_answers_stops_only_itself() {
    let mut bench = Bench::new(&["extent:0+100", "extent:100+100"]);
    let capacity = bench.clients[0].capacity() as usize;
    let mut submitted = 0;
    for _ in 0..40 {
        while submitted < 4 * capacity && bench.clients[0].space() > 0 {
            bench.submit(0, submitted as u64, Code::Read, 0, 1, 0);
            submitted += 1;
        }
        let _ = bench.clients[0].commit();
        bench.service();
        bench.drive();
        bench.driver.finish();
        bench.drive();
    }
    assert!(submitted < 4 * capacity, "nobody answers what nobody reads");
    bench.write(1, 1, 0, 1);
    bench.look(1);
    for _ in 0..3 {
        bench.service();
        bench.drive();
        bench.driver.finish();
        bench.drive();
    }
    assert_eq!(bench.look(1), [ok(1)]);
}

#[test]
fn a_batch_is_one_notification_of_the_driver_and_one_of_the_client() {
    let mut bench = Bench::new(&["disk"]);
    for id in 0..32 {
        bench.write(0, id, id, id);
    }
    bench.look(0);
    assert!(bench.driver.link.wait());
    let outcome = bench.virt.service(&mut bench.slots, bench.woken);
    assert!(outcome.driver && outcome.clients == 0 && !outcome.again);
    bench.drive();
    bench.driver.finish();
    assert!(bench.driver.link.commit(), "the virtualiser sleeps");
    bench.woken = Wake { driver: true, clients: 0 };
    assert!(bench.clients[0].wait());
    let outcome = bench.virt.service(&mut bench.slots, bench.woken);
    assert!(!outcome.driver && outcome.clients == 1);
    assert_eq!(bench.look(0).len(), 32);
}

/// Makes client `number` wait for `count` answers.
fn sleep_for(bench: &mut Bench, number: usize, count: u32) {
    bench.woken.clients |= u8::from(bench.clients[number].commit()) << number;
    assert!(bench.clients[number].wait_for(count));
}

/// The driver answers the oldest request. Gives whether it notifies the virtualiser.
fn answer_one(bench: &mut Bench) -> bool {
    bench.driver.perform(0);
    bench.driver.answer(0, Status::OK);
    bench.driver.link.commit()
}

#[test]
fn answers_that_a_client_does_not_wait_for_wake_nobody() {
    let mut bench = Bench::new(&["extent:0+100"]);
    for id in 0..8 {
        bench.submit(0, id, Code::Read, id, 1, 0);
    }
    sleep_for(&mut bench, 0, 3);
    bench.service();
    bench.drive();
    assert_eq!(bench.driver.link.awaited(), Some(3), "as the client");
    assert!(!answer_one(&mut bench) && !answer_one(&mut bench));
    assert!(answer_one(&mut bench), "the third is waited for");
    bench.woken.driver = true;
    assert_eq!(bench.service(), 1);
    assert_eq!(bench.driver.link.awaited(), Some(5), "all, until the client says otherwise");
    bench.clients[0].poll();
    while bench.clients[0].response().is_some() {}
    sleep_for(&mut bench, 0, 2);
    assert!(bench.clients[0].tells(false, 5));
    bench.woken.clients = 1;
    bench.service();
    assert_eq!(bench.driver.link.awaited(), Some(2));
    assert!(!bench.clients[0].tells(false, 5), "it knows");
}

#[test]
fn client_that_waits_for_one_answer_does_not_wait_for_those_of_others() {
    let mut bench = Bench::new(&["extent:0+100", "extent:100+100"]);
    for id in 0..8 {
        bench.submit(0, id, Code::Read, id, 1, 0);
    }
    bench.submit(1, 1, Code::Read, 0, 1, 0);
    sleep_for(&mut bench, 0, 8);
    sleep_for(&mut bench, 1, 1);
    bench.service();
    bench.drive();
    assert_eq!(bench.driver.link.awaited(), Some(1));
    // It has its answer: then those of the other are waited for.
    let last = bench.driver.at_device.iter().position(|at| at.request.sector >= 100).unwrap();
    bench.driver.at_device.swap(0, last);
    bench.woken.driver = answer_one(&mut bench);
    assert!(bench.woken.driver);
    assert_eq!(bench.service(), 2);
    assert_eq!(bench.driver.link.awaited(), Some(8));
}

#[test]
fn client_that_waits_for_more_than_there_is_waits_for_that() {
    for wish in [9, 1000, u32::MAX] {
        let mut bench = Bench::new(&["extent:0+100"]);
        for id in 0..2 {
            bench.submit(0, id, Code::Read, id, 1, 0);
        }
        sleep_for(&mut bench, 0, wish);
        bench.service();
        bench.drive();
        assert_eq!(bench.driver.link.awaited(), Some(2));
    }
}
