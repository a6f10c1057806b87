// SPDX-License-Identifier: BSD-2-Clause
//! Tables as tools write them, broken ones, and arbitrary bytes.

mod random;

use ring::pages::{LocalPages, Memory};

use std::vec::Vec;

use super::*;

/// Memory of the probe: 64 KiB.
type Pages = LocalPages<0x4000>;

const DISK: u64 = 4096;

/// A disk that is being made.
struct Disk {
    bytes: Vec<u8>,
    block: usize,
}

impl Disk {
    fn new(blocks: u64, block: usize) -> Self {
        Self { bytes: vec![0; blocks as usize * block], block }
    }

    fn geometry(&self) -> Geometry {
        Geometry { sectors: self.bytes.len() as u64 / SECTOR, block_size: self.block as u32 }
    }

    fn blocks(&self) -> u64 {
        (self.bytes.len() / self.block) as u64
    }

    fn put(&mut self, block: u64, offset: usize, bytes: &[u8]) {
        let start = block as usize * self.block + offset;
        self.bytes[start..start + bytes.len()].copy_from_slice(bytes);
    }

    /// A boot record's entry of this kind, with positions as they are written.
    fn record(&mut self, block: u64, index: usize, kind: u8, first: u32, blocks: u32) -> &mut Self {
        let mut entry = [0; 16];
        entry[4] = kind;
        entry[8..12].copy_from_slice(&first.to_le_bytes());
        entry[12..].copy_from_slice(&blocks.to_le_bytes());
        self.put(block, 446 + 16 * index, &entry);
        self.put(block, 510, &[0x55, 0xaa]);
        self
    }

    /// Both copies of a GPT, 128 entries, with these partitions: number, first, last, name.
    fn gpt(partitions: &[(u32, u64, u64, &str)], block: usize) -> Self {
        let mut disk = Self::new(DISK * 512 / block as u64, block);
        disk.record(0, 0, 0xee, 1, u32::MAX);
        let last = disk.blocks() - 1;
        let size = (128 * 128 / block) as u64;
        disk.copy(1, last, 2, 2 + size, last - size - 1, partitions);
        disk.copy(last, 1, last - size, 2 + size, last - size - 1, partitions);
        disk
    }

    fn copy(
        &mut self,
        at: u64,
        alternate: u64,
        entries: u64,
        first: u64,
        last: u64,
        partitions: &[(u32, u64, u64, &str)],
    ) {
        for (number, first, last, name) in partitions {
            let offset = (*number as usize - 1) * 128;
            self.put(entries, offset, &[0xaf; 16]);
            self.put(entries, offset + 32, &first.to_le_bytes());
            self.put(entries, offset + 40, &last.to_le_bytes());
            for (index, unit) in name.encode_utf16().enumerate() {
                self.put(entries, offset + 56 + 2 * index, &unit.to_le_bytes());
            }
        }
        self.put(at, 0, b"EFI PART\x00\x00\x01\x00\x5c\x00\x00\x00");
        for (offset, value) in [(24, at), (32, alternate), (40, first), (48, last), (72, entries)] {
            self.put(at, offset, &value.to_le_bytes());
        }
        self.put(at, 80, &128u32.to_le_bytes());
        self.put(at, 84, &128u32.to_le_bytes());
        self.seal(at);
    }

    /// Makes the checksums of the copy at block `at` right.
    fn seal(&mut self, at: u64) {
        let header = at as usize * self.block;
        let word = |offset: usize| {
            let at = header + offset;
            u32::from_le_bytes(self.bytes[at..at + 4].try_into().unwrap()) as usize
        };
        let start = word(72) * self.block;
        let sum = |bytes: Option<&[u8]>| {
            let mut crc = crc::Crc32::new();
            crc.update(bytes.unwrap_or_default());
            crc.value().to_le_bytes()
        };
        let entries = sum(self.bytes.get(start..start + word(80) * word(84)));
        let size = word(12);
        self.put(at, 88, &entries);
        self.put(at, 16, &[0; 4]);
        let checksum = sum(self.bytes.get(header..header + size));
        self.put(at, 16, &checksum);
    }

    fn probe(&self) -> Table {
        self.probe_with(|_| true).0
    }

    /// The table, and the number of reads it took.
    fn probe_with(&self, readable: impl Fn(u64) -> bool) -> (Table, usize) {
        let pages = Pages::new();
        let mut probe = Probe::new(&pages);
        let mut step = probe.start(self.geometry());
        let mut reads = 0;
        while let Step::Read { sector, sectors } = step {
            reads += 1;
            assert!(reads < 100, "bounded");
            assert!(sectors > 0 && sectors * SECTOR <= (&pages).size() as u64, "fits the memory");
            assert!(sector % self.geometry().block_sectors() == 0);
            assert!(sectors % self.geometry().block_sectors() == 0);
            let start = (sector * SECTOR) as usize;
            let bytes = &self.bytes[start..start + (sectors * SECTOR) as usize];
            let readable = readable(sector);
            if readable {
                for (chunk, offset) in bytes.chunks_exact(8).zip((0..).step_by(8)) {
                    (&pages).write(offset, [u64::from_le_bytes(chunk.try_into().unwrap())]);
                }
            }
            step = probe.advance(readable);
        }
        (probe.table().clone(), reads)
    }
}

const TWO: &[(u32, u64, u64, &str)] = &[(1, 40, 999, "root"), (3, 1000, 1000, "größe")];

fn ranges(table: &Table) -> Vec<(u32, u64, u64)> {
    table.partitions.iter().map(|p| (p.number, p.first, p.sectors)).collect()
}

#[test]
fn gpt_gives_its_partitions_with_numbers_and_names() {
    let table = Disk::gpt(TWO, 512).probe();
    assert_eq!(table.kind, TableKind::Gpt(Copy::Primary));
    assert_eq!(ranges(&table), [(1, 40, 960), (3, 1000, 1)]);
    assert_eq!(table.partitions[1].name.to_string(), "größe");
    assert!(table.problems.is_empty());
}

#[test]
fn positions_are_in_logical_blocks() {
    let table = Disk::gpt(&[(1, 8, 15, "a")], 4096).probe();
    assert_eq!(ranges(&table), [(1, 64, 64)]);
    let mut disk = Disk::new(64, 4096);
    disk.record(0, 1, 0x83, 2, 3);
    assert_eq!(ranges(&disk.probe()), [(2, 16, 24)]);
}

#[test]
fn backup_is_used_when_the_primary_is_broken_whatever_is_broken() {
    let breakages: &[(u64, usize, GptFault)] = &[
        (1, 0, GptFault::Signature),
        (1, 12, GptFault::HeaderChecksum),
        (1, 13, GptFault::HeaderSize(0xff5c)),
        (1, 16, GptFault::HeaderChecksum),
        (1, 50, GptFault::HeaderChecksum),
        (1, 90, GptFault::HeaderChecksum),
        (2, 32, GptFault::EntriesChecksum),
        (33, 511, GptFault::EntriesChecksum),
    ];
    for (block, offset, fault) in breakages {
        let mut disk = Disk::gpt(TWO, 512);
        disk.bytes[*block as usize * 512 + offset] ^= 0xff;
        let table = disk.probe();
        assert_eq!(table.kind, TableKind::Gpt(Copy::Backup), "{block} {offset}");
        assert_eq!(table.problems.as_slice(), [Problem::Gpt(Copy::Primary, *fault)]);
        assert_eq!(ranges(&table), [(1, 40, 960), (3, 1000, 1)]);
    }
}

#[test]
fn header_with_a_right_checksum_and_impossible_values_is_refused() {
    let entries = |number, size| GptFault::Entries(number, size);
    let breakages: &[(usize, u64, usize, GptFault)] = &[
        (24, 2, 8, GptFault::Place(2)),
        (80, 0, 4, entries(0, 128)),
        (80, 0xffff_ffff, 4, entries(0xffff_ffff, 128)),
        (84, 0, 4, entries(128, 0)),
        (84, 64, 4, entries(128, 64)),
        (84, 192, 4, entries(128, 192)),
        (84, 0x8000_0000, 4, entries(128, 0x8000_0000)),
        (80, 513, 4, entries(513, 128)),
        (72, 0, 8, GptFault::EntriesPlace(0)),
        (72, 1, 8, GptFault::EntriesPlace(1)),
        (72, DISK - 31, 8, GptFault::EntriesPlace(DISK - 31)),
        (72, u64::MAX, 8, GptFault::EntriesPlace(u64::MAX)),
        (40, 1, 8, GptFault::Usable(1, DISK - 34)),
        (48, 33, 8, GptFault::Usable(34, 33)),
        (48, DISK, 8, GptFault::Usable(34, DISK)),
    ];
    for (offset, value, size, fault) in breakages {
        let mut disk = Disk::gpt(TWO, 512);
        disk.put(1, *offset, &value.to_le_bytes()[..*size]);
        // The entries' checksum no longer matters.
        let mut sum = crc::Crc32::new();
        disk.put(1, 16, &[0; 4]);
        sum.update(&disk.bytes[512..512 + 92]);
        disk.put(1, 16, &sum.value().to_le_bytes());
        let table = disk.probe();
        assert_eq!(table.problems.as_slice(), [Problem::Gpt(Copy::Primary, *fault)]);
        assert_eq!(table.kind, TableKind::Gpt(Copy::Backup));
    }
}

#[test]
fn without_any_good_copy_there_is_no_partition() {
    let mut disk = Disk::gpt(TWO, 512);
    disk.bytes[512] = 0;
    let last = disk.bytes.len() - 512;
    disk.bytes[last] = 0;
    let table = disk.probe();
    assert_eq!(table.kind, TableKind::None);
    assert!(table.partitions.is_empty());
    assert_eq!(table.problems.last(), Some(&Problem::NoTable));
}

#[test]
fn sectors_that_cannot_be_read_lead_to_the_backup_too() {
    let disk = Disk::gpt(TWO, 512);
    for unreadable in [1, 2] {
        let (table, _) = disk.probe_with(|sector| sector != unreadable);
        assert_eq!(table.kind, TableKind::Gpt(Copy::Backup));
    }
    let (table, reads) = disk.probe_with(|_| false);
    assert_eq!((table.kind, reads), (TableKind::None, 1));
    assert_eq!(table.problems.as_slice(), [Problem::Unreadable(0)]);
}

#[test]
fn partition_outside_the_usable_blocks_is_ignored_and_named() {
    for (first, last) in [(33, 50), (50, 49), (50, DISK - 33), (50, u64::MAX), (0, u64::MAX)] {
        let table = Disk::gpt(&[(1, first, last, "bad"), (2, 34, 34, "good")], 512).probe();
        assert_eq!(ranges(&table), [(2, 34, 1)]);
        assert_eq!(table.problems.as_slice(), [Problem::Outside(1)]);
    }
}

#[test]
fn disk_that_has_grown_keeps_its_table_and_finds_its_backup() {
    let mut disk = Disk::gpt(TWO, 512);
    disk.bytes.resize(disk.bytes.len() * 2, 0);
    assert_eq!(disk.probe().partitions.len(), 2);
    // The primary's header still says where the backup is when its entries are broken.
    disk.bytes[2 * 512 + 40] ^= 1;
    assert_eq!(disk.probe().kind, TableKind::Gpt(Copy::Backup));
}

#[test]
fn more_partitions_than_are_remembered_are_cut_off() {
    let mut disk = Disk::gpt(&[], 512);
    disk.put(1, 72, &1000u64.to_le_bytes());
    disk.put(1, 80, &200u32.to_le_bytes());
    for number in 0..200u64 {
        let place = 128 * number as usize;
        disk.put(1000, place, &[1; 16]);
        disk.put(1000, place + 32, &(100 + number).to_le_bytes());
        disk.put(1000, place + 40, &(100 + number).to_le_bytes());
    }
    disk.seal(1);
    let table = disk.probe();
    assert_eq!(table.partitions.len(), MAX_PARTITIONS);
    assert_eq!(table.problems.as_slice(), [Problem::TooMany]);
}

#[test]
fn mbr_gives_primary_and_logical_partitions() {
    let mut disk = Disk::new(DISK, 512);
    disk.record(0, 0, 0x83, 8, 92).record(0, 1, 0x05, 100, 1000).record(0, 3, 0x0c, 2000, 96);
    disk.record(100, 0, 0x83, 10, 90).record(100, 1, 0x05, 200, 100);
    disk.record(300, 0, 0x82, 10, 20);
    let table = disk.probe();
    assert_eq!(table.kind, TableKind::Mbr);
    assert_eq!(ranges(&table), [(1, 8, 92), (4, 2000, 96), (5, 110, 90), (6, 310, 20)]);
    assert!(table.problems.is_empty());
}

#[test]
fn extended_chain_that_loops_leaves_or_breaks_ends() {
    for (next, reason) in
        [(0, "goes back"), (5000, "leaves it"), (u32::MAX, "leaves it"), (300, "no signature")]
    {
        let mut disk = Disk::new(DISK, 512);
        disk.record(0, 1, 0x0f, 100, 1000);
        disk.record(100, 0, 0x83, 10, 90).record(100, 1, 0x05, next, 100);
        let table = disk.probe();
        assert_eq!(ranges(&table), [(5, 110, 90)]);
        assert!(table.problems[0].to_string().contains(reason), "{}", table.problems[0]);
    }
}

#[test]
fn endless_extended_chain_is_cut_off() {
    let mut disk = Disk::new(DISK, 512);
    disk.record(0, 0, 0x05, 1, 4000);
    for block in 1..2000 {
        disk.record(block, 0, 0x83, 1, 1).record(block, 1, 0x05, block as u32, 1);
    }
    assert_eq!(disk.probe().partitions.len(), 60);
}

#[test]
fn mbr_partition_past_the_end_is_ignored() {
    let mut disk = Disk::new(DISK, 512);
    disk.record(0, 0, 0x83, 4000, 97).record(0, 1, 0x83, 0, 5).record(0, 2, 0x83, u32::MAX, u32::MAX);
    disk.record(0, 3, 0x83, 4000, 96);
    let table = disk.probe();
    assert_eq!(ranges(&table), [(4, 4000, 96)]);
    assert_eq!(table.problems.as_slice(), [1, 2, 3].map(Problem::Outside));
}

#[test]
fn empty_and_tiny_disks_have_no_table() {
    for (blocks, block) in [(0, 512), (1, 512), (1, 4096)] {
        let table = Disk::new(blocks, block).probe();
        assert_eq!(table.problems.as_slice(), [Problem::NoTable]);
    }
    let mut disk = Disk::new(1, 512);
    disk.record(0, 0, 0xee, 1, u32::MAX);
    assert_eq!(disk.probe().kind, TableKind::None);
}

#[test]
fn names_are_printed_without_control_characters() {
    let table = Disk::gpt(&[(1, 40, 41, "a\u{1b}[31m\nb")], 512).probe();
    assert_eq!(table.partitions[0].name.to_string(), "a[31mb");
}
