// SPDX-License-Identifier: BSD-2-Clause
//! The console dies at every point, between two clients that write and are typed at, and a driver.

use std::collections::VecDeque;

use ring::mortal::{Deaths, Junk, Mortal, MortalBytes, Way, before_store, everywhere};
use ring::serial::{Consumer, Producer};

use crate::{Client, MIN_DRIVER_RING, Name, Virtualiser};

type Ring = &'static MortalBytes<MIN_DRIVER_RING>;

/// What one of the clients writes: a letter that no other writes, each with 13 to choose from, in lines that are shorter than
/// that.
const LETTERS: usize = 13;
const LINE: usize = 8;
/// Letters that each writes, and keys that are typed.
const OUTPUT: usize = 96;
const KEYS: u8 = 20;

fn letter(client: usize, index: usize) -> u8 {
    b'A' + (client * LETTERS + index % LETTERS) as u8
}

/// Everything that client `client` writes.
fn text(client: usize) -> Vec<u8> {
    let letters: Vec<u8> = (0..OUTPUT).map(|index| letter(client, index)).collect();
    letters.chunks(LINE).flat_map(|line| [line, b"\n"].concat()).collect()
}

struct Peer {
    output: Producer<Ring>,
    input: Consumer<Ring>,
    /// What it still has to write, and what it has read.
    text: VecDeque<u8>,
    received: Vec<u8>,
    /// The console has notified it.
    told: bool,
}

struct Bench {
    rings: Vec<Ring>,
    console: Virtualiser<Ring>,
    clients: Vec<Peer>,
    /// The driver's ends.
    screen: Consumer<Ring>,
    keyboard: Producer<Ring>,
    shown: Vec<u8>,
    /// The console has been notified, and a moment that it waits for.
    notified: bool,
    moment: bool,
    driver_told: bool,
}

impl Bench {
    fn new() -> Self {
        let rings: Vec<Ring> = (0..6).map(|_| &*Box::leak(Box::new(MortalBytes::new()))).collect();
        let peer = |client: usize| Peer {
            output: Producer::new(rings[2 + 2 * client]),
            input: Consumer::new(rings[3 + 2 * client]),
            text: text(client).into(),
            received: Vec::new(),
            told: false,
        };
        Self {
            console: Self::console(&rings, false),
            clients: vec![peer(0), peer(1)],
            screen: Consumer::new(rings[0]),
            keyboard: Producer::new(rings[1]),
            rings,
            shown: Vec::new(),
            notified: false,
            moment: false,
            driver_told: false,
        }
    }

    fn console(rings: &[Ring], restarted: bool) -> Virtualiser<Ring> {
        let (to_driver, from_driver) =
            (Producer::begin(rings[0], restarted), Consumer::begin(rings[1], restarted));
        let mut console = Virtualiser::new(to_driver, from_driver, true);
        for (name, rings) in ["a", "b"].iter().zip(rings[2..].chunks(2)) {
            let (output, input) =
                (Consumer::begin(rings[0], restarted), Producer::begin(rings[1], restarted));
            console.add_client(Client::new(name.chars().collect::<Name>(), output, input));
        }
        console
    }

    /// As the PD's.
    fn service(&mut self) {
        loop {
            let outcome = self.console.service();
            if outcome.notify.driver {
                before_store();
                self.driver_told = true;
            }
            for (index, client) in self.clients.iter_mut().enumerate() {
                if outcome.notify.clients & 1 << index != 0 {
                    before_store();
                    client.told = true;
                }
            }
            self.moment |= outcome.wait_a_moment;
            if !outcome.again {
                return;
            }
        }
    }

    fn event(&mut self) {
        if core::mem::take(&mut self.moment) {
            self.console.moment_passed();
            self.notified = true;
        }
        if core::mem::take(&mut self.notified) {
            self.service();
        }
    }

    /// Everybody has a turn.
    fn round(&mut self, deaths: &mut Deaths) {
        for client in &mut self.clients {
            let piece: Vec<u8> = client.text.iter().copied().take(30).collect();
            let written = client.output.write(&piece);
            client.text.drain(..written);
            if written < piece.len() {
                client.output.request_space_signal();
            }
            self.notified |= client.output.should_notify();
            if core::mem::take(&mut client.told) {
                client.received.extend(read(&mut client.input));
                self.notified |= client.input.should_notify() | client.input.should_tell();
            }
        }
        deaths.act(self, Self::event);
        if core::mem::take(&mut self.driver_told) {
            self.shown.extend(read(&mut self.screen));
            self.notified |= self.screen.should_notify() | self.screen.should_tell();
        }
    }

    fn press(&mut self, key: u8) {
        self.keyboard.write(&[key]);
        self.notified |= self.keyboard.should_notify();
    }
}

fn read(ring: &mut Consumer<Ring>) -> Vec<u8> {
    let mut buffer = [0; MIN_DRIVER_RING];
    let count = ring.read(&mut buffer);
    buffer[..count].to_vec()
}

impl Mortal for Bench {
    fn begin(&mut self) {
        self.console = Self::console(&self.rings, true);
        // As the PD does when it was restarted.
        before_store();
        self.driver_told = true;
        for client in &mut self.clients {
            before_store();
            client.told = true;
        }
        self.console.tell_restart();
        self.service();
    }

    fn scribble(&mut self, junk: &mut Junk) {
        self.rings.iter().for_each(|ring| ring.scribble(junk));
    }
}

/// No letter of a client is lost, and what was on its way, part of a line, is shown again at most once a death.
fn check_output(shown: &[u8], client: usize, deaths: usize) {
    let letters = letter(client, 0)..=letter(client, LETTERS - 1);
    let (mut next, mut repeated) = (0, 0);
    for byte in shown.iter().copied().filter(|byte| letters.contains(byte)) {
        if byte != letter(client, next) {
            repeated += 1;
            let step = (1..=LINE.min(next)).find(|step| letter(client, next - step) == byte);
            next -= step.unwrap_or_else(|| panic!("{} where {next} is due", char::from(byte)));
        }
        next += 1;
    }
    assert_eq!(next, OUTPUT, "letters of {client}");
    assert!(repeated <= deaths, "{repeated} repetitions");
}

/// Keys that were on their way may be lost; none comes twice, and they come in order. After junk nothing is promised but that it
/// goes on.
#[test]
fn console_may_die_in_front_of_every_store() {
    let junk = Junk::ALL.map(Way::scribble_and_hang);
    everywhere(&[0, 9], &[&Way::OTHERS[..], &junk].concat(), 300, |deaths| {
        let mut bench = Bench::new();
        for round in 0..70 {
            if round < KEYS {
                bench.press(b'a' + round % 26);
            }
            bench.round(deaths);
        }
        if !deaths.left_junk() {
            for client in 0..2 {
                check_output(&bench.shown, client, deaths.count());
            }
            let mut typed = (0..KEYS).map(|key| b'a' + key % 26);
            let received = &bench.clients[0].received;
            assert!(received.iter().all(|key| typed.any(|typed| typed == *key)), "{received:?}");
        }
        deaths.end(&mut bench);
        for line in 0..6 {
            for client in &mut bench.clients {
                client.text.extend(format!("line {line}\n").bytes());
            }
            bench.press(b'!');
            for _ in 0..4 {
                bench.round(deaths);
            }
        }
        let end = String::from_utf8_lossy(&bench.shown);
        for wanted in ["a| line 4\r\n", "b| line 4\r\n", "a| line 5\r\n", "b| line 5\r\n"] {
            assert!(end.contains(wanted), "no {wanted:?} in {end:?}");
        }
        assert!(bench.clients[0].received.ends_with(b"!!"));
    });
}
