// SPDX-License-Identifier: BSD-2-Clause
//! Function names of all programs in one block of bytes, written by the tool and searched by the monitor.
//!
//! All numbers are little endian. First the number of programs (u32), then for each the offset of its table and its
//! number of functions (two u32); a table is a list of functions by ascending address: address (u64), size (u32), offset
//! of the name (u32). A name is its length (one byte) and that many bytes of UTF-8. Offsets count from the first byte.

/// Bytes of one function in a table.
const ENTRY: usize = 16;

/// The function of program `program` that contains `address`: its name and the offset from its start.
///
/// Damaged bytes lead to a wrong name or `None`, nothing else.
#[must_use]
pub fn find(bytes: &[u8], program: usize, address: u64) -> Option<(&str, u64)> {
    if program >= word(bytes, 0)? as usize {
        return None;
    }
    let header = 4 + program.checked_mul(8)?;
    let table = bytes.get(word(bytes, header)? as usize..)?;
    let count = word(bytes, header + 4)? as usize;
    // The last function that does not start above the address.
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low.midpoint(high);
        if double(table, middle.checked_mul(ENTRY)?)? <= address {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    let entry = low.checked_sub(1)? * ENTRY;
    let offset = address.checked_sub(double(table, entry)?)?;
    if offset >= word(table, entry + 8)?.into() {
        return None;
    }
    let name = bytes.get(word(table, entry + 12)? as usize..)?;
    let (&len, name) = name.split_first()?;
    Some((core::str::from_utf8(name.get(..len.into())?).ok()?, offset))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn double(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// One function.
#[cfg(feature = "write")]
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Function {
    /// First address.
    pub address: u64,
    /// Bytes of code.
    pub size: u32,
    /// Name; cut to 255 bytes.
    pub name: alloc::string::String,
}

/// Writes the functions of all programs; they need not be sorted.
#[cfg(feature = "write")]
#[must_use]
pub fn write(programs: &[alloc::vec::Vec<Function>]) -> alloc::vec::Vec<u8> {
    let entries: usize = programs.iter().map(|functions| functions.len()).sum();
    let mut table = 4 + programs.len() * 8;
    let names_start = table + entries * ENTRY;
    let mut names = alloc::vec::Vec::new();
    let mut bytes = (programs.len() as u32).to_le_bytes().to_vec();
    for functions in programs {
        bytes.extend((table as u32).to_le_bytes());
        bytes.extend((functions.len() as u32).to_le_bytes());
        table += functions.len() * ENTRY;
    }
    for functions in programs {
        let mut functions = functions.clone();
        functions.sort_unstable();
        for function in functions {
            bytes.extend(function.address.to_le_bytes());
            bytes.extend(function.size.to_le_bytes());
            bytes.extend(((names_start + names.len()) as u32).to_le_bytes());
            let name = &function.name[..function.name.floor_char_boundary(255)];
            names.push(name.len() as u8);
            names.extend(name.as_bytes());
        }
    }
    bytes.extend(names);
    bytes
}

#[cfg(all(test, feature = "write"))]
mod tests {
    use super::*;

    fn function(address: u64, size: u32, name: &str) -> Function {
        Function { address, size, name: name.into() }
    }

    fn sample() -> std::vec::Vec<u8> {
        write(&[
            vec![function(0x20_1000, 0x10, "second"), function(0x20_0000, 0x20, "first")],
            vec![],
            vec![function(0x20_0000, 4, &"ä".repeat(200))],
        ])
    }

    #[test]
    fn addresses_inside_a_function_are_found() {
        let bytes = sample();
        assert_eq!(find(&bytes, 0, 0x20_0000), Some(("first", 0)));
        assert_eq!(find(&bytes, 0, 0x20_001f), Some(("first", 0x1f)));
        assert_eq!(find(&bytes, 0, 0x20_1004), Some(("second", 4)));
        assert_eq!(find(&bytes, 2, 0x20_0000).unwrap().0.chars().count(), 127);
    }

    #[test]
    fn addresses_outside_every_function_are_not_found() {
        let bytes = sample();
        for address in [0, 0x1f_ffff, 0x20_0020, 0x20_1010, u64::MAX] {
            assert_eq!(find(&bytes, 0, address), None, "{address:#x}");
        }
        assert_eq!(find(&bytes, 1, 0x20_0000), None);
        assert_eq!(find(&bytes, 3, 0x20_0000), None);
    }

    #[test]
    fn damaged_bytes_do_no_harm() {
        let bytes = sample();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0xff;
            let _ = find(&damaged, 0, 0x20_1004);
            let _ = find(&bytes[..at], 0, 0x20_1004);
        }
    }
}
