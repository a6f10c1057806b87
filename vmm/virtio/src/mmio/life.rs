// SPDX-License-Identifier: BSD-2-Clause
//! The life of a device (sections 2.1, 2.2, 2.4, 2.6.1, 3.1): status, features, reset; and its end by abuse.

use super::registers::{Feature, Interrupt, Status};
use super::{Mmio, Written};
use crate::abuse::Abuse;
use crate::memory::GuestMemory;
use crate::model::Model;

/// Offences of one device that are worth a message.
const LOGGED_OFFENCES: u8 = 8;

impl<D: Model> Mmio<D> {
    /// Features that driver and device agreed on; 0 before.
    pub const fn features(&self) -> u64 {
        if self.status & Status::FEATURES_OK != 0 { self.driver_features } else { 0 }
    }

    /// Whether the device may use its queues.
    #[inline]
    pub const fn is_live(&self) -> bool {
        const LIVE: u32 = Status::DRIVER_OK | Status::FEATURES_OK;
        self.status & (LIVE | Status::FAILED | Status::NEEDS_RESET) == LIVE && !self.draining
    }

    /// Whether the driver broke the device ([`Abuse`]) and has not reset it since.
    pub const fn needs_reset(&self) -> bool {
        self.status & Status::NEEDS_RESET != 0
    }

    /// Resets the device as soon as nothing at the back end uses guest memory; true when that is done. From the first
    /// call on it takes no more requests. For the end and the reboot of a guest: its memory may be reused only then.
    pub fn reset(&mut self) -> bool {
        self.draining = !self.model.is_idle();
        if self.draining {
            return false;
        }
        self.model.reset();
        self.queues.iter_mut().for_each(super::Queue::reset);
        self.status = 0;
        self.interrupts = 0;
        self.device_features_select = 0;
        self.driver_features_select = 0;
        self.driver_features = 0;
        self.accepts_unknown = false;
        self.queue_select = 0;
        true
    }

    pub(super) const fn driver_runs(&self) -> bool {
        self.status & Status::DRIVER_OK != 0
    }

    #[inline]
    pub(super) fn kicked(&self, value: u32) -> Written {
        match u16::try_from(value) {
            Ok(index) if self.is_live() && self.is_ready(index) => Written::Kick(index),
            _ => Written::Done,
        }
    }

    #[inline]
    fn is_ready(&self, index: u16) -> bool {
        self.queues.get(usize::from(index)).is_some_and(super::Queue::is_ready)
    }

    pub(super) fn write_features(&mut self, value: u32) {
        if self.status & Status::FEATURES_OK != 0 {
            return;
        }
        match self.driver_features_select {
            0 => super::set_low(&mut self.driver_features, value),
            1 => super::set_high(&mut self.driver_features, value),
            _ => self.accepts_unknown |= value != 0,
        }
    }

    /// A driver sets bits, or writes zero. Bits that are set stay; those that cannot be had are not set: the driver
    /// reads back what has become of it.
    pub(super) fn write_status(&mut self, value: u32) -> Written {
        if value == 0 {
            return if self.reset() { Written::Done } else { Written::Again };
        }
        let mut wanted = value & Status::OF_DRIVER;
        let agreed = self.status & Status::FEATURES_OK != 0;
        if wanted & Status::FEATURES_OK != 0 && !agreed {
            if self.can_work_with_features() {
                self.model.negotiated(self.driver_features);
            } else {
                wanted &= !Status::FEATURES_OK;
            }
        }
        // Without agreement nothing is used.
        if (self.status | wanted) & Status::FEATURES_OK == 0 {
            wanted &= !Status::DRIVER_OK;
        }
        self.status |= wanted;
        Written::Done
    }

    fn can_work_with_features(&self) -> bool {
        self.driver_features & !self.offered() == 0
            && !self.accepts_unknown
            && self.driver_features & Feature::VERSION_1 != 0
            && self.model.accepts(self.driver_features)
    }

    pub(super) fn write_ready(&mut self, value: u32, memory: &impl GuestMemory) -> Written {
        if value & 1 == 0 {
            return self.disable_queue();
        }
        let features = self.features();
        let index = self.queue_select as usize;
        let Some(queue) = self.queues.get_mut(index).filter(|queue| !queue.is_ready()) else {
            return Written::Done;
        };
        if features == 0 {
            // Too early.
            return Written::Done;
        }
        let has = |feature| features & feature != 0;
        if let Err(abuse) = queue.enable(memory, has(Feature::INDIRECT), has(Feature::EVENT_INDEX)) {
            self.fail(abuse);
        }
        Written::Done
    }

    pub(super) fn write_queue_reset(&mut self, value: u32) -> Written {
        if value & 1 == 0 || self.features() & Feature::RING_RESET == 0 {
            return Written::Done;
        }
        self.disable_queue()
    }

    /// Ends the use of the selected queue.
    fn disable_queue(&mut self) -> Written {
        let index = self.queue_select as usize;
        if !self.selected().is_some_and(super::Queue::is_ready) {
            return Written::Done;
        }
        self.draining = !self.model.is_idle();
        if self.draining {
            return Written::Again;
        }
        self.model.reset_queue(index);
        if let Some(queue) = self.queues.get_mut(index) {
            queue.reset();
        }
        Written::Done
    }

    /// Stops the device until the driver resets it.
    #[cold]
    pub(crate) fn fail(&mut self, abuse: Abuse) {
        if self.needs_reset() {
            return;
        }
        self.status |= Status::NEEDS_RESET;
        if self.driver_runs() {
            self.interrupts |= Interrupt::CONFIG;
        }
        // A guest that does this for ever is not worth a message each time.
        if self.offences < LOGGED_OFFENCES {
            self.offences += 1;
            log::warn!("virtio {}: {abuse}; stopped until it is reset", D::NAME);
        }
    }

    #[cfg(test)]
    pub(crate) const fn offences(&self) -> u8 {
        self.offences
    }

    pub(crate) fn interrupt(&mut self) {
        self.interrupts |= Interrupt::USED;
    }
}
