// SPDX-License-Identifier: BSD-2-Clause
//! Who wakes whom and when: available and used buffer notifications (sections 2.7.7 to 2.7.10).

use super::{INDEX, Queue, RING, USED, load, store};
use crate::abuse::Abuse;
use crate::memory::GuestMemory;

/// VIRTQ_USED_F_NO_NOTIFY.
const NO_NOTIFY: u16 = 1;
/// VIRTQ_AVAIL_F_NO_INTERRUPT.
const NO_INTERRUPT: u16 = 1;

impl Queue {
    /// Shows the driver the used entries that were added.
    ///
    /// # Errors
    /// The ring is no longer in memory.
    #[inline]
    pub fn publish(&mut self, memory: &impl GuestMemory) -> Result<(), Abuse> {
        if self.published != self.next_used {
            // Entries and the buffers' contents before the index that says that they are there.
            memory.release();
            store(memory, self.device.wrapping_add(INDEX), self.next_used)?;
            self.published = self.next_used;
        }
        Ok(())
    }

    /// Published entries about which the driver's wish for an interrupt has not been asked.
    #[inline]
    pub const fn unsignalled(&self) -> u16 {
        self.published.wrapping_sub(self.signalled)
    }

    /// The index up to which used entries were published.
    #[inline]
    pub(crate) const fn published(&self) -> u16 {
        self.published
    }

    /// The index up to which the driver's wish for an interrupt has been asked.
    #[inline]
    pub(crate) const fn signalled(&self) -> u16 {
        self.signalled
    }

    /// Whether the driver wants an interrupt for what was published since the last call.
    ///
    /// # Errors
    /// The ring is no longer in memory.
    pub fn interrupt_wanted(&mut self, memory: &impl GuestMemory) -> Result<bool, Abuse> {
        let count = self.unsignalled();
        if count == 0 {
            return Ok(false);
        }
        let old = self.signalled;
        self.signalled = self.published;
        // The index is written before the wish is read: the driver writes its wish, then reads the index.
        memory.fence();
        if !self.event_index {
            return Ok(load(memory, self.driver)? & NO_INTERRUPT == 0);
        }
        let event = load(memory, self.driver.wrapping_add(RING + 2 * u64::from(self.size)))?;
        // An entry from `old` up to, not including, `published` has the index that the driver waits for.
        Ok(event.wrapping_sub(old) < count)
    }

    /// Asks the driver for a kick when it has made more than `after` chains available beyond those taken; the queue's
    /// size: never. Returns whether there are chains to take already.
    ///
    /// # Errors
    /// The ring is no longer in memory, or the driver's index is impossible.
    pub fn ask_for_kick(&mut self, memory: &impl GuestMemory, after: u16) -> Result<bool, Abuse> {
        if self.event_index {
            let event = self.next_available.wrapping_add(after.min(self.size));
            store(memory, self.device.wrapping_add(RING + USED * u64::from(self.size)), event)?;
        } else if self.quiet != (after > 0) {
            self.quiet = after > 0;
            store(memory, self.device, if self.quiet { NO_NOTIFY } else { 0 })?;
        }
        // The wish is written before the index is read: the driver writes the index, then reads the wish.
        memory.fence();
        self.look(memory)
    }
}
