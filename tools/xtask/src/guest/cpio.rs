// SPDX-License-Identifier: BSD-2-Clause
//! Writes cpio archives of the "newc" form, which Linux unpacks as an initramfs (Linux documentation,
//! "initramfs buffer format"). Device nodes need no privileges this way, and the same input gives the same bytes.

/// File type bits of a mode (`S_IFMT`, POSIX `sys/stat.h`).
const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
const CHARACTER_DEVICE: u32 = 0o020_000;

/// An archive under construction.
#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    /// Adds a directory. Paths have no leading slash; parents come first.
    pub fn directory(&mut self, path: &str) {
        self.entry(path, DIRECTORY | 0o755, (0, 0), &[]);
    }

    /// Adds a file; `mode` holds its permissions.
    pub fn file(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.entry(path, FILE | mode, (0, 0), content);
    }

    /// Adds a symbolic link.
    pub fn link(&mut self, path: &str, target: &str) {
        self.entry(path, LINK | 0o777, (0, 0), target.as_bytes());
    }

    /// Adds a character device.
    pub fn device(&mut self, path: &str, major: u32, minor: u32) {
        self.entry(path, CHARACTER_DEVICE | 0o600, (major, minor), &[]);
    }

    /// Ends the archive.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.entries = 0;
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes
    }

    fn entry(&mut self, path: &str, mode: u32, (major, minor): (u32, u32), content: &[u8]) {
        self.entries += 1;
        let links = if mode & DIRECTORY == DIRECTORY { 2 } else { 1 };
        // Inode, mode, user, group, links, time, size, device of the file system (two), device (two), name size, check.
        let size = content.len() as u32;
        let name_size = path.len() as u32 + 1;
        let fields = [self.entries, mode, 0, 0, links, 0, size, 0, 0, major, minor, name_size, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads an archive back: path, mode and content of every entry.
    fn read(bytes: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let mut entries = Vec::new();
        let mut at = 0;
        loop {
            assert_eq!(&bytes[at..at + 6], b"070701");
            let field = |index: usize| {
                let start = at + 6 + index * 8;
                u32::from_str_radix(std::str::from_utf8(&bytes[start..start + 8]).unwrap(), 16).unwrap()
            };
            let (size, name_size) = (field(6) as usize, field(11) as usize);
            let name_end = at + 110 + name_size;
            let name = String::from_utf8(bytes[at + 110..name_end - 1].to_vec()).unwrap();
            let start = name_end.next_multiple_of(4);
            if name == "TRAILER!!!" {
                return entries;
            }
            entries.push((name, field(1), bytes[start..start + size].to_vec()));
            at = (start + size).next_multiple_of(4);
        }
    }

    #[test]
    fn what_was_added_is_read_back() {
        let mut archive = Archive::default();
        archive.directory("dev");
        archive.device("dev/console", 5, 1);
        archive.file("init", 0o755, b"#!/bin/sh\n");
        archive.link("bin", "usr/bin");
        let entries = read(&archive.finish());
        assert_eq!(
            entries,
            [
                ("dev".to_string(), 0o040_755, vec![]),
                ("dev/console".to_string(), 0o020_600, vec![]),
                ("init".to_string(), 0o100_755, b"#!/bin/sh\n".to_vec()),
                ("bin".to_string(), 0o120_777, b"usr/bin".to_vec()),
            ]
        );
    }

    #[test]
    fn archive_is_aligned_whatever_the_lengths() {
        for length in 0..9 {
            let mut archive = Archive::default();
            archive.file(&"n".repeat(length + 1), 0o644, &vec![7; length]);
            let bytes = archive.finish();
            assert_eq!(bytes.len() % 4, 0);
            assert_eq!(read(&bytes)[0].2.len(), length);
        }
    }
}
