// SPDX-License-Identifier: BSD-2-Clause
//! Requests and responses, as the caller sees them and as they lie in the queues.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::pages::Memory;
use crate::queue::Entry;

/// Most segments in a request.
pub const MAX_SEGMENTS: usize = 128;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// Sectors into memory.
    Read,
    /// Memory into sectors.
    Write,
    /// Everything answered before is to survive a loss of power. No sectors, no memory.
    Flush,
    /// The sectors are not needed any more. No memory.
    Discard,
    /// The sectors are to read as zeroes. No memory.
    WriteZeroes,
    /// Nothing behind it may be done before everything in front of it. No sectors, no memory.
    Barrier,
    /// A code of a later version: to be answered [`Status::UNSUPPORTED`].
    Unknown(u16),
}

impl Code {
    /// Whether requests of this kind name memory.
    #[must_use]
    pub const fn has_data(self) -> bool {
        matches!(self, Self::Read | Self::Write)
    }
}

impl From<u16> for Code {
    fn from(code: u16) -> Self {
        match code {
            0 => Self::Read,
            1 => Self::Write,
            2 => Self::Flush,
            3 => Self::Barrier,
            4 => Self::Discard,
            5 => Self::WriteZeroes,
            other => Self::Unknown(other),
        }
    }
}

impl From<Code> for u16 {
    fn from(code: Code) -> Self {
        match code {
            Code::Read => 0,
            Code::Write => 1,
            Code::Flush => 2,
            Code::Barrier => 3,
            Code::Discard => 4,
            Code::WriteZeroes => 5,
            Code::Unknown(other) => other,
        }
    }
}

/// How a request ended. The values are sDDF's as far as it has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Status(pub u16);

impl Status {
    /// Done.
    pub const OK: Self = Self(0);
    /// An error without a name.
    pub const UNSPECIFIED: Self = Self(1);
    /// The request makes no sense: outside the disk or the data region, crooked length.
    pub const INVALID: Self = Self(2);
    /// The device failed.
    pub const IO: Self = Self(3);
    /// There is no device.
    pub const NO_DEVICE: Self = Self(4);
    /// The server cannot do this.
    pub const UNSUPPORTED: Self = Self(5);
    /// A write to something that is read-only.
    pub const READ_ONLY: Self = Self(6);
}

/// A piece of memory of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Segment {
    /// Byte offset in the client's data region; a bus address on links to a driver.
    pub offset: u64,
    /// Bytes: a multiple of 512, not 0.
    pub length: u32,
}

/// A request without its memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// The client's name for it; comes back in the response.
    pub id: u64,
    /// What to do.
    pub code: Code,
    /// First sector, in units of 512 bytes.
    pub sector: u64,
    /// Bytes on the disk: the sum of the segments for reads and writes. 0 for flush and barrier.
    pub length: u64,
    /// Write-zeroes only: the sectors may be deallocated.
    pub unmap: bool,
}

impl Request {
    /// A flush with the given id.
    #[must_use]
    pub const fn flush(id: u64) -> Self {
        Self { id, code: Code::Flush, sector: 0, length: 0, unmap: false }
    }
}

/// The answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Response {
    /// The request's.
    pub id: u64,
    /// How it ended.
    pub status: Status,
}

/// The next entry continues this request.
pub(super) const MORE: u16 = 1 << 0;
/// See [`Request::unmap`].
pub(super) const UNMAP: u16 = 1 << 1;

/// A request, or a part of one, in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RequestEntry {
    /// See [`Request`]. The same in all entries of a chain.
    pub id: u64,
    /// See [`Segment`].
    pub offset: u64,
    /// First sector of this entry. In a chain it follows the entry before.
    pub sector: u64,
    /// Bytes of this entry.
    pub length: u32,
    /// See [`Code`]. The same in all entries of a chain.
    pub code: u16,
    /// Bit 0: the next entry continues this request. Bit 1: may unmap.
    pub flags: u16,
}

/// A response in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ResponseEntry {
    /// See [`Response`].
    pub id: u64,
    /// See [`Status`].
    pub status: u16,
    /// Zero.
    pub reserved: [u16; 3],
}

impl Entry for RequestEntry {
    const STRIDE: usize = size_of::<Self>();

    #[inline(always)]
    fn read<M: Memory>(memory: &M, offset: usize) -> Self {
        zerocopy::transmute!(memory.read::<4>(offset))
    }

    #[inline(always)]
    fn write<M: Memory>(self, memory: &M, offset: usize) {
        let words: [u64; 4] = zerocopy::transmute!(self);
        memory.write(offset, words);
    }

    #[inline(always)]
    fn write_all<M: Memory>(
        memory: &M,
        base: usize,
        mask: u32,
        first: u32,
        entries: impl Iterator<Item = Self>,
    ) -> u32 {
        memory.write_places::<4>(base, mask, first, entries.map(|entry| zerocopy::transmute!(entry)))
    }

    #[inline(always)]
    fn read_while<M: Memory>(
        memory: &M,
        base: usize,
        mask: u32,
        first: u32,
        count: u32,
        mut take: impl FnMut(Self) -> bool,
    ) -> u32 {
        memory.read_places::<4>(base, mask, first, count, |words| take(zerocopy::transmute!(words)))
    }
}

impl Entry for ResponseEntry {
    const STRIDE: usize = size_of::<Self>();

    #[inline(always)]
    fn read<M: Memory>(memory: &M, offset: usize) -> Self {
        zerocopy::transmute!(memory.read::<2>(offset))
    }

    #[inline(always)]
    fn write<M: Memory>(self, memory: &M, offset: usize) {
        let words: [u64; 2] = zerocopy::transmute!(self);
        memory.write(offset, words);
    }
}
