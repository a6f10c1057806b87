// SPDX-License-Identifier: BSD-2-Clause
//! Writes GUID partition tables (UEFI 2.10, section 5): protective MBR, both headers, both arrays. 512-byte sectors.

use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::FileExt;

/// Bytes in a sector.
pub const SECTOR: u64 = 512;
/// Where the first partition begins, in sectors: at 1 MiB, as usual.
pub const FIRST: u64 = 2048;
/// Sectors behind the last partition: the backup array and header.
pub const LAST: u64 = 33;

/// Bytes of an array entry, entries in the array.
const ENTRY: usize = 128;
const ENTRIES: usize = 128;
/// Linux file system data, 0fc63daf-8483-4772-8e79-3d69d8477de4, in the byte order of a table.
const LINUX: [u8; 16] =
    [0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4];

/// A partition.
pub struct Partition {
    /// Its name, at most 36 characters.
    pub label: String,
    /// Its GUID, in the byte order of a table.
    pub guid: [u8; 16],
    /// First sector.
    pub first: u64,
    /// Number of sectors.
    pub sectors: u64,
}

/// Writes tables for `partitions` into a disk of `sectors` sectors.
///
/// # Errors
/// They do not fit, or the file cannot be written.
pub fn write(disk: &File, sectors: u64, guid: [u8; 16], partitions: &[Partition]) -> Result<()> {
    let mut array = vec![0; ENTRY * ENTRIES];
    let refuse = |why: &str, label: &str| {
        Err(Error::new(ErrorKind::InvalidInput, format!("the partition {label} {why}")))
    };
    if let Some(partition) = partitions.get(ENTRIES) {
        return refuse("is one too many", &partition.label);
    }
    for (entry, partition) in array.chunks_exact_mut(ENTRY).zip(partitions) {
        let last = partition.first + partition.sectors - 1;
        if partition.first < FIRST || last >= sectors - LAST {
            return refuse("does not fit", &partition.label);
        }
        entry[..16].copy_from_slice(&LINUX);
        entry[16..32].copy_from_slice(&partition.guid);
        entry[32..40].copy_from_slice(&partition.first.to_le_bytes());
        entry[40..48].copy_from_slice(&last.to_le_bytes());
        let units: Vec<u16> = partition.label.encode_utf16().collect();
        if units.len() > 36 {
            return refuse("has too long a name", &partition.label);
        }
        for (to, unit) in entry[56..].chunks_exact_mut(2).zip(units) {
            to.copy_from_slice(&unit.to_le_bytes());
        }
    }
    let array_sectors = array.len() as u64 / SECTOR;
    let backup = sectors - 1;
    let header = |own: u64, other: u64, array_at: u64| {
        let mut header = Vec::with_capacity(92);
        header.extend_from_slice(b"EFI PART");
        for word in [0x0001_0000_u32, 92, 0, 0] {
            header.extend_from_slice(&word.to_le_bytes());
        }
        for word in [own, other, 2 + array_sectors, sectors - 2 - array_sectors] {
            header.extend_from_slice(&word.to_le_bytes());
        }
        header.extend_from_slice(&guid);
        header.extend_from_slice(&array_at.to_le_bytes());
        for word in [ENTRIES as u32, ENTRY as u32, crc32(&array)] {
            header.extend_from_slice(&word.to_le_bytes());
        }
        let check = crc32(&header);
        header[16..20].copy_from_slice(&check.to_le_bytes());
        header
    };
    let at = |sector: u64, bytes: &[u8]| disk.write_all_at(bytes, sector * SECTOR);
    at(0, &protective_mbr(sectors))?;
    at(1, &header(1, backup, 2))?;
    at(2, &array)?;
    at(backup - array_sectors, &array)?;
    at(backup, &header(backup, 1, backup - array_sectors))
}

/// One partition of type 0xee over the whole disk (section 5.2.3).
fn protective_mbr(sectors: u64) -> [u8; 512] {
    let mut mbr = [0; 512];
    let size = u32::try_from(sectors - 1).unwrap_or(u32::MAX);
    mbr[446..454].copy_from_slice(&[0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff]);
    mbr[454..458].copy_from_slice(&1_u32.to_le_bytes());
    mbr[458..462].copy_from_slice(&size.to_le_bytes());
    mbr[510..].copy_from_slice(&[0x55, 0xaa]);
    mbr
}

/// CRC-32 of IEEE 802.3, bit by bit: the tables are small.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| crc >> 1 ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_value_is_the_standards() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn both_headers_name_each_other_and_carry_their_sums() {
        let file = tempfile();
        let partition = Partition { label: "guest0".into(), guid: [7; 16], first: FIRST, sectors: 4096 };
        write(&file, 8192, [1; 16], &[partition]).unwrap();
        for (own, other) in [(1, 8191), (8191_u64, 1_u64)] {
            let mut header = [0; 92];
            file.read_exact_at(&mut header, own * SECTOR).unwrap();
            let word = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().unwrap());
            assert_eq!((&header[..8], word(24), word(32)), (&b"EFI PART"[..], own, other));
            let mut array = vec![0; ENTRY * ENTRIES];
            file.read_exact_at(&mut array, word(72) * SECTOR).unwrap();
            assert_eq!(header[88..92], crc32(&array).to_le_bytes());
            assert_eq!(array[56..58], [b'g', 0]);
            let check = header[16..20].to_vec();
            header[16..20].fill(0);
            assert_eq!(check, crc32(&header).to_le_bytes());
        }
    }

    #[test]
    fn partition_behind_the_end_is_refused() {
        let partition = Partition { label: "x".into(), guid: [7; 16], first: FIRST, sectors: 8192 };
        assert!(write(&tempfile(), 8192, [1; 16], &[partition]).is_err());
    }

    /// A file that is gone when it is closed.
    fn tempfile() -> File {
        let path = std::env::temp_dir().join(format!(
            "gpt-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        file
    }
}
