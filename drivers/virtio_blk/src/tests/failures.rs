// SPDX-License-Identifier: BSD-2-Clause
//! Restarts of client and driver, devices that fail, peers that misbehave.

use super::*;
use link_pd::Logic;
use ring::mortal::{self, Junk, Mortal, Way, Writer, before_store};

#[test]
fn client_that_restarts_finds_a_device_without_its_old_requests() {
    let pages = Pages::new();
    let mut bench = Bench::new(&pages, everything());
    bench.submit(1, Code::Write, 0, &[(0, 512)]);
    bench.commit();
    bench.service();
    let resets = bench.model.state().resets;
    bench.client = Client::new(&pages).unwrap();
    bench.commit();
    bench.service();
    assert_eq!(bench.model.state().resets, resets + 1, "no DMA for the old life");
    assert_eq!(bench.settle(), []);
    bench.submit(1, Code::Read, 0, &[(0, 512)]);
    assert_eq!(bench.settle(), [ok(1)]);
    assert!(bench.client.info().is_some_and(|info| info.serial.starts_with(b"disk")));
}

#[test]
fn client_that_restarts_with_nothing_in_flight_costs_no_reset() {
    let pages = Pages::new();
    let mut bench = Bench::new(&pages, everything());
    let resets = bench.model.state().resets;
    bench.client = Client::new(&pages).unwrap();
    bench.settle();
    assert!(bench.client.is_up());
    assert_eq!(bench.model.state().resets, resets);
}

#[test]
fn driver_that_restarts_resets_its_device_and_begins_a_new_epoch() {
    let pages = Pages::new();
    let mut bench = Bench::new(&pages, everything());
    bench.submit(1, Code::Write, 0, &[(0, 512)]);
    bench.commit();
    bench.service();
    let resets = bench.model.state().resets;
    bench.driver = Bench::driver(&bench.model, &pages);
    assert_eq!(bench.model.state().resets, resets + 1);
    assert_eq!(bench.client.poll(), State::Fresh, "to be replayed");
    bench.submit(1, Code::Write, 0, &[(0, 512)]);
    assert_eq!(bench.settle(), [ok(1)]);
}

#[test]
fn device_that_needs_a_reset_gets_one_and_its_requests_are_replayed() {
    let pages = Pages::new();
    let mut bench = Bench::new(&pages, everything());
    bench.submit(1, Code::Write, 0, &[(0, 512)]);
    bench.commit();
    bench.service();
    bench.model.state().status |= 64;
    bench.model.state().interrupt = 2;
    bench.driver.handle_interrupt();
    assert_eq!(bench.driver.take_event(), Some(Event::NeedsReset));
    bench.service();
    assert_eq!(bench.client.poll(), State::Fresh);
    bench.submit(1, Code::Write, 0, &[(0, 512)]);
    assert_eq!(bench.settle(), [ok(1)]);
}

#[test]
fn device_that_answers_what_nobody_asked_is_reset_and_in_the_end_given_up() {
    let pages = Pages::new();
    let mut bench = Bench::new(&pages, everything());
    let mut epochs = 0;
    for _ in 0..20 {
        if bench.client.poll() == State::Fresh {
            epochs += 1;
        }
        bench.commit();
        bench.service();
        if bench.model.state().status & 4 != 0 {
            bench.model.complete(0, 77, 0);
            bench.model.state().interrupt = 1;
            bench.driver.handle_interrupt();
        }
    }
    let events: Vec<_> = core::iter::from_fn(|| bench.driver.take_event()).collect();
    assert!(matches!(events[0], Event::Misbehaved(_)));
    assert_eq!(epochs, 9);
    assert!(bench.model.state().status & 128 != 0, "the device knows, too");
    assert!(!bench.client.info().unwrap().abilities.contains(Abilities::PRESENT));
    bench.submit(1, Code::Read, 0, &[(0, 512)]);
    bench.client.submit(&Request::flush(2), &[]).unwrap();
    let no_device = |id| Response { id, status: Status::NO_DEVICE };
    assert_eq!(bench.settle(), [no_device(1), no_device(2)]);
}

#[test]
fn slot_without_a_device_and_too_little_memory_are_no_device() {
    let pages = Pages::new();
    let mut bench = Bench::with_dma(&pages, everything(), 256);
    assert_eq!(bench.driver.take_event(), Some(Event::NoMemory));
    bench.submit(1, Code::Read, 0, &[(0, 512)]);
    assert_eq!(bench.settle(), [Response { id: 1, status: Status::NO_DEVICE }]);
}

#[test]
fn device_that_grows_is_described_anew() {
    let pages = Pages::new();
    let mut bench = Bench::new(&pages, everything());
    bench.model.state().config[0] = 200;
    bench.model.state().interrupt = 2;
    bench.driver.handle_interrupt();
    bench.settle();
    let info = bench.client.changed_info().unwrap();
    assert_eq!(info.capacity, 200);
    assert!(info.serial.starts_with(b"disk"));
}

#[test]
fn client_that_breaks_the_link_is_reported_and_may_come_back() {
    use core::sync::atomic::Ordering;
    use ring::pages::Memory as _;
    let pages = Pages::new();
    let mut bench = Bench::new(&pages, everything());
    // The producer's index of the request queue, wherever it is: every word behind the header becomes impossible.
    for offset in (ring::link::HEADER_SIZE..ring::link::HEADER_SIZE + 64).step_by(4) {
        (&pages).store(offset, 0x7777_7777, Ordering::Relaxed);
    }
    bench.notified = true;
    bench.service();
    assert!(matches!(bench.driver.take_event(), Some(Event::Client(_))));
    bench.client = Client::new(&pages).unwrap();
    bench.settle();
    bench.submit(1, Code::Read, 0, &[(0, 512)]);
    assert_eq!(bench.settle(), [ok(1)]);
}

impl Mortal for Bench<'_> {
    fn begin(&mut self) {
        self.notified = true;
        self.driver = Bench::driver(&self.model, self.pages);
    }

    fn scribble(&mut self, junk: &mut Junk) {
        self.pages.scribble(junk);
    }
}

/// Of the driver's stores to the link and to the device's registers; its other memory is its own until the device is told.
#[test]
fn driver_may_die_in_front_of_every_store() {
    let bytes: Vec<u8> = (0..Writer::LENGTH).map(|index| (index / 7) as u8).collect();
    mortal::everywhere(&[0, 3, 20, 40], &Way::OTHERS, 15, |deaths| {
        let pages = Pages::new();
        let mut bench = Bench::new(&pages, everything());
        bench.model.memory().write(DATA + 512, &bytes);
        bench.model.state().before_write = Some(before_store);
        let mut writer = Writer::start(&mut bench.client, DATA);
        for _ in 0..100 {
            bench.notified |= writer.look(&mut bench.client);
            deaths.act(&mut bench, |bench| _ = bench.service());
            if bench.model.state().status & 4 != 0
                && let Some(chain) = bench.model.take(0)
            {
                bench.perform(&chain);
            }
            if bench.model.state().interrupt != 0 {
                deaths.act(&mut bench, |bench| bench.driver.handle_interrupt());
            }
        }
        assert!(writer.is_done(), "{writer:?}");
        assert_eq!(bench.disk[512..512 + Writer::LENGTH], bytes);
        assert_eq!(bench.model.memory().read(DATA + Writer::READ_TO, Writer::LENGTH), bytes);
    });
}
