// SPDX-License-Identifier: BSD-2-Clause
//! The header of an arm64 kernel Image (Linux, Documentation/arch/arm64/booting.rst, "Call the kernel image").

use thiserror::Error;

/// Why a file cannot be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ImageError {
    /// Nothing there.
    #[error("the kernel image is empty")]
    Empty,
    /// Compressed by gzip.
    #[error("the kernel image is gzip-compressed; unpack it first")]
    Compressed,
    /// An ELF file.
    #[error(
        "the kernel image is an ELF file; convert it with objcopy -O binary, or use arch/arm64/boot/Image"
    )]
    Elf,
    /// A kernel for big-endian processors.
    #[error("the kernel image is for big-endian processors")]
    BigEndian,
}

/// Where a kernel wants to be, relative to a 2 MiB boundary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    /// Bytes from a 2 MiB boundary to the first byte of the file, which is also the entry point.
    pub offset: u64,
    /// Bytes of memory from there that belong to the kernel; at least the length of the file.
    pub size: u64,
}

/// Offset of images that do not tell one: header-less ones, and kernels before Linux 3.17.
pub const DEFAULT_OFFSET: u64 = 0x8_0000;

const TEXT_OFFSET: usize = 8;
const IMAGE_SIZE: usize = 16;
const FLAGS: usize = 24;
const MAGIC: usize = 56;
const FLAG_BIG_ENDIAN: u64 = 1;

impl Image {
    /// Reads the header of `file`. Without one the file is a flat binary, started as QEMU does with such a file.
    pub fn parse(file: &[u8]) -> Result<Self, ImageError> {
        let length = file.len() as u64;
        if file.is_empty() {
            return Err(ImageError::Empty);
        }
        if file.starts_with(&[0x1f, 0x8b]) {
            return Err(ImageError::Compressed);
        }
        if file.starts_with(b"\x7fELF") {
            return Err(ImageError::Elf);
        }
        let flat = Self { offset: DEFAULT_OFFSET, size: length };
        if file.get(MAGIC..MAGIC + 4) != Some(b"ARM\x64") {
            return Ok(flat);
        }
        let (Some(offset), Some(size), Some(flags)) =
            (word(file, TEXT_OFFSET), word(file, IMAGE_SIZE), word(file, FLAGS))
        else {
            return Ok(flat);
        };
        if flags & FLAG_BIG_ENDIAN != 0 {
            return Err(ImageError::BigEndian);
        }
        // Before Linux 3.17 size is zero and the offset of unknown endianness.
        Ok(if size == 0 { flat } else { Self { offset, size: size.max(length) } })
    }
}

/// The little-endian word at byte `at`.
fn word(file: &[u8], at: usize) -> Option<u64> {
    file.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of `length` bytes with a header.
    fn file(offset: u64, size: u64, flags: u64, length: usize) -> Vec<u8> {
        let mut file = vec![0; length.max(64)];
        file[8..16].copy_from_slice(&offset.to_le_bytes());
        file[16..24].copy_from_slice(&size.to_le_bytes());
        file[24..32].copy_from_slice(&flags.to_le_bytes());
        file[56..60].copy_from_slice(b"ARM\x64");
        file
    }

    #[test]
    fn header_of_a_current_kernel() {
        let image = Image::parse(&file(0, 0x200_0000, 0xa, 4096));
        assert_eq!(image, Ok(Image { offset: 0, size: 0x200_0000 }));
    }

    #[test]
    fn size_covers_the_file() {
        assert_eq!(Image::parse(&file(0, 1, 0xa, 4096)), Ok(Image { offset: 0, size: 4096 }));
    }

    #[test]
    fn old_or_flat_files_go_where_qemu_puts_them() {
        assert_eq!(Image::parse(&file(0x1234, 0, 0, 100)), Ok(Image { offset: DEFAULT_OFFSET, size: 100 }));
        assert_eq!(Image::parse(&[0; 100]), Ok(Image { offset: DEFAULT_OFFSET, size: 100 }));
        assert_eq!(Image::parse(&[1]), Ok(Image { offset: DEFAULT_OFFSET, size: 1 }));
    }

    #[test]
    fn other_formats_are_named() {
        assert_eq!(Image::parse(&[]), Err(ImageError::Empty));
        assert_eq!(Image::parse(&[0x1f, 0x8b, 8]), Err(ImageError::Compressed));
        assert_eq!(Image::parse(b"\x7fELF\x02"), Err(ImageError::Elf));
        assert_eq!(Image::parse(&file(0, 4096, 1, 64)), Err(ImageError::BigEndian));
    }

    #[test]
    fn truncated_headers_do_not_panic() {
        let whole = file(0, 4096, 0, 64);
        for length in 0..whole.len() {
            let _ = Image::parse(&whole[..length]);
        }
    }
}
