// SPDX-License-Identifier: BSD-2-Clause
//! Everything that can be wrong with a system, as one typed enumeration.
//!
//! Each message begins with the words of the reference tool for the same fault where it has one.

/// What is wrong. [`Problem::help`] says what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    // --- build stage: found by the tool when it opens the images
    /// An image file is nowhere on the search paths.
    #[error("unable to find program image: '{0}'")]
    ImageNotFound(String),
    /// An image is no usable ELF file.
    #[error("failed to parse ELF '{path}' for PD '{pd}': {reason}")]
    ImageNotElf {
        /// Protection domain.
        pd: String,
        /// File.
        path: String,
        /// Why.
        reason: String,
    },
    /// A symbol to patch does not exist.
    #[error("could not find symbol '{symbol}' in ELF '{path}' for PD '{pd}'")]
    SymbolMissing {
        /// Protection domain.
        pd: String,
        /// Symbol.
        symbol: String,
        /// File.
        path: String,
    },
    /// A symbol to patch is not one 64-bit word.
    #[error("symbol '{symbol}' in ELF '{path}' for PD '{pd}' has size {size} bytes, expected 8")]
    SymbolNotWord {
        /// Protection domain.
        pd: String,
        /// Symbol.
        symbol: String,
        /// File.
        path: String,
        /// Its size.
        size: u64,
    },
    /// A mapping covers part of the program.
    #[error(
        "map for '{region}' has virtual address range [{start:#x}..{end:#x}) which overlaps with an ELF segment at [{seg_start:#x}..{seg_end:#x}) in protection domain '{pd}'"
    )]
    MapOverlapsSegment {
        /// Protection domain.
        pd: String,
        /// Region.
        region: String,
        /// Start of the map.
        start: u64,
        /// Exclusive end of the map.
        end: u64,
        /// Start of the segment.
        seg_start: u64,
        /// Exclusive end of the segment.
        seg_end: u64,
    },
    /// Anything that has no class of its own.
    #[error("{0}")]
    Other(String),
}

impl Problem {
    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Problem::ImageNotFound(_) => Some("build it first, or name its folder with --search-path".into()),
            Problem::SymbolNotWord { .. } => {
                Some("declare the variable as a 64-bit word (u64, usize, pointer)".into())
            }
            _ => None,
        }
    }
}
