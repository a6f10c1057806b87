// SPDX-License-Identifier: BSD-2-Clause
//! Where the words of a queue lie, and how a side asks to be woken.

/// How a side asks its peer for a notification. Offsets are bytes from the start of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// A word that only the asking side writes: notify when your index moves past this value. Asked once, notified once.
    Event(usize),
    /// A word that both write, as sDDF has it: 0 = notify me, 1 = notified.
    Flag(usize),
    /// No word: notify after every batch.
    Always,
    /// No word: never notify for this.
    Never,
}

/// The layout of a queue. Offsets are bytes from its start.
pub trait Wire {
    /// The bits of an index: 0xffff or `u32::MAX`.
    const INDEX_MASK: u32;
    /// The index of the next entry to write; written by the producer.
    const TAIL: usize;
    /// The index of the next entry to read; written by the consumer.
    const HEAD: usize;
    /// The first entry.
    const ENTRIES: usize;
    /// How the consumer asks to be woken when there are entries.
    const ENTRY_WAKE: Wake;
    /// How the producer asks to be woken when there is space.
    const SPACE_WAKE: Wake;
}

/// Queues of our own profile: the producer's words and the consumer's words in a cache line each, then the entries.
#[derive(Debug, Clone, Copy)]
pub enum Bulkhead {}

impl Wire for Bulkhead {
    const INDEX_MASK: u32 = u32::MAX;
    const TAIL: usize = 0x00;
    const SPACE_WAKE: Wake = Wake::Event(0x04);
    const HEAD: usize = 0x40;
    const ENTRY_WAKE: Wake = Wake::Event(0x44);
    const ENTRIES: usize = 0x80;
}
