// SPDX-License-Identifier: BSD-2-Clause
//! The PD as the guest's host.

use crate::pd::console::Handle;
use crate::pd::memory::Regions;
use crate::pd::vcpu::StandardVcpu;
use core::arch::asm;
use core::ptr::NonNull;
use safe_mmio::UniqueMmioPointer;
use safe_mmio::fields::ReadPure;
use sel4_microkit::{Channel, MessageInfo, set_mr};
use timer_driver::clock::Clock;
use timer_driver::protocol;
use vmm::Host;
use vmm::boot::{BootError, Start};
use vmm::host::Memory;

/// Capabilities and memory of this PD.
pub struct PdHost {
    regions: Regions,
    vcpus: usize,
    cpu: &'static str,
    timer: Channel,
    frequency_hz: u64,
    clock: Option<Clock>,
    /// Seconds since 1970 when the physical count was zero.
    epoch: u32,
    console: Handle,
}

impl PdHost {
    /// The host of a guest with `vcpus` vCPUs of kind `cpu`; time-outs come from `timer`. `time` is the time now, in
    /// seconds since 1970.
    pub fn new(regions: Regions, vcpus: usize, cpu: &'static str, timer: Channel, time: u32) -> Self {
        let frequency_hz = frequency();
        let epoch = time.wrapping_sub(seconds(frequency_hz));
        let clock = Clock::new(frequency_hz);
        Self { regions, vcpus, cpu, timer, frequency_hz, clock, epoch, console: Handle }
    }
}

/// The time of the board's clock (PL031) whose registers are at `address`; 0 when there is none.
///
/// # Safety
/// If `address` is not 0, the registers of a PL031 are mapped there.
pub unsafe fn clock_time(address: usize) -> u32 {
    NonNull::new(address as *mut ReadPure<u32>).map_or(0, |data| {
        // SAFETY: DR is the first register, and this program has no other pointer to it.
        unsafe { UniqueMmioPointer::new(data) }.read()
    })
}

impl Host for PdHost {
    type Vcpu = StandardVcpu;
    type Console = Handle;

    #[inline]
    fn vcpu(&self, index: usize) -> StandardVcpu {
        // Numbers of vCPUs come from fault messages of this PD's own and from the machine's model: both below 64.
        StandardVcpu(sel4_microkit::Vcpu::new(index % 64))
    }

    #[inline]
    fn console(&mut self) -> &mut Handle {
        &mut self.console
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
        let info = match (deadline, self.clock) {
            (Some(deadline), Some(clock)) => {
                // Rounded up, so that the deadline has passed when the time-out comes.
                set_mr(0, clock.to_ns(deadline.saturating_sub(count())).saturating_add(1));
                MessageInfo::new(protocol::SET_TIMEOUT, 1)
            }
            _ => MessageInfo::new(protocol::CANCEL, 0),
        };
        let answer = self.timer.pp_call(info);
        if answer.label() != protocol::OK {
            log::warn!("the timer driver refuses a time-out");
        }
    }

    fn place(&mut self, code: &[u32]) {
        self.regions.place(code);
    }

    fn load(&mut self, memory: Memory) -> Result<Start, BootError> {
        self.regions.load(memory, self.vcpus, self.cpu)
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
