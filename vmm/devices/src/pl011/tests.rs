// SPDX-License-Identifier: BSD-2-Clause
//! The UART as drivers use it.

use super::regs::*;
use super::*;

/// A sink with room for `room` bytes.
struct Line {
    sent: Vec<u8>,
    room: usize,
}

impl Line {
    fn with_room(room: usize) -> Self {
        Self { sent: Vec::new(), room }
    }
}

impl Transmit for Line {
    fn put(&mut self, byte: u8) -> bool {
        let fits = self.sent.len() < self.room;
        if fits {
            self.sent.push(byte);
        }
        fits
    }
}

fn write(uart: &mut Pl011, offset: u64, value: u32) {
    uart.write(offset, value, &mut Line::with_room(usize::MAX));
}

/// A UART as an interrupt-driven driver sets it up: FIFOs on, half-full levels, receive interrupts unmasked.
fn open() -> Pl011 {
    let mut uart = Pl011::new();
    write(&mut uart, LCR_H, 0x70);
    write(&mut uart, CR, 0x301);
    write(&mut uart, IMSC, (Interrupts::RX | Interrupts::RT).into());
    uart
}

#[test]
fn reset_values_and_identification_are_qemus() {
    let mut uart = Pl011::new();
    assert_eq!(uart.read(CR), 0x300);
    assert_eq!(uart.read(IFLS), 0x12);
    assert_eq!(uart.read(FR) & 0xf8, 0x90);
    let id: Vec<u32> = (0..8).map(|n| uart.read(0xfe0 + 4 * n)).collect();
    assert_eq!(id, [0x11, 0x10, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1]);
}

#[test]
fn output_goes_straight_through_and_asks_for_more() {
    let (mut uart, mut line) = (open(), Line::with_room(100));
    for &byte in b"hello" {
        assert_eq!(uart.read(FR) & u32::from(Flags::TXFF | Flags::BUSY), 0);
        uart.write(DR, byte.into(), &mut line);
    }
    assert_eq!(line.sent, b"hello");
    assert!(!uart.asserted(), "transmit interrupt is masked");
    write(&mut uart, IMSC, Interrupts::TX.into());
    assert!(uart.asserted());
    assert_eq!(uart.read(MIS), Interrupts::TX.into());
    write(&mut uart, ICR, Interrupts::TX.into());
    assert!(!uart.asserted());
}

#[test]
fn full_sink_fills_the_fifo_and_raises_the_full_flag() {
    let (mut uart, mut line) = (open(), Line::with_room(2));
    for byte in b'a'..=b'r' {
        assert_eq!(uart.read(FR) & u32::from(Flags::TXFF), 0);
        uart.write(DR, byte.into(), &mut line);
    }
    assert_eq!(line.sent, b"ab");
    assert_ne!(uart.read(FR) & u32::from(Flags::TXFF | Flags::BUSY), 0);
    assert_eq!(uart.read(RIS) & u32::from(Interrupts::TX), 0);
    uart.write(DR, b'!'.into(), &mut line); // lost, as on the real one
    assert_eq!(uart.pending_output(), 16);
    line.room = 9;
    uart.drain(&mut line);
    assert_eq!(line.sent, b"abcdefghi");
    assert_eq!(uart.read(RIS) & u32::from(Interrupts::TX), 0, "above the half");
    line.room = 100;
    uart.drain(&mut line);
    assert_eq!(line.sent, b"abcdefghijklmnopqr");
    assert_ne!(uart.read(RIS) & u32::from(Interrupts::TX), 0);
    assert_ne!(uart.read(FR) & u32::from(Flags::TXFE), 0);
}

#[test]
fn order_is_kept_when_the_sink_gets_room_between_writes() {
    let (mut uart, mut line) = (open(), Line::with_room(0));
    uart.write(DR, b'1'.into(), &mut line);
    line.room = 10;
    uart.write(DR, b'2'.into(), &mut line);
    uart.drain(&mut line);
    assert_eq!(line.sent, b"12");
}

#[test]
fn input_waits_until_the_guest_listens() {
    let mut uart = Pl011::new();
    assert_eq!(uart.receive(b"ls\n"), 0);
    write(&mut uart, LCR_H, 0x70);
    write(&mut uart, CR, 0x301);
    assert_eq!(uart.receive(b"ls\n"), 0, "interrupts still masked");
    write(&mut uart, IMSC, Interrupts::RT.into());
    assert_eq!(uart.receive(b"ls\n"), 3);
    assert!(uart.asserted());
}

#[test]
fn a_guest_that_polls_is_listening() {
    let mut uart = Pl011::new();
    for _ in 0..POLLING {
        assert_eq!(uart.receive(b"x"), 0);
        assert_ne!(uart.read(FR) & u32::from(Flags::RXFE), 0);
    }
    assert_eq!(uart.receive(b"xy"), 1, "FIFO disabled: one byte");
    assert_eq!(uart.read(FR) & u32::from(Flags::RXFE | Flags::RXFF), Flags::RXFF.into());
    assert_eq!(uart.read(DR), b'x'.into());
    assert_eq!(uart.receive(b"y"), 1, "still polling");
}

#[test]
fn checking_for_room_before_each_character_is_not_polling() {
    let mut uart = Pl011::new();
    for _ in 0..100 {
        uart.read(FR);
        write(&mut uart, DR, b'.'.into());
        uart.read(FR);
    }
    assert!(!uart.listens());
}

#[test]
fn receive_interrupts_follow_the_fifo() {
    let mut uart = open();
    assert_eq!(uart.receive(&[b'a'; 20]), 16);
    assert_eq!(uart.receive(b"b"), 0);
    assert_eq!(uart.read(RIS), (Interrupts::RX | Interrupts::RT).into());
    for _ in 0..9 {
        assert_eq!(uart.read(DR), b'a'.into());
    }
    assert_eq!(uart.read(RIS), Interrupts::RT.into(), "below half, but not empty");
    for _ in 0..7 {
        uart.read(DR);
    }
    assert_eq!(uart.read(RIS), 0);
    assert!(!uart.asserted());
    assert_eq!(uart.read(DR), 0, "empty");
}

#[test]
fn receive_timeout_can_be_cleared_while_input_waits() {
    let mut uart = open();
    uart.receive(b"a");
    assert!(uart.asserted());
    write(&mut uart, ICR, Interrupts::RT.into());
    assert!(!uart.asserted());
    uart.receive(b"b");
    assert!(uart.asserted());
    assert_eq!((uart.read(DR), uart.read(DR)), (b'a'.into(), b'b'.into()));
}

#[test]
fn loopback_returns_output_as_input() {
    let (mut uart, mut line) = (open(), Line::with_room(10));
    write(&mut uart, CR, 0x381);
    for byte in 0..17 {
        uart.write(DR, byte, &mut line);
    }
    assert!(line.sent.is_empty());
    assert_ne!(uart.read(RIS) & u32::from(Interrupts::OE), 0);
    assert_eq!((0..16).map(|_| uart.read(DR)).collect::<Vec<_>>(), (0..16).collect::<Vec<_>>());
}

#[test]
fn switching_fifos_empties_the_receiver() {
    let mut uart = open();
    uart.receive(b"abc");
    write(&mut uart, LCR_H, 0x60);
    assert_ne!(uart.read(FR) & u32::from(Flags::RXFE), 0);
}

#[test]
fn registers_keep_only_their_defined_bits() {
    let mut uart = Pl011::new();
    for (offset, kept) in [
        (ILPR, 0xff),
        (IBRD, 0xffff),
        (FBRD, 0x3f),
        (LCR_H, 0xff),
        (CR, 0xff87),
        (IFLS, 0x3f),
        (IMSC, 0x7ff),
        (DMACR, 0x7),
    ] {
        write(&mut uart, offset, u32::MAX);
        assert_eq!(uart.read(offset), kept, "{offset:#x}");
    }
}

#[test]
fn unknown_registers_read_zero_and_ignore_writes() {
    for offset in (0x4c..0xfe0).step_by(4).chain([0x4, 0x8, 0xc, 0x10, 0x14, 0x1c, 2, 0x1000, u64::MAX]) {
        let mut uart = Pl011::new();
        write(&mut uart, offset, u32::MAX);
        assert_eq!(uart, Pl011::new(), "{offset:#x}");
        assert_eq!(uart.read(offset), 0, "{offset:#x}");
    }
}

#[test]
fn every_level_setting_works() {
    for levels in 0..0x40 {
        let (mut uart, mut line) = (open(), Line::with_room(0));
        write(&mut uart, IFLS, levels);
        uart.receive(&[0; 16]);
        assert_ne!(uart.read(RIS) & u32::from(Interrupts::RX), 0);
        for _ in 0..16 {
            uart.write(DR, 0, &mut line);
        }
        line.room = 16;
        uart.drain(&mut line);
        assert_ne!(uart.read(RIS) & u32::from(Interrupts::TX), 0);
    }
}
