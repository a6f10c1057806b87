// SPDX-License-Identifier: BSD-2-Clause
//! Measures protected calls and notification round trips with the peers that the system description connects it to, and
//! prints the ticks since reset at its own start. A channel symbol that is not set skips its test.
#![no_std]
#![no_main]

use core::fmt::Write;

use sel4_microkit::{
    Channel, ChannelSet, Handler, Infallible, MessageInfo, memory_region_symbol, protection_domain, set_mr,
    var,
};
use test_pds::{ROUNDS, Stopwatch, Uart, WARM_UP, ticks};

/// What a channel symbol holds when the system description does not set it.
const NOT_CONNECTED: usize = usize::MAX;

struct Client {
    uart: Uart,
    stopwatch: Stopwatch,
    pong: Channel,
}

impl Handler for Client {
    type Error = Infallible;

    fn notified(&mut self, _channels: ChannelSet) -> Result<(), Infallible> {
        match self.stopwatch.round() {
            None => self.pong.notify(),
            Some(ticks) => {
                Stopwatch::report(&mut self.uart, "notification_ping_pong", ROUNDS, ticks);
                done(&mut self.uart);
            }
        }
        Ok(())
    }
}

fn connected(index: usize) -> Option<Channel> {
    (index != NOT_CONNECTED).then(|| Channel::new(index))
}

/// Calls the server again and again with `words` message registers.
#[inline(never)]
fn measure_calls(uart: &mut Uart, name: &str, server: Channel, words: usize) {
    for word in 0..words {
        set_mr(word, word as u64);
    }
    let call = |rounds| {
        for _ in 0..rounds {
            server.pp_call(MessageInfo::new(0, words));
        }
    };
    call(WARM_UP);
    let start = ticks();
    call(ROUNDS);
    Stopwatch::report(uart, name, ROUNDS, ticks() - start);
}

fn done(uart: &mut Uart) {
    // The console cannot fail.
    let _ = writeln!(uart, "BENCH done\r");
}

#[protection_domain]
fn init() -> impl Handler {
    let boot = ticks();
    // SAFETY: the system description maps a PL011 there, for this PD alone.
    let mut uart = unsafe { Uart::new(memory_region_symbol!(uart: *mut u8)) };
    Stopwatch::report(&mut uart, "boot_to_first_pd", 1, boot);
    if let Some(server) = connected(*var!(passive_ch: usize = NOT_CONNECTED)) {
        measure_calls(&mut uart, "protected_call_passive_0w", server, 0);
        measure_calls(&mut uart, "protected_call_passive_4w", server, 4);
        measure_calls(&mut uart, "protected_call_passive_5w", server, 5);
        measure_calls(&mut uart, "protected_call_16w", server, 16);
    }
    if let Some(server) = connected(*var!(active_ch: usize = NOT_CONNECTED)) {
        measure_calls(&mut uart, "protected_call_active_0w", server, 0);
    }
    let pong = connected(*var!(pong_ch: usize = NOT_CONNECTED));
    match pong {
        Some(pong) => pong.notify(),
        None => done(&mut uart),
    }
    Client { uart, stopwatch: Stopwatch::new(), pong: pong.unwrap_or(Channel::new(0)) }
}
