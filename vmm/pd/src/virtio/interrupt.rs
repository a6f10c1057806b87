// SPDX-License-Identifier: BSD-2-Clause
//! Interrupts of the virtio devices: their lines, and the disk's moderation.

use super::Slot;
use crate::guest::Guest;
use crate::host::Host;
use crate::machine::Run;
use vmm_virtio::Mmio;

/// How many times a second a vCPU that is busy is interrupted by its disk, at most.
const DISK_INTERRUPTS_HZ: u64 = 5000;

impl<H: Host> Guest<H> {
    /// Brings a device's interrupt line to the interrupt controller.
    #[inline]
    pub(super) fn update_virtio_line(&mut self, slot: Slot) {
        let devices = &mut self.machine.devices;
        let asserted = match slot {
            Slot::Block => devices.block.as_ref().is_some_and(Mmio::asserted),
            Slot::Net => devices.net.as_ref().is_some_and(Mmio::asserted),
            Slot::Entropy => devices.entropy.as_ref().is_some_and(Mmio::asserted),
            Slot::Console => devices.console.as_ref().is_some_and(Mmio::asserted),
        };
        if asserted != (devices.lines & slot.bit() != 0) && !(asserted && self.late & slot.bit() != 0) {
            devices.lines ^= slot.bit();
            self.set_level(slot.intid(), asserted);
        }
    }

    /// The disk is about to complete requests. A guest whose vCPUs all run has something to do, often the next request:
    /// it is told of all completions together, when it waits, at its timer's next event, or after a moment.
    #[inline]
    pub(super) fn may_be_late(&mut self) {
        if self.late != 0 || self.machine.cpus.iter().any(|cpu| matches!(cpu.run, Run::Held { .. })) {
            return;
        }
        let asserted = self.machine.devices.block.as_ref().is_some_and(Mmio::asserted);
        if !asserted {
            self.late = Slot::Block.bit();
        }
    }

    /// Sees to it that an interrupt that waits does not wait for long; called when the work that may have raised it is done.
    #[inline]
    pub(super) fn bound_delay(&mut self) {
        if self.late == 0 || self.late_until.is_some() {
            return;
        }
        if self.machine.devices.block.as_ref().is_some_and(Mmio::asserted) {
            let moment = self.host.frequency_hz() / DISK_INTERRUPTS_HZ;
            self.late_until = Some(self.host.now().saturating_add(moment));
            self.arm_timeout();
        } else {
            // Nothing was raised.
            self.late = 0;
        }
    }

    /// Delivers interrupts that waited.
    #[inline]
    pub(crate) fn deliver_late(&mut self) {
        if self.late != 0 {
            self.late = 0;
            self.late_until = None;
            self.update_virtio_line(Slot::Block);
        }
    }
}
