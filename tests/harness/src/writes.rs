// SPDX-License-Identifier: BSD-2-Clause
//! The log of all that a machine wrote to a disk, and what the disk would hold had the power failed at some moment.
//!
//! QEMU's `blklogwrites` writes it in the form of Linux' dm-log-writes (Linux documentation, "dm-log-writes"): a sector
//! with a header, then for each request a sector that describes it and its data.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// `WRITE_LOG_MAGIC`.
const MAGIC: u64 = 0x006a_7366_7773_6872;
/// Flags of a request.
const FLUSH: u64 = 1;
const DISCARD: u64 = 4;

/// An open log.
pub struct WriteLog {
    file: File,
    sector_size: u64,
    /// Where the next request is.
    at: u64,
    /// Discards that were applied.
    discards: u64,
}

/// Where a flush is in a log, in bytes: everything before it is on the disk, nothing behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flush(pub u64);

impl WriteLog {
    /// Opens a log that is complete.
    ///
    /// # Errors
    /// It is none.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let mut header = [0; 28];
        file.read_exact_at(&mut header, 0)?;
        let sector_size = u64::from(u32::from_le_bytes([header[24], header[25], header[26], header[27]]));
        if word(&header, 0) != MAGIC || !sector_size.is_power_of_two() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "no log of writes"));
        }
        Ok(Self { file, sector_size, at: sector_size, discards: 0 })
    }

    /// Applies requests to a disk up to and including the next flush; returns where it was. Nothing at the end of the
    /// log: what follows the last flush may or may not have reached the disk.
    ///
    /// # Errors
    /// The log or the disk cannot be read or written.
    pub fn replay_to_flush(&mut self, disk: &File) -> io::Result<Option<Flush>> {
        let length = self.file.metadata()?.len();
        while self.at + self.sector_size <= length {
            let mut entry = [0; 32];
            self.file.read_exact_at(&mut entry, self.at)?;
            let (sector, sectors, flags) = (word(&entry, 0), word(&entry, 8), word(&entry, 16));
            let place = self.at;
            let bytes = sectors * self.sector_size;
            self.at += self.sector_size;
            if flags & DISCARD != 0 {
                // A disk may forget what was discarded; this one does.
                self.discards += 1;
                write_zeros(disk, sector * self.sector_size, bytes)?;
            } else if bytes > 0 {
                if self.at + bytes > length {
                    return Ok(None);
                }
                let mut data = vec![0; bytes as usize];
                self.file.read_exact_at(&mut data, self.at)?;
                disk.write_all_at(&data, sector * self.sector_size)?;
                self.at += bytes;
            }
            if flags & FLUSH != 0 {
                return Ok(Some(Flush(place)));
            }
        }
        Ok(None)
    }

    /// How many discards were applied.
    #[must_use]
    pub const fn discards(&self) -> u64 {
        self.discards
    }
}

fn write_zeros(disk: &File, mut at: u64, mut count: u64) -> io::Result<()> {
    let zeros = vec![0; 1 << 20];
    while count > 0 {
        let part = count.min(zeros.len() as u64);
        disk.write_all_at(&zeros[..part as usize], at)?;
        (at, count) = (at + part, count - part);
    }
    Ok(())
}

fn word(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

    use super::*;
    use crate::disk::scratch;

    fn entry(sector: u64, sectors: u64, flags: u64, data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [sector, sectors, flags, 0] {
            bytes.extend_from_slice(&u64::to_le_bytes(word));
        }
        bytes.resize(512, 0);
        bytes.extend_from_slice(data);
        bytes
    }

    #[test]
    fn replay_stops_behind_each_flush() {
        let folder = scratch("write-log");
        let mut log = Vec::new();
        for word in [MAGIC, 1, 4] {
            log.extend_from_slice(&word.to_le_bytes());
        }
        log.extend_from_slice(&512_u32.to_le_bytes());
        log.resize(512, 0);
        log.extend(entry(1, 1, 0, &[1; 512]));
        log.extend(entry(0, 0, FLUSH, &[]));
        log.extend(entry(1, 1, DISCARD, &[]));
        log.extend(entry(0, 1, FLUSH, &[2; 512]));
        log.extend(entry(0, 1, 0, &[3; 512]));
        std::fs::write(folder.join("log"), log).unwrap();
        let disk = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(folder.join("disk"))
            .unwrap();
        disk.set_len(1024).unwrap();
        let mut log = WriteLog::open(&folder.join("log")).unwrap();
        let contents = || {
            let mut bytes = [0; 1024];
            disk.read_exact_at(&mut bytes, 0).unwrap();
            (bytes[0], bytes[512])
        };
        assert!(log.replay_to_flush(&disk).unwrap().is_some());
        assert_eq!(contents(), (0, 1));
        assert!(log.replay_to_flush(&disk).unwrap().is_some());
        assert_eq!(contents(), (2, 0));
        assert_eq!(log.replay_to_flush(&disk).unwrap(), None);
        assert_eq!(log.discards(), 1);
    }
}
