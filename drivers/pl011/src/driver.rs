// SPDX-License-Identifier: BSD-2-Clause
//! The driver's logic.

use ring::memory::RingMemory;
use ring::serial::{Consumer, Producer};

use crate::registers::{Control, Flags, Interrupts, LineControl, ReceiveErrors, Registers};

/// Receive level 1/2, transmit level 1/8 of the FIFO: interrupts neither for every byte nor too late.
const LEVELS: u32 = 0b010_000;

/// Bytes copied out of the transmit ring at a time.
const CHUNK: usize = 64;

/// Most bytes taken from the receive FIFO for one event. The FIFO has 32 at most; a UART that never runs empty must not
/// keep the driver from its other work.
const RECEIVE_BOUND: usize = 256;

/// Most looks at the busy flag: far longer than a FIFO takes at 9600 baud, and an end for a UART that is broken.
const BUSY_BOUND: usize = 10_000_000;

/// Whether the peer must be notified after an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notify {
    /// Nothing for the peer to do.
    No,
    /// Notify the peer.
    Peer,
}

/// A UART between two rings.
#[derive(Debug)]
pub struct Driver<R, M> {
    uart: R,
    /// Bytes to transmit.
    transmit: Consumer<M>,
    /// Bytes received.
    receive: Producer<M>,
    enabled: Interrupts,
    /// Received bytes that the ring had no space for.
    dropped: u64,
}

impl<R: Registers, M: RingMemory> Driver<R, M> {
    /// Sets the UART up: 8 data bits, no parity, one stop bit, FIFOs and receive interrupts on; the baud rate stays as the
    /// firmware left it. Then does what there is to do: bytes that came before the interrupt was enabled do not raise it, and a peer
    /// whose bytes are in the ring already does not notify again.
    pub fn start(uart: R, transmit: Consumer<M>, receive: Producer<M>) -> (Self, Notify) {
        let mut this = Self { uart, transmit, receive, enabled: Interrupts::empty(), dropped: 0 };
        // 3.3.8: let what the firmware wrote go out, then disable before programming.
        for _ in 0..BUSY_BOUND {
            if !this.uart.flags().contains(Flags::BUSY) {
                break;
            }
        }
        this.uart.set_control(Control::empty());
        this.uart.set_interrupt_mask(Interrupts::empty());
        this.uart.clear_interrupts(Interrupts::ALL);
        this.uart.set_levels(LEVELS);
        this.uart.set_line_control(LineControl::WORD_8 | LineControl::FIFO_ENABLE);
        this.uart.set_control(Control::UART_ENABLE | Control::TX_ENABLE | Control::RX_ENABLE);
        this.enable(Interrupts::RX | Interrupts::RECEIVE_TIMEOUT);
        let notify = this.handle_interrupt();
        (this, notify)
    }

    /// The UART's interrupt has come. To be followed by its acknowledgement.
    pub fn handle_interrupt(&mut self) -> Notify {
        // Before the FIFO is looked at, so that what leaves it meanwhile raises the interrupt again. Those of the receiver end
        // when its FIFO has been read (2.8): cleared here, with bytes left behind, they would not come again.
        self.uart.clear_interrupts(self.enabled & Interrupts::TX);
        self.drain();
        let transmitted = self.fill();
        self.notify(transmitted)
    }

    /// The peer has notified: there are bytes to transmit.
    pub fn handle_peer(&mut self) -> Notify {
        let transmitted = self.fill();
        self.notify(transmitted)
    }

    /// Received bytes lost since the last call because the peer did not take them in time.
    pub fn take_dropped(&mut self) -> u64 {
        core::mem::take(&mut self.dropped)
    }

    /// The reason a ring was cut off, once.
    pub fn take_error(&mut self) -> Option<ring::PeerMisbehaved> {
        self.transmit.take_error().or_else(|| self.receive.take_error())
    }

    fn notify(&mut self, transmitted: bool) -> Notify {
        let received = self.receive.should_notify();
        let space = transmitted && self.transmit.should_notify();
        let tell = self.transmit.should_tell();
        if received || space || tell { Notify::Peer } else { Notify::No }
    }

    /// Moves bytes from the receive FIFO to the ring. What does not fit is dropped: the line cannot be held. If there is more
    /// than the bound the interrupt stays raised.
    fn drain(&mut self) {
        for _ in 0..RECEIVE_BOUND {
            if self.uart.flags().contains(Flags::RXFE) {
                break;
            }
            let data = self.uart.read_data();
            let errors = ReceiveErrors::from_bits_truncate(data);
            if errors.intersects(ReceiveErrors::FRAMING | ReceiveErrors::PARITY | ReceiveErrors::BREAK) {
                continue;
            }
            // The low byte is the data.
            if self.receive.write(&[data as u8]) == 0 {
                self.dropped += 1;
            }
        }
    }

    /// Moves bytes from the ring to the transmit FIFO until one of them ends. Wants an interrupt only when bytes are left.
    /// Gives whether any byte was moved.
    fn fill(&mut self) -> bool {
        let mut moved = false;
        loop {
            let mut chunk = [0; CHUNK];
            let count = self.transmit.peek(&mut chunk);
            if count == 0 {
                self.enable(self.enabled - Interrupts::TX);
                return moved;
            }
            let sent = self.send(chunk.get(..count).unwrap_or_default());
            self.transmit.advance(sent);
            moved |= sent > 0;
            if sent < count {
                self.enable(self.enabled | Interrupts::TX);
                return moved;
            }
        }
    }

    /// Writes bytes to the transmit FIFO until it is full; gives their number.
    fn send(&mut self, bytes: &[u8]) -> usize {
        for (sent, byte) in bytes.iter().enumerate() {
            if self.uart.flags().contains(Flags::TXFF) {
                return sent;
            }
            self.uart.write_data(*byte);
        }
        bytes.len()
    }

    fn enable(&mut self, interrupts: Interrupts) {
        if self.enabled != interrupts {
            self.enabled = interrupts;
            self.uart.set_interrupt_mask(interrupts);
        }
    }
}
