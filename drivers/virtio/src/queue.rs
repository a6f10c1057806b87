// SPDX-License-Identifier: BSD-2-Clause
//! A split virtqueue, the driver's side (virtio 1.2, section 2.7).
//!
//! [`Queue::add`] puts requests into the ring, [`Queue::publish`] shows all of them to the device at once,
//! [`Queue::pop`] takes completed ones. Which descriptors are whose is kept in private memory: the tables that the device can
//! write are only ever written here, and of the used ring identifiers and index are checked.

use core::sync::atomic::{AtomicU16, AtomicU32, AtomicU64};

use crate::barrier;
use crate::device::Features;
use crate::memory::{Cell, DmaArray, DmaMemory};
use crate::request::{AddError, Buffer, Completion, DeviceMisbehaved, Direction};

/// Descriptor flags (2.7.5).
const NEXT: u64 = 1 << 32;
const WRITE: u64 = 2 << 32;
const INDIRECT: u64 = 4 << 32;

/// `VIRTQ_AVAIL_F_NO_INTERRUPT` (2.7.6).
const NO_INTERRUPT: u16 = 1;

/// `VIRTQ_USED_F_NO_NOTIFY` (2.7.8).
const NO_NOTIFY: u32 = 1;

/// Cells of the available ring before its entries: flags, index.
const AVAILABLE_HEADER: usize = 2;

/// Private state of a descriptor.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    /// The next one of the chain or of the free list.
    next: u16,
    /// Number of descriptors of the outstanding chain that begins here; 0 for others.
    length: u16,
}

/// A virtqueue of at most `N` descriptors.
#[derive(Debug)]
pub struct Queue<const N: usize> {
    size: u16,
    event_index: bool,
    /// Buffers of an indirect table; 0 without indirect descriptors.
    table_length: usize,
    /// Two words each: address; length, flags and next.
    descriptors: DmaArray<AtomicU64>,
    available: DmaArray<AtomicU16>,
    /// Flags and index; two words for each entry; event index.
    used: DmaArray<AtomicU32>,
    /// One table for each descriptor.
    tables: Option<DmaArray<AtomicU64>>,
    slots: [Slot; N],
    free_head: u16,
    free: u16,
    /// Requests added and not completed.
    outstanding: u16,
    /// Available index, the shared one when it is published.
    next_available: u16,
    published: u16,
    /// Used index up to where completions were taken, and the device's as last seen and checked.
    last_used: u16,
    seen: u16,
    error: Option<DeviceMisbehaved>,
}

impl<const N: usize> Queue<N> {
    /// Bytes of [`DmaMemory`] that suffice for a queue of `size` descriptors with tables of `table_length` buffers.
    pub const fn memory_size(size: usize, table_length: usize) -> usize {
        // Alignment: 16, 2 and 4; with tables 16.
        size * 16 + (size + 3) * 2 + 2 + (size * 2 + 2) * 4 + size * table_length * 16 + 3 * 16
    }

    /// A queue of the largest power of two that neither `N` nor the device's `size_max` exceeds, in memory taken from
    /// `memory`. `table_length` is the number of buffers for which there is an indirect table, used when
    /// the features have it; such requests take one descriptor. `None` when the memory does not suffice or a size is 0.
    pub fn new(
        memory: &mut DmaMemory,
        size_max: u32,
        features: Features,
        table_length: usize,
    ) -> Option<Self> {
        // At most 2^15 (2.7).
        let size = 1usize << (N.min(size_max as usize).min(1 << 15)).checked_ilog2()?;
        let tables = match features.contains(Features::INDIRECT_DESC) && table_length > 0 {
            true => Some(memory.take(size.checked_mul(table_length)?.checked_mul(2)?, 16)?),
            false => None,
        };
        let mut this = Self {
            size: size as u16,
            event_index: features.contains(Features::EVENT_IDX),
            table_length: if tables.is_some() { table_length } else { 0 },
            descriptors: memory.take(2 * size, 16)?,
            // One more for the event index.
            available: memory.take(AVAILABLE_HEADER + size + 1, 4)?,
            used: memory.take(1 + 2 * size + 1, 4)?,
            tables,
            slots: [Slot::default(); N],
            free_head: 0,
            free: 0,
            outstanding: 0,
            next_available: 0,
            published: 0,
            last_used: 0,
            seen: 0,
            error: None,
        };
        this.reset();
        Some(this)
    }

    /// Forgets everything outstanding. Only after the device's reset.
    pub fn reset(&mut self) {
        self.descriptors.clear();
        self.available.clear();
        self.used.clear();
        for (slot, next) in self.slots.iter_mut().zip(1..) {
            *slot = Slot { next, length: 0 };
        }
        self.free_head = 0;
        self.free = self.size;
        self.outstanding = 0;
        (self.next_available, self.published) = (0, 0);
        (self.last_used, self.seen) = (0, 0);
        self.error = None;
    }

    /// Number of descriptors.
    pub const fn size(&self) -> u16 {
        self.size
    }

    /// Where the device finds the descriptors.
    pub const fn descriptor_area(&self) -> u64 {
        self.descriptors.physical(0)
    }

    /// Where the device finds the available ring.
    pub const fn driver_area(&self) -> u64 {
        self.available.physical(0)
    }

    /// Where the device finds the used ring.
    pub const fn device_area(&self) -> u64 {
        self.used.physical(0)
    }

    /// Number of requests added and not completed.
    pub const fn outstanding(&self) -> u16 {
        self.outstanding
    }

    /// Number of descriptors a request of `buffers` buffers takes.
    #[inline]
    pub const fn descriptors_for(&self, buffers: usize) -> usize {
        if buffers <= self.table_length && buffers > 1 { 1 } else { buffers }
    }

    /// Whether a request of `buffers` buffers would fit now.
    #[inline]
    pub const fn fits(&self, buffers: usize) -> bool {
        self.descriptors_for(buffers) <= self.free as usize
    }

    /// The identifier that the next request gets if it fits. So a driver can keep something for each identifier (a header,
    /// say) and name it in the request.
    #[inline]
    pub const fn next_id(&self) -> u16 {
        self.free_head
    }

    /// Adds a request, not yet visible to the device: first the buffers that it reads, then those that it writes. Gives the
    /// request's identifier: below [`size`](Self::size), and unique among those outstanding.
    ///
    /// # Errors
    /// When it does not fit.
    #[inline]
    pub fn add(&mut self, buffers: &[Buffer]) -> Result<u16, AddError> {
        self.add_from(buffers.len(), buffers.iter().copied())
    }

    /// [`add`](Self::add) of `count` buffers that are made on the way; as many must come.
    ///
    /// # Errors
    /// See there.
    #[inline]
    pub fn add_from(&mut self, count: usize, buffers: impl Iterator<Item = Buffer>) -> Result<u16, AddError> {
        let needed = self.descriptors_for(count);
        if needed == 0 || needed > usize::from(self.size) {
            return Err(AddError::Length(count));
        }
        if needed > usize::from(self.free) {
            return Err(AddError::Full);
        }
        let head = self.free_head;
        let after = match self.tables {
            Some(tables) if needed < count => self.fill_table(tables, head, count, buffers),
            _ => self.fill_chain(head, count, buffers),
        };
        if let Some(slot) = self.slots.get_mut(usize::from(head)) {
            slot.length = needed as u16;
        }
        self.free_head = after;
        self.free -= needed as u16;
        self.outstanding += 1;
        let place = usize::from(self.next_available & (self.size - 1));
        self.available.set(AVAILABLE_HEADER + place, head);
        self.next_available = self.next_available.wrapping_add(1);
        Ok(head)
    }

    /// Writes `buffers` to the table of descriptor `head`; gives the next free descriptor.
    #[inline]
    fn fill_table(
        &self,
        tables: DmaArray<AtomicU64>,
        head: u16,
        count: usize,
        buffers: impl Iterator<Item = Buffer>,
    ) -> u16 {
        let first = 2 * usize::from(head) * self.table_length;
        let cells = tables.cells().get(first..first + 2 * count).unwrap_or_default();
        let (places, mut index) = (cells.as_chunks().0, 0);
        // Not a `for` loop: of several parts, each is a loop of its own.
        buffers.for_each(|buffer| {
            let place = places.get(index);
            index += 1;
            let next = if index == count { 0 } else { NEXT | (index as u64) << 48 };
            if let Some(place) = place {
                write_descriptor(place, &buffer, next);
            }
        });
        self.descriptors.set(2 * usize::from(head), tables.physical(first));
        self.descriptors.set(2 * usize::from(head) + 1, (count as u64 * 16) | INDIRECT);
        self.next(head)
    }

    /// Writes `buffers` to descriptors from the free list, beginning at `head`; gives the next free one.
    #[inline]
    fn fill_chain(&self, head: u16, count: usize, buffers: impl Iterator<Item = Buffer>) -> u16 {
        let mut descriptor = head;
        for (index, buffer) in buffers.take(count).enumerate() {
            let following = self.next(descriptor);
            let next = if index + 1 == count { 0 } else { NEXT | u64::from(following) << 48 };
            if let Some(place) = self.descriptors.cells().as_chunks().0.get(usize::from(descriptor)) {
                write_descriptor(place, &buffer, next);
            }
            descriptor = following;
        }
        descriptor
    }

    #[inline]
    fn next(&self, descriptor: u16) -> u16 {
        self.slots.get(usize::from(descriptor)).map_or(0, |slot| slot.next)
    }

    /// Shows the device what was added. Gives whether it must be notified.
    #[inline]
    pub fn publish(&mut self) -> bool {
        let old = self.published;
        let new = self.next_available;
        if old == new {
            return false;
        }
        barrier::before_publish();
        self.available.set(1, new);
        self.published = new;
        // 2.7.10: the index before the look at what the device wants.
        barrier::full();
        if self.event_index {
            let event = self.used.get(1 + 2 * usize::from(self.size)) as u16;
            new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
        } else {
            self.used.get(0) & NO_NOTIFY == 0
        }
    }

    /// Takes a completed request, if there is one.
    ///
    /// # Errors
    /// When the device has written what cannot be; from then on always.
    #[inline]
    pub fn pop(&mut self) -> Result<Option<Completion>, DeviceMisbehaved> {
        if self.last_used == self.seen && !self.look()? {
            return Ok(None);
        }
        let place = 1 + 2 * usize::from(self.last_used & (self.size - 1));
        let id = self.used.get(place);
        let written = self.used.get(place + 1);
        let length = self.slots.get(id as usize).map_or(0, |slot| slot.length);
        if length == 0 {
            return Err(self.fail(DeviceMisbehaved::Identifier(id)));
        }
        // There is such a slot, so it fits.
        let id = id as u16;
        self.last_used = self.last_used.wrapping_add(1);
        self.release(id, length);
        Ok(Some(Completion { id, written }))
    }

    /// Reads the device's index. Gives whether there are completions.
    #[inline]
    fn look(&mut self) -> Result<bool, DeviceMisbehaved> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let found = (self.used.get(0) >> 16) as u16;
        if found.wrapping_sub(self.last_used) > self.outstanding {
            let (last, outstanding) = (self.last_used, self.outstanding);
            return Err(self.fail(DeviceMisbehaved::UsedIndex { found, last, outstanding }));
        }
        self.seen = found;
        barrier::after_index();
        Ok(found != self.last_used)
    }

    #[cold]
    fn fail(&mut self, error: DeviceMisbehaved) -> DeviceMisbehaved {
        self.error = Some(error);
        // `pop` looks at the error next time.
        self.seen = self.last_used;
        error
    }

    /// Returns the chain of `length` descriptors that begins at `head` to the free list.
    #[inline]
    fn release(&mut self, head: u16, length: u16) {
        let mut last = head;
        for _ in 1..length {
            last = self.next(last);
        }
        if let Some(slot) = self.slots.get_mut(usize::from(last)) {
            slot.next = self.free_head;
        }
        if let Some(slot) = self.slots.get_mut(usize::from(head)) {
            slot.length = 0;
        }
        self.free_head = head;
        self.free += length;
        self.outstanding -= 1;
    }

    /// Asks for an interrupt when `count` more requests than now are completed (at least one, at most all that are
    /// outstanding; without the event index always one). Gives whether the caller may wait: `false` when so many are there
    /// already, or the queue has failed.
    #[inline]
    pub fn enable_interrupts(&mut self, count: u16) -> bool {
        let count = if self.event_index { count.min(self.outstanding).max(1) } else { 1 };
        if self.event_index {
            let event = self.last_used.wrapping_add(count - 1);
            self.available.set(AVAILABLE_HEADER + usize::from(self.size), event);
        } else {
            self.available.set(0, 0);
        }
        // 2.7.7: the wish before the look at the index.
        barrier::full();
        self.error.is_none() && ((self.used.get(0) >> 16) as u16).wrapping_sub(self.last_used) < count
    }

    /// Asks for no interrupts until [`enable_interrupts`](Self::enable_interrupts). A hint: one may come. With the event index,
    /// one interrupt has been asked for at most, and there is nothing to do.
    #[inline]
    pub fn disable_interrupts(&mut self) {
        if !self.event_index {
            self.available.set(0, NO_INTERRUPT);
        }
    }
}

/// Writes a descriptor (2.7.5). `next` has the flag and the number.
#[inline]
fn write_descriptor(place: &[AtomicU64; 2], buffer: &Buffer, next: u64) {
    let write = match buffer.direction {
        Direction::ToDevice => 0,
        Direction::FromDevice => WRITE,
    };
    let [address, rest] = place;
    address.set(buffer.address);
    rest.set(u64::from(buffer.length) | write | next);
}
