// SPDX-License-Identifier: BSD-2-Clause
//! Restarts its children, in turn, at random moments: whatever they are just doing is lost. Says when it has had enough.
#![no_std]
#![no_main]

use core::fmt::Write;

use sel4_microkit::{
    Channel, ChannelSet, Child, ENTRY, Handler, Infallible, MessageInfo, memory_region_symbol,
    protection_domain, set_mr, var,
};
use test_pds::Uart;
use timer_driver::protocol;

/// Children are 0 to this, without.
const CHILDREN: u64 = 2;
const KILLS: u64 = 300;
/// Between two kills there are from `LEAST` on up to `LEAST + SPREAD` nanoseconds.
const LEAST_NS: u64 = 100_000;
const SPREAD_NS: u64 = 3_000_000;

struct Killer {
    uart: Uart,
    timer: Channel,
    kills: u64,
    /// Of a linear congruential generator.
    random: u64,
}

impl Killer {
    fn sleep(&mut self) {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        set_mr(0, LEAST_NS + (self.random >> 33) % SPREAD_NS);
        self.timer.pp_call(MessageInfo::new(protocol::SET_TIMEOUT, 1));
    }
}

impl Handler for Killer {
    type Error = Infallible;

    fn notified(&mut self, _channels: ChannelSet) -> Result<(), Infallible> {
        Child::new((self.random >> 20) as usize % CHILDREN as usize).restart(ENTRY);
        self.kills += 1;
        if self.kills < KILLS {
            self.sleep();
        } else {
            // The console cannot fail.
            let _ = writeln!(self.uart, "TEST killer {} kills\r", self.kills);
        }
        Ok(())
    }
}

#[protection_domain]
fn init() -> impl Handler {
    // SAFETY: the system description maps a PL011 there; whole lines are written at once.
    let uart = unsafe { Uart::new(memory_region_symbol!(uart: *mut u8)) };
    let timer = Channel::new(*var!(timer_ch: usize = 0));
    let mut this = Killer { uart, timer, kills: 0, random: 1 };
    this.sleep();
    this
}
