// SPDX-License-Identifier: BSD-2-Clause
//! Tables of what a peer has been given and must give back exactly once.
//!
//! [`InFlight`] issues ids for requests and remembers what belongs to them, in order of issue, for answers and for replay.
//! [`Buffers`] remembers which buffers of a region are out. Both refuse what comes back twice, or was never given.

#[cfg(test)]
mod tests;

/// What came back is not out: never given, or back already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{id:#x} is not outstanding")]
pub struct NotOutstanding {
    /// The id, or the buffer's offset.
    pub id: u64,
}

/// No slot.
const NONE: u16 = u16::MAX;

#[derive(Debug, Clone, Copy)]
struct Slot<T> {
    value: Option<T>,
    /// Counts uses of the slot: the upper half of the id.
    generation: u32,
    /// Neighbours in order of issue; of a free slot, `next` is the next free one.
    next: u16,
    previous: u16,
}

/// Up to `N` (at most 65535) requests in flight.
#[derive(Debug)]
pub struct InFlight<T, const N: usize> {
    slots: [Slot<T>; N],
    len: usize,
    /// Slots that were never used begin here.
    unused: usize,
    free: u16,
    oldest: u16,
    newest: u16,
}

impl<T, const N: usize> InFlight<T, N> {
    /// Nothing in flight.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(N < NONE as usize) };
        let slots = [const { Slot { value: None, generation: 0, next: NONE, previous: NONE } }; N];
        Self { slots, len: 0, unused: 0, free: NONE, oldest: NONE, newest: NONE }
    }

    /// Number in flight.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is in flight.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether no more can be.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.len == N
    }

    /// Remembers `value` under a new id, never 0. The lower 32 bits of an id are below `N`.
    ///
    /// # Errors
    /// `value` when the table is full.
    #[inline]
    pub fn insert(&mut self, value: T) -> Result<u64, T> {
        let index = if self.free == NONE { self.unused } else { usize::from(self.free) };
        let newest = self.newest;
        let Some(slot) = self.slots.get_mut(index) else { return Err(value) };
        if self.free == NONE {
            self.unused += 1;
        } else {
            self.free = slot.next;
        }
        slot.value = Some(value);
        slot.generation = slot.generation.wrapping_add(1).max(1);
        (slot.previous, slot.next) = (newest, NONE);
        let id = u64::from(slot.generation) << 32 | index as u64;
        // Fits: `N` does.
        self.newest = index as u16;
        match self.slots.get_mut(usize::from(newest)) {
            Some(slot) => slot.next = index as u16,
            None => self.oldest = index as u16,
        }
        self.len += 1;
        Ok(id)
    }

    #[inline]
    fn slot(&self, id: u64) -> Option<&Slot<T>> {
        let slot = self.slots.get(id as u32 as usize)?;
        (slot.generation == (id >> 32) as u32).then_some(slot)
    }

    /// What belongs to `id`, if that is in flight.
    #[inline]
    pub fn get(&self, id: u64) -> Option<&T> {
        self.slot(id)?.value.as_ref()
    }

    /// What belongs to `id`, if that is in flight.
    #[inline]
    pub fn get_mut(&mut self, id: u64) -> Option<&mut T> {
        self.slot(id)?;
        self.slots.get_mut(id as u32 as usize)?.value.as_mut()
    }

    /// Ends `id` and gives what belongs to it.
    ///
    /// # Errors
    /// [`NotOutstanding`] for an id that is stale, ended already, or was never issued.
    #[inline]
    pub fn remove(&mut self, id: u64) -> Result<T, NotOutstanding> {
        let index = id as u32 as usize;
        self.slot(id).ok_or(NotOutstanding { id })?;
        let slot = self.slots.get_mut(index).ok_or(NotOutstanding { id })?;
        let value = slot.value.take().ok_or(NotOutstanding { id })?;
        let (previous, next) = (slot.previous, slot.next);
        slot.next = self.free;
        self.free = index as u16;
        self.len -= 1;
        match self.slots.get_mut(usize::from(previous)) {
            Some(slot) => slot.next = next,
            None => self.oldest = next,
        }
        match self.slots.get_mut(usize::from(next)) {
            Some(slot) => slot.previous = previous,
            None => self.newest = previous,
        }
        Ok(value)
    }

    /// Everything in flight with its id, oldest first: the order of a replay.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        let mut next = self.oldest;
        core::iter::from_fn(move || {
            let index = usize::from(next);
            let slot = self.slots.get(index)?;
            next = slot.next;
            let id = u64::from(slot.generation) << 32 | index as u64;
            slot.value.as_ref().map(|value| (id, value))
        })
    }

    /// The id in flight whose lower 32 bits are `index`, for peers whose ids have no more.
    pub fn current(&self, index: u32) -> Option<u64> {
        let slot = self.slots.get(index as usize).filter(|slot| slot.value.is_some())?;
        Some(u64::from(slot.generation) << 32 | u64::from(index))
    }

    /// The oldest id in flight.
    pub fn oldest(&self) -> Option<u64> {
        self.iter().next().map(|(id, _)| id)
    }

    /// The id after `id` in order of issue, if both are in flight. For walks that change the table.
    pub fn after(&self, id: u64) -> Option<u64> {
        let index = self.slot(id).filter(|slot| slot.value.is_some())?.next;
        let slot = self.slots.get(usize::from(index))?;
        Some(u64::from(slot.generation) << 32 | u64::from(index))
    }

    /// Ends everything. Ids issued before stay refused.
    pub fn clear(&mut self) {
        while let Some(id) = self.oldest() {
            // In flight by construction.
            let _ = self.remove(id);
        }
    }
}

impl<T, const N: usize> Default for InFlight<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Which buffers of a region of up to `64 * WORDS` equal buffers are out.
#[derive(Debug, Clone)]
pub struct Buffers<const WORDS: usize> {
    out: [u64; WORDS],
    /// Bytes of a buffer = 1 << shift.
    shift: u32,
    count: u32,
    outstanding: u32,
}

impl<const WORDS: usize> Buffers<WORDS> {
    /// A region of `region` bytes in buffers of `size` bytes, a power of two; none is out. Buffers beyond the table's size
    /// are not used.
    #[must_use]
    pub const fn new(region: usize, size: usize) -> Self {
        assert!(size.is_power_of_two());
        let shift = size.trailing_zeros();
        let fit = region >> shift;
        let count = if fit < 64 * WORDS { fit } else { 64 * WORDS };
        Self { out: [0; WORDS], shift, count: count as u32, outstanding: 0 }
    }

    /// Number of buffers.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Number of buffers that are out.
    pub fn outstanding(&self) -> u32 {
        self.outstanding
    }

    /// Byte offset of a buffer that is not out, which then is.
    #[inline]
    pub fn take(&mut self) -> Option<u64> {
        if self.outstanding == self.count {
            return None;
        }
        let (word, bits) = self.out.iter_mut().enumerate().find(|(_, bits)| **bits != u64::MAX)?;
        let bit = bits.trailing_ones();
        let index = 64 * word as u64 + u64::from(bit);
        if index >= u64::from(self.count) {
            return None;
        }
        *bits |= 1 << bit;
        self.outstanding += 1;
        Some(index << self.shift)
    }

    /// Marks the buffer that holds byte `offset` as out.
    ///
    /// # Errors
    /// [`NotOutstanding`] when it is out already, or outside the region: whoever gave it gave it twice.
    #[inline]
    pub fn mark(&mut self, offset: u64) -> Result<(), NotOutstanding> {
        let (word, bit) = self.bit(offset)?;
        if *word & bit != 0 {
            return Err(NotOutstanding { id: offset });
        }
        *word |= bit;
        self.outstanding += 1;
        Ok(())
    }

    /// The buffer that holds byte `offset` is back.
    ///
    /// # Errors
    /// [`NotOutstanding`] when it is not out, or outside the region.
    #[inline]
    pub fn unmark(&mut self, offset: u64) -> Result<(), NotOutstanding> {
        let (word, bit) = self.bit(offset)?;
        if *word & bit == 0 {
            return Err(NotOutstanding { id: offset });
        }
        *word &= !bit;
        self.outstanding -= 1;
        Ok(())
    }

    /// All buffers are back: the peer has restarted.
    pub fn clear(&mut self) {
        self.out = [0; WORDS];
        self.outstanding = 0;
    }

    #[inline]
    fn bit(&mut self, offset: u64) -> Result<(&mut u64, u64), NotOutstanding> {
        let index = offset >> self.shift;
        let word = self.out.get_mut((index / 64) as usize).filter(|_| index < u64::from(self.count));
        Ok((word.ok_or(NotOutstanding { id: offset })?, 1 << (index % 64)))
    }
}
