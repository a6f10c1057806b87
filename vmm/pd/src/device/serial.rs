// SPDX-License-Identifier: BSD-2-Clause
//! The back ends on byte rings: of a guest's source of entropy, and of its virtio console.

use ring::PeerMisbehaved;
use ring::memory::RingMemory;
use ring::serial::{Consumer, Producer};
use vmm_virtio::{console, entropy};

/// The consumer's side of the entropy driver's ring.
pub struct EntropyRing<R> {
    bytes: Consumer<R>,
    notify: bool,
}

impl<R: RingMemory> EntropyRing<R> {
    /// On a ring.
    pub const fn new(bytes: Consumer<R>) -> Self {
        Self { bytes, notify: false }
    }

    /// Whether the driver has no device, and so there is no source.
    pub fn is_closed(&self) -> bool {
        self.bytes.is_closed()
    }

    /// Whether the driver is to be notified.
    pub fn commit(&mut self) -> bool {
        core::mem::take(&mut self.notify)
    }

    /// Why the driver was cut off, once.
    pub fn take_error(&mut self) -> Option<PeerMisbehaved> {
        self.bytes.take_error()
    }
}

impl<R: RingMemory> entropy::Backend for EntropyRing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> usize {
        let count = self.bytes.read(buffer);
        self.notify |= self.bytes.should_notify();
        count
    }
}

/// A client's side of the serial virtualiser's rings.
pub struct ConsoleRings<R> {
    output: Producer<R>,
    input: Consumer<R>,
    notify: bool,
}

impl<R: RingMemory> ConsoleRings<R> {
    /// On two rings.
    pub const fn new(output: Producer<R>, input: Consumer<R>) -> Self {
        Self { output, input, notify: false }
    }

    /// Whether the virtualiser is to be notified.
    pub fn commit(&mut self) -> bool {
        core::mem::take(&mut self.notify)
    }

    /// Why the virtualiser was cut off, once.
    pub fn take_error(&mut self) -> Option<PeerMisbehaved> {
        self.output.take_error().or_else(|| self.input.take_error())
    }
}

impl<R: RingMemory> console::Backend for ConsoleRings<R> {
    fn write(&mut self, bytes: &[u8]) -> usize {
        let mut count = self.output.write(bytes);
        if count < bytes.len() && !self.output.request_space_signal() {
            count += bytes.get(count..).map_or(0, |rest| self.output.write(rest));
        }
        // Nobody reads a ring that is cut off: output is dropped.
        if self.output.is_cut() { bytes.len() } else { count }
    }

    fn read(&mut self, buffer: &mut [u8]) -> usize {
        let count = self.input.read(buffer);
        self.notify |= self.input.should_notify();
        count
    }

    fn flush(&mut self) {
        self.notify |= self.output.should_notify();
    }
}
