// SPDX-License-Identifier: BSD-2-Clause
//! The driver between a client and a model of the registers.

use std::cell::{RefCell, RefMut};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::vec::Vec;

use link_pd::Logic;
use ring::link::State;
use ring::mortal::{MortalPages, before_store};
use ring::net::{Abilities, Buffer, Client, Offload, Server};

use crate::registers::{RECEIVE, Registers, TRANSMIT, flags, interrupt, mac, system};
use crate::{DeviceError, Driver, Event};

mod deaths;

type Pages = MortalPages<0x8000>;

const SIZE: u16 = 2048;

#[derive(Debug, Default)]
struct Model {
    registers: BTreeMap<usize, u32>,
    time: u64,
    phy: BTreeMap<u32, u32>,
    stuck: bool,
}

#[derive(Debug, Clone)]
struct Shared(Rc<RefCell<Model>>);

impl Shared {
    /// A device with a connected gigabit line.
    fn new() -> Self {
        let registers = BTreeMap::from([
            (system::REVISION, 6 << 24),
            (mac::ADDRESS_0, 0xdca6_3201),
            (mac::ADDRESS_1, 0x0203),
        ]);
        let phy = BTreeMap::from([(1, 4), (9, 0x200), (10, 0x800), (4, 0x181), (5, 0x181)]);
        Self(Rc::new(RefCell::new(Model { registers, phy, ..Model::default() })))
    }

    fn state(&self) -> RefMut<'_, Model> {
        self.0.borrow_mut()
    }
}

impl Model {
    fn get(&self, offset: usize) -> u32 {
        self.registers.get(&offset).copied().unwrap_or(0)
    }

    fn raise(&mut self, bits: u32) {
        *self.registers.entry(interrupt::STATUS).or_default() |= bits;
    }

    /// Sends what it was given: for each packet its pieces.
    fn transmit(&mut self) -> Vec<Vec<(u64, u16)>> {
        let (mut index, end) =
            (self.get(TRANSMIT.device_index()) as u16, self.get(TRANSMIT.driver_index()) as u16);
        let mut packets = Vec::new();
        while index != end {
            let at = TRANSMIT.descriptor(usize::from(index % 256));
            let word = self.get(at);
            if word & flags::FIRST != 0 {
                assert_ne!(word & flags::CRC, 0);
                packets.push(Vec::new());
            }
            let address = u64::from(self.get(at + 4)) | u64::from(self.get(at + 8)) << 32;
            packets.last_mut().expect("begins with a first piece").push((address, (word >> 16) as u16));
            index = index.wrapping_add(1);
        }
        self.registers.insert(TRANSMIT.device_index(), index.into());
        self.raise(interrupt::SENT);
        packets
    }

    /// Receives a packet into the next buffer; gives its address, `None` when there is no buffer.
    fn receive(&mut self, length: u32, word: u32) -> Option<u64> {
        let (index, driver) =
            (self.get(RECEIVE.device_index()) as u16, self.get(RECEIVE.driver_index()) as u16);
        if index.wrapping_sub(driver) >= 256 {
            return None;
        }
        let at = RECEIVE.descriptor(usize::from(index % 256));
        self.registers.insert(at, length << 16 | word);
        self.registers.insert(RECEIVE.device_index(), index.wrapping_add(1).into());
        self.raise(interrupt::RECEIVED);
        Some(u64::from(self.get(at + 4)) | u64::from(self.get(at + 8)) << 32)
    }
}

const WHOLE: u32 = flags::FIRST | flags::LAST;

impl Registers for Shared {
    fn read(&mut self, offset: usize) -> u32 {
        let model = self.state();
        if offset == RECEIVE.status() || offset == TRANSMIT.status() {
            return u32::from(!model.stuck && model.get(offset - 4) & 1 == 0);
        }
        model.get(offset)
    }

    fn write(&mut self, offset: usize, value: u32) {
        before_store();
        let mut model = self.state();
        match offset {
            interrupt::CLEAR => *model.registers.entry(interrupt::STATUS).or_default() &= !value,
            mac::MDIO if value & mac::MDIO_BUSY != 0 => {
                let answer =
                    if value >> 21 & 31 == 1 { model.phy.get(&(value >> 16 & 31)).copied() } else { None };
                model.registers.insert(offset, answer.unwrap_or(mac::MDIO_FAILED));
            }
            // Real ones keep their index when they are told another.
            _ if offset == RECEIVE.device_index() || offset == TRANSMIT.device_index() => {}
            _ => {
                model.registers.insert(offset, value);
            }
        }
    }

    fn now_us(&mut self) -> u64 {
        let mut model = self.state();
        model.time += 1;
        model.time
    }
}

struct Bench<'a> {
    pages: &'a Pages,
    device: Shared,
    driver: Driver<Shared, &'a Pages>,
    client: Client<&'a Pages>,
}

impl<'a> Bench<'a> {
    fn new(pages: &'a Pages) -> Self {
        Self::with(pages, Shared::new())
    }

    fn with(pages: &'a Pages, device: Shared) -> Self {
        let driver = Driver::new(device.clone(), Server::new(pages).unwrap());
        let mut this = Self { pages, device, driver, client: Client::new(pages).unwrap() };
        this.settle();
        this
    }

    fn settle(&mut self) {
        self.client.poll();
        let _ = self.client.commit();
        for _ in 0..100 {
            if self.device.state().get(interrupt::STATUS) != 0 {
                self.driver.handle_interrupt();
            }
            if !self.driver.service(true).again {
                self.client.poll();
                return;
            }
        }
        panic!("the driver does not go to sleep");
    }

    fn send(&mut self, pieces: &[(u64, u16)]) {
        let pieces: Vec<Buffer> = pieces.iter().map(|&(offset, length)| Buffer { offset, length }).collect();
        self.client.transmit(&pieces, &Offload::default()).unwrap();
    }

    fn supply(&mut self, offset: u64) {
        self.client.supply(Buffer { offset, length: SIZE }).unwrap();
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.driver.take_event()).collect()
    }

    /// Address and length of a packet that the client has received.
    fn received(&mut self) -> Option<(u64, u16)> {
        let mut buffers = heapless::Vec::new();
        self.client.receive::<4>(&mut buffers)?;
        assert_eq!(buffers.len(), 1);
        buffers.first().map(|buffer| (buffer.offset, buffer.length))
    }
}

#[test]
fn line_and_address_are_told() {
    let pages = Pages::new();
    let mut bench = Bench::new(&pages);
    assert_eq!(bench.client.poll(), State::Up);
    let info = bench.client.info().unwrap();
    assert_eq!(info.mac, [0xdc, 0xa6, 0x32, 0x01, 0x02, 0x03]);
    assert_eq!((info.speed, info.mtu), (1000, 1500));
    assert!(info.abilities.contains(Abilities::LINK_UP));
    let command = bench.device.state().get(mac::COMMAND);
    assert_eq!(command, 2 << mac::SPEED_SHIFT | mac::PROMISCUOUS | mac::TRANSMIT | mac::RECEIVE);

    bench.device.state().phy.insert(1, 0);
    bench.device.state().raise(1 << 5);
    bench.settle();
    assert!(!bench.client.info().unwrap().abilities.contains(Abilities::LINK_UP));
    assert_eq!(bench.events(), [Event::Line(Some(1000)), Event::Line(None)]);
    // A slower partner.
    bench.device.state().phy.extend([(1, 4), (10, 0)]);
    bench.device.state().raise(1 << 4);
    bench.settle();
    assert_eq!(bench.client.info().unwrap().speed, 100);
}

#[test]
fn line_is_looked_at_every_second() {
    let pages = Pages::new();
    let mut bench = Bench::new(&pages);
    bench.events();
    bench.device.state().phy.insert(1, 0);
    bench.settle();
    assert_eq!(bench.events(), []);
    bench.device.state().time += 1_000_000;
    bench.settle();
    assert_eq!(bench.events(), [Event::Line(None)]);
    assert!(!bench.client.info().unwrap().abilities.contains(Abilities::LINK_UP));
}

#[test]
fn packets_are_sent_in_order_and_their_buffers_come_back() {
    let pages = Pages::new();
    let mut bench = Bench::new(&pages);
    bench.send(&[(0x1000, 60)]);
    bench.send(&[(0x1_2345_6000, 54), (0x3000, 1400)]);
    bench.settle();
    let sent = bench.device.state().transmit();
    assert_eq!(sent, [vec![(0x1000, 60)], vec![(0x1_2345_6000, 54), (0x3000, 1400)]]);
    bench.settle();
    let back: Vec<u64> =
        std::iter::from_fn(|| bench.client.transmitted()).map(|buffer| buffer.offset).collect();
    assert_eq!(back, [0x1000, 0x1_2345_6000, 0x3000]);
}

/// Round the ring several times, and round the indices of 16 bits.
#[test]
fn packets_are_received_into_the_buffers_that_were_given() {
    let pages = Pages::new();
    let device = Shared::new();
    device.state().registers.insert(RECEIVE.device_index(), 0xff00);
    let mut bench = Bench::with(&pages, device);
    assert_eq!(bench.device.state().receive(60, WHOLE), None, "no buffer was given");
    for round in 0..1000 {
        bench.supply(0x10_0000 + 0x800 * round);
        bench.settle();
        assert_eq!(bench.device.state().receive(64 + round as u32, WHOLE), Some(0x10_0000 + 0x800 * round));
        assert_eq!(bench.device.state().receive(60, WHOLE), None, "only one was given");
        bench.settle();
        assert_eq!(bench.received(), Some((0x10_0000 + 0x800 * round, 64 + round as u16)));
    }
}

#[test]
fn damaged_packets_are_dropped_and_their_buffers_used_again() {
    let pages = Pages::new();
    let mut bench = Bench::new(&pages);
    bench.supply(0x1000);
    bench.settle();
    for (length, word) in
        [(60, WHOLE | 2), (60, flags::FIRST), (60, 0), (4, WHOLE), (4000, WHOLE), (0xffff, WHOLE)]
    {
        assert_eq!(bench.device.state().receive(length, word), Some(0x1000));
        bench.settle();
        assert_eq!(bench.received(), None);
    }
    assert_eq!(bench.device.state().receive(60, WHOLE), Some(0x1000));
    bench.settle();
    assert_eq!(bench.received(), Some((0x1000, 60)));
}

#[test]
fn device_that_claims_too_much_is_reset_and_in_the_end_given_up() {
    let pages = Pages::new();
    let mut bench = Bench::new(&pages);
    bench.events();
    for round in 0..9 {
        let device_index = bench.device.state().get(RECEIVE.device_index());
        bench.device.state().registers.insert(RECEIVE.device_index(), device_index + 300);
        bench.settle();
        let events = bench.events();
        assert!(matches!(events[0], Event::Misbehaved(DeviceError::Index { .. })), "{round}: {events:?}");
        assert_eq!(events.contains(&Event::GivenUp), round == 8);
    }
    assert!(!bench.driver.info().abilities.contains(Abilities::LINK_UP));
}

#[test]
fn other_devices_and_ones_that_do_not_stop_are_refused() {
    let pages = Pages::new();
    let device = Shared::new();
    device.state().registers.insert(system::REVISION, 5 << 24);
    assert_eq!(Bench::with(&pages, device).events(), [Event::NoDevice(DeviceError::Version(5))]);
    let device = Shared::new();
    device.state().registers.insert(system::REVISION, 0);
    assert_eq!(Bench::with(&pages, device).events(), [Event::NoDevice(DeviceError::Absent)]);
    let device = Shared::new();
    device.state().stuck = true;
    assert_eq!(Bench::with(&pages, device).events(), [Event::NoDevice(DeviceError::Busy)]);
}

#[test]
fn client_that_restarts_gets_none_of_its_old_buffers_written() {
    let pages = Pages::new();
    let mut bench = Bench::new(&pages);
    bench.supply(0x1000);
    bench.settle();
    bench.client = Client::new(&pages).unwrap();
    bench.settle();
    assert_eq!(bench.device.state().receive(60, WHOLE), None);
    bench.supply(0x5000);
    bench.settle();
    assert_eq!(bench.device.state().receive(60, WHOLE), Some(0x5000));
}
