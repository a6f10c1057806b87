// SPDX-License-Identifier: BSD-2-Clause
//! Block queues and the information page with the layout of sDDF 0.7: requests in units of 4096 bytes, one segment each, ids of
//! 32 bits, a notification after every batch.

use core::sync::atomic::Ordering;

use super::{End, consumer, producer};
use crate::PeerMisbehaved;
use crate::blk::{Abilities, Code, Info, Request, Response, SECTOR, Segment, Status};
use crate::link::{LayoutError, State};
use crate::pages::{Memory, SharedPages};
use crate::queue::{Consumer, Entry, Full, Producer, Wake, Wire};

/// Bytes in a block, sDDF's unit of addresses and lengths.
pub const BLOCK: u32 = 4096;
const SECTORS_PER_BLOCK: u64 = (BLOCK / SECTOR) as u64;
/// Least bytes of the region of the information page.
pub const INFO_SIZE: usize = 88;

/// The request queue.
#[derive(Debug)]
enum Requests {}

/// Not 0: the client gathers requests, and none is to be taken. A byte.
const PLUGGED: usize = 8;

impl Wire for Requests {
    const INDEX_MASK: u32 = u32::MAX;
    const HEAD: usize = 0;
    const TAIL: usize = 4;
    const ENTRIES: usize = 16;
    const ENTRY_WAKE: Wake = Wake::Always;
    const SPACE_WAKE: Wake = Wake::Never;
}

/// The response queue.
#[derive(Debug)]
enum Responses {}

impl Wire for Responses {
    const INDEX_MASK: u32 = u32::MAX;
    const HEAD: usize = 0;
    const TAIL: usize = 4;
    const ENTRIES: usize = 8;
    const ENTRY_WAKE: Wake = Wake::Always;
    const SPACE_WAKE: Wake = Wake::Never;
}

/// Code at 0 (32 bits), offset at 8 (64), block number at 16 (64), count of blocks at 24 (16), id at 28 (32).
#[derive(Debug, Clone, Copy)]
struct RequestEntry([u64; 4]);

impl Entry for RequestEntry {
    const STRIDE: usize = 32;

    #[inline(always)]
    fn read<M: Memory>(memory: &M, offset: usize) -> Self {
        Self(memory.read(offset))
    }

    #[inline(always)]
    fn write<M: Memory>(self, memory: &M, offset: usize) {
        memory.write(offset, self.0);
    }
}

/// Status at 0 (32 bits), count of blocks done at 4 (16), id at 8 (32).
#[derive(Debug, Clone, Copy)]
struct ResponseEntry([u32; 3]);

impl Entry for ResponseEntry {
    const STRIDE: usize = 12;

    #[inline(always)]
    fn read<M: Memory>(memory: &M, offset: usize) -> Self {
        Self(core::array::from_fn(|index| memory.load(offset + 4 * index, Ordering::Relaxed)))
    }

    #[inline(always)]
    fn write<M: Memory>(self, memory: &M, offset: usize) {
        for (index, word) in self.0.into_iter().enumerate() {
            memory.store(offset + 4 * index, word, Ordering::Relaxed);
        }
    }
}

/// Why a request was not submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// No place now.
    #[error(transparent)]
    Full(#[from] Full),
    /// The layout has no words for it: more than one segment, not in whole blocks, an id over 32 bits, more than 65535
    /// blocks, discard or write-zeroes.
    #[error("the request cannot be said in sDDF's layout")]
    Inexpressible,
}

/// Offsets in the information page. The serial number is at 0, 63 characters and a zero.
const SERIAL: usize = 64;
/// Read-only (8 bits), ready (8), sector size in bytes (16).
const READY_WORD: usize = 64;
/// Block size in blocks of 4096 bytes (16), queue depth (16).
const BLOCK_WORD: usize = 68;
/// Capacity in blocks of 4096 bytes (64).
const CAPACITY: usize = 80;

/// The client's sides of the queues.
type Asking<M> = (Producer<RequestEntry, M, Requests>, Consumer<ResponseEntry, M, Responses>);
/// The server's sides of the queues.
type Answering<M> = (Consumer<RequestEntry, M, Requests>, Producer<ResponseEntry, M, Responses>);

/// The client's end.
#[derive(Debug)]
pub struct Client<M = SharedPages> {
    end: End<M, Asking<M>>,
    info: M,
}

impl<M: Memory> Client<M> {
    /// The client's end of the queues of `capacity` entries in the regions `requests` and `responses`, with the
    /// information page in `info`. Goes on where the queues stand.
    ///
    /// # Errors
    /// [`LayoutError`] when the capacity is no power of two or something does not fit into its region.
    pub fn new(requests: M, responses: M, info: M, capacity: u32) -> Result<Self, LayoutError> {
        let queues = (producer(&requests, capacity)?, consumer(&responses, capacity)?);
        if info.size() < INFO_SIZE {
            return Err(LayoutError { size: info.size() });
        }
        Ok(Self { end: End::new(requests, queues), info })
    }

    /// [`State::Fresh`] once, then [`State::Up`]; [`State::Down`] for good when the server misbehaved.
    #[inline]
    pub fn poll(&mut self) -> State {
        self.end.poll()
    }

    /// As [`crate::blk::Client::submit`].
    ///
    /// # Errors
    /// [`SubmitError`].
    #[inline]
    pub fn submit(&mut self, request: &Request, segments: &[Segment]) -> Result<(), SubmitError> {
        let offset = match (request.code, segments) {
            (Code::Read | Code::Write, &[Segment { offset, length }])
                if u64::from(length) == request.length =>
            {
                offset
            }
            (Code::Flush | Code::Barrier, []) if request.length == 0 => 0,
            _ => return Err(SubmitError::Inexpressible),
        };
        let whole =
            request.sector.is_multiple_of(SECTORS_PER_BLOCK) && request.length.is_multiple_of(BLOCK.into());
        let count = u16::try_from(request.length / u64::from(BLOCK));
        let (true, Ok(count), Ok(id)) = (whole, count, u32::try_from(request.id)) else {
            return Err(SubmitError::Inexpressible);
        };
        let code = u64::from(u16::from(request.code));
        let last = u64::from(count) | u64::from(id) << 32;
        let entry = RequestEntry([code, offset, request.sector / SECTORS_PER_BLOCK, last]);
        Ok(self.end.queues.0.push(entry)?)
    }

    /// As [`crate::blk::Client::space`].
    #[inline]
    pub fn space(&mut self) -> u32 {
        self.end.queues.0.space()
    }

    /// As [`crate::blk::Client::response`].
    #[inline]
    pub fn response(&mut self) -> Option<Response> {
        let ResponseEntry([status, _, id]) = self.end.queues.1.pop()?;
        let status = u16::try_from(status).map_or(Status::UNSPECIFIED, Status);
        Some(Response { id: id.into(), status })
    }

    /// As [`crate::blk::Client::commit`].
    #[inline]
    #[must_use = "the peer may be asleep"]
    pub fn commit(&mut self) -> bool {
        self.end.commit()
    }

    /// As [`crate::blk::Client::wait`].
    #[inline]
    pub fn wait(&mut self) -> bool {
        self.end.wait()
    }

    /// The disk, once the server has said that it is ready.
    pub fn info(&self) -> Option<Info> {
        // Acquire: pairs with the last store of `publish_info`.
        let ready = self.info.load(READY_WORD, Ordering::Acquire);
        if ready & 0xff00 == 0 {
            return None;
        }
        let [capacity] = self.info.read(CAPACITY);
        let serial: [u64; 3] = self.info.read(0);
        let block = self.info.load(BLOCK_WORD, Ordering::Relaxed);
        let mut abilities = Abilities::PRESENT | Abilities::FLUSH;
        abilities.set(Abilities::READ_ONLY, ready & 0xff != 0);
        let mut info = Info {
            capacity: capacity.saturating_mul(SECTORS_PER_BLOCK),
            block_size: (block & 0xffff).max(1) * BLOCK,
            max_segments: 1,
            max_segment_bytes: u32::from(u16::MAX) * BLOCK,
            max_bytes: u32::from(u16::MAX) * BLOCK,
            abilities,
            ..Info::default()
        };
        let bytes = serial.iter().flat_map(|word| word.to_le_bytes()).take_while(|&byte| byte != 0);
        info.serial.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
        Some(info)
    }

    /// The reason the server was cut off, once.
    pub fn take_error(&mut self) -> Option<PeerMisbehaved> {
        self.end.take_error()
    }
}

/// The server's end.
#[derive(Debug)]
pub struct Server<M = SharedPages> {
    end: End<M, Answering<M>>,
    info: M,
    outstanding: u32,
}

impl<M: Memory> Server<M> {
    /// As [`Client::new`].
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn new(requests: M, responses: M, info: M, capacity: u32) -> Result<Self, LayoutError> {
        let queues = (consumer(&requests, capacity)?, producer(&responses, capacity)?);
        if info.size() < INFO_SIZE {
            return Err(LayoutError { size: info.size() });
        }
        Ok(Self { end: End::new(requests, queues), info, outstanding: 0 })
    }

    /// [`State::Fresh`] once, then [`State::Up`]; [`State::Down`] for good when the client misbehaved.
    #[inline]
    pub fn poll(&mut self) -> State {
        self.end.poll()
    }

    /// The next request and its segment, if it has memory. None while the client has plugged the queue.
    #[inline]
    pub fn request(&mut self) -> Option<(Request, Option<Segment>)> {
        let (requests, responses) = &mut self.end.queues;
        let plugged = self.end.memory.load(PLUGGED, Ordering::Relaxed) & 0xff != 0;
        let takeable = !plugged && responses.has_space(self.outstanding + 1);
        requests.ask(takeable);
        if !takeable {
            return None;
        }
        let RequestEntry([code, offset, block, last]) = requests.pop()?;
        self.outstanding += 1;
        // Codes are 32 bits wide there; ours that sDDF does not have are unknown on such a link.
        let code = match code as u32 {
            code @ 0..=3 => Code::from(code as u16),
            code => Code::Unknown(u16::try_from(code).unwrap_or(u16::MAX)),
        };
        let length = u32::from(last as u16) * BLOCK;
        // A block number that no disk has becomes a sector that no disk has.
        let sector = block.saturating_mul(SECTORS_PER_BLOCK);
        let request = Request { id: last >> 32, code, sector, length: length.into(), unmap: false };
        Some((request, code.has_data().then_some(Segment { offset, length })))
    }

    /// Answers a request taken before, with the number of blocks read or written.
    ///
    /// # Errors
    /// [`Full`] when the client misbehaved, more is answered than was taken, or the id is none of this link.
    #[inline]
    pub fn complete(&mut self, response: Response, blocks: u16) -> Result<(), Full> {
        let outstanding = self.outstanding.checked_sub(1).ok_or(Full)?;
        let id = u32::try_from(response.id).map_err(|_| Full)?;
        let status = match response.status {
            status
            @ (Status::OK | Status::UNSPECIFIED | Status::INVALID | Status::IO | Status::NO_DEVICE) => status,
            Status::UNSUPPORTED | Status::READ_ONLY => Status::INVALID,
            _ => Status::UNSPECIFIED,
        };
        self.end.queues.1.push(ResponseEntry([status.0.into(), blocks.into(), id]))?;
        self.outstanding = outstanding;
        Ok(())
    }

    /// As [`crate::blk::Server::commit`].
    #[inline]
    #[must_use = "the peer may be asleep"]
    pub fn commit(&mut self) -> bool {
        self.end.commit()
    }

    /// As [`crate::blk::Server::wait`].
    #[inline]
    pub fn wait(&mut self) -> bool {
        self.end.wait()
    }

    /// Describes the disk to the client. What is no multiple of 4096 bytes is cut off.
    pub fn publish_info(&self, info: &Info) {
        let relaxed = Ordering::Relaxed;
        let mut serial = [0; SERIAL];
        serial.iter_mut().zip(info.serial).for_each(|(place, byte)| *place = byte);
        let serial: [u64; SERIAL / 8] = zerocopy::transmute!(serial);
        let read_only = u32::from(info.abilities.contains(Abilities::READ_ONLY));
        let present = u32::from(info.abilities.contains(Abilities::PRESENT));
        let blocks = u16::try_from(info.block_size / BLOCK).unwrap_or(u16::MAX).max(1);
        let depth = u16::try_from(self.end.queues.1.capacity()).unwrap_or(u16::MAX);
        self.info.store(READY_WORD, 0, relaxed);
        self.info.fence();
        self.info.write(0, serial);
        self.info.store(BLOCK_WORD, u32::from(blocks) | u32::from(depth) << 16, relaxed);
        // No geometry: cylinders, heads, sectors.
        self.info.store(72, 0, relaxed);
        self.info.store(76, 0, relaxed);
        self.info.write(CAPACITY, [info.capacity / SECTORS_PER_BLOCK]);
        self.info.store(READY_WORD, read_only | present << 8 | SECTOR << 16, Ordering::Release);
    }

    /// The reason the client was cut off, once.
    pub fn take_error(&mut self) -> Option<PeerMisbehaved> {
        self.end.take_error()
    }
}
