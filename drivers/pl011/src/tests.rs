// SPDX-License-Identifier: BSD-2-Clause
//! The driver against a model of the UART with FIFOs of 16 bytes.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use ring::memory::LocalMemory;
use ring::mortal::before_store;
use ring::serial::{Consumer, Producer};

use crate::registers::{Control, Flags, Interrupts, LineControl, Registers};
use crate::{Driver, Notify, deaths};

const FIFO: usize = 16;

#[derive(Debug, Default)]
struct Model {
    tx_fifo: VecDeque<u8>,
    rx_fifo: VecDeque<u32>,
    line: Vec<u8>,
    mask: u32,
    raised: u32,
    cleared: Vec<u32>,
    control: u32,
    line_control: u32,
    /// Looks at the flags since the last byte was written.
    looks: usize,
}

impl Model {
    /// The line has taken `count` bytes.
    fn transmit(&mut self, count: usize) {
        for _ in 0..count {
            self.line.extend(self.tx_fifo.pop_front());
        }
        if self.tx_fifo.len() <= FIFO / 8 {
            self.raised |= Interrupts::TX.bits();
        }
    }

    /// Bytes arrive on the line. As in emulators the interrupt is raised when the FIFO has been empty, and not again.
    fn arrive(&mut self, data: impl IntoIterator<Item = u32>) {
        if self.rx_fifo.is_empty() {
            self.raised |= Interrupts::RX.bits();
        }
        self.rx_fifo.extend(data);
    }

    fn interrupt(&self) -> bool {
        self.raised & self.mask != 0
    }
}

/// The model as registers; clones share it.
#[derive(Debug, Clone, Default)]
struct Uart(Rc<RefCell<Model>>);

impl Registers for Uart {
    fn read_data(&mut self) -> u32 {
        before_store();
        let mut model = self.0.borrow_mut();
        let data = model.rx_fifo.pop_front().expect("read of an empty FIFO");
        if model.rx_fifo.is_empty() {
            model.raised &= !(Interrupts::RX | Interrupts::RECEIVE_TIMEOUT).bits();
        }
        data
    }

    fn write_data(&mut self, byte: u8) {
        before_store();
        let mut model = self.0.borrow_mut();
        assert!(model.tx_fifo.len() < FIFO, "write to a full FIFO");
        assert_eq!(model.control, 0x301, "written while off");
        model.tx_fifo.push_back(byte);
        model.looks = 0;
    }

    fn flags(&self) -> Flags {
        let mut model = self.0.borrow_mut();
        model.looks += 1;
        if model.looks > 100 {
            // Somebody waits.
            model.transmit(1);
        }
        let mut flags = Flags::empty();
        flags.set(Flags::BUSY, !model.tx_fifo.is_empty());
        flags.set(Flags::RXFE, model.rx_fifo.is_empty());
        flags.set(Flags::TXFF, model.tx_fifo.len() == FIFO);
        flags
    }

    fn set_line_control(&mut self, value: LineControl) {
        before_store();
        let mut model = self.0.borrow_mut();
        assert_eq!(model.control, 0, "programmed while on");
        model.line_control = value.bits();
    }

    fn set_control(&mut self, value: Control) {
        before_store();
        let mut model = self.0.borrow_mut();
        assert!(model.tx_fifo.is_empty() || value != Control::empty(), "switched off while it transmits");
        model.control = value.bits();
    }

    fn set_levels(&mut self, _value: u32) {}

    fn set_interrupt_mask(&mut self, value: Interrupts) {
        before_store();
        self.0.borrow_mut().mask = value.bits();
    }

    fn clear_interrupts(&mut self, value: Interrupts) {
        before_store();
        let mut model = self.0.borrow_mut();
        model.raised &= !value.bits();
        model.cleared.push(value.bits());
    }
}

impl deaths::Model for Uart {
    type Registers = Self;

    fn registers(&self) -> Self {
        self.clone()
    }

    fn interrupts(&self) -> bool {
        self.0.borrow().interrupt()
    }

    fn arrive(&self, byte: u8) {
        let mut model = self.0.borrow_mut();
        if model.rx_fifo.len() < FIFO && model.control & 1 != 0 {
            model.arrive([byte.into()]);
        }
    }

    fn transmit(&self) -> Vec<u8> {
        let mut model = self.0.borrow_mut();
        model.transmit(FIFO);
        core::mem::take(&mut model.line)
    }
}

#[test]
fn driver_may_die_in_front_of_every_store() {
    deaths::driver_may_die_everywhere(Uart::default);
}

/// A driver with its peer's ends of the rings.
struct Bench<'a> {
    uart: Uart,
    driver: Driver<Uart, &'a LocalMemory<64>>,
    to_driver: Producer<&'a LocalMemory<64>>,
    from_driver: Consumer<&'a LocalMemory<64>>,
}

impl<'a> Bench<'a> {
    fn new(rings: &'a [LocalMemory<64>; 2]) -> Self {
        let uart = Uart::default();
        let (driver, _) = Driver::start(uart.clone(), Consumer::new(&rings[0]), Producer::new(&rings[1]));
        Self { uart, driver, to_driver: Producer::new(&rings[0]), from_driver: Consumer::new(&rings[1]) }
    }

    fn received(&mut self) -> Vec<u8> {
        let mut buffer = [0; 64];
        let count = self.from_driver.read(&mut buffer);
        buffer[..count].to_vec()
    }
}

fn rings() -> [LocalMemory<64>; 2] {
    [LocalMemory::new(), LocalMemory::new()]
}

#[test]
fn uart_is_set_up_for_eight_bits_with_fifos_and_receive_interrupts() {
    let rings = rings();
    let bench = Bench::new(&rings);
    let model = bench.uart.0.borrow();
    assert_eq!(model.line_control, 0x70);
    assert_eq!(model.control, 0x301);
    assert_eq!(model.mask, 0x50);
    assert_eq!(model.cleared, [0x7ff, 0]);
}

#[test]
fn long_output_goes_on_with_each_transmit_interrupt_and_then_stops_asking() {
    let rings = rings();
    let mut bench = Bench::new(&rings);
    let text: Vec<u8> = (0..60).collect();
    bench.to_driver.write(&text);
    bench.driver.handle_peer();
    for _ in 0..10 {
        bench.uart.0.borrow_mut().transmit(FIFO);
        if bench.uart.0.borrow().interrupt() {
            bench.driver.handle_interrupt();
        }
    }
    let model = bench.uart.0.borrow();
    assert_eq!(model.line, text);
    assert_eq!(model.mask & Interrupts::TX.bits(), 0);
}

#[test]
fn producer_that_waits_for_space_is_notified_once_bytes_have_left() {
    let rings = rings();
    let mut bench = Bench::new(&rings);
    bench.to_driver.cancel_space_signal();
    bench.to_driver.write(&[b'x'; 64]);
    assert_eq!(bench.driver.handle_peer(), Notify::No, "nobody asked");
    bench.to_driver.write(&[b'y'; 64]);
    assert!(bench.to_driver.request_space_signal());
    bench.uart.0.borrow_mut().transmit(FIFO);
    assert_eq!(bench.driver.handle_interrupt(), Notify::Peer);
}

#[test]
fn received_bytes_reach_the_ring_and_the_peer_is_notified() {
    let rings = rings();
    let mut bench = Bench::new(&rings);
    bench.uart.0.borrow_mut().arrive(b"ls\r".map(u32::from));
    assert!(bench.uart.0.borrow().interrupt());
    assert_eq!(bench.driver.handle_interrupt(), Notify::Peer);
    assert_eq!(bench.received(), b"ls\r");
    assert!(!bench.uart.0.borrow().interrupt(), "the interrupt is cleared");
}

#[test]
fn broken_bytes_are_dropped_and_the_byte_after_an_overrun_is_kept() {
    let rings = rings();
    let mut bench = Bench::new(&rings);
    bench.uart.0.borrow_mut().arrive([0x100 | 1, 0x200 | 2, 0x400, 0x800 | 0x41]);
    bench.driver.handle_interrupt();
    assert_eq!(bench.received(), b"A");
}

#[test]
fn input_that_nobody_reads_is_counted_and_does_not_block_output() {
    let rings = rings();
    let mut bench = Bench::new(&rings);
    bench.uart.0.borrow_mut().arrive([0x61; 100]);
    bench.to_driver.write(b"out");
    bench.driver.handle_interrupt();
    assert_eq!(bench.driver.take_dropped(), 36);
    assert_eq!(bench.driver.take_dropped(), 0);
    assert_eq!(bench.uart.0.borrow().tx_fifo, b"out");
}

#[test]
fn receiver_that_never_runs_empty_does_not_hold_the_driver() {
    let rings = rings();
    let mut bench = Bench::new(&rings);
    bench.uart.0.borrow_mut().arrive([0x61; 1000]);
    bench.driver.handle_interrupt();
    assert_eq!(bench.uart.0.borrow().rx_fifo.len(), 1000 - 256);
}

#[test]
fn input_beyond_what_one_event_takes_is_taken_with_the_next() {
    let rings = rings();
    let mut bench = Bench::new(&rings);
    bench.uart.0.borrow_mut().arrive([0x61; 256]);
    bench.uart.0.borrow_mut().arrive(b"more".map(u32::from));
    bench.driver.handle_interrupt();
    bench.received();
    assert!(bench.uart.0.borrow().interrupt(), "there is more");
    assert_eq!(bench.driver.handle_interrupt(), Notify::Peer);
    assert_eq!(bench.received(), b"more");
    assert!(!bench.uart.0.borrow().interrupt());
}

#[test]
fn input_that_was_there_before_the_driver_is_taken() {
    let rings = rings();
    let uart = Uart::default();
    uart.0.borrow_mut().arrive(b"early".map(u32::from));
    let (_, notify) = Driver::start(uart, Consumer::new(&rings[0]), Producer::new(&rings[1]));
    assert_eq!(notify, Notify::Peer);
    let mut buffer = [0; 64];
    assert_eq!(Consumer::new(&rings[1]).read(&mut buffer), 5);
}

#[test]
fn misbehaving_peer_is_reported_once_and_output_stops() {
    use core::sync::atomic::Ordering;
    use ring::memory::{RingMemory, Word};
    let rings = rings();
    let mut bench = Bench::new(&rings);
    (&rings[0]).store(Word::Tail, 1000, Ordering::Relaxed);
    bench.driver.handle_peer();
    assert!(bench.driver.take_error().is_some());
    assert!(bench.driver.take_error().is_none());
    assert!(bench.uart.0.borrow().tx_fifo.is_empty());
}
