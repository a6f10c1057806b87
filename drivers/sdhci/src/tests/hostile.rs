// SPDX-License-Identifier: BSD-2-Clause
//! Hardware that fails, or answers what it likes.

use link_pd::Logic;
use proptest::prelude::*;
use ring::blk::{Client, Code, Request, Segment, Server, Status as Answer};
use ring::pages::LocalPages;

use super::model::{CardModel, REAL};
use super::{Bench, DATA, DMA, PORT, Pages, memory};
use crate::registers::{Register, Registers, Status};
use crate::{Driver, Event};

/// A data time-out.
const DATA_TIMEOUT: u32 = 1 << 20;

#[test]
fn failed_transfer_is_an_error_and_the_next_one_works() {
    let pages = Pages::new();
    let mut bench = Bench::new(&pages, REAL, Some(CardModel::new(1)));
    bench.events();
    bench.hardware.state().errors = vec![DATA_TIMEOUT];
    assert_eq!(bench.ask(Code::Read, 0, &[(0, 512)]), Answer::IO);
    assert_eq!(bench.events(), [Event::Failed(DATA_TIMEOUT)]);
    assert_eq!(bench.ask(Code::Read, 0, &[(0, 512)]), Answer::OK);
    let commands = bench.hardware.state().commands.clone();
    assert!(commands.ends_with(&[17, 12, 13, 17]), "stopped and asked how it is: {commands:?}");
}

#[test]
fn card_that_only_fails_is_given_up() {
    let pages = Pages::new();
    let mut bench = Bench::new(&pages, REAL, Some(CardModel::new(1)));
    bench.hardware.state().errors = vec![DATA_TIMEOUT; 100];
    for _ in 0..9 {
        assert_eq!(bench.ask(Code::Read, 0, &[(0, 512)]), Answer::IO);
        if bench.events().contains(&Event::GivenUp) {
            break;
        }
    }
    assert_eq!(bench.ask(Code::Read, 0, &[(0, 512)]), Answer::NO_DEVICE);
    assert!(!bench.present());
    assert_eq!(bench.hardware.state().errors.len(), 91);
}

#[test]
fn card_that_vanishes_without_a_word_is_noticed() {
    let pages = Pages::new();
    let mut bench = Bench::new(&pages, REAL, Some(CardModel::new(1)));
    bench.events();
    bench.submit(Code::Read, 0, &[(0, 512)]);
    bench.go_on(false);
    bench.hardware.state().card = None;
    bench.hardware.state().raise(Status::from_bits_retain(DATA_TIMEOUT));
    bench.settle();
    assert_eq!(bench.client.response().unwrap().status, Answer::IO);
    assert!(bench.events().contains(&Event::Removed));
    assert!(!bench.present());
}

#[test]
fn controller_that_interrupts_without_end_is_given_up() {
    let pages = Pages::new();
    let mut bench = Bench::new(&pages, REAL, Some(CardModel::new(1)));
    bench.events();
    for _ in 0..101 {
        bench.driver.handle_interrupt();
    }
    assert_eq!(bench.events(), [Event::Storm]);
    assert_eq!(bench.ask(Code::Read, 0, &[(0, 512)]), Answer::NO_DEVICE);
}

/// Every read of a register gives the next of some numbers.
struct Noise {
    values: Vec<u32>,
    next: usize,
    time: u64,
}

impl Registers for Noise {
    fn read(&mut self, _register: Register) -> u32 {
        self.next += 1;
        self.values.get(self.next % self.values.len()).copied().unwrap_or(0)
    }
    fn write(&mut self, _register: Register, _value: u32) {}
    fn now_us(&mut self) -> u64 {
        self.time += 10_000;
        self.time
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]

    #[test]
    fn whatever_the_registers_say_every_request_is_answered_or_waits(
        values in proptest::collection::vec(
            prop_oneof![Just(0), Just(u32::MAX), any::<u32>(), Just(0x1aa), Just(0x8000_0002), Just(0x0008_0000)],
            1..40,
        ),
    ) {
        type Few = LocalPages<0x4000>;
        let pages = Few::new();
        let registers = Noise { values, next: 0, time: 0 };
        let dma = memory().dma(DMA);
        let mut driver = Driver::<_, (), _>::new(registers, None, PORT, dma, Server::new(&pages).unwrap());
        let mut client = Client::new(&pages).unwrap();
        driver.service(true);
        client.poll();
        let mut answered = 0;
        for id in 0..30 {
            let request = Request { id, code: Code::Read, sector: 0, length: 512, unmap: false };
            let submitted = client.submit(&request, &[Segment { offset: DATA, length: 512 }]);
            prop_assert!(submitted.is_ok(), "30 requests fit");
            let _ = client.commit();
            driver.handle_interrupt();
            let mut rounds = 0;
            while driver.service(true).again {
                rounds += 1;
                prop_assert!(rounds < 3000, "it goes to sleep");
            }
            client.poll();
            answered += std::iter::from_fn(|| client.response()).count();
            while driver.take_event().is_some() {}
        }
        // Only the one at the card may be without an answer, and what waits behind it.
        prop_assert!(answered <= 30);
    }
}
