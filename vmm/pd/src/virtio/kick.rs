// SPDX-License-Identifier: BSD-2-Clause
//! Queues that are looked at without a kick, and how a busy guest comes to do without most of its kicks.
//!
//! A kick is an exit. A guest that goes on by itself need not make one for each thing that it adds to a queue: the queue is
//! looked at when the guest waits, at its timer's next event, and after a moment. For how many things it need not kick is
//! each device's own matter. A disk knows how many requests its driver keeps going (`vmm_virtio::block`). A network does not
//! know what comes: the first packet goes on at once; with the second one, if the guest has not waited in between, it is asked
//! for no more kicks, as long as there is something each time.

use super::Slot;
use crate::guest::Guest;
use crate::host::Host;
use vmm_virtio::Mmio;
use vmm_virtio::net::TRANSMIT;

/// Packets of a guest that may lie in its queue, if that is long enough; with one more it kicks all the same.
const PATIENCE: u16 = 64;

/// When queues are looked at without a kick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// A vCPU is about to wait.
    Waits,
    /// A vCPU's timer has come to an event.
    Ticks,
    /// The guest has been busy for as long as it may be.
    Over,
}

impl<H: Host> Guest<H> {
    /// The guest has kicked queue `queue` of a device.
    #[inline]
    pub(super) fn kicked(&mut self, slot: Slot, queue: u16) {
        if slot == Slot::Net && usize::from(queue) == TRANSMIT && !self.is_idle() {
            self.quiet |= core::mem::replace(&mut self.kicked, true);
            self.may_be_late(slot);
        }
        self.work(slot);
        self.bound_delay();
    }

    /// Packets that the guest may add without a kick just now.
    #[inline]
    pub(super) const fn patience(&self) -> u16 {
        if self.quiet { PATIENCE } else { 0 }
    }

    /// Whether there may be something in a queue for which the guest was not asked to kick, and of which nobody notifies.
    #[inline]
    pub(super) fn defers_kicks(&self) -> bool {
        self.quiet || self.machine.devices.block.as_ref().is_some_and(Mmio::defers_kicks)
    }

    /// Looks at the queues, and tells the guest what it was not told yet.
    #[inline]
    pub(crate) fn look_after(&mut self, moment: Moment) {
        if moment == Moment::Over {
            self.look_for_packets();
        } else {
            self.kicked = false;
            if core::mem::take(&mut self.quiet) {
                self.work(Slot::Net);
            }
        }
        self.deliver_lines();
        if self.machine.devices.block.as_ref().is_some_and(Mmio::is_to_be_attended) {
            if self.work_on_disk(moment == Moment::Waits || self.is_idle()) {
                self.unfinished |= Slot::Block.bit();
            }
            self.update_virtio_line(Slot::Block);
            self.bound_delay();
        }
    }

    /// Looks for packets that the guest did not kick for. If there are none, it has no more to send for now, and is to kick
    /// when it has.
    fn look_for_packets(&mut self) {
        let sent = |guest: &Self| {
            let network = guest.machine.devices.net.as_ref();
            network.map_or(0, |device| device.model().counters().sent)
        };
        if self.quiet {
            let before = sent(self);
            self.work(Slot::Net);
            if sent(self) == before {
                self.quiet = false;
                self.work(Slot::Net);
            }
        }
    }
}
