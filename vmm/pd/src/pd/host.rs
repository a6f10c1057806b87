// SPDX-License-Identifier: BSD-2-Clause
//! The PD as the guest's host.

use crate::pd::console::Handle;
use crate::pd::marks;
use crate::pd::memory::Regions;
use crate::pd::ram::{GuestRam, Shared};
use crate::pd::symbols::Symbols;
use crate::pd::vcpu::KernelVcpu;
use core::arch::asm;
use ring::memory::SharedRegion;
use ring::pages::SharedPages;
use sel4_microkit::{Channel, get_mr};
use timer_driver::clock::Clock;
use timer_driver::protocol;
use vmm::boot::{BootError, Description, Start};
use vmm::host::Memory;
use vmm::{Host, Slot};

/// Label of the real-time clock's request for the time, and of its answer with seconds since 1970 in message register 0.
const TIME: u64 = 0;

/// Capabilities and memory of this PD.
pub struct PdHost {
    regions: Regions,
    ram: GuestRam,
    machine: Description<'static>,
    /// Of the other sides of the virtio devices, by slot.
    back_ends: [Option<Channel>; Slot::ALL.len()],
    timer: Channel,
    frequency_hz: u64,
    clock: Option<Clock>,
    /// The board's real-time clock, until it has told the time.
    wall_clock: Option<Channel>,
    /// Seconds since 1970 when the physical count was zero.
    epoch: u32,
    console: Handle,
}

impl PdHost {
    /// The host of a guest on `machine`.
    pub fn new(regions: Regions, machine: Description<'static>, symbols: &Symbols) -> Self {
        let frequency_hz = frequency();
        let back_ends = Slot::ALL.map(|slot| match slot {
            Slot::Block => symbols.block.channel,
            Slot::Net => symbols.net.channel,
            Slot::Entropy => symbols.entropy.channel,
            Slot::Console => symbols.virtio_console.channel,
        });
        Self {
            ram: GuestRam(regions.window()),
            regions,
            machine,
            back_ends,
            timer: symbols.timer,
            frequency_hz,
            clock: Clock::new(frequency_hz),
            wall_clock: symbols.wall_clock,
            epoch: 0,
            console: Handle,
        }
    }

    /// Asks the real-time clock, if it has not answered yet. Without an answer the guest's time begins in 1970.
    fn set_wall_clock(&mut self) {
        let Some(channel) = self.wall_clock else { return };
        if channel.call_again(TIME, &[]).label() == TIME {
            self.epoch = (get_mr(0) as u32).wrapping_sub(seconds(self.frequency_hz));
            self.wall_clock = None;
        }
    }
}

impl Host for PdHost {
    type Vcpu = KernelVcpu;
    type Console = Handle;
    type Memory = GuestRam;
    type Pages = SharedPages;
    type Data = Shared;
    type Bytes = SharedRegion;

    #[inline]
    fn vcpu(&self, index: usize) -> KernelVcpu {
        // Numbers of vCPUs come from fault messages of this PD's own and from the machine's model: both below 64.
        KernelVcpu(sel4_microkit::Vcpu::new(index % 64))
    }

    #[inline]
    fn console(&mut self) -> &mut Handle {
        &mut self.console
    }

    #[inline(always)]
    fn memory(&self) -> GuestRam {
        self.ram
    }

    #[inline]
    fn notify(&mut self, slot: Slot) {
        if let Some(channel) = self.back_ends.get(slot as usize).copied().flatten() {
            marks::notifies();
            channel.notify();
        }
    }

    fn now(&self) -> u64 {
        count()
    }

    fn wall_clock(&self) -> u32 {
        self.epoch.wrapping_add(seconds(self.frequency_hz))
    }

    fn frequency_hz(&self) -> u64 {
        self.frequency_hz
    }

    fn set_timeout(&mut self, deadline: Option<u64>) {
        let answer = match (deadline, self.clock) {
            (Some(deadline), Some(clock)) => {
                // Rounded up, so that the deadline has passed when the time-out comes.
                let ns = clock.to_ns(deadline.saturating_sub(count())).saturating_add(1);
                self.timer.call_again(protocol::SET_TIMEOUT, &[ns])
            }
            _ => self.timer.call_again(protocol::CANCEL, &[]),
        };
        if answer.label() != protocol::OK {
            log::warn!("the timer driver refuses a time-out");
        }
    }

    fn place(&mut self, code: &[u32]) {
        self.regions.place(code);
    }

    fn scrub(&mut self, offset: u64, length: u64) -> bool {
        self.regions.scrub(offset, length)
    }

    fn load(&mut self, _memory: Memory) -> Result<Start, BootError> {
        self.set_wall_clock();
        self.regions.load(&self.machine)
    }
}

/// Whole seconds of the physical count.
fn seconds(frequency_hz: u64) -> u32 {
    (count() / frequency_hz.max(1)) as u32
}

/// The physical count.
fn count() -> u64 {
    let value;
    // SAFETY: reads a counter that the kernel lets user level read.
    unsafe { asm!("isb", "mrs {}, cntpct_el0", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Ticks a second.
fn frequency() -> u64 {
    let value;
    // SAFETY: reads a constant register.
    unsafe { asm!("mrs {}, cntfrq_el0", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}
