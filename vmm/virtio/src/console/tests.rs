// SPDX-License-Identifier: BSD-2-Clause
//! A console with a driver and a terminal.

use super::{Console, RECEIVE, TRANSMIT};
use crate::mmio::{Mmio, registers};
use crate::mock::driver::{Buffer, bring_up};
use crate::mock::{DriverQueue, Ram, Terminal};
use crate::model::Progress;

const BASE: u64 = 0x4000_0000;
const DATA: u64 = BASE + 0x1_0000;
const ROOM: u64 = BASE + 0x2_0000;

struct Bench {
    ram: Ram,
    device: Mmio<Console>,
    terminal: Terminal,
    receive: DriverQueue,
    transmit: DriverQueue,
}

impl Bench {
    fn new() -> Self {
        let ram = Ram::new(BASE, 0x8_0000);
        let mut device = Mmio::new(Console::new(80, 25));
        let mut queues = bring_up(&mut device, &ram, u64::MAX, 64);
        let (transmit, receive) = (queues.remove(TRANSMIT), queues.remove(RECEIVE));
        receive.want_interrupt(&ram);
        Self { ram, device, terminal: Terminal::default(), receive, transmit }
    }

    fn run(&mut self) -> Progress {
        self.device.run(&self.ram, &mut self.terminal)
    }

    fn put(&mut self, bytes: &[u8]) {
        let place = DATA + 0x400 * u64::from(self.transmit.added);
        self.ram.poke(place, bytes);
        self.transmit.add(&self.ram, &[Buffer::readable(place, bytes.len() as u32)]);
        self.transmit.show(&self.ram);
    }
}

#[test]
fn output_reaches_the_terminal() {
    let mut bench = Bench::new();
    bench.put(b"hello ");
    let long: Vec<u8> = (0..1000u32).map(|at| at as u8).collect();
    bench.put(&long);
    let _ = bench.run();
    assert_eq!(bench.terminal.output, [&b"hello "[..], &long].concat());
    assert!(bench.transmit.take(&bench.ram).is_some() && bench.transmit.take(&bench.ram).is_some());
}

#[test]
fn full_terminal_gets_the_rest_later() {
    let mut bench = Bench::new();
    let long: Vec<u8> = (0..300u32).map(|at| at as u8).collect();
    bench.put(&long);
    bench.put(b"after");
    for room in [0, 1, 100, 150, 0, 50] {
        bench.terminal.room = Some(room);
        let _ = bench.run();
    }
    assert_eq!(bench.terminal.output, [&long[..], b"a"].concat());
    assert!(bench.transmit.take(&bench.ram).is_some());
    assert!(bench.transmit.take(&bench.ram).is_none());
    bench.terminal.room = None;
    let _ = bench.run();
    assert!(bench.terminal.output.ends_with(b"after"));
    assert!(bench.transmit.take(&bench.ram).is_some());
}

#[test]
fn half_sent_output_survives_a_move() {
    let mut bench = Bench::new();
    bench.put(b"half here, half there");
    bench.terminal.room = Some(10);
    let _ = bench.run();
    bench.device = postcard::from_bytes(&postcard::to_allocvec(&bench.device).unwrap()).unwrap();
    bench.terminal.room = None;
    let _ = bench.run();
    assert_eq!(bench.terminal.output, b"half here, half there");
}

#[test]
fn input_waits_for_a_place() {
    let mut bench = Bench::new();
    bench.terminal.input.extend(b"typed");
    let _ = bench.run();
    assert_eq!(bench.terminal.input.len(), 5);
    bench.receive.add(&bench.ram, &[Buffer::writable(ROOM, 3), Buffer::writable(ROOM + 16, 64)]);
    assert!(bench.receive.show(&bench.ram), "a kick is wanted");
    let _ = bench.run();
    assert_eq!(bench.receive.take(&bench.ram).map(|(_, length)| length), Some(5));
    assert_eq!((bench.ram.peek(ROOM), bench.ram.peek(ROOM + 16)), (*b"typ", *b"ed"));
    assert!(bench.device.asserted());
}

#[test]
fn places_wait_for_input() {
    let mut bench = Bench::new();
    for at in 0..4 {
        bench.receive.add(&bench.ram, &[Buffer::writable(ROOM + 16 * at, 16)]);
    }
    bench.receive.show(&bench.ram);
    let _ = bench.run();
    assert!(!bench.device.asserted());
    bench.terminal.input.extend(b"0123456789abcdef01");
    let _ = bench.run();
    assert_eq!(bench.receive.take(&bench.ram).map(|(_, length)| length), Some(16));
    assert_eq!(bench.receive.take(&bench.ram).map(|(_, length)| length), Some(2));
    assert_eq!(bench.receive.take(&bench.ram), None);
}

#[test]
fn emergency_output_needs_no_driver() {
    // Section 5.3.4.
    let ram = Ram::new(BASE, 0x1000);
    let mut device = Mmio::new(Console::new(0, 0));
    let mut terminal = Terminal::default();
    assert!(!device.has_emergency_output());
    let _ = device.write(0x108, 4, b'!'.into(), &ram);
    assert!(device.has_emergency_output());
    let _ = device.run(&ram, &mut terminal);
    assert_eq!(terminal.output, b"!");
    let _ = device.run(&ram, &mut terminal);
    assert_eq!(terminal.output, b"!");
}

#[test]
fn size_is_told_and_its_changes_too() {
    let mut bench = Bench::new();
    assert_eq!((bench.device.read(0x100, 2), bench.device.read(0x102, 2)), (80, 25));
    assert_eq!(bench.device.read(0x104, 4), 1);
    bench.device.resize(80, 25);
    assert!(!bench.device.asserted());
    bench.device.resize(132, 50);
    assert_eq!((bench.device.read(0x100, 2), bench.device.read(0x102, 2)), (132, 50));
    assert_eq!(bench.device.read(registers::INTERRUPT_STATUS, 4), 2);
}

#[test]
fn place_for_input_that_cannot_be_written_stops_the_device() {
    let mut bench = Bench::new();
    bench.terminal.input.extend(b"x");
    bench.receive.add(&bench.ram, &[Buffer::readable(ROOM, 8)]);
    bench.receive.show(&bench.ram);
    let _ = bench.run();
    assert!(bench.device.needs_reset());
    assert_eq!(bench.terminal.input.len(), 1);
}

#[test]
fn endless_output_lets_others_have_a_turn() {
    let mut bench = Bench::new();
    let buffers = [Buffer::readable(BASE, 0x4_0000)];
    bench.transmit.add(&bench.ram, &buffers);
    bench.transmit.show(&bench.ram);
    let mut turns = 1;
    while bench.run() == Progress::More {
        turns += 1;
    }
    assert_eq!((bench.terminal.output.len(), turns), (0x4_0000, 4));
}
