// SPDX-License-Identifier: BSD-2-Clause
//! The console rings. The guest's output and this PD's own messages (the log) share them, line by line.

use crate::pd::links;
use crate::pd::symbols::ConsoleSymbols;
use ring::serial::{Consumer, Producer};
use sel4_microkit::{Channel, PdCell, debug_println, restarted};
use vmm::Console;
use vmm_devices::Transmit;

/// The rings of this PD's console.
pub struct RingConsole {
    output: Option<Producer>,
    input: Option<Consumer>,
    channel: Option<Channel>,
    /// Something was put and not yet signalled.
    unsignalled: bool,
    /// The guest's last byte did not end a line.
    inside_line: bool,
}

/// Here, because the log's sink is a plain function.
static CONSOLE: PdCell<Option<RingConsole>> = PdCell::new(None);

/// Makes `console` the one that [`Handle`] and the log use.
pub fn install(console: RingConsole) {
    // Not in use before.
    let _ = CONSOLE.try_with(|place| *place = Some(console));
}

/// Prints log text between the guest's lines.
pub fn log_sink(text: &str) {
    // Never called from inside the closures below.
    let _ = CONSOLE.try_with(|console| {
        if let Some(console) = console {
            if console.inside_line {
                console.put(b'\n');
            }
            for byte in text.bytes() {
                console.put(byte);
            }
            // A message may come in parts; they are one.
            console.inside_line = false;
            console.flush();
        }
    });
}

impl RingConsole {
    /// The console on the rings of `symbols`; without them output is dropped and input never comes.
    pub fn new(symbols: &ConsoleSymbols) -> Self {
        // SAFETY: the system description maps the console's rings there for good, and nothing else uses them.
        let (output, input) = unsafe {
            (links::ring(symbols.tx_queue, symbols.tx_data), links::ring(symbols.rx_queue, symbols.rx_data))
        };
        let mut this = Self {
            output: output.map(|ring| Producer::begin(ring, restarted())),
            input: input.map(|ring| Consumer::begin(ring, restarted())),
            channel: symbols.channel,
            unsignalled: false,
            inside_line: false,
        };
        if restarted() {
            // First the other side finds out, then this one, and no line is lost.
            this.look_at_output();
            this.look_at_output();
        }
        this
    }

    /// Finds out about a restart of the other side, or lets it find out about one of this side.
    fn look_at_output(&mut self) {
        if self.output.as_mut().is_some_and(Producer::should_tell) {
            self.notify();
        }
    }

    fn put(&mut self, byte: u8) -> bool {
        let Some(output) = &mut self.output else { return true };
        if output.write(&[byte]) == 0 && !self.make_room(byte) {
            return false;
        }
        self.unsignalled = true;
        self.inside_line = byte != b'\n';
        if !self.inside_line {
            self.flush();
        }
        true
    }

    /// The ring is full: lets the other side, which goes first, empty it; asks for a signal when it did not.
    #[cold]
    fn make_room(&mut self, byte: u8) -> bool {
        self.flush();
        let Some(output) = &mut self.output else { return true };
        if let Some(error) = output.take_error() {
            debug_println!("console: {error}");
        }
        if output.is_cut() {
            // Nobody reads any more: output is dropped.
            return true;
        }
        let full = output.request_space_signal();
        !full && output.write(&[byte]) == 1
    }

    #[inline]
    fn flush(&mut self) {
        if self.unsignalled {
            self.unsignalled = false;
            if self.output.as_mut().is_some_and(Producer::should_notify) {
                self.notify();
            }
        }
    }

    fn notify(&self) {
        if let Some(channel) = self.channel {
            channel.notify();
        }
    }

    /// Asked when the other side has notified.
    fn has_input(&mut self) -> bool {
        self.look_at_output();
        let Some(input) = &mut self.input else { return false };
        let has_input = !input.is_empty();
        // After a restart of the other side, or when it was cut off.
        if input.should_tell() {
            self.notify();
        }
        has_input
    }

    fn read(&mut self, buffer: &mut [u8]) -> usize {
        let Some(input) = &mut self.input else { return 0 };
        let count = input.read(buffer);
        if let Some(error) = input.take_error() {
            debug_println!("console: {error}");
        }
        if count > 0 && input.should_notify() {
            self.notify();
        }
        count
    }
}

/// Reaches the installed console.
pub struct Handle;

impl Transmit for Handle {
    #[inline]
    fn put(&mut self, byte: u8) -> bool {
        CONSOLE.try_with(|console| console.as_mut().is_none_or(|console| console.put(byte))).unwrap_or(true)
    }
}

impl Console for Handle {
    #[inline]
    fn flush(&mut self) {
        // Never called from inside another closure.
        let _ = CONSOLE.try_with(|console| {
            if let Some(console) = console {
                console.flush();
            }
        });
    }

    fn has_input(&mut self) -> bool {
        CONSOLE.try_with(|console| console.as_mut().is_some_and(RingConsole::has_input)).unwrap_or(false)
    }

    fn read(&mut self, buffer: &mut [u8]) -> usize {
        CONSOLE.try_with(|console| console.as_mut().map_or(0, |console| console.read(buffer))).unwrap_or(0)
    }
}
