// SPDX-License-Identifier: BSD-2-Clause
//! Checks the timer driver: one time-out, a cancelled one, then a periodic one, measured with the driver's own clock.
#![no_std]
#![no_main]

use core::fmt::Write;

use sel4_microkit::{
    Channel, ChannelSet, Handler, Infallible, MessageInfo, get_mr, memory_region_symbol, pd_name,
    protection_domain, set_mr, var,
};
use test_pds::Uart;
use timer_driver::protocol;

const ONCE_NS: u64 = 10_000_000;
const PERIOD_NS: u64 = 5_000_000;
const PERIODS: u32 = 4;
/// What a time-out may be late in an emulator.
const TOLERANCE_NS: u64 = 5_000_000;

enum Waiting {
    Once,
    Periodic(u32),
    Done,
}

struct Client {
    uart: Uart,
    timer: Channel,
    start: u64,
    waiting: Waiting,
}

fn request(timer: Channel, label: u64, argument: u64) -> u64 {
    set_mr(0, argument);
    let answer = timer.pp_call(MessageInfo::new(label, 1));
    assert!(answer.label() == protocol::OK, "request {label} refused");
    get_mr(0)
}

impl Client {
    fn say(&mut self, what: core::fmt::Arguments<'_>) {
        // The console cannot fail.
        let _ = writeln!(self.uart, "TEST {} {what}\r", pd_name().unwrap_or("?"));
    }
}

impl Handler for Client {
    type Error = Infallible;

    fn notified(&mut self, _channels: ChannelSet) -> Result<(), Infallible> {
        let elapsed = request(self.timer, protocol::GET_TIME, 0) - self.start;
        let due = match self.waiting {
            Waiting::Once => ONCE_NS,
            Waiting::Periodic(count) => PERIOD_NS * u64::from(count),
            Waiting::Done => {
                self.say(format_args!("failed: woken after the end"));
                return Ok(());
            }
        };
        if !(due..due + TOLERANCE_NS).contains(&elapsed) {
            self.say(format_args!("failed: {elapsed} ns instead of {due}"));
        }
        self.waiting = match self.waiting {
            Waiting::Once => {
                // A cancelled time-out does not come.
                request(self.timer, protocol::SET_TIMEOUT, 1_000_000);
                request(self.timer, protocol::CANCEL, 0);
                self.start = request(self.timer, protocol::GET_TIME, 0);
                request(self.timer, protocol::SET_PERIODIC, PERIOD_NS);
                Waiting::Periodic(1)
            }
            Waiting::Periodic(PERIODS) => {
                request(self.timer, protocol::CANCEL, 0);
                self.say(format_args!("passed"));
                Waiting::Done
            }
            Waiting::Periodic(count) => Waiting::Periodic(count + 1),
            Waiting::Done => Waiting::Done,
        };
        Ok(())
    }
}

#[protection_domain]
fn init() -> impl Handler {
    // SAFETY: the system description maps a PL011 there; whole lines are written at once.
    let uart = unsafe { Uart::new(memory_region_symbol!(uart: *mut u8)) };
    let timer = Channel::new(*var!(timer_ch: usize = 0));
    let start = request(timer, protocol::GET_TIME, 0);
    request(timer, protocol::SET_TIMEOUT, ONCE_NS);
    Client { uart, timer, start, waiting: Waiting::Once }
}
