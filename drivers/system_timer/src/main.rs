// SPDX-License-Identifier: BSD-2-Clause
//! The timer driver PD of boards with this timer: serves the timer protocol on every channel that calls it.
//!
//! Symbols: `timer` (registers), `timer_irq_ch` (the interrupt of the second comparator; the VideoCore uses the first and the
//! third); `tick_ch`, a heartbeat for boards where that interrupt may not arrive: it is told to end when it does.
#![no_std]
#![no_main]

use safe_mmio::fields::{ReadPure, ReadPureWrite};
use safe_mmio::{UniqueMmioPointer, field};
use sel4_microkit::{
    Channel, ChannelSet, DeferredAction, DeferredActionSlot, Handler, IrqAckError, MessageInfo,
    memory_region_symbol, protection_domain, var,
};
use system_timer_driver::Registers;
use system_timer_driver::driver::Driver;
use timer_driver::pd;

/// What `tick_ch` is where nobody ticks.
const NOT_CONNECTED: usize = usize::MAX;

/// The comparator that is used.
const COMPARATOR: usize = 1;

/// The registers as they lie in memory (table 10-1).
#[repr(C)]
struct Layout {
    control: ReadPureWrite<u32>,
    low: ReadPure<u32>,
    high: ReadPure<u32>,
    compare: [ReadPureWrite<u32>; 4],
}

struct Mmio(UniqueMmioPointer<'static, Layout>);

impl Registers for Mmio {
    fn counter(&mut self) -> (u32, u32) {
        let low = field!(self.0, low).read();
        (low, field!(self.0, high).read())
    }

    fn set_compare(&mut self, value: u32) {
        if let Some(mut compare) = field!(self.0, compare).get(COMPARATOR) {
            compare.write(value);
        }
    }

    fn clear_match(&mut self) {
        field!(self.0, control).write(1 << COMPARATOR);
    }
}

struct TimerDriver {
    driver: Driver<Mmio>,
    interrupt: Channel,
    /// Who ticks, if anybody does.
    tick: Option<Channel>,
    deferred: DeferredActionSlot,
}

impl Handler for TimerDriver {
    type Error = IrqAckError;

    fn notified(&mut self, channels: ChannelSet) -> Result<(), IrqAckError> {
        // Clients that notify instead of calling get nothing.
        if channels.contains(self.interrupt) {
            self.driver.interrupt(pd::notify);
            self.deferred.defer_irq_ack(self.interrupt)?;
        } else if let Some(tick) = self.tick.filter(|&tick| channels.contains(tick))
            && self.driver.tick(pd::notify)
        {
            self.deferred.defer_notify(tick)?;
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
    // SAFETY: `timer` is where the system description maps the registers, as device memory, for this PD alone.
    let registers = unsafe { UniqueMmioPointer::new(memory_region_symbol!(timer: *mut Layout)) };
    pd::tell_of_restart();
    let Some(driver) = Driver::new(Mmio(registers)) else { panic!("a frequency of 0") };
    TimerDriver {
        driver,
        interrupt: Channel::new(*var!(timer_irq_ch: usize = 0)),
        tick: Some(*var!(tick_ch: usize = NOT_CONNECTED))
            .filter(|&tick| tick != NOT_CONNECTED)
            .map(Channel::new),
        deferred: DeferredActionSlot::new(),
    }
}
