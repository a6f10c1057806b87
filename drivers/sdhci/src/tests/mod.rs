// SPDX-License-Identifier: BSD-2-Clause
//! The driver between a client and a model of controller and card.

mod deaths;
mod hostile;
mod model;

use link_pd::Logic;
use ring::blk::{Abilities, Client, Code, Request, Segment, Server, Status as Answer};
use ring::link::State;
use ring::mortal::MortalPages;
use virtio_driver::mock::Memory;

use crate::card::CardError;
use crate::registers::Status;
use crate::{DMA_SIZE, Driver, Event, HostError};
use model::{CardModel, REAL, Shared, Switch, WITHOUT_DMA};

type Pages = MortalPages<0x4000>;

const PORT: u32 = 0x7e34_0020;
const DMA: u64 = 0x10_0000;
const DATA: u64 = 0x20_0000;
const DATA_SIZE: usize = 0x4_0000;

struct Bench<'a> {
    pages: &'a Pages,
    engine: bool,
    hardware: Shared,
    driver: Driver<Shared, Shared, &'a Pages>,
    client: Client<&'a Pages>,
    next: u64,
}

fn memory() -> Memory {
    let mut memory = Memory::new();
    memory.add(DMA, DMA_SIZE);
    memory.add(DATA, DATA_SIZE);
    memory
}

impl<'a> Bench<'a> {
    fn new(pages: &'a Pages, capabilities: u32, card: Option<CardModel>) -> Self {
        Self::with(pages, Shared::new(capabilities, card, memory()), true)
    }

    fn with(pages: &'a Pages, hardware: Shared, engine: bool) -> Self {
        let driver = Self::driver(&hardware, engine, pages);
        let client = Client::new(pages).unwrap();
        let mut this = Self { pages, engine, hardware, driver, client, next: 1 };
        this.settle();
        this
    }

    fn driver(hardware: &Shared, engine: bool, pages: &'a Pages) -> Driver<Shared, Shared, &'a Pages> {
        let dma = hardware.state().memory.dma(DMA);
        let engine = engine.then(|| hardware.clone());
        Driver::new(hardware.clone(), engine, PORT, dma, Server::new(pages).unwrap())
    }

    /// Lets the driver and, if `work`, the hardware go on until nothing moves.
    fn go_on(&mut self, work: bool) {
        self.client.poll();
        let mut notified = self.client.commit();
        for _ in 0..1000 {
            let interrupt = self.hardware.state().interrupts();
            if interrupt {
                self.driver.handle_interrupt();
            }
            let outcome = self.driver.service(std::mem::take(&mut notified));
            if work && self.driver_uses_adma() {
                self.hardware.state().work();
            }
            let more = self.hardware.state().interrupts();
            if !interrupt && !outcome.again && !more {
                return;
            }
        }
        panic!("the driver does not go to sleep");
    }

    fn driver_uses_adma(&self) -> bool {
        self.hardware.state().capabilities & 1 << 19 != 0
    }

    fn settle(&mut self) {
        self.go_on(true);
        self.client.poll();
    }

    fn submit(&mut self, code: Code, sector: u64, pieces: &[(u64, u32)]) -> u64 {
        let id = self.next;
        self.next += 1;
        let segments: Vec<Segment> =
            pieces.iter().map(|&(at, length)| Segment { offset: DATA + at, length }).collect();
        let length = pieces.iter().map(|piece| u64::from(piece.1)).sum();
        let request = Request { id, code, sector, length, unmap: false };
        self.client.submit(&request, &segments).unwrap();
        id
    }

    fn ask(&mut self, code: Code, sector: u64, pieces: &[(u64, u32)]) -> Answer {
        let id = self.submit(code, sector, pieces);
        self.settle();
        let response = self.client.response().expect("an answer");
        assert_eq!(response.id, id);
        response.status
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.driver.take_event()).collect()
    }

    fn present(&mut self) -> bool {
        self.client.poll();
        self.client.info().unwrap().abilities.contains(Abilities::PRESENT)
    }
}

/// Bytes that tell where they belong.
fn pattern(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|i| (i / 512 * 7 + i + seed) as u8).collect()
}

#[test]
fn card_is_described_to_the_client() {
    let pages = Pages::new();
    let mut bench = Bench::new(&pages, REAL, Some(CardModel::new(0x1234_abcd)));
    assert_eq!(bench.client.poll(), State::Up);
    let info = bench.client.info().unwrap();
    assert_eq!(info.capacity, 1024);
    assert_eq!(&info.serial[..8], b"1234abcd");
    assert_eq!(info.abilities, Abilities::PRESENT);
    assert_eq!(bench.events(), [Event::Card { mib: 0, read_only: false, high_speed: true }]);
}

/// The clock's divisor is twice what the register says: 100 MHz by 2 or by 4.
#[test]
fn card_that_does_not_switch_stays_at_default_speed() {
    use crate::registers::{Register, Registers as _};
    const NO_HIGH_SPEED: u32 = REAL & !(1 << 21);
    for (capabilities, switch, fast) in [
        (REAL, Switch::Works, true),
        (WITHOUT_DMA, Switch::Works, true),
        (NO_HIGH_SPEED, Switch::Works, false),
        (REAL, Switch::Absent, false),
        (REAL, Switch::Refuses, false),
        (REAL, Switch::Fails, false),
        (REAL, Switch::Stops, false),
    ] {
        let pages = Pages::new();
        let card = CardModel { switch, ..CardModel::new(1) };
        let mut bench = Bench::new(&pages, capabilities, Some(card));
        let expected = Event::Card { mib: 0, read_only: false, high_speed: fast };
        assert_eq!(bench.events(), [expected], "{switch:?}");
        // Four lines in any case.
        assert_eq!(bench.hardware.read(Register::Control) & 6, if fast { 6 } else { 2 }, "{switch:?}");
        if capabilities != WITHOUT_DMA {
            let divisor = bench.hardware.read(Register::Clock) >> 8 & 0xff;
            assert_eq!(divisor, if fast { 1 } else { 2 }, "{switch:?}");
        }
        // And it works.
        assert_eq!(bench.ask(Code::Write, 5, &[(0, 0x1000)]), Answer::OK, "{switch:?}");
        let asked = bench.hardware.state().commands.iter().filter(|index| **index == 6).count();
        let tried = capabilities != NO_HIGH_SPEED && switch != Switch::Absent;
        assert_eq!(asked, if tried { 2 } else { 1 }, "the width, and the speed");
    }
}

/// Writes and reads back, in several segments, by each of the ways to move data.
#[test]
fn what_is_written_is_read_back() {
    for (capabilities, large) in [(REAL, true), (REAL, false), (WITHOUT_DMA, true), (WITHOUT_DMA, false)] {
        let pages = Pages::new();
        let mut bench = Bench::new(&pages, capabilities, Some(CardModel { large, ..CardModel::new(1) }));
        let bytes = pattern(0x1_0000, 3);
        bench.hardware.state().memory.write(DATA, &bytes);
        let pieces = [(0, 0x1000), (0x4000, 0x200), (0x8000, 0x8000)];
        assert_eq!(bench.ask(Code::Write, 5, &pieces), Answer::OK);
        assert_eq!(bench.ask(Code::Write, 1023, &[(0x200, 0x200)]), Answer::OK);
        {
            let state = bench.hardware.state();
            let card = state.card.as_ref().unwrap();
            assert_eq!(card.data[5 * 512..][..0x1000], bytes[..0x1000]);
            assert_eq!(card.data[5 * 512 + 0x1000..][..0x200], bytes[0x4000..0x4200]);
            assert_eq!(card.data[5 * 512 + 0x1200..][..0x8000], bytes[0x8000..0x1_0000]);
            assert_eq!(card.data[1023 * 512..], bytes[0x200..0x400]);
            assert_eq!(state.engine_started, if capabilities == REAL { 0 } else { 2 });
        }
        assert_eq!(bench.ask(Code::Read, 6, &[(0x2_0000, 0xe00), (0x3_0000, 0x200)]), Answer::OK);
        assert_eq!(bench.hardware.state().memory.read(DATA + 0x2_0000, 0xe00), bytes[0x200..0x1000]);
        assert_eq!(bench.hardware.state().memory.read(DATA + 0x3_0000, 0x200), bytes[0x4000..0x4200]);
        let commands = bench.hardware.state().commands.clone();
        assert_eq!(commands[commands.len() - 3..], [25, 24, 18]);
    }
}

/// A descriptor of the controller holds less than 64 KiB.
#[test]
fn long_segments_are_cut() {
    for capabilities in [REAL, WITHOUT_DMA] {
        let pages = Pages::new();
        let mut bench = Bench::new(&pages, capabilities, Some(CardModel::new(1)));
        let bytes = pattern(0x3_0000, 5);
        bench.hardware.state().memory.write(DATA, &bytes);
        assert_eq!(bench.ask(Code::Write, 9, &[(0x200, 0x2_f000), (0, 0x200)]), Answer::OK);
        let state = bench.hardware.state();
        let data = &state.card.as_ref().unwrap().data[9 * 512..];
        assert_eq!(data[..0x2_f000], bytes[0x200..0x2_f200]);
        assert_eq!(data[0x2_f000..0x2_f200], bytes[..0x200]);
    }
}

#[test]
fn several_requests_are_done_in_turn() {
    let pages = Pages::new();
    let mut bench = Bench::new(&pages, REAL, Some(CardModel::new(1)));
    let ids: Vec<u64> = (0..20).map(|i| bench.submit(Code::Read, i, &[(512 * i, 512)])).collect();
    bench.settle();
    let answers: Vec<_> = std::iter::from_fn(|| bench.client.response()).collect();
    assert_eq!(answers.iter().map(|answer| answer.id).collect::<Vec<_>>(), ids);
    assert!(answers.iter().all(|answer| answer.status == Answer::OK));
}

#[test]
fn requests_that_do_not_fit_are_refused() {
    let pages = Pages::new();
    let mut bench = Bench::new(&pages, REAL, Some(CardModel::new(1)));
    assert_eq!(bench.ask(Code::Read, 1024, &[(0, 512)]), Answer::INVALID);
    assert_eq!(bench.ask(Code::Read, 1023, &[(0, 1024)]), Answer::INVALID);
    assert_eq!(bench.ask(Code::Write, 0, &[(0, 0x10_0200)]), Answer::INVALID, "longer than a request may be");
    assert_eq!(bench.ask(Code::Discard, 0, &[]), Answer::UNSUPPORTED);
    assert_eq!(bench.ask(Code::Flush, 0, &[]), Answer::OK);
    assert_eq!(bench.ask(Code::Barrier, 0, &[]), Answer::OK);
}

#[test]
fn memory_out_of_the_engines_reach_is_refused() {
    let pages = Pages::new();
    let mut bench = Bench::new(&pages, WITHOUT_DMA, Some(CardModel::new(1)));
    let high = (1 << 30) - DATA;
    assert_eq!(bench.ask(Code::Read, 0, &[(high, 512)]), Answer::INVALID);
    assert_eq!(bench.hardware.state().engine_started, 0);
}

#[test]
fn write_protection_is_told_and_kept() {
    for by_switch in [false, true] {
        let pages = Pages::new();
        let card = CardModel { protected: !by_switch, ..CardModel::new(1) };
        let hardware = Shared::new(REAL, Some(card), memory());
        hardware.state().switch_allows_writing = !by_switch;
        let mut bench = Bench::with(&pages, hardware, true);
        assert!(bench.client.info().unwrap().abilities.contains(Abilities::READ_ONLY));
        assert_eq!(bench.ask(Code::Write, 0, &[(0, 512)]), Answer::READ_ONLY);
        assert_eq!(bench.ask(Code::Read, 0, &[(0, 512)]), Answer::OK);
        assert_eq!(bench.events(), [Event::Card { mib: 0, read_only: true, high_speed: true }]);
    }
}

#[test]
fn empty_slot_is_reported_and_requests_are_answered() {
    let pages = Pages::new();
    let mut bench = Bench::new(&pages, REAL, None);
    assert_eq!(bench.events(), [Event::NoCard(CardError::NoCard)]);
    assert!(!bench.present());
    assert_eq!(bench.ask(Code::Read, 0, &[(0, 512)]), Answer::NO_DEVICE);
    // A card that comes later is taken.
    bench.hardware.state().insert(CardModel::new(1));
    bench.settle();
    assert!(bench.present());
    assert_eq!(bench.ask(Code::Read, 0, &[(0, 512)]), Answer::OK);
}

#[test]
fn removal_is_reported_and_the_same_card_taken_back() {
    let pages = Pages::new();
    let mut bench = Bench::new(&pages, REAL, Some(CardModel::new(7)));
    bench.events();
    let id = bench.submit(Code::Read, 0, &[(0, 512)]);
    bench.go_on(false);
    let card = bench.hardware.state().remove();
    bench.settle();
    let response = bench.client.response().unwrap();
    assert_eq!((response.id, response.status), (id, Answer::NO_DEVICE));
    assert_eq!(bench.events(), [Event::Removed, Event::NoCard(CardError::NoCard)]);
    assert!(!bench.present());

    bench.hardware.state().insert(CardModel::new(8));
    bench.settle();
    assert_eq!(bench.events(), [Event::OtherCard]);
    assert_eq!(bench.ask(Code::Read, 0, &[(0, 512)]), Answer::NO_DEVICE);
    bench.hardware.state().remove();
    bench.settle();
    bench.hardware.state().insert(card);
    bench.settle();
    assert_eq!(bench.events(), [Event::Card { mib: 0, read_only: false, high_speed: true }]);
    assert!(bench.present());
    assert_eq!(bench.ask(Code::Read, 0, &[(0, 512)]), Answer::OK);
}

#[test]
fn controller_that_nobody_does_dma_for_is_refused() {
    let pages = Pages::new();
    let hardware = Shared::new(WITHOUT_DMA, Some(CardModel::new(1)), memory());
    let mut bench = Bench::with(&pages, hardware, false);
    let reason = HostError::NoDma(WITHOUT_DMA);
    assert_eq!(bench.events(), [Event::NoCard(CardError::Host(reason))]);
    assert_eq!(bench.ask(Code::Read, 0, &[(0, 512)]), Answer::NO_DEVICE);
}

#[test]
fn request_of_a_client_that_restarts_is_dropped() {
    let pages = Pages::new();
    let mut bench = Bench::new(&pages, REAL, Some(CardModel::new(1)));
    bench.submit(Code::Write, 0, &[(0, 512)]);
    bench.go_on(false);
    bench.client = Client::new(&pages).unwrap();
    bench.settle();
    assert!(bench.client.response().is_none());
    assert_eq!(bench.ask(Code::Read, 3, &[(0, 512)]), Answer::OK);
    let raised = bench.hardware.state().status & Status::TRANSFER_COMPLETE.bits();
    assert_eq!(raised, 0);
}
