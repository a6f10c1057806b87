// SPDX-License-Identifier: BSD-2-Clause
//! The PD's configuration: text that the system description fills, one `client<n>=<part>` a line.
//!
//! A part is `partition:NUMBER`, `label:NAME` (of a GPT), `disk`, or `extent:FIRST+SECTORS` (sectors of 512 bytes), each
//! optionally followed by `,ro`. A line `client<n>_data_size=<bytes>` is the size of a client's memory: a system description can
//! tell it by a symbol only to a PD that maps the memory.

use core::fmt;

/// A part of the disk, as it is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// The partition with this number.
    Partition(u32),
    /// The partition with this name.
    Label(&'a str),
    /// Everything.
    Disk,
    /// A range of sectors.
    Extent {
        /// The first.
        first: u64,
        /// How many.
        sectors: u64,
    },
}

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Partition(number) => write!(f, "partition {number}"),
            Self::Label(name) => write!(f, "partition \"{name}\""),
            Self::Disk => f.write_str("the whole disk"),
            Self::Extent { first, sectors } => write!(f, "{sectors} sectors from {first} on"),
        }
    }
}

/// What a client gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assignment<'a> {
    /// Which part of the disk.
    pub target: Target<'a>,
    /// It may not write.
    pub read_only: bool,
}

/// The text is not an assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not partition:NUMBER, label:NAME, disk or extent:FIRST+SECTORS, each with or without \",ro\"")]
pub struct ParseError;

impl<'a> Assignment<'a> {
    /// Reads an assignment.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &'a str) -> Result<Self, ParseError> {
        let (part, read_only) = match text.strip_suffix(",ro") {
            Some(part) => (part, true),
            None => (text, false),
        };
        let target = if part == "disk" {
            Target::Disk
        } else if let Some(number) = part.strip_prefix("partition:") {
            match number.parse() {
                Ok(number) if number > 0 => Target::Partition(number),
                _ => return Err(ParseError),
            }
        } else if let Some(name) = part.strip_prefix("label:") {
            if name.is_empty() {
                return Err(ParseError);
            }
            Target::Label(name)
        } else {
            let (first, sectors) =
                part.strip_prefix("extent:").and_then(|range| range.split_once('+')).ok_or(ParseError)?;
            match (first.parse(), sectors.parse()) {
                (Ok(first), Ok(sectors)) if sectors > 0 => Target::Extent { first, sectors },
                _ => return Err(ParseError),
            }
        };
        Ok(Self { target, read_only })
    }
}

/// The assignment of client `number` in `text`; `None` when there is none.
pub fn assignment(text: &[u8], number: usize) -> Option<Result<Assignment<'_>, ParseError>> {
    text.split(|byte| *byte == b'\n').find_map(|line| {
        let digit = [u8::try_from(number).ok()?.checked_add(b'0')?];
        let value = line.strip_prefix(b"client")?.strip_prefix(&digit)?.strip_prefix(b"=")?;
        let value = core::str::from_utf8(value).map(str::trim).map_err(|_| ParseError);
        Some(value.and_then(Assignment::parse))
    })
}

/// The size of the memory of client `number`, in bytes; `None` when the text does not tell it.
pub fn data_size(text: &[u8], number: usize) -> Option<u64> {
    text.split(|byte| *byte == b'\n').find_map(|line| {
        let digit = [u8::try_from(number).ok()?.checked_add(b'0')?];
        let value = line.strip_prefix(b"client")?.strip_prefix(&digit)?.strip_prefix(b"_data_size=")?;
        core::str::from_utf8(value).ok()?.trim().parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_are_read() {
        let cases = [
            ("partition:3", Target::Partition(3)),
            ("label:root, of guest", Target::Label("root, of guest")),
            ("disk", Target::Disk),
            ("extent:2048+4096", Target::Extent { first: 2048, sectors: 4096 }),
        ];
        for (text, target) in cases {
            assert_eq!(Assignment::parse(text), Ok(Assignment { target, read_only: false }));
            let text = std::format!("{text},ro");
            assert_eq!(Assignment::parse(&text), Ok(Assignment { target, read_only: true }));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "disk2",
            "disk,rw",
            "partition:",
            "partition:0",
            "partition:-1",
            "partition:99999999999",
            "label:",
            "extent:5",
            "extent:5+",
            "extent:5+0",
            "extent:5+-1",
            "extent:+",
            ",ro",
        ] {
            assert_eq!(Assignment::parse(text), Err(ParseError), "{text}");
        }
    }

    #[test]
    fn each_client_finds_its_own_line() {
        let text = b"client0=disk,ro\nclient1=partition:x\nclient2=\xff\n";
        assert_eq!(assignment(text, 0).unwrap().unwrap().target, Target::Disk);
        assert_eq!(assignment(text, 1), Some(Err(ParseError)));
        assert_eq!(assignment(text, 2), Some(Err(ParseError)));
        assert_eq!(assignment(text, 3), None);
        let text = b"client1_data_size=4096\nclient1=disk\nclient2_data_size=-1\n";
        assert_eq!(data_size(text, 1), Some(4096));
        assert_eq!((data_size(text, 0), data_size(text, 2)), (None, None));
        assert_eq!(assignment(text, 1).unwrap().unwrap().target, Target::Disk);
        assert_eq!(assignment(text, 1000), None);
    }
}
