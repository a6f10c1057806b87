// SPDX-License-Identifier: BSD-2-Clause
//! The bytes of a description: a magic number, a header, then one section for each kind of record.
//!
//! Header and records are in postcard's encoding. Records are decoded one by one while the initialiser works through
//! them, so that it needs no heap. The description comes from the tool through the loader: it is trusted to mean what
//! it says, and checked only so far that damage leads to an error.

#[cfg(feature = "write")]
use alloc::vec::Vec;
use core::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::record::{DomainStep, Fill, Group, Irq, Mapping, Sched, Slot, Table, Thread};

/// First bytes; the last one is the format's version.
pub const MAGIC: [u8; 8] = *b"BHSPEC\0\x01";

/// Number of sections.
pub const SECTIONS: usize = 9;

/// What concerns the whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`crate::fingerprint`] of the untypeds that the tool predicted, as bytes: the size of the description must not
    /// depend on it.
    pub prediction: [u8; 8],
    /// 2 MiB-aligned address in the initialiser's address space: there it maps a large frame, 2 MiB above it a small
    /// frame, one at a time, to fill them. Page tables for both are among the records.
    pub window: u64,
    /// Number of objects.
    pub objects: u32,
    /// Number of interrupt handlers.
    pub irqs: u32,
    /// Bytes of each section.
    pub sections: [u32; SECTIONS],
}

/// A description that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Not a description, or of another version.
    #[error("no system description of this version")]
    Magic,
    /// It ends too early.
    #[error("the system description is cut off")]
    Truncated,
    /// A record makes no sense.
    #[error("the system description is damaged: {0}")]
    Record(&'static str),
}

/// A description, borrowed from the bytes it was read from.
#[derive(Clone, Copy, Debug)]
pub struct Spec<'a> {
    /// What concerns the whole.
    pub header: Header,
    sections: [&'a [u8]; SECTIONS],
}

impl<'a> Spec<'a> {
    /// Reads the header and finds the sections.
    ///
    /// # Errors
    /// When the bytes are no description or not all of one.
    pub fn read(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let rest = bytes.strip_prefix(&MAGIC).ok_or(FormatError::Magic)?;
        let (header, mut rest) =
            postcard::take_from_bytes::<Header>(rest).map_err(|_| FormatError::Truncated)?;
        let mut sections = [&[][..]; SECTIONS];
        for (section, &len) in sections.iter_mut().zip(&header.sections) {
            (*section, rest) = rest.split_at_checked(len as usize).ok_or(FormatError::Truncated)?;
        }
        Ok(Self { header, sections })
    }

    fn records<T>(&self, section: Section) -> Records<'a, T> {
        Records { rest: self.sections.get(section as usize).copied().unwrap_or_default(), kind: PhantomData }
    }
}

macro_rules! sections {
    ($($(#[$doc:meta])* $section:ident $name:ident: $record:ty;)*) => {
        #[derive(Clone, Copy)]
        enum Section { $($section),* }

        impl<'a> Spec<'a> {
            $($(#[$doc])* #[must_use] pub fn $name(&self) -> Records<'a, $record> {
                self.records(Section::$section)
            })*
        }

        /// All records of a system, as the tool collects them.
        #[cfg(feature = "write")]
        #[derive(Clone, Debug, Default)]
        pub struct Content {
            $($(#[$doc])* pub $name: Vec<$record>,)*
        }

        #[cfg(feature = "write")]
        impl Content {
            /// The description's bytes. `header` gives the prediction and the window; the rest of it is computed.
            #[must_use]
            pub fn write(&self, header: Header) -> Vec<u8> {
                let sections = [$(write_section(&self.$name)),*];
                let header = Header {
                    objects: self.groups.iter().map(|group| group.count).sum(),
                    irqs: self.irqs.len() as u32,
                    sections: sections.each_ref().map(|section| section.len() as u32),
                    ..header
                };
                let mut bytes = MAGIC.to_vec();
                bytes.extend(write_section(core::slice::from_ref(&header)));
                bytes.extend(sections.concat());
                bytes
            }
        }
    };
}

sections! {
    /// Objects: first those with an address, ascending, then the others, largest first.
    Groups groups: Group;
    /// Interrupt handlers.
    Irqs irqs: Irq;
    /// Page tables, upper levels first.
    Tables tables: Table;
    /// Contents of frames.
    Fills fills: Fill;
    /// Mappings of frames.
    Mappings mappings: Mapping;
    /// Scheduling contexts.
    Scheds scheds: Sched;
    /// Capabilities in CNodes.
    Slots slots: Slot;
    /// Threads, in the order in which they are resumed.
    Threads threads: Thread;
    /// The domain schedule.
    Domains domains: DomainStep;
}

/// Encodes records one after the other.
#[cfg(feature = "write")]
fn write_section<T: Serialize>(records: &[T]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in records {
        // Records are plain data: encoding into a growing vector has no way to fail.
        bytes.extend(postcard::to_allocvec(record).unwrap_or_default());
    }
    bytes
}

/// Iterator over the records of a section; ends after the first error.
#[derive(Clone, Debug)]
pub struct Records<'a, T> {
    rest: &'a [u8],
    kind: PhantomData<T>,
}

impl<T: DeserializeOwned> Iterator for Records<'_, T> {
    type Item = Result<T, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        match postcard::take_from_bytes(self.rest) {
            Ok((record, rest)) => {
                self.rest = rest;
                Some(Ok(record))
            }
            Err(_) => {
                self.rest = &[];
                Some(Err(FormatError::Record(core::any::type_name::<T>())))
            }
        }
    }
}

#[cfg(all(test, feature = "write"))]
mod tests {
    use super::*;
    use crate::record::{CapTo, Source};

    fn sample() -> Content {
        Content {
            groups: vec![Group {
                object_type: 9,
                user_size: 0,
                size_bits: 12,
                count: 3,
                paddr: Some(0x900_0000),
            }],
            slots: vec![Slot { cnode: 1, radix: 9, index: 10, cap: CapTo::Irq(7), rights: 3, data: 1 << 62 }],
            fills: vec![Fill {
                frame: 0,
                frame_bits: 12,
                offset: 16,
                len: 5000,
                source: Source::Data(64),
                cache: crate::record::CacheCare::Unify,
            }],
            ..Content::default()
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let content = sample();
        let bytes = content.write(Header { prediction: [5; 8], window: 1 << 30, ..Header::default() });
        let spec = Spec::read(&bytes).unwrap();
        assert_eq!((spec.header.prediction, spec.header.window, spec.header.objects), ([5; 8], 1 << 30, 3));
        assert_eq!(spec.groups().collect::<Result<Vec<_>, _>>().unwrap(), content.groups);
        assert_eq!(spec.slots().collect::<Result<Vec<_>, _>>().unwrap(), content.slots);
        assert_eq!(spec.fills().collect::<Result<Vec<_>, _>>().unwrap(), content.fills);
        assert_eq!(spec.threads().count(), 0);
    }

    #[test]
    fn every_cut_is_noticed() {
        let bytes = sample().write(Header::default());
        for len in 0..bytes.len() {
            assert!(Spec::read(&bytes[..len]).is_err(), "{len} of {} bytes were accepted", bytes.len());
        }
    }

    #[test]
    fn a_damaged_record_ends_the_section_with_an_error() {
        let mut content = sample();
        content.slots.push(content.slots[0]);
        let mut bytes = content.write(Header::default());
        // The capability's kind, a number without meaning; found from the end: data 9 bytes, rights, kind's value, kind.
        let kind = bytes.len() - 12;
        bytes[kind] = 0x55;
        let records: Vec<_> = Spec::read(&bytes).unwrap().slots().collect();
        assert_eq!(records.len(), 2);
        assert!(records[0].is_ok() && records[1].is_err());
    }
}
