// SPDX-License-Identifier: BSD-2-Clause
//! A client of the console virtualiser: prints a prompt, echoes what is typed, repeats each line, and logs to the console.
//!
//! Symbols: `console_ch` and the rings `console_tx_*`, `console_rx_*`.
#![no_std]
#![no_main]

use ring::memory::SharedRegion;
use ring::serial::{Consumer, Producer};
use sel4_microkit::{
    Channel, ChannelSet, Handler, Infallible, PdCell, memory_region_symbol, pd_name, protection_domain,
    set_log_sink, var,
};
use test_pds as _;

struct Console {
    output: Producer,
    channel: Channel,
}

impl Console {
    /// Writes as much as there is space for.
    fn write(&mut self, text: &[u8]) {
        self.output.write(text);
        if self.output.should_notify() {
            self.channel.notify();
        }
    }
}

static CONSOLE: PdCell<Option<Console>> = PdCell::new(None);

fn write(text: &str) {
    CONSOLE.try_with(|console| {
        if let Some(console) = console {
            console.write(text.as_bytes());
        }
    });
}

struct Client {
    input: Consumer,
    channel: Channel,
}

impl Handler for Client {
    type Error = Infallible;

    fn notified(&mut self, _channels: ChannelSet) -> Result<(), Infallible> {
        loop {
            let mut buffer = [0; 64];
            let count = self.input.read(&mut buffer);
            if count == 0 {
                return Ok(());
            }
            if self.input.should_notify() {
                self.channel.notify();
            }
            for byte in buffer.iter().take(count) {
                match byte {
                    b'\r' => {
                        write("\r\n");
                        log::info!("got a line");
                        write("# ");
                    }
                    byte => {
                        let echo = [*byte];
                        write(core::str::from_utf8(&echo).unwrap_or("?"));
                    }
                }
            }
        }
    }
}

#[protection_domain]
fn init() -> impl Handler {
    // SAFETY: the regions are mapped for the PD's whole life with these sizes (a queue page is 4 KiB), and nothing else in
    // this PD uses them.
    let (output, input) = unsafe {
        (
            SharedRegion::new(
                memory_region_symbol!(console_tx_queue: *mut u8),
                memory_region_symbol!(console_tx_data: *mut u8),
                *var!(console_tx_data_size: usize = 0),
            ),
            SharedRegion::new(
                memory_region_symbol!(console_rx_queue: *mut u8),
                memory_region_symbol!(console_rx_data: *mut u8),
                *var!(console_rx_data_size: usize = 0),
            ),
        )
    };
    let (Some(output), Some(input)) = (output, input) else { panic!("ring sizes must be powers of two") };
    let channel = Channel::new(*var!(console_ch: usize = 0));
    let console = Console { output: Producer::new(output), channel };
    CONSOLE.try_with(|place| *place = Some(console));
    set_log_sink(write);
    log::info!("hello from {}", pd_name().unwrap_or("?"));
    write("# ");
    Client { input: Consumer::new(input), channel }
}
