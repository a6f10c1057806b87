// SPDX-License-Identifier: BSD-2-Clause
//! What a guest's disk is made of.

use crate::memory::{GuestMemory, Segment};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Bytes of a sector, the unit of positions and sizes.
pub const SECTOR: u64 = 512;
/// Bytes of a serial number.
pub const SERIAL_SIZE: usize = 20;

/// What a disk can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// Sectors.
    pub capacity: u64,
    /// Writes fail.
    pub read_only: bool,
    /// It has a cache that loses writes when power fails, and [`Operation::Flush`] empties it. Without, a completed
    /// write is stable.
    pub flush: bool,
    /// Bytes of its own blocks: a power of two from 512. Smaller writes work, but cost more.
    pub block_size: u32,
    /// Most segments of one request; 1 to 254 are used.
    pub max_segments: u16,
    /// Most bytes of one segment; 0: no limit.
    pub max_segment_bytes: u32,
    /// Most sectors of one discard; 0: none at all.
    pub max_discard_sectors: u32,
    /// A discard's start and size should be multiples of this many sectors.
    pub discard_alignment: u32,
    /// Most sectors of one write of zeroes; 0: none at all.
    pub max_write_zeroes_sectors: u32,
    /// Serial number in ASCII, padded with zeroes.
    pub serial: [u8; SERIAL_SIZE],
}

impl Info {
    /// A disk of `capacity` sectors that only reads and writes.
    pub const fn new(capacity: u64) -> Self {
        Self {
            capacity,
            read_only: false,
            flush: false,
            block_size: SECTOR as u32,
            max_segments: 254,
            max_segment_bytes: 0,
            max_discard_sectors: 0,
            discard_alignment: 1,
            max_write_zeroes_sectors: 0,
            serial: [0; SERIAL_SIZE],
        }
    }
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// From the disk to guest memory.
    Read,
    /// From guest memory to the disk.
    Write,
    /// Makes all completed writes stable.
    Flush,
    /// The sectors' contents are no longer needed.
    Discard,
    /// The sectors become zero.
    WriteZeroes {
        /// Their storage may be given up.
        unmap: bool,
    },
}

/// One request. Its position is inside the disk; it may be submitted again after a crash of the back end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Names the request, with this device.
    pub id: u64,
    /// What is to be done.
    pub operation: Operation,
    /// First sector; 0 for [`Operation::Flush`].
    pub sector: u64,
    /// Sectors; for reads and writes as many as the segments hold.
    pub sectors: u32,
}

/// Why a request is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// There is no room now, or the disk is not there now. The device's `run` has to be called when that has changed.
    #[error("no room at the back end")]
    Full,
    /// It will never be taken (the back end cannot work with such segments, say): the request fails.
    #[error("not something the back end can do")]
    Impossible,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Done,
    /// Failed.
    Failed,
    /// This disk does not do that.
    Unsupported,
}

/// The disk.
pub trait Backend<M: GuestMemory> {
    /// Takes a request with the guest memory of its data, in order. It must not use that memory after the completion.
    /// A back end that copies does so here for writes, and in [`Backend::finish`] for reads.
    ///
    /// # Errors
    /// See [`Refused`]; nothing of it was taken.
    fn submit(&mut self, request: &Request, data: &[Segment], memory: &M) -> Result<(), Refused>;

    /// The next completed request. Of one that this device does not know (any more) nothing comes.
    fn completed(&mut self) -> Option<(u64, Outcome)>;

    /// Whether [`Backend::finish`] wants to know the data's place.
    fn copies(&self) -> bool {
        false
    }

    /// The last word on a completed request: `data`, for reads that are [`Outcome::Done`] when the back end
    /// [copies](Backend::copies), otherwise empty, is where the data belongs; after this its room can be reused. False:
    /// the data cannot be had, the request has failed.
    fn finish(&mut self, id: u64, data: &[Segment], memory: &M) -> bool {
        let _ = (id, data, memory);
        true
    }

    /// Everything that will be submitted for now has been.
    fn flush(&mut self);
}
