// SPDX-License-Identifier: BSD-2-Clause
//! Programs: what is loaded where, which symbols there are, and writing to them.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use object::elf::{PF_R, PF_W, PF_X, PT_LOAD};
use object::read::elf::{ElfFile64, FileHeader as _, ProgramHeader as _};
use object::{Endianness, Object as _, ObjectSymbol as _, SymbolKind};
use system_spec::symbols::Function;

/// One loadable segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Virtual address.
    pub vaddr: u64,
    /// Physical address.
    pub paddr: u64,
    /// Everything in memory: the file's bytes, then zeros.
    pub data: Vec<u8>,
    /// May be read.
    pub read: bool,
    /// May be written.
    pub write: bool,
    /// May be executed.
    pub execute: bool,
}

impl Segment {
    /// Virtual addresses.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        self.vaddr..self.vaddr + self.data.len() as u64
    }
}

/// Where a symbol is and how many bytes it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Virtual address.
    pub address: u64,
    /// Bytes.
    pub size: u64,
}

/// A program.
#[derive(Clone, Debug)]
pub struct Elf {
    /// Its file.
    pub path: PathBuf,
    /// Where it starts.
    pub entry: u64,
    /// Loadable segments by ascending address, none empty.
    pub segments: Vec<Segment>,
    symbols: HashMap<String, Symbol>,
    functions: Vec<Function>,
}

/// Most bytes that a program may take in memory: anything beyond is a damaged file.
const MAX_SIZE: u64 = 1 << 32;

impl Elf {
    /// Reads a program.
    ///
    /// # Errors
    /// Why it cannot be read, or is not an AArch64 program with at least one segment.
    pub fn read(path: &Path) -> Result<Self, String> {
        let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
        Self::parse(path, &bytes)
    }

    /// Reads a program from the bytes of its file.
    ///
    /// # Errors
    /// As [`Elf::read`].
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, String> {
        let file = ElfFile64::<Endianness>::parse(bytes).map_err(|error| error.to_string())?;
        let endian = file.endian();
        let header = file.elf_header();
        if endian != Endianness::Little || header.e_machine(endian) != object::elf::EM_AARCH64 {
            return Err("not a program for AArch64".to_owned());
        }
        let mut segments = Vec::new();
        for program_header in file.elf_program_headers() {
            let size = program_header.p_memsz(endian);
            if program_header.p_type(endian) != PT_LOAD || size == 0 {
                continue;
            }
            let content = program_header
                .data(endian, bytes)
                .map_err(|()| "a segment lies outside the file".to_owned())?;
            if size > MAX_SIZE || content.len() as u64 > size || program_header.p_vaddr(endian) > 1 << 56 {
                return Err("a segment has an impossible size or address".to_owned());
            }
            let mut data = content.to_vec();
            data.resize(size as usize, 0);
            let flags = program_header.p_flags(endian);
            segments.push(Segment {
                vaddr: program_header.p_vaddr(endian),
                paddr: program_header.p_paddr(endian),
                data,
                read: flags & PF_R != 0,
                write: flags & PF_W != 0,
                execute: flags & PF_X != 0,
            });
        }
        segments.sort_by_key(|segment| segment.vaddr);
        if segments.is_empty() {
            return Err("no segment to load".to_owned());
        }
        if segments.windows(2).any(|pair| pair[0].range().end > pair[1].vaddr) {
            return Err("segments overlap".to_owned());
        }
        let mut symbols = HashMap::new();
        let mut functions = Vec::new();
        for symbol in file.symbols().filter(|symbol| !symbol.is_undefined()) {
            let Ok(name) = symbol.name() else { continue };
            if symbol.kind() == SymbolKind::Text && symbol.size() > 0 {
                functions.push(Function {
                    address: symbol.address(),
                    size: symbol.size().min(u32::MAX.into()) as u32,
                    name: format!("{:#}", rustc_demangle::demangle(name)),
                });
            }
            if symbol.is_global() || !symbols.contains_key(name) {
                symbols.insert(name.to_owned(), Symbol { address: symbol.address(), size: symbol.size() });
            }
        }
        Ok(Self { path: path.to_path_buf(), entry: header.e_entry(endian), segments, symbols, functions })
    }

    /// The symbol called `name`.
    #[must_use]
    pub fn symbol(&self, name: &str) -> Option<Symbol> {
        self.symbols.get(name).copied()
    }

    /// All functions with a name and a size, names demangled.
    #[must_use]
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// Writes `bytes` at `address`; tells whether a segment holds all of them.
    pub fn write(&mut self, address: u64, bytes: &[u8]) -> bool {
        for segment in &mut self.segments {
            let Some(offset) = address.checked_sub(segment.vaddr) else { continue };
            let range = offset as usize..(offset as usize).saturating_add(bytes.len());
            if let Some(target) = segment.data.get_mut(range) {
                target.copy_from_slice(bytes);
                return true;
            }
        }
        false
    }

    /// Writes `bytes` at the symbol called `name`; tells whether there is such a symbol with room for them.
    pub fn write_symbol(&mut self, name: &str, bytes: &[u8]) -> bool {
        self.symbol(name).is_some_and(|symbol| self.write(symbol.address, bytes))
    }

    /// Lowest and highest virtual address.
    #[must_use]
    pub fn bounds(&self) -> Range<u64> {
        let start = self.segments.first().map_or(0, |segment| segment.vaddr);
        start..self.segments.last().map_or(0, |segment| segment.range().end)
    }

    /// Everything from the lowest to the highest address, gaps zero. `address` chooses virtual or physical.
    #[must_use]
    pub fn flat(&self, address: impl Fn(&Segment) -> u64) -> (u64, Vec<u8>) {
        let start = self.segments.iter().map(&address).min().unwrap_or(0);
        let mut bytes = Vec::new();
        for segment in &self.segments {
            let offset = (address(segment) - start) as usize;
            let end = offset + segment.data.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[offset..end].copy_from_slice(&segment.data);
        }
        (start, bytes)
    }
}
