// SPDX-License-Identifier: BSD-2-Clause
//! GUID partition table (UEFI 2.10, section 5.3).

use core::fmt;

use ring::pages::Memory;

use super::crc::Crc32;
use super::{Geometry, NAME_UNITS, Name, Problem, SECTOR, Table};

/// `EFI PART`.
const SIGNATURE: [u8; 8] = *b"EFI PART";

/// Bytes of the header that are defined.
const HEADER_SIZE: usize = 92;

/// Smallest size of an entry.
const ENTRY_SIZE: usize = 128;

/// Which of the two copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copy {
    /// At the disk's begin.
    Primary,
    /// At its end.
    Backup,
}

impl fmt::Display for Copy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Primary => "primary",
            Self::Backup => "backup",
        })
    }
}

/// Why a copy is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GptFault {
    /// The disk has no place for it.
    #[error("no place on the disk")]
    NoPlace,
    /// It could not be read.
    #[error("cannot be read")]
    Unreadable,
    /// The header does not begin as one.
    #[error("no signature")]
    Signature,
    /// The size that the header gives for itself.
    #[error("header of {0} bytes")]
    HeaderSize(u32),
    /// The header's checksum is wrong.
    #[error("the header's checksum is wrong")]
    HeaderChecksum,
    /// The header says that it belongs to another block.
    #[error("the header belongs to block {0}")]
    Place(u64),
    /// Number or size of the entries is not allowed or more than there is memory for.
    #[error("{0} entries of {1} bytes")]
    Entries(u32, u32),
    /// The entries lie outside the disk, or on the header.
    #[error("entries at block {0}")]
    EntriesPlace(u64),
    /// The usable blocks lie outside the disk.
    #[error("usable blocks from {0} to {1}")]
    Usable(u64, u64),
    /// The checksum of the entries is wrong.
    #[error("the checksum of the entries is wrong")]
    EntriesChecksum,
}

/// A header that has been checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Block of the other copy's header. Not checked.
    pub alternate: u64,
    first_usable: u64,
    last_usable: u64,
    /// First block of the entries.
    pub entries: u64,
    number: u32,
    size: usize,
    checksum: u32,
}

impl Header {
    /// Reads the header that belongs to `block` from the begin of `memory`.
    pub fn read(memory: &impl Memory, geometry: Geometry, block: u64) -> Result<Self, GptFault> {
        let bytes = super::mbr::sector(memory);
        let header = Fields(&bytes);
        if header.bytes::<8>(0) != SIGNATURE {
            return Err(GptFault::Signature);
        }
        let size = header.u32(12);
        let covered = bytes.get(..size as usize).filter(|covered| covered.len() >= HEADER_SIZE);
        let Some(covered) = covered else { return Err(GptFault::HeaderSize(size)) };
        let mut checksum = Crc32::new();
        // The checksum's own place counts as zero.
        checksum.update(covered.get(..16).unwrap_or_default());
        checksum.update(&[0; 4]);
        checksum.update(covered.get(20..).unwrap_or_default());
        if checksum.value() != header.u32(16) {
            return Err(GptFault::HeaderChecksum);
        }
        if header.u64(24) != block {
            return Err(GptFault::Place(header.u64(24)));
        }
        let this = Self {
            alternate: header.u64(32),
            first_usable: header.u64(40),
            last_usable: header.u64(48),
            entries: header.u64(72),
            number: header.u32(80),
            size: header.u32(84) as usize,
            checksum: header.u32(88),
        };
        this.check(memory, geometry, block)?;
        Ok(this)
    }

    fn check(&self, memory: &impl Memory, geometry: Geometry, block: u64) -> Result<(), GptFault> {
        let fault = GptFault::Entries(self.number, self.size as u32);
        // 5.3.2: 128 times a power of two.
        if self.number == 0 || self.size < ENTRY_SIZE || !self.size.is_power_of_two() {
            return Err(fault);
        }
        let bytes = (self.number as usize).checked_mul(self.size).ok_or(fault)?;
        if self.blocks(geometry).saturating_mul(geometry.block_size.into()) > memory.size() as u64 {
            return Err(fault);
        }
        let end = self.entries.checked_add(self.blocks(geometry));
        let inside = self.entries > 1 && end.is_some_and(|end| end <= geometry.blocks());
        let on_header = self.entries <= block && end.is_some_and(|end| end > block);
        if !inside || on_header || bytes == 0 {
            return Err(GptFault::EntriesPlace(self.entries));
        }
        if self.first_usable < 2
            || self.first_usable > self.last_usable
            || self.last_usable >= geometry.blocks()
        {
            return Err(GptFault::Usable(self.first_usable, self.last_usable));
        }
        Ok(())
    }

    /// Blocks of the entries.
    pub fn blocks(&self, geometry: Geometry) -> u64 {
        (u64::from(self.number) * self.size as u64).div_ceil(geometry.block_size.into())
    }

    /// Adds the partitions from the entries at the begin of `memory` to `table`, if the checksum is right.
    ///
    /// Each entry is read once.
    pub fn read_entries(
        &self,
        memory: &impl Memory,
        geometry: Geometry,
        table: &mut Table,
    ) -> Result<(), GptFault> {
        let mut checksum = Crc32::new();
        for index in 0..self.number {
            let offset = index as usize * self.size;
            let entry: [u64; ENTRY_SIZE / 8] = memory.read(offset);
            let bytes = bytes_of(&entry);
            checksum.update(&bytes);
            for rest in (ENTRY_SIZE..self.size).step_by(8) {
                let [word] = memory.read(offset + rest);
                checksum.update(&word.to_le_bytes());
            }
            self.add(geometry, index + 1, &bytes, table);
        }
        if checksum.value() != self.checksum {
            table.partitions.clear();
            table.problems.retain(|problem| !matches!(problem, Problem::Outside(_) | Problem::TooMany));
            return Err(GptFault::EntriesChecksum);
        }
        Ok(())
    }

    fn add(&self, geometry: Geometry, number: u32, bytes: &[u8; ENTRY_SIZE], table: &mut Table) {
        let entry = Fields(bytes);
        if entry.bytes::<16>(0) == [0; 16] {
            return;
        }
        let (first, last) = (entry.u64(32), entry.u64(40));
        let mut name = [0; NAME_UNITS];
        for (unit, place) in name.iter_mut().zip((56..).step_by(2)) {
            *unit = u16::from_le_bytes(entry.bytes(place));
        }
        let usable = first >= self.first_usable && last <= self.last_usable && first <= last;
        // An empty range is refused by `Table::add`.
        let blocks = if usable { last - first + 1 } else { 0 };
        table.add(geometry, number, first, blocks, Name(name));
    }
}

/// Bytes as the disk has them.
fn bytes_of(words: &[u64; ENTRY_SIZE / 8]) -> [u8; ENTRY_SIZE] {
    let mut bytes = [0; ENTRY_SIZE];
    for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// Little-endian fields of a structure; zero where it ends.
pub(super) struct Fields<'a>(pub &'a [u8]);

impl Fields<'_> {
    pub fn bytes<const N: usize>(&self, offset: usize) -> [u8; N] {
        let bytes = self.0.get(offset..).and_then(|bytes| bytes.first_chunk());
        bytes.copied().unwrap_or([0; N])
    }

    pub fn u32(&self, offset: usize) -> u32 {
        u32::from_le_bytes(self.bytes(offset))
    }

    pub fn u64(&self, offset: usize) -> u64 {
        u64::from_le_bytes(self.bytes(offset))
    }
}

const _: () = assert!(HEADER_SIZE <= SECTOR as usize, "the header is in its block's first sector");
