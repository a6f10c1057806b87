// SPDX-License-Identifier: BSD-2-Clause
//! The driver dies at every point.

use ring::mortal::{Deaths, Junk, Mortal, MortalBytes, Way, before_store, everywhere};
use ring::serial::{Consumer, Producer};
use virtio_driver::mock::MockDevice;
use virtio_driver::{Device, DeviceType};

use crate::Driver;
use crate::tests::{DMA, answer, model};

type Ring = &'static MortalBytes<16>;

/// Bytes that the device gives at once: more than a client's ring holds.
const PIECE: u8 = 20;

struct Bench {
    model: MockDevice,
    rings: [Ring; 2],
    driver: Driver<MockDevice, Ring>,
    clients: [Consumer<Ring>; 2],
    /// A client has notified the driver, and the driver clients.
    notified: bool,
    told: u8,
    /// What the device gives next, and what clients have got.
    next: u8,
    got: [Vec<u8>; 2],
}

impl Bench {
    fn new() -> Self {
        let model = model(4);
        model.state().before_write = Some(before_store);
        let rings: [Ring; 2] = [(); 2].map(|()| &*Box::leak(Box::new(MortalBytes::new())));
        let driver = Self::driver(&model, rings, false);
        let clients = rings.map(Consumer::new);
        Self { model, rings, driver, clients, notified: true, told: 0, next: 1, got: Default::default() }
    }

    fn driver(model: &MockDevice, rings: [Ring; 2], restarted: bool) -> Driver<MockDevice, Ring> {
        let device = Device::new(model.clone(), DeviceType::Entropy);
        let mut driver = Driver::new(device, model.memory().dma(DMA));
        for (index, ring) in rings.into_iter().enumerate() {
            driver.add_client(index, Producer::begin(ring, restarted));
        }
        driver
    }

    fn work(&mut self) {
        let work = self.driver.work();
        for index in 0..2 {
            if work.notify & 1 << index != 0 {
                before_store();
                self.told |= 1 << index;
            }
        }
    }

    fn event(&mut self) {
        let interrupt = self.model.state().interrupt != 0;
        if interrupt {
            self.driver.handle_interrupt();
        }
        if core::mem::take(&mut self.notified) | interrupt {
            self.work();
        }
    }

    /// Everybody has a turn.
    fn round(&mut self, deaths: &mut Deaths) {
        deaths.act(self, Self::event);
        let told = core::mem::take(&mut self.told);
        for (index, client) in self.clients.iter_mut().enumerate() {
            if told & 1 << index == 0 {
                continue;
            }
            let mut bytes = [0; 16];
            let count = client.read(&mut bytes);
            self.got[index].extend(&bytes[..count]);
            self.notified |= client.should_notify() | client.should_tell();
        }
        if self.model.state().status & 4 != 0 && self.next < 220 {
            let bytes: Vec<u8> = (self.next..self.next + PIECE).collect();
            if answer(&self.model, &bytes) {
                self.next += PIECE;
            }
        }
    }
}

impl Mortal for Bench {
    fn begin(&mut self) {
        self.driver = Self::driver(&self.model, self.rings, true);
        self.work();
    }

    fn scribble(&mut self, junk: &mut Junk) {
        self.rings.iter().for_each(|ring| ring.scribble(junk));
    }
}

/// Each byte of the device goes to one client at most once, and what was erased never; what was on its way is lost. After
/// junk nothing is promised but that it goes on.
#[test]
fn driver_may_die_in_front_of_every_store() {
    let junk = Junk::ALL.map(Way::scribble_and_hang);
    everywhere(&[0, 1, 7, 15], &[&Way::OTHERS[..], &junk].concat(), 80, |deaths| {
        let mut bench = Bench::new();
        for _ in 0..22 {
            if bench.next > 100 {
                break;
            }
            bench.round(deaths);
        }
        if !deaths.left_junk() {
            let mut got = bench.got.concat();
            got.sort_unstable();
            assert!(got.is_sorted_by(|a, b| a < b) && got.first().is_none_or(|&first| first > 0), "{got:?}");
        }
        deaths.end(&mut bench);
        let before = bench.next;
        for _ in 0..20 {
            bench.round(deaths);
        }
        for got in &bench.got {
            let new = got.iter().filter(|byte| **byte >= before).count();
            assert!(new > 20, "it goes on: {:?}", bench.got);
        }
    });
}
