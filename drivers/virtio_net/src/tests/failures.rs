// SPDX-License-Identifier: BSD-2-Clause
//! Restarts, broken devices, and anything in any order.

use super::*;
use ring::mortal::{self, Junk, Mortal, Way, before_store};

#[test]
fn client_restart_takes_its_buffers_from_the_device() {
    let mut bench = Bench::new(EVENT_IDX);
    bench.supply(BUFFERS);
    bench.send(&[60], &Offload::default());
    bench.run();
    let resets = bench.mock.state().resets;
    bench.client.restart();
    let _ = bench.client.commit();
    bench.settle();
    assert_eq!(bench.mock.state().resets, resets + 1);
    assert!(!bench.arrive([0; 12], &[1]), "the old buffers are gone");
    assert_eq!(bench.transmit(), []);
    bench.supply(1);
    bench.run();
    assert!(bench.arrive([0; 12], &[1; 60]));
    bench.run();
    assert_eq!(bench.receive().len(), 1);
}

#[test]
fn device_that_misbehaves_is_reset_and_the_client_begins_anew() {
    let mut bench = Bench::new(EVENT_IDX);
    bench.supply(10);
    bench.run();
    let resets = bench.mock.state().resets;
    bench.mock.set_used_index(0, 100);
    bench.settle();
    assert!(matches!(bench.driver.take_event(), Some(Event::Misbehaved(_))));
    assert_eq!(bench.mock.state().resets, resets + 1);
    assert_eq!(bench.empty.len(), BUFFERS, "all buffers are the client's");
    bench.supply(10);
    bench.run();
    assert!(bench.arrive([0; 12], &[1; 60]));
    bench.run();
    assert_eq!(bench.receive().len(), 1);
}

#[test]
fn device_that_always_misbehaves_is_given_up() {
    let mut bench = Bench::new(EVENT_IDX);
    let mut given_up = false;
    for _ in 0..20 {
        bench.supply(1);
        bench.run();
        if !given_up && bench.mock.state().status & 4 != 0 {
            bench.mock.set_used_index(0, 100);
        }
        bench.settle();
        given_up |= std::iter::from_fn(|| bench.driver.take_event()).any(|event| event == Event::GivenUp);
    }
    assert!(given_up);
    assert!(!bench.client.info().unwrap().abilities.contains(Abilities::LINK_UP));
}

#[test]
fn lengths_that_the_device_makes_up_stay_inside_the_buffer() {
    for written in [0, 5, 12, 13, 12 + BUFFER_SIZE as u32 + 1, u32::MAX] {
        let mut bench = Bench::new(0);
        bench.supply(1);
        bench.run();
        let chain = bench.mock.take(0).unwrap();
        bench.mock.complete(0, chain.head.into(), written);
        bench.run();
        let length = bench.receive()[0].0.len();
        assert!((1..=BUFFER_SIZE).contains(&length), "{written}: {length}");
    }
}

#[test]
fn missing_device_is_told_and_loses_packets_politely() {
    let mut memory = Memory::new();
    memory.add(DMA, DMA_SIZE.next_multiple_of(8));
    let dma = memory.dma(DMA);
    let mock = MockDevice::new(2, 0, &[256], memory);
    let pages: Pages = Box::leak(Box::new(MortalPages::new()));
    let device = Device::new(mock, DeviceType::Network);
    let mut driver = Driver::new(device, dma, Server::new(pages).unwrap());
    assert!(matches!(driver.take_event(), Some(Event::NoDevice(_))));
    assert!(!driver.service(true).again);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever happens, each buffer is somewhere once and comes back in the end.
    #[test]
    fn no_buffer_is_lost_or_doubled(
        features in prop::sample::select(vec![0, EVENT_IDX, EVENT_IDX | CSUM | GUEST_CSUM]),
        steps in prop::collection::vec((0u8..6, 1usize..40), 1..100),
    ) {
        let mut bench = Bench::with_queues(features, [64, 64]);
        let mut arrived = 0;
        let mut received = 0;
        for (kind, count) in steps {
            match kind {
                0 => bench.supply(count),
                1 => {
                    for _ in 0..count {
                        bench.send(&vec![60; count % 5 + 1], &Offload::default());
                    }
                }
                2 => {
                    for _ in 0..count {
                        arrived += usize::from(bench.arrive([0; 12], &[9; 60]));
                    }
                }
                3 => drop(bench.transmit()),
                4 => received += bench.receive().len(),
                _ => {}
            }
            bench.run();
        }
        for _ in 0..BUFFERS {
            bench.transmit();
            bench.run();
        }
        received += bench.receive().len();
        prop_assert_eq!(arrived, received);
        prop_assert_eq!(bench.free.len(), BUFFERS);
    }
}

impl Mortal for Bench {
    fn begin(&mut self) {
        self.driver = Bench::driver(&self.mock, self.pages);
    }

    fn scribble(&mut self, junk: &mut Junk) {
        self.pages.scribble(junk);
    }
}

/// Of the driver's stores to the link and to the device's registers. Packets may be lost, buffers not.
#[test]
fn driver_may_die_in_front_of_every_store() {
    mortal::everywhere(&[0, 25], &Way::OTHERS, 50, |deaths| {
        let mut bench = Bench::new(MAC | STATUS | EVENT_IDX);
        bench.mock.state().before_write = Some(before_store);
        let mut last = 0;
        for round in 1..=12 {
            if round == 9 {
                // The rest shows that it goes on.
                deaths.end(&mut bench);
            }
            bench.poll();
            bench.supply(3);
            bench.send(&[60, 100], &Offload::default());
            deaths.act(&mut bench, Bench::run);
            if bench.mock.state().status & 4 != 0 {
                for (header, length) in bench.transmit() {
                    assert_eq!((header, length), (vec![0; 12], 160));
                }
                bench.arrive([0; 12], &[round; 60]);
            }
            if bench.mock.state().interrupt != 0 {
                deaths.act(&mut bench, |bench| bench.driver.handle_interrupt());
            }
            deaths.act(&mut bench, Bench::run);
            for (bytes, _) in bench.receive() {
                assert!(bytes[0] > last && bytes == [bytes[0]; 60], "{bytes:?} after {last}");
                last = bytes[0];
            }
        }
        assert_eq!(last, 12, "it goes on");
        bench.transmit();
        if bench.mock.state().interrupt != 0 {
            bench.driver.handle_interrupt();
        }
        bench.settle();
        assert_eq!(bench.free.len(), BUFFERS, "all came back");
    });
}
