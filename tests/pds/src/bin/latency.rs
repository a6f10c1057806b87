// SPDX-License-Identifier: BSD-2-Clause
//! Sets the physical timer again and again, to other times each, and measures how long after its deadline this PD runs.
#![no_std]
#![no_main]

use core::arch::asm;
use core::fmt::Write;

use sel4_microkit::{
    Channel, ChannelSet, Handler, IrqAckError, memory_region_symbol, protection_domain, var,
};
use test_pds::{Uart, ticks};

/// Deadlines.
const ROUNDS: u64 = 2000;
/// Ticks to the next deadline: this, and up to as many more as the neighbours' rounds take.
const INTERVAL: u64 = 2000;
const SPREAD: u64 = 7001;

struct Latency {
    uart: Uart,
    interrupt: Channel,
    deadline: u64,
    round: u64,
    longest: u64,
}

impl Latency {
    fn set(&mut self) {
        // A step that is prime to the spread goes through all of it.
        self.deadline = ticks() + INTERVAL + self.round * 389 % SPREAD;
        // SAFETY: the timer is this PD's alone; its only effect is an interrupt to this PD.
        unsafe {
            asm!(
                "msr cntp_cval_el0, {deadline}", "msr cntp_ctl_el0, {enable}", "isb",
                deadline = in(reg) self.deadline, enable = in(reg) 1_u64,
                options(nomem, nostack, preserves_flags),
            );
        }
    }
}

impl Handler for Latency {
    type Error = IrqAckError;

    fn notified(&mut self, _channels: ChannelSet) -> Result<(), IrqAckError> {
        self.longest = self.longest.max(ticks() - self.deadline);
        self.round += 1;
        if self.round == ROUNDS {
            // The console cannot fail.
            let _ = writeln!(self.uart, "TEST latency {} ticks\r", self.longest);
            return Ok(());
        }
        self.set();
        self.interrupt.irq_ack()
    }
}

#[protection_domain]
fn init() -> impl Handler {
    // SAFETY: the system description maps a PL011 there, for this PD alone.
    let uart = unsafe { Uart::new(memory_region_symbol!(uart: *mut u8)) };
    let interrupt = Channel::new(*var!(timer_irq_ch: usize = 0));
    let mut latency = Latency { uart, interrupt, deadline: 0, round: 0, longest: 0 };
    latency.set();
    latency
}
