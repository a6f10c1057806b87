// SPDX-License-Identifier: BSD-2-Clause
//! Where a load's instructions go: by program and function.
//!
//! The plugin counts blocks of code by virtual address and content (`tools/icount/src/profile.rs`). Programs share
//! addresses, so a block belongs to the one whose file has those words there; what no file has is the guests' (they bring
//! kernels and programs of their own). Functions are those of the symbol table: what was inlined counts for its caller.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use object::{Object, ObjectSegment, ObjectSymbol, SymbolKind};

use crate::paths;

/// Functions that are printed, at most.
const MOST_LINES: usize = 40;
/// What the lines of code without a file are called.
const GUESTS: &str = "guests";

/// A program's code and names.
struct Program {
    name: String,
    segments: Vec<(u64, Vec<u8>)>,
    /// Address and name, in order.
    functions: Vec<(u64, String)>,
}

impl Program {
    fn read(file: &Path) -> Result<Self> {
        let bytes = fs::read(file).with_context(|| file.display().to_string())?;
        let elf = object::File::parse(&*bytes).with_context(|| file.display().to_string())?;
        let segments = elf
            .segments()
            .map(|segment| Ok((segment.address(), segment.data()?.to_vec())))
            .collect::<Result<_>>()?;
        let mut functions: Vec<_> = elf
            .symbols()
            .filter(|symbol| symbol.kind() == SymbolKind::Text)
            .filter_map(|symbol| {
                Some((symbol.address(), format!("{:#}", rustc_demangle::demangle(symbol.name().ok()?))))
            })
            .collect();
        functions.sort();
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, segments, functions })
    }

    /// Whether it has these bytes at this address.
    fn has(&self, address: u64, words: &[u8]) -> bool {
        self.segments.iter().any(|(start, bytes)| {
            let offset = address.checked_sub(*start).and_then(|offset| usize::try_from(offset).ok());
            offset.and_then(|offset| bytes.get(offset..)).is_some_and(|bytes| bytes.starts_with(words))
        })
    }

    fn function(&self, address: u64) -> &str {
        let after = self.functions.partition_point(|(start, _)| *start <= address);
        after.checked_sub(1).and_then(|index| self.functions.get(index)).map_or("?", |(_, name)| name)
    }
}

/// Reads what the plugin has counted between the last two marks: instructions of each block, by a line's other words.
///
/// # Errors
/// The file cannot be read.
pub fn read(file: &Path) -> Result<BTreeMap<String, i64>> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let blocks = text.lines().filter_map(|line| {
        let (address, rest) = line.split_once(' ')?;
        let (count, words) = rest.split_once(' ')?;
        Some((format!("{address} {words}"), i64::from_str_radix(count, 16).ok()?))
    });
    Ok(blocks.collect())
}

/// Prints where instructions went: those of `many` units of work without those of `few`, for each of the `units` that are
/// between them.
///
/// # Errors
/// A program cannot be read.
pub fn print(
    few: &BTreeMap<String, i64>,
    many: &BTreeMap<String, i64>,
    board: &str,
    name: &str,
    (units, unit): (f64, &str),
) -> Result<()> {
    let mut programs = Vec::new();
    let pds = paths::build().join(board).join("release/pd");
    for entry in fs::read_dir(&pds).with_context(|| pds.display().to_string())? {
        let path = entry?.path();
        // Programs in C have a folder there.
        if path.is_file() {
            programs.push(Program::read(&path)?);
        }
    }
    let sdk = crate::sdk::ours().join("board").join(board).join("release/elf");
    programs.push(Program::read(&sdk.join("sel4.elf"))?);
    let mut totals: BTreeMap<&str, i64> = BTreeMap::new();
    let mut functions: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for block in few.keys().chain(many.keys().filter(|block| !few.contains_key(*block))) {
        let counted = |of: &BTreeMap<String, i64>| of.get(block).copied().unwrap_or(0);
        let count = counted(many) - counted(few);
        let mut numbers = block.split(' ').map(|number| u64::from_str_radix(number, 16));
        let Some(address) = numbers.next().transpose()? else { continue };
        let words: Vec<u32> = numbers.map(|word| Ok(word? as u32)).collect::<Result<_>>()?;
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let owner = programs.iter().find(|program| program.has(address, &bytes));
        let (program, function) =
            owner.map_or((GUESTS, ""), |program| (program.name.as_str(), program.function(address)));
        *totals.entry(program).or_default() += count;
        if owner.is_some() {
            *functions.entry((program, function)).or_default() += count;
        }
    }
    println!("{name}: instructions/{unit} by program, and by function");
    let mut totals: Vec<_> = totals.into_iter().collect();
    totals.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    for (program, count) in totals {
        println!("{:>14.3}  {program}", count as f64 / units);
    }
    let mut functions: Vec<_> = functions.into_iter().collect();
    functions.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    for ((program, function), count) in functions.into_iter().take(MOST_LINES) {
        println!("{:>14.3}  {program}: {function}", count as f64 / units);
    }
    Ok(())
}
