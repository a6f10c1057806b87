// SPDX-License-Identifier: BSD-2-Clause
//! The driver dies at every point: in front of each of its stores to the link and to the registers of controller and engine.

use super::*;
use crate::registers::Engine as _;
use link_pd::Logic;
use ring::mortal::{self, Junk, Mortal, Way, Writer};

impl Bench<'_> {
    /// What the PD does when it is its turn.
    fn event(&mut self, mut notified: bool) {
        if self.hardware.state().interrupts() {
            self.driver.handle_interrupt();
        }
        for _ in 0..1000 {
            if !self.driver.service(notified).again {
                return;
            }
            notified = false;
        }
        panic!("the driver does not go to sleep");
    }
}

impl Mortal for Bench<'_> {
    fn begin(&mut self) {
        if self.engine {
            self.hardware.stop();
        }
        self.driver = Self::driver(&self.hardware, self.engine, self.pages);
        self.event(true);
    }

    fn scribble(&mut self, junk: &mut Junk) {
        self.pages.scribble(junk);
    }
}

#[test]
fn driver_may_die_in_front_of_every_store() {
    let bytes = pattern(Writer::LENGTH, 9);
    for capabilities in [REAL, WITHOUT_DMA] {
        mortal::everywhere(&[0, 3, 40, 100], &Way::OTHERS, 60, |deaths| {
            let pages = Pages::new();
            let mut bench = Bench::new(&pages, capabilities, Some(CardModel::new(1)));
            bench.hardware.state().memory.write(DATA + 512, &bytes);
            let mut writer = Writer::start(&mut bench.client, DATA);
            let mut notified = false;
            for _ in 0..60 {
                notified |= writer.look(&mut bench.client);
                deaths.act(&mut bench, |bench| bench.event(core::mem::take(&mut notified)));
                if bench.driver_uses_adma() {
                    bench.hardware.state().work();
                }
            }
            assert!(writer.is_done(), "{writer:?}");
            let state = bench.hardware.state();
            assert_eq!(state.card.as_ref().unwrap().data[512..512 + Writer::LENGTH], bytes);
            assert_eq!(state.memory.read(DATA + Writer::READ_TO, Writer::LENGTH), bytes);
        });
    }
}
