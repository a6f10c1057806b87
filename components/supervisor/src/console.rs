// SPDX-License-Identifier: BSD-2-Clause
//! The supervisor's messages on the console.
//!
//! The console virtualiser or the UART's driver may be what has died. Then the messages stay in the ring until they are
//! back; what does not fit is lost, and counted.

use core::fmt::Write as _;
use core::ptr::NonNull;

use ring::memory::SharedRegion;
use ring::serial::Producer;
use sel4_microkit::{Channel, PdCell, set_log_sink, var};

use crate::symbols::connected;

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
            let _ = writeln!(notice, "supervisor: {} messages lost", self.lost);
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
pub fn init() {
    let queue = NonNull::new(core::ptr::with_exposed_provenance_mut(*var!(console_tx_queue: usize = 0)));
    let data = NonNull::new(core::ptr::with_exposed_provenance_mut(*var!(console_tx_data: usize = 0)));
    let size = *var!(console_tx_data_size: usize = 0);
    let channel = connected(*var!(console_ch: usize = usize::MAX));
    let (Some(queue), Some(data), Some(channel)) = (queue, data, channel) else { return };
    // SAFETY: the regions are mapped read-write for the PD's whole life with this size (a queue page is 4 KiB), and
    // nothing else in this PD uses them.
    let memory = unsafe { SharedRegion::new(queue, data, size) };
    let Some(memory) = memory else { panic!("the size of a ring must be a power of two") };
    CONSOLE.try_with(|console| *console = Some(Console { output: Producer::new(memory), channel, lost: 0 }));
    set_log_sink(|text| with_console(|console| console.write(text)));
}

/// Tells the console again about messages that it has not taken: it may have been restarted since.
pub fn retry() {
    with_console(|console| {
        if !console.output.is_empty() {
            console.channel.notify();
        }
    });
}
