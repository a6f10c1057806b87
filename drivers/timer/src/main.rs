// SPDX-License-Identifier: BSD-2-Clause
//! The timer driver PD: serves the protocol on every channel that calls it, with the EL1 physical timer (CNTP), which the
//! kernel lets user level use where its configuration says `EXPORT_PTMR_USER`. It must be the only user of that timer.
//!
//! Symbols: `timer_irq_ch`, the channel of the timer's interrupt (INTID 30, level).
#![no_std]
#![no_main]

use core::arch::asm;

use sel4_microkit::{
    Channel, ChannelSet, DeferredAction, DeferredActionSlot, Handler, IrqAckError, MessageInfo,
    protection_domain, var,
};
use timer_driver::driver::{Driver, Hardware};
use timer_driver::pd;

/// `CNTP_CTL_EL0.ENABLE`; with `IMASK` (bit 1) clear the interrupt is delivered.
const ENABLE: u64 = 1;

/// Ticks a second.
fn frequency() -> u64 {
    let value;
    // SAFETY: reads a constant register.
    unsafe { asm!("mrs {}, cntfrq_el0", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// The timer. It is this PD's alone.
struct Generic;

impl Hardware for Generic {
    /// Later reads are not done before it.
    fn now(&mut self) -> u64 {
        let value;
        // SAFETY: reads a counter.
        unsafe {
            asm!("isb", "mrs {}, cntpct_el0", out(reg) value, options(nomem, nostack, preserves_flags))
        };
        value
    }

    /// A deadline that has passed interrupts at once.
    fn arm(&mut self, deadline: Option<u64>) -> bool {
        // SAFETY: the only effect is an interrupt to this PD.
        unsafe {
            match deadline {
                Some(deadline) => asm!(
                    "msr cntp_cval_el0, {deadline}",
                    "msr cntp_ctl_el0, {enable}",
                    "isb",
                    deadline = in(reg) deadline,
                    enable = in(reg) ENABLE,
                    options(nomem, nostack, preserves_flags),
                ),
                None => asm!("msr cntp_ctl_el0, xzr", "isb", options(nomem, nostack, preserves_flags)),
            }
        }
        true
    }
}

struct TimerDriver {
    driver: Driver<Generic>,
    interrupt: Channel,
    deferred: DeferredActionSlot,
}

impl Handler for TimerDriver {
    type Error = IrqAckError;

    fn notified(&mut self, channels: ChannelSet) -> Result<(), IrqAckError> {
        // Clients that notify instead of calling get nothing.
        if channels.contains(self.interrupt) {
            self.driver.interrupt(pd::notify);
            // The timer's condition is gone or in the future now, so the level is low when this unmasks it.
            self.deferred.defer_irq_ack(self.interrupt)?;
        }
        Ok(())
    }

    fn protected(&mut self, channel: Channel, info: MessageInfo) -> Result<MessageInfo, IrqAckError> {
        Ok(pd::answer(info, |request| self.driver.request(channel.index(), request, pd::notify)))
    }

    fn take_deferred_action(&mut self) -> Option<DeferredAction> {
        self.deferred.take()
    }
}

#[protection_domain]
fn init() -> impl Handler {
    let Some(driver) = Driver::new(Generic, frequency()) else {
        panic!("the counter's frequency is not set")
    };
    pd::tell_of_restart();
    TimerDriver {
        driver,
        interrupt: Channel::new(*var!(timer_irq_ch: usize = 0)),
        deferred: DeferredActionSlot::new(),
    }
}
