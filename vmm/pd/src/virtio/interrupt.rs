// SPDX-License-Identifier: BSD-2-Clause
//! Interrupts of the virtio devices: their lines, and the moderation of disk and network.

use super::{Moment, Slot};
use crate::guest::Guest;
use crate::host::Host;
use vmm_virtio::Mmio;

/// How many times a second a vCPU that is busy is interrupted by its disk, at most.
const INTERRUPTS_HZ: u64 = 2500;

/// The same for its network. In the measurements with half as many, bare QEMU's instructions over ours for a datagram were
/// 0.73 in place of 0.77 (docs/network.md); why is not known.
const NETWORK_HZ: u64 = 5000;

/// A guest that waits again and again is looked after then, and a time-out for it is a waste: for its disk the moment becomes
/// up to so many times twice as long, until it is needed.
const MOST_TRUST: u8 = 2;

/// Devices whose interrupts may be late.
const MODERATED: [Slot; 2] = [Slot::Block, Slot::Net];

impl<H: Host> Guest<H> {
    /// Brings a device's interrupt line to the interrupt controller.
    #[inline]
    pub(super) fn update_virtio_line(&mut self, slot: Slot) {
        let asserted = self.asserted(slot);
        let devices = &mut self.machine.devices;
        if asserted != (devices.lines & slot.bit() != 0) && !(asserted && self.late & slot.bit() != 0) {
            devices.lines ^= slot.bit();
            self.set_level(slot.intid(), asserted);
        }
    }

    /// The back end is about to complete something. A guest whose vCPUs all run has something to do, often the next
    /// request: it is told of all completions together, when it waits, at its timer's next event, or after a moment.
    #[inline]
    pub(super) fn may_be_late(&mut self, slot: Slot) {
        if MODERATED.contains(&slot) && self.late & slot.bit() == 0 && !self.is_idle() && !self.asserted(slot)
        {
            self.late |= slot.bit();
        }
    }

    #[inline]
    fn asserted(&self, slot: Slot) -> bool {
        let devices = &self.machine.devices;
        match slot {
            Slot::Block => devices.block.as_ref().is_some_and(Mmio::asserted),
            Slot::Net => devices.net.as_ref().is_some_and(Mmio::asserted),
            Slot::Entropy => devices.entropy.as_ref().is_some_and(Mmio::asserted),
            Slot::Console => devices.console.as_ref().is_some_and(Mmio::asserted),
        }
    }

    /// Sees to it that nothing that waits does so for long: interrupts, and what the guest does not kick for. Called
    /// when the work is done that may have made them.
    #[inline]
    pub(super) fn bound_delay(&mut self) {
        for slot in MODERATED {
            if self.late & slot.bit() != 0 && !self.asserted(slot) {
                // Nothing was raised.
                self.late &= !slot.bit();
            }
        }
        if self.late == 0 && !self.defers_kicks() {
            return;
        }
        let network = self.quiet || self.late & Slot::Net.bit() != 0;
        let moment = if network {
            self.host.frequency_hz() / NETWORK_HZ
        } else {
            (self.host.frequency_hz() / INTERRUPTS_HZ) << self.trust
        };
        let until = self.host.now().saturating_add(moment);
        if self.late_until.is_none_or(|known| until < known) {
            self.late_until = Some(until);
            self.arm_timeout();
        }
    }

    /// A time-out has come. If the moment is over, everything is looked after now.
    pub(crate) fn deliver_in_time(&mut self, now: u64) {
        if self.late_until.is_none_or(|until| until > now) {
            // The guest has come by itself.
            self.trust = MOST_TRUST.min(self.trust + 1);
            return;
        }
        self.trust = 0;
        self.late_until = None;
        self.look_after(Moment::Over);
        self.bound_delay();
    }

    /// Tells the guest what it was not told yet.
    #[inline]
    pub(super) fn deliver_lines(&mut self) {
        let late = core::mem::take(&mut self.late);
        for slot in MODERATED {
            if late & slot.bit() != 0 {
                self.update_virtio_line(slot);
            }
        }
        if !self.quiet {
            self.late_until = None;
        }
    }
}
