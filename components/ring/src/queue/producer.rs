// SPDX-License-Identifier: BSD-2-Clause
//! The writing side of a queue.

use core::marker::PhantomData;
use core::sync::atomic::Ordering;

use super::{Bulkhead, Common, Entry, Full, Guard, Side, Wake, Wire};
use crate::PeerMisbehaved;
use crate::pages::{Memory, SharedPages};

/// The writing side of a queue of `E`.
#[derive(Debug)]
pub struct Producer<E, M = SharedPages, W = Bulkhead> {
    pub(super) common: Common<M>,
    /// Where the next entry goes.
    tail: u32,
    /// What the peer sees of `tail`.
    published: u32,
    /// `published` before the last [`Side::expose`].
    before: u32,
    /// The consumer's index as last seen and checked.
    head: u32,
    /// Entries that the owner waits to push; 0 if it does not.
    wanted: u32,
    kind: PhantomData<(E, W)>,
}

impl<E: Entry, M: Memory, W: Wire> Producer<E, M, W> {
    /// The producer of the queue of `capacity` entries at byte `base`, stopped; `None` when it does not fit into the
    /// region or the capacity is not a power of two that its indices can carry.
    #[must_use]
    pub fn new(memory: M, base: usize, capacity: u32) -> Option<Self> {
        let common = Common::new::<E, W>(memory, base, capacity)?;
        let mut this =
            Self { common, tail: 0, published: 0, before: 0, head: 0, wanted: 0, kind: PhantomData };
        this.stop();
        Some(this)
    }

    /// Goes on where the shared words stand. For queues without a link around them.
    pub fn resume(&mut self) {
        let tail = self.common.load_index::<W>(W::TAIL);
        let head = self.common.load_index::<W>(W::HEAD);
        (self.tail, self.published, self.before, self.head) = (tail, tail, tail, head);
        self.wanted = 0;
        self.common.live = true;
        if tail.wrapping_sub(head) & W::INDEX_MASK > self.capacity() {
            self.common.stop_at(head, tail);
            self.stop();
        }
    }

    /// Entries the queue can hold.
    #[inline]
    pub fn capacity(&self) -> u32 {
        self.common.mask + 1
    }

    /// Number of entries that can be pushed now; 0 once stopped.
    #[inline]
    pub fn space(&mut self) -> u32 {
        self.refresh();
        self.known_space()
    }

    /// Whether `count` entries can be pushed now. Looks at the peer's index only if they are not known to fit. If not, the
    /// next [`Self::wait`] asks to be woken when they do.
    #[inline(always)]
    pub fn has_space(&mut self, count: u32) -> bool {
        self.known_space() >= count || self.look_for_space(count)
    }

    #[inline(never)]
    fn look_for_space(&mut self, count: u32) -> bool {
        self.refresh();
        let fits = self.known_space() >= count;
        self.wanted = if fits { 0 } else { count };
        fits
    }

    /// Writes an entry. The peer sees it after [`Self::publish`].
    ///
    /// # Errors
    /// [`Full`] when there is no place, or the queue is stopped.
    #[inline]
    pub fn push(&mut self, entry: E) -> Result<(), Full> {
        if !self.has_space(1) {
            return Err(Full);
        }
        entry.write(&self.common.memory, self.common.place::<E, W>(self.tail));
        self.tail = self.tail.wrapping_add(1) & W::INDEX_MASK;
        Ok(())
    }

    /// Writes several entries, of which there must be no more than are known to fit ([`Self::has_space`]): others are left
    /// out. The peer sees them after [`Self::publish`].
    #[inline(always)]
    pub fn push_all(&mut self, entries: impl Iterator<Item = E>) {
        let base = self.common.base + W::ENTRIES;
        let entries = entries.take(self.known_space() as usize);
        let count = E::write_all(&self.common.memory, base, self.common.mask, self.tail, entries);
        self.tail = self.tail.wrapping_add(count) & W::INDEX_MASK;
    }

    /// Shows the peer what was pushed. Gives whether it must be notified.
    #[inline]
    #[must_use = "the peer may be asleep"]
    pub fn publish(&mut self) -> bool {
        if !self.expose() {
            return false;
        }
        // Orders the store of the index before the load of the consumer's wish; pairs with `Consumer::wait`.
        self.common.memory.fence();
        self.peer_waits()
    }

    /// How many more entries the peer waits for. `None`: it does not wait (it has been notified, say, and will look), or
    /// does not tell.
    #[inline(always)]
    pub fn awaited(&self) -> Option<u32> {
        let Wake::Event(offset) = W::ENTRY_WAKE else { return None };
        let event = self.common.memory.load(self.common.base + offset, Ordering::Relaxed);
        let more = event.wrapping_sub(self.tail).wrapping_add(1);
        (1..=self.capacity()).contains(&more).then_some(more)
    }

    /// Asks to be notified when `count` entries fit. Gives whether the caller may sleep: `false` when they fit already
    /// (then the notification may come as well).
    pub fn wait(&mut self, count: u32) -> bool {
        self.wanted = count.min(self.capacity());
        self.announce();
        // Orders the wish before the load of the index; pairs with `Consumer::release`.
        self.common.memory.fence();
        self.is_idle()
    }

    /// Whether the queue was stopped by [`PeerMisbehaved`] or a restart of the peer.
    pub fn is_stopped(&self) -> bool {
        !self.common.live
    }

    /// The reason the queue was cut off, once.
    pub fn take_error(&mut self) -> Option<PeerMisbehaved> {
        self.common.error.take()
    }

    #[inline(always)]
    fn used(&self) -> u32 {
        self.tail.wrapping_sub(self.head) & W::INDEX_MASK
    }

    #[inline(always)]
    fn known_space(&self) -> u32 {
        self.capacity().wrapping_sub(self.used())
    }

    /// Looks at the consumer's index. It only moves forward, and never past what was published.
    #[inline]
    fn refresh(&mut self) {
        if !self.common.live {
            return;
        }
        let head = self.common.load_index::<W>(W::HEAD);
        let unpublished = self.tail.wrapping_sub(self.published) & W::INDEX_MASK;
        let used = self.tail.wrapping_sub(head) & W::INDEX_MASK;
        // A restarted peer writes 0, which after a wrap of the index may look like progress.
        let reset = head == 0 && self.head != 0 && self.common.peer_restarted();
        if (unpublished..=self.used()).contains(&used) && !reset {
            self.head = head;
        } else {
            self.common.stop_at(head, self.tail);
            self.stop();
        }
    }
}

impl<E: Entry, M: Memory, W: Wire> Side for Producer<E, M, W> {
    fn clear(&self) {
        self.common.store_index::<W>(W::TAIL, 0);
        self.common.ask(W::SPACE_WAKE, 0);
    }

    fn start(&mut self, guard: Guard) {
        (self.tail, self.published, self.before, self.head, self.wanted) = (0, 0, 0, 0, 0);
        self.common.guard = Some(guard);
        self.common.error = None;
        self.common.live = true;
        // Nobody waits for space yet: a point that is already passed.
        self.common.ask(W::SPACE_WAKE, u32::MAX);
    }

    fn stop(&mut self) {
        self.common.live = false;
        // Full, and nothing to publish.
        self.head = self.tail.wrapping_sub(self.capacity()) & W::INDEX_MASK;
        self.published = self.tail;
        self.before = self.tail;
        self.wanted = 0;
    }

    #[inline]
    fn expose(&mut self) -> bool {
        if self.tail == self.published {
            return false;
        }
        self.before = self.published;
        self.published = self.tail;
        self.common.store_index::<W>(W::TAIL, self.tail);
        true
    }

    #[inline]
    fn peer_waits(&mut self) -> bool {
        let before = core::mem::replace(&mut self.before, self.published);
        before != self.published && self.common.peer_waits(W::ENTRY_WAKE, before, self.published)
    }

    #[inline]
    fn announce(&mut self) {
        if self.wanted != 0 && self.common.live {
            // Space for `wanted` is there once the head has passed this.
            let event = self.tail.wrapping_add(self.wanted).wrapping_sub(self.capacity()).wrapping_sub(1);
            self.common.ask(W::SPACE_WAKE, event);
        }
    }

    #[inline]
    fn is_idle(&mut self) -> bool {
        let fits = self.wanted != 0 && self.has_space(self.wanted);
        if fits {
            // Told now; the owner has to ask again.
            self.wanted = 0;
        }
        !fits
    }

    #[inline]
    fn has_error(&self) -> bool {
        self.common.error.is_some()
    }

    fn take_error(&mut self) -> Option<PeerMisbehaved> {
        self.common.error.take()
    }
}
