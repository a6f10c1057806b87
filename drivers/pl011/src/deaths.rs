// SPDX-License-Identifier: BSD-2-Clause
//! For tests: a UART's driver that dies at every point, between a peer that behaves as the console virtualiser and a model of
//! its UART.

extern crate std;

use std::boxed::Box;
use std::vec::Vec;

use ring::mortal::{Deaths, Junk, Mortal, MortalBytes, Way, before_store, everywhere};
use ring::serial::{Consumer, Producer};

use crate::registers::Registers;
use crate::{Driver, Notify};

/// A model of a UART. Clones are the same one; writing a register is a point ([`before_store`]).
pub trait Model: Clone {
    /// What the driver sees of it.
    type Registers: Registers;

    /// The registers, for a life of the driver.
    fn registers(&self) -> Self::Registers;
    /// Whether its interrupt line is up.
    fn interrupts(&self) -> bool;
    /// A byte arrives, if there is room.
    fn arrive(&self, byte: u8);
    /// What has left the transmit FIFO since the last call: all that was in it.
    fn transmit(&self) -> Vec<u8>;
}

type Ring = &'static MortalBytes<64>;

struct Bench<U: Model> {
    uart: U,
    rings: [Ring; 2],
    driver: Driver<U::Registers, Ring>,
    to_driver: Producer<Ring>,
    from_driver: Consumer<Ring>,
    /// The peer has notified the driver, and the other way round.
    notified: bool,
    told: bool,
    /// The interrupt has come and is not acknowledged.
    masked: bool,
    /// All that came out at the other end of the line, and all that the peer has received.
    line: Vec<u8>,
    received: Vec<u8>,
}

impl<U: Model> Bench<U> {
    fn new(uart: U) -> Self {
        let rings: [Ring; 2] = [(); 2].map(|()| &*Box::leak(Box::new(MortalBytes::new())));
        let (driver, _) = Driver::start(uart.registers(), Consumer::new(rings[0]), Producer::new(rings[1]));
        let (to_driver, from_driver) = (Producer::new(rings[0]), Consumer::new(rings[1]));
        let (line, received) = (Vec::new(), Vec::new());
        let (notified, told, masked) = (false, false, false);
        Self { uart, rings, driver, to_driver, from_driver, notified, told, masked, line, received }
    }

    /// What the driver's PD does when it is its turn.
    fn event(&mut self) {
        if self.uart.interrupts() && !self.masked {
            self.masked = true;
            let notify = self.driver.handle_interrupt();
            before_store();
            self.masked = false;
            self.tell(notify);
        }
        if core::mem::take(&mut self.notified) {
            let notify = self.driver.handle_peer();
            self.tell(notify);
        }
    }

    fn tell(&mut self, notify: Notify) {
        if notify == Notify::Peer {
            before_store();
            self.told = true;
        }
    }

    /// The peer writes what fits of `text`, and gives how much, and reads what there is, if it has been told.
    fn peer(&mut self, text: &[u8]) -> usize {
        let written = self.to_driver.write(text);
        if written < text.len() {
            self.to_driver.request_space_signal();
        }
        self.notified |= self.to_driver.should_notify();
        if core::mem::take(&mut self.told) {
            let mut buffer = [0; 64];
            loop {
                let count = self.from_driver.read(&mut buffer);
                if count == 0 {
                    break;
                }
                self.received.extend(buffer.iter().take(count));
                self.notified |= self.from_driver.should_notify();
            }
            self.notified |= self.from_driver.should_tell();
        }
        written
    }

    /// Everybody has a turn. Gives how much of `text` the ring has taken.
    fn round(&mut self, deaths: &mut Deaths, text: &[u8]) -> usize {
        let written = self.peer(text);
        deaths.act(self, Self::event);
        self.line.extend(self.uart.transmit());
        written
    }
}

impl<U: Model> Mortal for Bench<U> {
    fn begin(&mut self) {
        let [transmit, receive] = self.rings;
        let registers = self.uart.registers();
        let (driver, _) =
            Driver::start(registers, Consumer::begin(transmit, true), Producer::begin(receive, true));
        self.driver = driver;
        // A PD that was restarted notifies always.
        before_store();
        self.told = true;
        before_store();
        self.masked = false;
    }

    fn scribble(&mut self, junk: &mut Junk) {
        self.rings.iter().for_each(|ring| ring.scribble(junk));
    }
}

/// Bytes of output, and of input, that are all different.
const OUTPUT: u8 = 200;
const INPUT: u8 = 60;

/// What is written in the end.
const MARK: &[u8] = b"\xf0\xf1\xf2\xf3\xf4";

/// No byte of output is lost, and what was on its way comes again at most once a death; of the input a death loses at most the byte
/// that has just been taken out of the UART, and a hang what the UART has no room for. After junk nothing is promised but
/// that it goes on.
///
/// # Panics
/// When that is not so.
pub fn driver_may_die_everywhere<U: Model>(uart: impl Fn() -> U) {
    // Nobody types, and the peer has written all at once: nothing but the driver's next life sees to the rest.
    everywhere(&[0, 1, 4, 20], &[Way::HANG], 60, |deaths| {
        let mut bench = Bench::new(uart());
        let text: Vec<u8> = (0..64).collect();
        assert_eq!(bench.round(deaths, &text), text.len());
        for _ in 0..50 {
            bench.round(deaths, &[]);
        }
        check_output(&bench.line, 64, deaths.count());
    });
    let junk = Junk::ALL.map(Way::scribble_and_hang);
    everywhere(&[0, 1, 4, 20], &[&Way::OTHERS[..], &junk].concat(), 60, |deaths| {
        let mut bench = Bench::new(uart());
        let text: Vec<u8> = (0..OUTPUT).collect();
        let mut written = 0;
        for round in 0..100 {
            if round < INPUT {
                bench.uart.arrive(round);
            }
            let piece = text.get(written..(written + 7).min(text.len())).unwrap_or_default();
            written += bench.round(deaths, piece);
        }
        if !deaths.left_junk() {
            assert_eq!(written, text.len());
            check_output(&bench.line, OUTPUT, deaths.count());
            check_input(&bench.received, deaths);
        }
        deaths.end(&mut bench);
        for _ in 0..5 {
            bench.round(deaths, MARK);
            bench.uart.arrive(0xfe);
        }
        bench.round(deaths, &[]);
        bench.round(deaths, &[]);
        assert!(bench.line.ends_with(&[MARK, MARK].concat()), "{:?}", bench.line);
        assert_eq!(bench.received.last(), Some(&0xfe));
    });
}

/// Every byte up to `end` in order, with steps back no longer than a FIFO and no more than `deaths`.
fn check_output(line: &[u8], end: u8, deaths: usize) {
    let mut next = 0;
    let mut repeated = 0;
    for &byte in line {
        if byte < next {
            repeated += 1;
            assert!(next - byte <= 16, "{byte} where {next} is due");
        } else {
            assert_eq!(byte, next, "lost: {line:?}");
        }
        next = byte + 1;
    }
    assert_eq!(next, end, "lost: {line:?}");
    assert!(repeated <= deaths, "{repeated} repetitions: {line:?}");
}

/// In order and none twice, with as many missing as may be.
fn check_input(received: &[u8], deaths: &Deaths) {
    assert!(received.is_sorted_by(|a, b| a < b), "{received:?}");
    if !deaths.hung() {
        assert!(received.len() + deaths.count() >= INPUT.into(), "{received:?}");
    }
}
