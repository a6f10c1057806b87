// SPDX-License-Identifier: BSD-2-Clause
//! Split virtqueues, device side (section 2.7).
//!
//! The available ring is followed with a private index, which the driver's index may be ahead of by the queue's size
//! and no more. The used ring is only ever written. Entries of it are collected and shown together ([`Queue::publish`]).

mod chain;
mod notify;

#[cfg(test)]
mod tests;
pub use chain::{Chain, MAX_SEGMENTS};

use crate::abuse::Abuse;
use crate::memory::GuestMemory;
use serde::{Deserialize, Serialize};

/// The longest queue of any device.
pub const MAX_SIZE: u16 = 256;

/// Bytes of a descriptor.
const DESCRIPTOR: u64 = 16;
/// Bytes before the ring of either ring: flags and index.
const RING: u64 = 4;
/// Byte offset of the index.
const INDEX: u64 = 2;
/// Bytes of an entry of the used ring.
const USED: u64 = 8;

/// Where the driver put a queue, and how far the device is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    pub(crate) maximum: u16,
    pub(crate) size: u16,
    ready: bool,
    /// Descriptor table.
    pub(crate) descriptors: u64,
    /// Available ring, which the driver writes.
    pub(crate) driver: u64,
    /// Used ring, which the device writes.
    pub(crate) device: u64,
    indirect: bool,
    event_index: bool,
    /// Next entry of the available ring to take.
    next_available: u16,
    /// The driver's index when it was last read.
    seen_available: u16,
    /// Next entry of the used ring to write.
    next_used: u16,
    /// The index that the driver was shown.
    published: u16,
    /// The index when the driver's wish for an interrupt was last decided.
    signalled: u16,
    /// The driver is asked not to kick (without event index).
    quiet: bool,
}

impl Queue {
    /// A queue of at most `maximum` entries (a power of two), not set up.
    pub const fn new(maximum: u16) -> Self {
        Self {
            maximum,
            size: maximum,
            ready: false,
            descriptors: 0,
            driver: 0,
            device: 0,
            indirect: false,
            event_index: false,
            next_available: 0,
            seen_available: 0,
            next_used: 0,
            published: 0,
            signalled: 0,
            quiet: false,
        }
    }

    /// Whether it is in use.
    #[inline]
    pub const fn is_ready(&self) -> bool {
        self.ready
    }

    /// Entries.
    pub const fn size(&self) -> u16 {
        self.size
    }

    /// As after a reset of the device.
    pub fn reset(&mut self) {
        *self = Self::new(self.maximum);
    }

    /// Takes the queue into use where the driver put it.
    ///
    /// # Errors
    /// The size is not possible, or a part is not aligned or not in memory. The queue stays out of use.
    pub fn enable(
        &mut self,
        memory: &impl GuestMemory,
        indirect: bool,
        event_index: bool,
    ) -> Result<(), Abuse> {
        if !self.size.is_power_of_two() || self.size > self.maximum {
            return Err(Abuse::QueueSize(self.size));
        }
        let size = u64::from(self.size);
        // With the event index that each ring ends in.
        let parts = [
            (self.descriptors, 16, DESCRIPTOR * size),
            (self.driver, 2, RING + 2 * size + 2),
            (self.device, 4, RING + USED * size + 2),
        ];
        for (address, alignment, length) in parts {
            if !address.is_multiple_of(alignment) {
                return Err(Abuse::Alignment(address));
            }
            if !memory.contains(address, length) {
                return Err(Abuse::OutsideMemory { address, length });
            }
        }
        (self.indirect, self.event_index) = (indirect, event_index);
        self.ready = true;
        Ok(())
    }

    /// Takes the next chain that the driver made available; false when there is none.
    ///
    /// # Errors
    /// Whatever can be wrong with an index or a chain. The device must not go on with the queue.
    #[inline]
    pub fn pop(&mut self, memory: &impl GuestMemory, chain: &mut Chain) -> Result<bool, Abuse> {
        if self.next_available == self.seen_available && !self.look(memory)? {
            return Ok(false);
        }
        let slot = u64::from(self.next_available & (self.size - 1));
        let head = load(memory, self.driver.wrapping_add(RING + 2 * slot))?;
        self.walk(memory, head, chain)?;
        self.next_available = self.next_available.wrapping_add(1);
        Ok(true)
    }

    /// Leaves the last `chains` chains that were taken in the ring, to be taken again, and takes back as many of the
    /// used entries as were added for them and not published.
    pub fn undo(&mut self, chains: u16, used: u16) {
        self.next_available = self.next_available.wrapping_sub(chains);
        self.next_used = self.next_used.wrapping_sub(used);
    }

    /// As if so many chains had gone through it.
    #[cfg(any(test, feature = "mock"))]
    pub(crate) fn start_at(&mut self, index: u16) {
        (self.next_available, self.seen_available) = (index, index);
        (self.next_used, self.published, self.signalled) = (index, index, index);
    }

    /// Chains that are known to be available and not taken.
    pub const fn waiting(&self) -> u16 {
        self.seen_available.wrapping_sub(self.next_available)
    }

    /// Reads the driver's index; true when there is a chain to take.
    #[inline]
    fn look(&mut self, memory: &impl GuestMemory) -> Result<bool, Abuse> {
        let found = load(memory, self.driver.wrapping_add(INDEX))?;
        if found.wrapping_sub(self.next_available) > self.size {
            return Err(Abuse::AvailableIndex { found, taken: self.next_available, size: self.size });
        }
        self.seen_available = found;
        // Entries and descriptors are read after the index that says that they are there.
        memory.acquire();
        Ok(found != self.next_available)
    }

    /// Adds a used entry: the device is done with the chain from `head` and wrote `length` bytes from its start.
    ///
    /// # Errors
    /// The ring is no longer in memory.
    #[inline]
    pub fn push_used(&mut self, memory: &impl GuestMemory, head: u16, length: u32) -> Result<(), Abuse> {
        let slot = u64::from(self.next_used & (self.size - 1));
        let address = self.device.wrapping_add(RING + USED * slot);
        let entry = u64::from(length) << 32 | u64::from(head);
        memory.store64(address, entry).ok_or(Abuse::OutsideMemory { address, length: USED })?;
        self.next_used = self.next_used.wrapping_add(1);
        Ok(())
    }
}

fn load(memory: &impl GuestMemory, address: u64) -> Result<u16, Abuse> {
    memory.load16(address).ok_or(Abuse::OutsideMemory { address, length: 2 })
}

fn store(memory: &impl GuestMemory, address: u64, value: u16) -> Result<(), Abuse> {
    memory.store16(address, value).ok_or(Abuse::OutsideMemory { address, length: 2 })
}
