// SPDX-License-Identifier: BSD-2-Clause
//! Clients and drivers that break the rules. The model driver asserts that nothing gets to it that its client may not do.

use core::sync::atomic::Ordering;

use proptest::prelude::*;

use super::*;
use crate::Event;

#[test]
fn requests_outside_the_part_or_the_memory_are_refused() {
    let mut bench = Bench::new(&["extent:100+50"]);
    let before = bench.driver.log.len();
    for (id, sector, sectors, offset) in [
        (1, 50, 1, 0),
        (2, 49, 2, 0),
        (3, u64::MAX / 512, 1, 0),
        (4, 0, 1, DATA - 511),
        (5, 0, 1, DATA),
        (6, 0, 1, u64::MAX - 100),
        (7, 0, 33, 0),
        (8, 0, 17, 0),
    ] {
        bench.submit(0, id, Code::Write, sector, sectors, offset);
    }
    bench.submit(0, 9, Code::Discard, 0, 65, 0);
    bench.submit(0, 10, Code::WriteZeroes, 0, 0, 0);
    bench.submit(0, 11, Code::Discard, 49, 2, 0);
    let many: Vec<_> = (0..9).map(|index| Segment { offset: index * 512, length: 512 }).collect();
    let request = Request { id: 12, code: Code::Read, sector: 0, length: 9 * 512, unmap: false };
    bench.clients[0].submit(&request, &many).unwrap();
    bench.submit(0, 13, Code::Unknown(77), 0, 0, 0);
    let statuses: Vec<_> = bench.settle()[0].iter().map(|answer| answer.status).collect();
    assert_eq!(statuses[..12], [Status::INVALID; 12]);
    assert_eq!(statuses[12], Status::UNSUPPORTED);
    assert_eq!(bench.driver.log.len(), before);
}

#[test]
fn client_that_corrupts_its_link_is_cut_off_and_comes_back_by_a_restart() {
    let mut bench = Bench::new(&["extent:0+100", "extent:100+100"]);
    while bench.virt.take_event().is_some() {}
    for offset in (ring::link::HEADER_SIZE..ring::link::HEADER_SIZE + 64).step_by(4) {
        bench.client_pages[0].store(offset, 0x7777_7777, Ordering::Relaxed);
    }
    bench.woken.clients |= 1;
    bench.service();
    assert!(matches!(bench.virt.take_event(), Some(Event::Client(0, _))));
    bench.write(1, 1, 0, 1);
    assert_eq!(bench.settle()[1], [ok(1)]);
    bench.crash_client(0);
    bench.settle();
    bench.write(0, 1, 0, 1);
    assert_eq!(bench.settle()[0], [ok(1)]);
}

#[test]
fn driver_that_answers_what_it_was_not_given_is_restarted_and_nothing_is_lost() {
    let strays: [fn(&Request) -> u64; 3] =
        [|_| 0, |request| request.id + 128, |request| request.id ^ 1 << 60];
    for stray in strays {
        let mut bench = Bench::new(&["disk"]);
        while bench.virt.take_event().is_some() {}
        bench.write(0, 1, 10, 1);
        bench.look(0);
        bench.service();
        bench.drive();
        let id = stray(&bench.driver.at_device[0].request);
        bench.driver.link.complete(ok(id)).unwrap();
        bench.drive();
        bench.service();
        assert_eq!(bench.virt.take_event(), Some(Event::Stray(id)));
        assert_eq!(bench.look(0), []);
        assert_eq!(bench.settle()[0], [ok(1)]);
    }
}

#[test]
fn driver_that_answers_a_request_before_it_gets_it_is_restarted() {
    let mut bench = Bench::new(&["disk"]);
    while bench.virt.take_event().is_some() {}
    bench.write(0, 1, 10, 1);
    bench.flush(0, 2);
    bench.look(0);
    bench.service();
    bench.drive();
    assert_eq!(bench.driver.at_device.len(), 1, "the flush waits for the write");
    // Names can be guessed.
    let guess = bench.driver.at_device[0].request.id + crate::SLOTS as u64 + 1;
    bench.driver.link.complete(ok(guess)).unwrap();
    bench.drive();
    bench.service();
    assert_eq!(bench.virt.take_event(), Some(Event::Stray(guess)));
    assert_eq!(bench.settle()[0], [ok(1), ok(2)]);
}

#[test]
fn driver_that_answers_twice_is_restarted() {
    let mut bench = Bench::new(&["disk"]);
    while bench.virt.take_event().is_some() {}
    bench.write(0, 1, 10, 1);
    bench.write(0, 2, 11, 1);
    bench.look(0);
    bench.service();
    bench.drive();
    let id = bench.driver.at_device[0].request.id;
    bench.driver.link.complete(ok(id)).unwrap();
    bench.driver.link.complete(ok(id)).unwrap();
    bench.drive();
    bench.service();
    assert_eq!(bench.virt.take_event(), Some(Event::Stray(id)));
    assert_eq!(bench.settle()[0], [ok(1), ok(2)]);
}

#[test]
fn driver_that_never_stops_it_is_given_up_until_it_restarts_by_itself() {
    let mut bench = Bench::new(&["disk"]);
    while bench.virt.take_event().is_some() {}
    let mut given_up = false;
    for _ in 0..30 {
        bench.write(0, 1, 10, 1);
        bench.look(0);
        bench.service();
        bench.drive();
        if bench.driver.link.complete(ok(99)).is_ok() {
            bench.drive();
        }
        bench.service();
        given_up |= core::iter::from_fn(|| bench.virt.take_event()).any(|event| event == Event::GivenUp);
    }
    assert!(given_up);
    bench.submit(0, 50, Code::Read, 0, 1, 0);
    bench.look(0);
    bench.service();
    assert!(bench.look(0).contains(&failed(50, Status::NO_DEVICE)));
    bench.driver.crash(|_| false);
    bench.settle();
    bench.submit(0, 51, Code::Read, 0, 1, 0);
    assert_eq!(bench.settle()[0], [ok(51)]);
}

#[test]
fn duplicate_names_of_a_client_are_its_own_affair() {
    let mut bench = Bench::new(&["extent:0+100", "extent:100+100"]);
    bench.submit(0, 5, Code::Read, 0, 1, 0);
    bench.submit(0, 5, Code::Read, 0, 1, 0);
    bench.submit(1, 5, Code::Read, 0, 1, 0);
    assert_eq!(bench.settle(), [vec![ok(5), ok(5)], vec![ok(5)]]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// One client writes anything anywhere into its link; the driver sees nothing wrong (it asserts so), the virtualiser goes to
    /// sleep each time, and the other client is served.
    #[test]
    fn noise_in_a_link_harms_nobody_else(
        noise in prop::collection::vec((0usize..0x900, prop_oneof![any::<u32>(), 0u32..8]), 1..60),
        requests in prop::collection::vec((0u16..8, any::<u64>(), 0u64..300, 0u32..40, any::<u64>()), 0..20),
    ) {
        let mut bench = Bench::new(&["extent:0+100", "extent:100+100"]);
        for (id, (code, low, sector, sectors, high)) in (0u64..).zip(&requests) {
            let offset = if id % 3 == 0 { *high } else { low % DATA };
            bench.submit(0, id, Code::from(*code), *sector, (*sectors).max(1), offset);
        }
        bench.look(0);
        for (index, (word, value)) in noise.iter().enumerate() {
            bench.client_pages[0].store(word * 4, *value, Ordering::Relaxed);
            bench.woken.clients |= 1;
            bench.service();
            bench.drive();
            if index % 4 == 0 {
                bench.driver.finish();
                bench.drive();
            }
        }
        bench.write(1, 1, 5, 9);
        prop_assert_eq!(&bench.settle()[1], &[ok(1)]);
        prop_assert_eq!(Disk::number(&bench.driver.disk.cached, 105), 9);
    }

    /// A driver that writes anything into its link: the virtualiser goes to sleep each time, and when the driver restarts,
    /// everything is answered once.
    #[test]
    fn noise_from_the_driver_is_survived(
        noise in prop::collection::vec((0usize..0x900, prop_oneof![any::<u32>(), 0u32..8]), 1..40),
    ) {
        let mut bench = Bench::new(&["disk"]);
        for id in 0..10 {
            bench.write(0, id, id, id + 1);
        }
        bench.look(0);
        bench.service();
        let link = bench.driver_pages();
        for (word, value) in noise {
            link.store(word * 4, value, Ordering::Relaxed);
            bench.woken.driver = true;
            bench.service();
        }
        let answered = bench.look(0).len();
        // Its old life is over, whatever it did to the words of both.
        bench.driver.crash(|_| false);
        let _ = bench.virt.service(&mut bench.slots, bench.woken);
        let later: usize = bench.settle()[0].len();
        prop_assert!(answered + later <= 10);
    }
}
