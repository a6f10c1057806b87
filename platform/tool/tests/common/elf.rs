// SPDX-License-Identifier: BSD-2-Clause
//! Writes small AArch64 ELF files.

struct Segment {
    vaddr: u64,
    paddr: u64,
    flags: u32,
    data: Vec<u8>,
}

struct Symbol {
    name: String,
    address: u64,
    size: u64,
    kind: u8,
}

/// A program in the making.
pub struct ElfBuilder {
    entry: u64,
    machine: u16,
    segments: Vec<Segment>,
    symbols: Vec<Symbol>,
}

const EHDR: usize = 64;
const PHDR: usize = 56;
const SHDR: usize = 64;
const SYM: usize = 24;
const OBJECT: u8 = 1;
const FUNCTION: u8 = 2;

impl ElfBuilder {
    pub fn new(entry: u64) -> Self {
        Self { entry, machine: 183, segments: Vec::new(), symbols: Vec::new() }
    }

    pub fn machine(mut self, machine: u16) -> Self {
        self.machine = machine;
        self
    }

    pub fn segment(mut self, vaddr: u64, paddr: u64, flags: u32, data: &[u8]) -> Self {
        self.segments.push(Segment { vaddr, paddr, flags, data: data.to_vec() });
        self
    }

    pub fn symbol(mut self, name: &str, address: u64, size: u64) -> Self {
        self.symbols.push(Symbol { name: name.into(), address, size, kind: OBJECT });
        self
    }

    pub fn function(mut self, name: &str, address: u64, size: u64) -> Self {
        self.symbols.push(Symbol { name: name.into(), address, size, kind: FUNCTION });
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.symbols.retain(|symbol| symbol.name != name);
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let (mut names, mut symbols) = (vec![0u8], vec![0u8; SYM]);
        for Symbol { name, address, size, kind } in &self.symbols {
            symbols.extend((names.len() as u32).to_le_bytes());
            symbols.extend([0x10 | kind, 0, 1, 0]); // global, default visibility, section 1
            symbols.extend(address.to_le_bytes());
            symbols.extend(size.to_le_bytes());
            names.extend(name.as_bytes());
            names.push(0);
        }
        let data_start = EHDR + self.segments.len() * PHDR;
        let mut offset = data_start;
        let mut headers = Vec::new();
        for Segment { vaddr, paddr, flags, data } in &self.segments {
            let size = data.len() as u64;
            headers.extend([1u32, *flags].into_iter().flat_map(u32::to_le_bytes));
            headers.extend(
                [offset as u64, *vaddr, *paddr, size, size, 0x1000].into_iter().flat_map(u64::to_le_bytes),
            );
            offset += data.len();
        }
        let (symbols_at, names_at) = (offset, offset + symbols.len());
        let sections_at = names_at + names.len();
        let mut elf = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        elf.extend([2u16, self.machine].into_iter().flat_map(u16::to_le_bytes));
        elf.extend(1u32.to_le_bytes());
        elf.extend([self.entry, EHDR as u64, sections_at as u64].into_iter().flat_map(u64::to_le_bytes));
        elf.extend(0u32.to_le_bytes());
        let counts = [EHDR, PHDR, self.segments.len(), SHDR, 4, 3].map(|count| count as u16);
        elf.extend(counts.into_iter().flat_map(u16::to_le_bytes));
        elf.extend(headers);
        self.segments.iter().for_each(|segment| elf.extend(&segment.data));
        elf.extend(&symbols);
        elf.extend(&names);
        // Null, one for the program, symbols, names.
        let section = |kind: u32, at: usize, size: usize, link: u32, info: u32, entry: u64| {
            let mut header = Vec::new();
            header.extend([0u32, kind].into_iter().flat_map(u32::to_le_bytes));
            header.extend([0, 0, at as u64, size as u64].into_iter().flat_map(u64::to_le_bytes));
            header.extend([link, info].into_iter().flat_map(u32::to_le_bytes));
            header.extend([1, entry].into_iter().flat_map(u64::to_le_bytes));
            header
        };
        elf.extend(section(0, 0, 0, 0, 0, 0));
        elf.extend(section(1, data_start, 0, 0, 0, 0));
        elf.extend(section(2, symbols_at, symbols.len(), 3, 1, SYM as u64));
        elf.extend(section(3, names_at, names.len(), 0, 0, 0));
        elf
    }
}
