// SPDX-License-Identifier: BSD-2-Clause
//! The driver dies in front of each store to the link and to the device's registers. Packets may be lost, buffers not.

use std::collections::VecDeque;

use ring::mortal::{self, Deaths, Junk, Mortal, Way};

use super::*;

/// The client's buffers, in each direction.
const BUFFERS: u64 = 40;
const TRANSMITTED: u64 = 0x1000_0000;
const RECEIVED: u64 = 0x2000_0000;

fn offsets(start: u64) -> VecDeque<u64> {
    (0..BUFFERS).map(|index| start + index * u64::from(SIZE)).collect()
}

struct World<'a> {
    bench: Bench<'a>,
    /// Buffers to send from that are not out.
    free: VecDeque<u64>,
    /// Empty buffers that are not supplied.
    empty: VecDeque<u64>,
}

impl Mortal for World<'_> {
    fn begin(&mut self) {
        let bench = &mut self.bench;
        bench.driver = Driver::new(bench.device.clone(), Server::new(bench.pages).unwrap());
    }

    fn scribble(&mut self, junk: &mut Junk) {
        self.bench.pages.scribble(junk);
    }
}

impl World<'_> {
    fn run(&mut self) {
        for _ in 0..100 {
            if !self.bench.driver.service(true).again {
                return;
            }
        }
        panic!("the driver does not come to rest");
    }

    fn handle_interrupt(&mut self, deaths: &mut Deaths) {
        if self.bench.device.state().get(interrupt::STATUS) != 0 {
            deaths.act(self, |world| world.bench.driver.handle_interrupt());
        }
    }

    /// The client's turn: gives all buffers back that came, and has some out.
    fn client(&mut self) {
        let client = &mut self.bench.client;
        if client.poll() == State::Fresh {
            (self.free, self.empty) = (offsets(TRANSMITTED), offsets(RECEIVED));
        }
        while let Some(buffer) = client.transmitted() {
            assert!(!self.free.contains(&buffer.offset), "given back twice");
            self.free.push_back(buffer.offset);
        }
        if client.is_up() {
            for _ in 0..3 {
                let Some(offset) = self.empty.pop_front() else { break };
                client.supply(Buffer { offset, length: SIZE }).unwrap();
            }
            if let (Some(first), Some(second)) = (self.free.pop_front(), self.free.pop_front()) {
                let pieces = [(first, 60), (second, 100)].map(|(offset, length)| Buffer { offset, length });
                client.transmit(&pieces, &Offload::default()).unwrap();
            }
        }
        let _ = client.commit();
    }

    /// The device's turn, if it is on: all that is to be sent goes, and a packet arrives.
    fn device(&mut self, length: u16) -> Option<u64> {
        let mut device = self.bench.device.state();
        if device.get(TRANSMIT.control()) & 1 != 0 {
            for packet in device.transmit() {
                let [(_, 60), (_, 100)] = packet[..] else { panic!("damaged: {packet:?}") };
            }
        }
        (device.get(RECEIVE.control()) & 1 != 0).then(|| device.receive(length.into(), WHOLE)).flatten()
    }
}

#[test]
fn driver_may_die_in_front_of_every_store() {
    mortal::everywhere(&[0, 25], &Way::OTHERS, 100, |deaths| {
        let pages = Pages::new();
        let bench = Bench::new(&pages);
        let mut world = World { bench, free: offsets(TRANSMITTED), empty: offsets(RECEIVED) };
        let mut last = 0;
        // Where the device has written to, and how much.
        let mut written: Vec<(u64, u16)> = Vec::new();
        for round in 1..=12 {
            if round == 9 {
                // The rest shows that it goes on.
                deaths.end(&mut world);
            }
            world.client();
            deaths.act(&mut world, World::run);
            let length = 100 + round;
            written.extend(world.device(length).map(|at| (at, length)));
            world.handle_interrupt(deaths);
            deaths.act(&mut world, World::run);
            while let Some((at, length)) = world.bench.received() {
                assert!(length > last, "repeated, or out of order: {length} after {last}");
                assert_eq!(written.iter().rev().find(|(to, _)| *to == at), Some(&(at, length)), "damaged");
                last = length;
                world.empty.push_back(at);
            }
        }
        assert_eq!(last, 112, "it goes on");
        // Whatever is out comes back.
        for round in 0..BUFFERS as u16 {
            world.device(200 + round);
            world.handle_interrupt(deaths);
            world.run();
            world.bench.client.poll();
            while let Some((at, _)) = world.bench.received() {
                world.empty.push_back(at);
            }
            while let Some(buffer) = world.bench.client.transmitted() {
                world.free.push_back(buffer.offset);
            }
            let _ = world.bench.client.commit();
        }
        assert_eq!(
            (world.free.len(), world.empty.len()),
            (BUFFERS as usize, BUFFERS as usize),
            "all came back"
        );
    });
}
