// SPDX-License-Identifier: BSD-2-Clause
//! A device that works, with the memory that it shares with the driver.

use core::sync::atomic::{AtomicU8, AtomicU64};

use ring::blk::{Code, Info, MAX_SEGMENTS, Request, SECTOR, Segment};
use virtio_driver::registers::Registers;
use virtio_driver::{Buffer, Device, Direction, DmaArray, DmaMemory, Error, Features, Queue};

use crate::driver::Event;
use crate::protocol::{self, Features as BlockFeatures, ID_SIZE, NO_STATUS, UNMAP, request};

/// Most requests at the device.
pub(crate) const DEPTH: usize = 128;

/// The queue that requests go to.
pub(crate) const QUEUE: u16 = 0;

/// Buffers of a request beside its segments: header and status.
const EXTRA: usize = 2;

/// Most buffers of a request.
const MAX_BUFFERS: usize = MAX_SEGMENTS + EXTRA;

/// Words of a header, and of the range of a discard or write-zeroes.
const HEADER_WORDS: usize = 2;

/// Most bytes in a request.
const MAX_BYTES: u32 = 4 << 20;

/// Bytes of DMA memory for tables of `table` buffers, the most useful being 130 (a request of 128 segments). With less than
/// 4 there are no tables, and requests take several descriptors.
pub const fn dma_size(table: usize) -> usize {
    DEPTH * (2 * HEADER_WORDS * 8 + 1) + 64 + Queue::<DEPTH>::memory_size(DEPTH, table)
}

/// A device that works, and the memory it shares with the driver.
#[derive(Debug)]
pub(crate) struct Hardware<R> {
    pub device: Device<R>,
    features: Features,
    pub queue: Queue<DEPTH>,
    /// Of each request: type, sector.
    headers: DmaArray<AtomicU64>,
    /// Of each discard or write-zeroes: sector, length and flags.
    ranges: DmaArray<AtomicU64>,
    pub statuses: DmaArray<AtomicU8>,
    name: DmaArray<AtomicU8>,
    /// The request for the name, if it is at the device.
    pub naming: Option<u16>,
    /// Most segments in a request.
    max_segments: u32,
}

impl<R: Registers> Hardware<R> {
    /// Sets up a device that has just been reset.
    pub fn new(mut device: Device<R>, mut dma: DmaMemory) -> Result<Self, Event> {
        let features = negotiate(&mut device).map_err(Event::NoDevice)?;
        let headers = dma.take(DEPTH * HEADER_WORDS, 16).ok_or(Event::NoMemory)?;
        let ranges = dma.take(DEPTH * HEADER_WORDS, 16).ok_or(Event::NoMemory)?;
        let statuses = dma.take(DEPTH, 1).ok_or(Event::NoMemory)?;
        let name = dma.take(ID_SIZE, 1).ok_or(Event::NoMemory)?;
        // Tables as long as the rest of the region allows.
        let rest = dma.left().saturating_sub(Queue::<DEPTH>::memory_size(DEPTH, 0));
        let table = (rest / (DEPTH * 16)).min(MAX_BUFFERS);
        let table = if table > EXTRA { table } else { 0 };
        let max = device.queue_size_max(QUEUE);
        let queue = Queue::new(&mut dma, max, features, table).ok_or(Event::NoMemory)?;
        // With tables, the longest that has one: it always takes one descriptor. Without, a chain may fill the queue. The
        // specification allows no table longer than the queue (2.7.5.3.1).
        let buffers = match features.contains(Features::INDIRECT_DESC) && table > 0 {
            true => table.min(queue.size().into()),
            false => queue.size().into(),
        };
        let max_segments = buffers.saturating_sub(EXTRA).clamp(1, MAX_SEGMENTS) as u32;
        device.set_up_queue(QUEUE, &queue).map_err(Event::NoDevice)?;
        device.start();
        let naming = None;
        Ok(Self { device, features, queue, headers, ranges, statuses, name, naming, max_segments })
    }

    /// Resets the device and sets it up again. Nothing is in flight then.
    pub fn restart(&mut self) -> Result<(), Error> {
        self.naming = None;
        self.device.reset()?;
        self.queue.reset();
        let features = negotiate(&mut self.device)?;
        if features != self.features {
            return Err(Error::FeaturesRefused(self.features.bits(), features.bits()));
        }
        self.device.set_up_queue(QUEUE, &self.queue)?;
        self.device.start();
        Ok(())
    }

    pub fn describe(&mut self) -> Info {
        protocol::describe(&mut self.device, self.max_segments, MAX_BYTES)
    }

    /// Whether nothing of the client's is at the device.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.queue.outstanding() == u16::from(self.naming.is_some())
    }

    /// Adds a request to the queue; `None` when it does not fit now.
    #[inline]
    pub fn submit(&mut self, kind: u32, request: &Request, segments: &[Segment]) -> Option<u16> {
        let slot = usize::from(self.queue.next_id());
        // The sector of a flush is 0 (5.2.6.1).
        self.headers.set(HEADER_WORDS * slot, kind.into());
        let sector = if request.code.has_data() { request.sector } else { 0 };
        self.headers.set(HEADER_WORDS * slot + 1, sector);
        self.statuses.set(slot, NO_STATUS);
        let buffer = |address, length, direction| Buffer { address, length, direction };
        let (header, status) = (self.headers.physical(HEADER_WORDS * slot), self.statuses.physical(slot));
        let header = core::iter::once(buffer(header, 16, Direction::ToDevice));
        let status = core::iter::once(buffer(status, 1, Direction::FromDevice));
        if matches!(request.code, Code::Discard | Code::WriteZeroes) {
            let flags = if request.unmap && request.code == Code::WriteZeroes { UNMAP } else { 0 };
            // Checked to be within the device's limit, which has 32 bits.
            let sectors = request.length / u64::from(SECTOR);
            self.ranges.set(HEADER_WORDS * slot, request.sector);
            self.ranges.set(HEADER_WORDS * slot + 1, sectors | flags << 32);
            let range = self.ranges.physical(HEADER_WORDS * slot);
            let range = core::iter::once(buffer(range, 16, Direction::ToDevice));
            return self.queue.add_from(1 + EXTRA, header.chain(range).chain(status)).ok();
        }
        let read = request.code == Code::Read;
        let direction = if read { Direction::FromDevice } else { Direction::ToDevice };
        let data = segments.iter().map(|segment| buffer(segment.offset, segment.length, direction));
        self.queue.add_from(segments.len() + EXTRA, header.chain(data).chain(status)).ok()
    }

    /// Asks the device for its name.
    pub fn ask_name(&mut self) {
        let slot = usize::from(self.queue.next_id());
        self.headers.set(HEADER_WORDS * slot, request::GET_ID.into());
        self.headers.set(HEADER_WORDS * slot + 1, 0);
        self.statuses.set(slot, NO_STATUS);
        let buffer = |address, length, direction| Buffer { address, length, direction };
        let buffers = [
            buffer(self.headers.physical(HEADER_WORDS * slot), 16, Direction::ToDevice),
            buffer(self.name.physical(0), ID_SIZE as u32, Direction::FromDevice),
            buffer(self.statuses.physical(slot), 1, Direction::FromDevice),
        ];
        self.naming = self.queue.add(&buffers).ok();
    }

    /// The name that the device has written: printable ASCII up to the first zero.
    pub fn name(&self) -> [u8; ID_SIZE] {
        let mut name = [0; ID_SIZE];
        for (index, place) in name.iter_mut().enumerate() {
            match self.name.get(index) {
                0 => break,
                byte if byte == b' ' || byte.is_ascii_graphic() => *place = byte,
                _ => *place = b'?',
            }
        }
        name
    }
}

/// Agrees with the device on what this driver uses.
fn negotiate<R: Registers>(device: &mut Device<R>) -> Result<Features, Error> {
    let block = BlockFeatures::all().bits();
    device.negotiate(block | (Features::INDIRECT_DESC | Features::EVENT_IDX).bits())
}
