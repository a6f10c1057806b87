// SPDX-License-Identifier: BSD-2-Clause
//! Kicks of the network's transmit queue, and how a busy guest comes to do without most of them.
//!
//! A guest that sends packet after packet would leave for each. The first one goes on at once. With the second one, if the
//! guest has not waited in between, it is asked for no more kicks, and its queue is looked at when it waits, at its timer's
//! next event, and after a moment: as long as there is something each time.

use super::Slot;
use crate::guest::Guest;
use crate::host::Host;
use vmm_virtio::net::TRANSMIT;

/// Packets of a guest that may lie in its queue, if that is long enough; with one more it kicks all the same.
const PATIENCE: u16 = 64;

impl<H: Host> Guest<H> {
    /// The guest has kicked queue `queue` of a device.
    #[inline]
    pub(super) fn kicked(&mut self, slot: Slot, queue: u16) {
        if slot == Slot::Net && usize::from(queue) == TRANSMIT && !self.is_idle() {
            self.quiet |= core::mem::replace(&mut self.kicked, true);
            self.may_be_late(slot);
            self.work(slot);
            self.bound_delay();
        } else {
            self.work(slot);
        }
    }

    /// What the guest may do without kicks just now.
    #[inline]
    pub(super) const fn patience(&self) -> u16 {
        if self.quiet { PATIENCE } else { 0 }
    }

    /// Looks for packets that the guest did not kick for. True: there were some.
    pub(super) fn work_without_kick(&mut self) -> bool {
        let sent = |guest: &Self| {
            let network = guest.machine.devices.net.as_ref();
            network.map_or(0, |device| device.model().counters().sent)
        };
        let before = sent(self);
        self.work(Slot::Net);
        sent(self) != before
    }
}
