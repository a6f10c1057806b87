// SPDX-License-Identifier: BSD-2-Clause
//! A writer of flattened device trees (Devicetree Specification 0.4, chapter 5), into memory that is given.
//!
//! The strings block needs to come after the structure block, whose size is not known before; property names are
//! therefore kept in a small table of `&'static str` until [`Writer::finish`].

use thiserror::Error;

/// The tree does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the device tree does not fit into its memory")]
pub struct Full;

const MAGIC: u32 = 0xd00d_feed;
const VERSION: u32 = 17;
const LAST_COMPATIBLE_VERSION: u32 = 16;
const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROPERTY: u32 = 3;
const END: u32 = 9;
/// Header (40 bytes), then an empty memory reservation block (one entry of zeroes).
const RESERVATIONS: usize = 40;
const STRUCTURE: usize = RESERVATIONS + 16;
/// Different property names in one tree.
const NAMES: usize = 48;

/// Writes nodes and properties in order; properties of a node come before its children.
pub struct Writer<'a> {
    memory: &'a mut [u8],
    at: usize,
    names: [&'static str; NAMES],
    name_count: usize,
    full: bool,
}

impl<'a> Writer<'a> {
    /// Begins a tree in `memory`.
    pub fn new(memory: &'a mut [u8]) -> Self {
        let mut writer = Self { memory, at: 0, names: [""; NAMES], name_count: 0, full: false };
        for _ in 0..STRUCTURE / 4 {
            writer.cell(0);
        }
        writer
    }

    /// Writes a node: its name (with the unit address), then whatever `content` writes.
    pub fn node(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
        self.begin(name, None, content);
    }

    /// Writes a node called `name@address`.
    pub fn node_at(&mut self, name: &str, address: u64, content: impl FnOnce(&mut Self)) {
        self.begin(name, Some(address), content);
    }

    /// A property without value.
    pub fn empty(&mut self, name: &'static str) {
        self.property(name, 0);
    }

    /// A property of 32-bit cells.
    pub fn cells(&mut self, name: &'static str, cells: &[u32]) {
        self.property(name, cells.len().saturating_mul(4));
        for &cell in cells {
            self.cell(cell);
        }
    }

    /// A property of 64-bit values, two cells each.
    pub fn wide(&mut self, name: &'static str, values: &[u64]) {
        self.property(name, values.len().saturating_mul(8));
        for &value in values {
            self.cell((value >> 32) as u32);
            self.cell(value as u32);
        }
    }

    /// A property of strings.
    pub fn strings(&mut self, name: &'static str, strings: &[&str]) {
        self.property(name, strings.iter().map(|string| string.len() + 1).sum());
        for string in strings {
            self.bytes(string.as_bytes());
            self.bytes(&[0]);
        }
        self.align();
    }

    /// Ends the tree and returns its size in bytes.
    ///
    /// # Errors
    /// [`Full`] when something did not fit; the memory then holds no valid tree.
    pub fn finish(mut self) -> Result<usize, Full> {
        self.cell(END);
        let strings = self.at;
        let names = self.names;
        for name in names.iter().take(self.name_count) {
            self.bytes(name.as_bytes());
            self.bytes(&[0]);
        }
        let total = self.at;
        if self.full {
            return Err(Full);
        }
        self.at = 0;
        for field in [
            MAGIC,
            total as u32,
            STRUCTURE as u32,
            strings as u32,
            RESERVATIONS as u32,
            VERSION,
            LAST_COMPATIBLE_VERSION,
            0,
            (total - strings) as u32,
            (strings - STRUCTURE) as u32,
        ] {
            self.cell(field);
        }
        Ok(total)
    }

    fn begin(&mut self, name: &str, address: Option<u64>, content: impl FnOnce(&mut Self)) {
        self.cell(BEGIN_NODE);
        self.bytes(name.as_bytes());
        if let Some(address) = address {
            self.bytes(b"@");
            let digits = (64 - address.leading_zeros()).div_ceil(4).max(1);
            for digit in (0..digits).rev() {
                let value = (address >> (4 * digit)) as u8 & 0xf;
                self.bytes(&[if value < 10 { b'0' + value } else { b'a' + value - 10 }]);
            }
        }
        self.bytes(&[0]);
        self.align();
        content(self);
        self.cell(END_NODE);
    }

    fn property(&mut self, name: &'static str, length: usize) {
        self.cell(PROPERTY);
        self.cell(length as u32);
        let offset = self.name_offset(name);
        self.cell(offset);
    }

    /// Offset of `name` in the strings block.
    fn name_offset(&mut self, name: &'static str) -> u32 {
        let mut offset = 0;
        for known in self.names.iter().take(self.name_count) {
            if *known == name {
                return offset;
            }
            offset += known.len() as u32 + 1;
        }
        match self.names.get_mut(self.name_count) {
            Some(slot) => {
                *slot = name;
                self.name_count += 1;
            }
            None => self.full = true,
        }
        offset
    }

    fn cell(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    fn align(&mut self) {
        while !self.at.is_multiple_of(4) && !self.full {
            self.bytes(&[0]);
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let end = self.at.saturating_add(bytes.len());
        match self.memory.get_mut(self.at..end) {
            Some(place) => {
                place.copy_from_slice(bytes);
                self.at = end;
            }
            None => self.full = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dtoolkit::fdt::Fdt;
    use dtoolkit::{Node, Property};

    fn sample(memory: &mut [u8]) -> Result<usize, Full> {
        let mut writer = Writer::new(memory);
        writer.node("", |root| {
            root.cells("#address-cells", &[2]);
            root.strings("compatible", &["one", "two"]);
            root.node_at("device", 0xa0b_0000, |device| {
                device.wide("reg", &[0xa0b_0000, 0x1000]);
                device.empty("flag");
                device.strings("compatible", &["three"]);
            });
            root.node_at("zero", 0, |_| {});
        });
        writer.finish()
    }

    #[test]
    fn tree_reads_back_as_written() {
        let mut memory = [0xff; 1024];
        let size = sample(&mut memory).expect("fits");
        let fdt = Fdt::new(&memory[..size]).expect("valid");
        let root = fdt.root();
        assert_eq!(root.property("#address-cells").expect("there").value_as::<u32>(), Ok(2));
        let device = root.child("device@a0b0000").expect("there");
        assert_eq!(device.property("reg").expect("there").value().len(), 16);
        assert_eq!(device.property("flag").expect("there").value().len(), 0);
        assert_eq!(device.property("compatible").expect("there").value_as::<&str>(), Ok("three"));
        assert!(root.child("zero@0").is_some());
    }

    #[test]
    fn too_little_memory_is_told_not_overrun() {
        let mut memory = [0; 1024];
        let size = sample(&mut memory).expect("fits");
        for short in 0..size {
            assert_eq!(sample(&mut memory[..short]), Err(Full), "{short}");
        }
        assert_eq!(sample(&mut memory[..size]), Ok(size));
    }
}
