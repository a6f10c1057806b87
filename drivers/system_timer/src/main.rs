// SPDX-License-Identifier: BSD-2-Clause
//! The timer driver PD of boards with this timer: serves the timer protocol on every channel that calls it.
//!
//! Symbols: `timer` (registers), `timer_irq_ch` (the interrupt of the second comparator; the VideoCore uses the first and the
//! third).
#![no_std]
#![no_main]

use safe_mmio::fields::{ReadPure, ReadPureWrite};
use safe_mmio::{UniqueMmioPointer, field};
use sel4_microkit::{
    Channel, ChannelSet, DeferredAction, DeferredActionSlot, Handler, IrqAckError, MessageInfo, get_mr,
    memory_region_symbol, protection_domain, restarted, set_mr, var,
};
use system_timer_driver::{Comparator, FREQUENCY_HZ, Registers};
use timer_driver::clock::Clock;
use timer_driver::protocol::{BAD_REQUEST, OK, Request};
use timer_driver::timeouts::Timeouts;

/// Channels of a PD.
const CLIENTS: usize = 62;

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
    clock: Clock,
    comparator: Comparator<Mmio>,
    timeouts: Timeouts<CLIENTS>,
    interrupt: Channel,
    deferred: DeferredActionSlot,
}

impl TimerDriver {
    /// Notifies everybody whose time has come and sets the comparator to the next deadline.
    fn update(&mut self) {
        // Bounded: each round ends a time-out, and periods are much longer than a round.
        for _ in 0..CLIENTS {
            let now = self.comparator.now();
            self.timeouts.expire(now, |client| Channel::new(client).notify());
            let Some(deadline) = self.timeouts.next_deadline() else { return };
            if self.comparator.arm(deadline) {
                return;
            }
        }
    }
}

impl Handler for TimerDriver {
    type Error = IrqAckError;

    fn notified(&mut self, channels: ChannelSet) -> Result<(), IrqAckError> {
        // Clients that notify instead of calling get nothing.
        if channels.contains(self.interrupt) {
            self.comparator.acknowledge();
            self.update();
            self.deferred.defer_irq_ack(self.interrupt)?;
        }
        Ok(())
    }

    fn protected(&mut self, channel: Channel, info: MessageInfo) -> Result<MessageInfo, IrqAckError> {
        let Some(request) = Request::decode(info.label(), info.count(), get_mr(0)) else {
            return Ok(MessageInfo::new(BAD_REQUEST, 0));
        };
        let client = channel.index();
        let now = self.comparator.now();
        match request {
            Request::GetTime => {
                set_mr(0, self.clock.to_ns(now));
                return Ok(MessageInfo::new(OK, 1));
            }
            Request::SetTimeout(ns) => self.timeouts.set_once(client, now, self.clock.to_ticks(ns)),
            Request::SetPeriodic(ns) => self.timeouts.set_every(client, now, self.clock.to_ticks(ns)),
            Request::Cancel => self.timeouts.cancel(client),
        }
        self.update();
        Ok(MessageInfo::new(OK, 0))
    }

    fn take_deferred_action(&mut self) -> Option<DeferredAction> {
        self.deferred.take()
    }
}

#[protection_domain]
fn init() -> impl Handler {
    // SAFETY: `timer` is where the system description maps the registers, as device memory, for this PD alone.
    let registers = unsafe { UniqueMmioPointer::new(memory_region_symbol!(timer: *mut Layout)) };
    if restarted() {
        // Their time-outs are forgotten (see the protocol).
        ChannelSet::all_notifiable().iter().for_each(|client| client.notify());
    }
    let Some(clock) = Clock::new(FREQUENCY_HZ) else { panic!("a frequency of 0") };
    TimerDriver {
        clock,
        comparator: Comparator::new(Mmio(registers)),
        timeouts: Timeouts::new(),
        interrupt: Channel::new(*var!(timer_irq_ch: usize = 0)),
        deferred: DeferredActionSlot::new(),
    }
}
