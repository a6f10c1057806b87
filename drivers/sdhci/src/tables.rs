// SPDX-License-Identifier: BSD-2-Clause
//! Lists of a request's memory for whoever does the DMA: the controller (ADMA2) or an engine beside it.

use core::sync::atomic::AtomicU64;

use ring::blk::{MAX_SEGMENTS, Segment};
use virtio_driver::{DmaArray, DmaMemory, barrier};

/// Most bytes of a descriptor, whose length has 16 bits, in whole sectors.
const MAX_DESCRIPTOR_BYTES: u64 = 0xfe00;

/// Words of an engine's control block; a descriptor of ADMA2 is one word.
const BLOCK_WORDS: usize = 4;

/// Bytes of DMA memory that the lists take.
pub const DMA_SIZE: usize = MAX_SEGMENTS * BLOCK_WORDS * 8;

/// First address that neither can reach.
const REACH: u64 = 1 << 32;

/// Descriptor of ADMA2 (Host Controller 1.13.4).
mod adma {
    /// Valid, and memory to be transferred.
    pub const TRANSFER: u64 = 0x21;
    /// The last one.
    pub const END: u64 = 1 << 1;
    pub const LENGTH_SHIFT: u32 = 16;
    pub const ADDRESS_SHIFT: u32 = 32;
}

/// Control block of the engine (BCM2711 ARM Peripherals, 4.2.1.1 and 4.5).
mod engine {
    /// Waits for a write to be done before the next.
    pub const WAIT: u64 = 1 << 3;
    /// The destination goes on word by word.
    pub const TO_MEMORY: u64 = 1 << 4;
    /// The source does.
    pub const FROM_MEMORY: u64 = 1 << 8;
    /// Where the engine sees memory, past the VideoCore's caches.
    pub const MEMORY: u64 = 0xc000_0000;
    /// First physical address that it does not see.
    pub const REACH: u64 = 1 << 30;
}

/// Memory for the lists.
#[derive(Debug)]
pub struct Tables(DmaArray<AtomicU64>);

impl Tables {
    /// Takes the memory; `None` when there is too little.
    pub fn new(dma: &mut DmaMemory) -> Option<Self> {
        dma.take(MAX_SEGMENTS * BLOCK_WORDS, 32).map(Self)
    }

    /// Writes a list for ADMA2 and gives its address; `None` if some of the memory is out of reach.
    pub fn for_controller(&self, segments: &[Segment]) -> Option<u32> {
        let mut count = 0;
        let mut descriptor = 0;
        for segment in segments {
            within(segment, REACH)?;
            let (mut at, end) = (segment.offset, segment.offset + u64::from(segment.length));
            while at < end {
                // Never more than there is room for: requests have a limit, and longer segments fewer of them.
                (count < self.0.len()).then_some(())?;
                let length = (end - at).min(MAX_DESCRIPTOR_BYTES);
                descriptor = at << adma::ADDRESS_SHIFT | length << adma::LENGTH_SHIFT | adma::TRANSFER;
                self.0.set(count, descriptor);
                (at, count) = (at + length, count + 1);
            }
        }
        self.0.set(count.checked_sub(1)?, descriptor | adma::END);
        barrier::before_publish();
        u32::try_from(self.0.physical(0)).ok()
    }

    /// Writes a list for the engine, between memory and the data port at bus address `port`, and gives the list's bus
    /// address; `None` if some of the memory is out of reach.
    pub fn for_engine(&self, segments: &[Segment], port: u32, read: bool) -> Option<u64> {
        let last = segments.len().checked_sub(1)?;
        let at = |index: usize| engine::MEMORY | self.0.physical(index * BLOCK_WORDS);
        (self.0.physical(0) < engine::REACH).then_some(())?;
        for (index, segment) in segments.iter().enumerate() {
            within(segment, engine::REACH)?;
            let memory = engine::MEMORY | segment.offset;
            let (information, source, target) = match read {
                true => (engine::WAIT | engine::TO_MEMORY, port.into(), memory),
                false => (engine::WAIT | engine::FROM_MEMORY, memory, port.into()),
            };
            let next = if index == last { 0 } else { at(index + 1) };
            let first = index * BLOCK_WORDS;
            self.0.set(first, source << 32 | information);
            self.0.set(first + 1, u64::from(segment.length) << 32 | target);
            self.0.set(first + 2, next << 32);
            self.0.set(first + 3, 0);
        }
        barrier::before_publish();
        Some(at(0))
    }
}

/// Whether a segment ends below `limit` and is whole words.
fn within(segment: &Segment, limit: u64) -> Option<()> {
    let end = segment.offset.checked_add(segment.length.into())?;
    (end <= limit && segment.offset.is_multiple_of(4)).then_some(())
}
