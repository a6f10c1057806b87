// SPDX-License-Identifier: BSD-2-Clause
//! The reading side of a queue.

use core::marker::PhantomData;

use super::{Bulkhead, Common, Entry, Guard, Side, Wake, Wire};
use crate::PeerMisbehaved;
use crate::pages::{Memory, SharedPages};

/// The reading side of a queue of `E`.
#[derive(Debug)]
pub struct Consumer<E, M = SharedPages, W = Bulkhead> {
    pub(super) common: Common<M>,
    /// The next entry to read.
    head: u32,
    /// What the peer sees of `head`.
    released: u32,
    /// `released` before the last [`Side::expose`].
    before: u32,
    /// The producer's index as last seen and checked.
    tail: u32,
    /// Whether the owner wants to be woken for entries.
    asking: bool,
    /// By how many: at least 1.
    batch: u32,
    /// What the last wish was when the peer was last notified.
    known: u32,
    /// `asking` at the start.
    eager: bool,
    kind: PhantomData<(E, W)>,
}

impl<E: Entry, M: Memory, W: Wire> Consumer<E, M, W> {
    /// The consumer of the queue of `capacity` entries at byte `base`, stopped; `None` when it does not fit into the
    /// region or the capacity is not a power of two that its indices can carry.
    #[must_use]
    pub fn new(memory: M, base: usize, capacity: u32) -> Option<Self> {
        let common = Common::new::<E, W>(memory, base, capacity)?;
        let (asking, eager) = (true, true);
        Some(Self {
            common,
            head: 0,
            released: 0,
            before: 0,
            tail: 0,
            asking,
            batch: 1,
            known: u32::MAX,
            eager,
            kind: PhantomData,
        })
    }

    /// Goes on where the shared words stand. For queues without a link around them.
    pub fn resume(&mut self) {
        let head = self.common.load_index::<W>(W::HEAD);
        (self.head, self.released, self.before, self.tail) = (head, head, head, head);
        self.common.live = true;
    }

    /// Entries the queue can hold.
    #[inline]
    pub fn capacity(&self) -> u32 {
        self.common.mask + 1
    }

    /// Number of entries that can be popped now; 0 once stopped.
    #[inline]
    pub fn available(&mut self) -> u32 {
        self.refresh();
        self.known()
    }

    /// Copies the next entry out. Its place goes back to the peer with [`Self::release`]. Looks at the peer's index only
    /// when everything seen before is read.
    #[inline]
    pub fn pop(&mut self) -> Option<E> {
        if self.head == self.tail {
            self.refresh();
        }
        self.pop_known()
    }

    /// Like [`Self::pop`], but only of the entries already seen.
    #[inline]
    pub fn pop_known(&mut self) -> Option<E> {
        if self.head == self.tail {
            return None;
        }
        let entry = E::read(&self.common.memory, self.common.place::<E, W>(self.head));
        self.head = self.head.wrapping_add(1) & W::INDEX_MASK;
        Some(entry)
    }

    /// Copies entries out, of those already seen, up to the one for which `take` gives `false`.
    #[inline(always)]
    pub fn pop_while(&mut self, take: impl FnMut(E) -> bool) {
        let base = self.common.base + W::ENTRIES;
        let count = E::read_while(&self.common.memory, base, self.common.mask, self.head, self.known(), take);
        self.head = self.head.wrapping_add(count) & W::INDEX_MASK;
    }

    /// Gives the places of the popped entries back. Gives whether the peer must be notified.
    #[inline]
    #[must_use = "the peer may be asleep"]
    pub fn release(&mut self) -> bool {
        if !self.expose() {
            return false;
        }
        // Orders the store of the index before the load of the producer's wish; pairs with `Producer::wait`.
        self.common.memory.fence();
        self.peer_waits()
    }

    /// Asks to be notified of the next entry. Gives whether the caller may sleep: `false` when there is one already.
    pub fn wait(&mut self) -> bool {
        self.announce();
        // Orders the wish before the load of the index; pairs with `Producer::publish`.
        self.common.memory.fence();
        self.is_idle()
    }

    /// [`Self::wait`] is for so many entries from now on, at least 1 and at most as many as the queue can hold: fewer neither
    /// wake nor keep awake, so they must be sure to come. With flags it stays 1.
    #[inline(always)]
    pub fn wait_for(&mut self, count: u32) {
        if let Wake::Event(_) = W::ENTRY_WAKE {
            self.batch = count.clamp(1, self.capacity());
        }
    }

    /// Whether to notify the peer after [`Self::wait`], which it is anyway if `notified`. For peers that pass a wish on
    /// ([`super::Producer::awaited`]): they go by the last one they were notified of, and when that is fulfilled expect one
    /// for `all` that can come. If the last wish was for sooner, they have to look again.
    #[inline(always)]
    pub fn tells(&mut self, notified: bool, all: u32) -> bool {
        let event = self.event();
        let open = self.known.wrapping_sub(self.head) < self.capacity();
        let expected = if open { self.known } else { self.head.wrapping_add(all).wrapping_sub(1) };
        let tells = notified || (1..=self.capacity()).contains(&expected.wrapping_sub(event));
        if tells {
            self.known = event;
        }
        tells
    }

    /// The index at which to be woken: the peer's has to pass it.
    #[inline(always)]
    fn event(&self) -> u32 {
        self.head.wrapping_add(self.batch - 1) & W::INDEX_MASK
    }

    /// Whether the queue was stopped by [`PeerMisbehaved`] or a restart of the peer.
    pub fn is_stopped(&self) -> bool {
        !self.common.live
    }

    /// The reason the queue was cut off, once.
    pub fn take_error(&mut self) -> Option<PeerMisbehaved> {
        self.common.error.take()
    }

    /// A queue whose entries lie there until they are needed: [`Self::ask`] begins with `false`.
    pub(crate) fn lazy(mut self) -> Self {
        (self.asking, self.eager) = (false, false);
        self
    }

    /// Whether waiting is for entries of this queue, too.
    #[inline(always)]
    pub(crate) fn ask(&mut self, asking: bool) {
        self.asking = asking;
    }

    /// A point to go back to with [`Self::rewind`].
    #[inline(always)]
    pub(crate) fn mark(&self) -> u32 {
        self.head
    }

    /// Forgets that entries were popped since `mark`. They will be read anew.
    pub(crate) fn rewind(&mut self, mark: u32) {
        self.head = mark;
    }

    #[inline(always)]
    fn known(&self) -> u32 {
        self.tail.wrapping_sub(self.head) & W::INDEX_MASK
    }

    /// Looks at the producer's index. It only moves forward, and never more than the capacity ahead of what was released.
    #[inline(never)]
    fn refresh(&mut self) {
        if !self.common.live {
            return;
        }
        let tail = self.common.load_index::<W>(W::TAIL);
        let ahead = tail.wrapping_sub(self.released) & W::INDEX_MASK;
        let seen = self.tail.wrapping_sub(self.released) & W::INDEX_MASK;
        // A restarted peer writes 0, which after a wrap of the index may look like progress.
        let reset = tail == 0 && self.tail != 0 && self.common.peer_restarted();
        if (seen..=self.capacity()).contains(&ahead) && !reset {
            self.tail = tail;
        } else {
            self.common.stop_at(tail, self.head);
            self.stop();
        }
    }
}

impl<E: Entry, M: Memory, W: Wire> Side for Consumer<E, M, W> {
    fn clear(&self) {
        self.common.store_index::<W>(W::HEAD, 0);
        self.common.ask(W::ENTRY_WAKE, 0);
    }

    fn start(&mut self, guard: Guard) {
        (self.head, self.released, self.before, self.tail) = (0, 0, 0, 0);
        self.common.guard = Some(guard);
        self.common.error = None;
        self.common.live = true;
        (self.asking, self.batch) = (self.eager, 1);
        self.known = u32::MAX;
    }

    fn stop(&mut self) {
        self.common.live = false;
        // Nothing to read, and nothing to release.
        self.tail = self.head;
        self.released = self.head;
        self.before = self.head;
    }

    #[inline]
    fn expose(&mut self) -> bool {
        if self.head == self.released {
            return false;
        }
        self.before = self.released;
        self.released = self.head;
        self.common.store_index::<W>(W::HEAD, self.head);
        true
    }

    #[inline]
    fn peer_waits(&mut self) -> bool {
        let before = core::mem::replace(&mut self.before, self.released);
        before != self.released && self.common.peer_waits(W::SPACE_WAKE, before, self.released)
    }

    #[inline]
    fn announce(&mut self) {
        if self.common.live && self.asking {
            self.common.ask(W::ENTRY_WAKE, self.event());
        }
    }

    #[inline]
    fn is_idle(&mut self) -> bool {
        !self.asking || self.available() < self.batch
    }

    #[inline]
    fn has_error(&self) -> bool {
        self.common.error.is_some()
    }

    fn take_error(&mut self) -> Option<PeerMisbehaved> {
        self.common.error.take()
    }
}
