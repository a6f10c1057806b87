// SPDX-License-Identifier: BSD-2-Clause
//! A driver between a peer and a model of the mini UART.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use pl011_driver::{Driver, Notify, deaths};
use ring::memory::LocalMemory;
use ring::mortal::before_store;
use ring::serial::{Consumer, Producer};

use super::*;

/// Bytes in a FIFO.
const FIFO: usize = 8;

#[derive(Debug, Default)]
struct Model {
    enables: u32,
    control: u32,
    line: u32,
    interrupts: u32,
    received: VecDeque<u8>,
    transmit: Vec<u8>,
    /// What has left the FIFO because somebody waited for that.
    gone: Vec<u8>,
    /// Looks at the status since the last byte was written.
    looks: usize,
}

impl Model {
    fn interrupts(&self) -> bool {
        self.interrupts & RECEIVE_INTERRUPT != 0 && !self.received.is_empty()
            || self.interrupts & TRANSMIT_INTERRUPT != 0 && self.transmit.is_empty()
    }
}

#[derive(Debug, Clone, Default)]
struct Shared(Rc<RefCell<Model>>);

impl Words for Shared {
    fn read(&self, register: Register) -> u32 {
        let mut model = self.0.borrow_mut();
        model.looks += 1;
        if model.looks > 100 {
            let mut sent = core::mem::take(&mut model.transmit);
            model.gone.append(&mut sent);
        }
        match register {
            Register::Enables => model.enables,
            Register::Status => {
                let flag = |holds, bit| if holds { bit } else { 0 };
                flag(!model.received.is_empty(), RECEIVED)
                    | flag(model.transmit.len() < FIFO, SPACE)
                    | flag(model.transmit.is_empty(), DONE)
            }
            _ => panic!("{register:?} is not read"),
        }
    }

    fn take(&mut self, register: Register) -> u32 {
        before_store();
        assert_eq!(register, Register::Data);
        self.0.borrow_mut().received.pop_front().unwrap_or(0).into()
    }

    fn write(&mut self, register: Register, value: u32) {
        before_store();
        let mut model = self.0.borrow_mut();
        match register {
            Register::Enables => model.enables = value,
            Register::Control => model.control = value,
            Register::Line => model.line = value,
            Register::Interrupts => model.interrupts = value,
            Register::Data => {
                assert!(model.transmit.len() < FIFO, "a byte too many");
                model.transmit.push(value as u8);
                model.looks = 0;
            }
            Register::Fifo | Register::Status => panic!("{register:?} is not written"),
        }
    }
}

impl deaths::Model for Shared {
    type Registers = MiniUart<Self>;

    fn registers(&self) -> MiniUart<Self> {
        MiniUart::new(self.clone())
    }

    fn interrupts(&self) -> bool {
        self.0.borrow().interrupts()
    }

    fn arrive(&self, byte: u8) {
        let mut model = self.0.borrow_mut();
        if model.received.len() < FIFO {
            model.received.push_back(byte);
        }
    }

    fn transmit(&self) -> Vec<u8> {
        let mut model = self.0.borrow_mut();
        let mut sent = core::mem::take(&mut model.gone);
        sent.append(&mut model.transmit);
        sent
    }
}

#[test]
fn driver_may_die_in_front_of_every_store() {
    deaths::driver_may_die_everywhere(Shared::default);
}

#[test]
fn bytes_go_both_ways() {
    let rings = [LocalMemory::<64>::new(), LocalMemory::<64>::new()];
    let uart = Shared::default();
    uart.0.borrow_mut().enables = 4;
    let (mut driver, _) =
        Driver::start(MiniUart::new(uart.clone()), Consumer::new(&rings[0]), Producer::new(&rings[1]));
    let (mut to_driver, mut from_driver) = (Producer::new(&rings[0]), Consumer::new(&rings[1]));
    {
        let model = uart.0.borrow();
        assert_eq!((model.enables, model.control, model.line), (5, 3, 3), "the neighbours stay as they are");
        assert_eq!(model.interrupts, RECEIVE_INTERRUPT);
    }

    // More than a FIFO holds: the rest follows when it is empty, and then nobody interrupts any more.
    let text: Vec<u8> = (0..20).collect();
    to_driver.write(&text);
    driver.handle_peer();
    let mut sent = vec![];
    for _ in 0..10 {
        sent.append(&mut uart.0.borrow_mut().transmit);
        if uart.0.borrow().interrupts() {
            driver.handle_interrupt();
        }
    }
    assert_eq!(sent, text);
    assert!(!uart.0.borrow().interrupts());

    uart.0.borrow_mut().received.extend(b"ls\r");
    assert!(uart.0.borrow().interrupts());
    assert_eq!(driver.handle_interrupt(), Notify::Peer);
    let mut buffer = [0; 8];
    assert_eq!(from_driver.read(&mut buffer), 3);
    assert_eq!(&buffer[..3], b"ls\r");
    assert!(!uart.0.borrow().interrupts());
}
