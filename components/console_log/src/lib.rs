// SPDX-License-Identifier: BSD-2-Clause
//! The log messages of a protection domain (PD) that has nothing else to print, on the console: a client of the console
//! virtualiser that only writes.
//!
//! Symbols: `console_ch`, and the ring `console_tx_queue`, `console_tx_data`, `console_tx_data_size`. The console virtualiser
//! or the UART's driver may be what has died. Then the messages stay in the ring until they are back; what does not fit is
//! lost, and counted.
#![no_std]

use core::fmt::Write as _;
use core::ptr::NonNull;

use ring::memory::SharedRegion;
use ring::serial::Producer;
use sel4_microkit::{Channel, ChannelSet, PdCell, restarted, set_log_sink, var};

struct Console {
    output: Producer,
    channel: Channel,
    /// Messages lost since the last one that was not.
    lost: u64,
}

impl Console {
    fn write(&mut self, text: &str) {
        if self.lost > 0 {
            let mut notice = heapless::String::<64>::new();
            // Short enough.
            let _ = writeln!(notice, "{} messages lost", self.lost);
            if self.output.free() >= notice.len() + text.len() {
                self.output.write(notice.as_bytes());
                self.lost = 0;
            }
        }
        if self.output.free() < text.len() {
            self.lost += 1;
            return;
        }
        self.output.write(text.as_bytes());
        self.notify();
    }

    fn notify(&mut self) {
        if self.output.should_notify() {
            self.channel.notify();
        }
    }
}

static CONSOLE: PdCell<Option<Console>> = PdCell::new(None);

fn with_console(f: impl FnOnce(&mut Console)) {
    CONSOLE.try_with(|console| console.as_mut().map(f));
}

/// Sends log messages to the console, if there is one.
///
/// # Panics
/// When the size of the ring is not a power of two.
pub fn init() {
    let queue = NonNull::new(core::ptr::with_exposed_provenance_mut(*var!(console_tx_queue: usize = 0)));
    let data = NonNull::new(core::ptr::with_exposed_provenance_mut(*var!(console_tx_data: usize = 0)));
    let size = *var!(console_tx_data_size: usize = 0);
    let (Some(queue), Some(data), Some(channel)) = (queue, data, channel()) else { return };
    // SAFETY: the regions are mapped read-write for the PD's whole life with this size (a queue page is 4 KiB), and
    // nothing else in this PD uses them.
    let memory = unsafe { SharedRegion::new(queue, data, size) };
    let Some(memory) = memory else { panic!("the size of a ring must be a power of two") };
    CONSOLE.try_with(|console| {
        *console = Some(Console { output: Producer::begin(memory, restarted()), channel, lost: 0 })
    });
    set_log_sink(|text| with_console(|console| console.write(text)));
}

/// To be called with what the PD was notified of: tells the console again about messages that it has not taken, if it has
/// notified, because then it may have been restarted.
#[inline]
pub fn notified(channels: ChannelSet) {
    if channel().is_some_and(|channel| channels.contains(channel)) {
        retry();
    }
}

/// Tells the console again about messages that it has not taken.
#[cold]
pub fn retry() {
    with_console(|console| {
        if !console.output.is_empty() {
            console.channel.notify();
        }
    });
}

/// The console's channel, if the system description sets the symbol.
#[inline]
fn channel() -> Option<Channel> {
    let index = *var!(console_ch: usize = usize::MAX);
    (index != usize::MAX).then(|| Channel::new(index))
}
