// SPDX-License-Identifier: BSD-2-Clause
//! Programs found, checked against the system description, and their symbols written.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, bail};
use sdf::{Diagnostic, Pos, Problem, ProtectionDomain, RegionIndex, System};

use crate::describe::monitor::symbols_vaddr;
use crate::elf::{Elf, Symbol};
use crate::layout::{MONITOR_NAMES, NAME_BYTES};

/// The programs of all protection domains.
#[derive(Debug)]
pub struct Programs {
    /// The program of each, unpatched.
    pub images: Vec<Elf>,
    /// The file to look symbols up in, where it is another.
    symbols: Vec<Option<Elf>>,
}

/// Everything that is wrong with the programs of a system.
#[derive(Debug)]
pub struct Checker<'a> {
    source: &'a str,
    errors: Vec<Diagnostic>,
}

impl Checker<'_> {
    fn error(&mut self, pos: Pos, problem: Problem) {
        self.errors.push(Diagnostic::error(self.source, pos, problem));
    }
}

impl Programs {
    /// Reads all programs, and checks that every symbol to patch is there and that no mapping covers a segment.
    ///
    /// # Errors
    /// All that is wrong, with places in the system description called `source`.
    pub fn read(
        system: &System,
        source: &str,
        platform: &sdf::Platform,
        search: &[PathBuf],
    ) -> Result<Self, Vec<Diagnostic>> {
        let mut checker = Checker { source, errors: Vec::new() };
        let mut programs = Self { images: Vec::new(), symbols: Vec::new() };
        for pd in &system.protection_domains {
            let image = pd_elf(&mut checker, pd, &pd.program_image.path, search);
            let extra = pd.program_image.path_for_symbols.as_ref();
            let symbols = extra.map(|path| pd_elf(&mut checker, pd, path, search));
            let (Some(image), Some(symbols)) = (image, symbols.map_or(Some(None), |s| s.map(Some))) else {
                continue;
            };
            check_segments(&mut checker, system, platform, pd, &image);
            programs.images.push(image);
            programs.symbols.push(symbols);
            check_symbols(&mut checker, pd, &programs);
        }
        if checker.errors.is_empty() { Ok(programs) } else { Err(checker.errors) }
    }

    fn symbol(&self, pd: usize, name: &str) -> Option<Symbol> {
        let symbols = self.symbols.get(pd)?.as_ref();
        symbols.or(self.images.get(pd)).and_then(|elf| elf.symbol(name))
    }

    /// The programs with all symbols written; `chosen` has the addresses that the tool chose for regions.
    #[must_use]
    pub fn patched(&self, system: &System, chosen: &BTreeMap<RegionIndex, u64>) -> Vec<Elf> {
        let mut images = self.images.clone();
        for (index, (pd, image)) in system.protection_domains.iter().zip(&mut images).enumerate() {
            let mut write = |name: &str, bytes: &[u8]| {
                if let Some(symbol) = self.symbol(index, name) {
                    image.write(symbol.address, bytes);
                }
            };
            write("microkit_name", &name_bytes(&pd.name));
            write("microkit_passive", &[u8::from(pd.passive)]);
            let bits = |ids: &mut dyn Iterator<Item = u8>| ids.fold(0u64, |bits, id| bits | 1 << (id & 63));
            let irqs = bits(&mut pd.irqs.iter().map(|irq| irq.id));
            let ends = || system.ends_of(index).map(|(own, _)| own);
            let notifications = bits(&mut ends().filter(|end| end.notify).map(|end| end.id));
            let calls = bits(&mut ends().filter(|end| end.pp).map(|end| end.id));
            write("microkit_irqs", &irqs.to_le_bytes());
            write("microkit_notifications", &notifications.to_le_bytes());
            write("microkit_pps", &calls.to_le_bytes());
            write("microkit_ioports", &0u64.to_le_bytes());
            for setvar in &pd.setvars {
                let value = system.setvar_value(setvar).or_else(|| match setvar.value {
                    sdf::SetvarValue::PhysAddr(region) => chosen.get(&region).copied(),
                    sdf::SetvarValue::Number(_) => None,
                });
                write(&setvar.symbol, &value.unwrap_or(0).to_le_bytes());
            }
        }
        images
    }
}

fn pd_elf(
    checker: &mut Checker<'_>,
    pd: &ProtectionDomain,
    path: &std::path::Path,
    search: &[PathBuf],
) -> Option<Elf> {
    let pos = pd.program_image.pos;
    let Some(found) = sdf::find_file(path, search) else {
        checker.error(pos, Problem::ImageNotFound(path.display().to_string()));
        return None;
    };
    match Elf::read(&found) {
        Ok(elf) => Some(elf),
        Err(reason) => {
            let path = found.display().to_string();
            checker.error(pos, Problem::ImageNotElf { pd: pd.name.clone(), path, reason });
            None
        }
    }
}

/// Nothing may be mapped over a segment, nor a segment reach into the stack.
fn check_segments(
    checker: &mut Checker<'_>,
    system: &System,
    platform: &sdf::Platform,
    pd: &ProtectionDomain,
    image: &Elf,
) {
    let limit = platform.pd_map_limit(pd.stack_size);
    for segment in &image.segments {
        let range = segment.range();
        let segment = range.start & !0xfff..range.end.next_multiple_of(0x1000);
        if segment.end > limit {
            let problem = Problem::Other(format!(
                "ELF '{}' for PD '{}' has a segment at [{:#x}..{:#x}), which is not below the stack's end at {limit:#x}",
                image.path.display(),
                pd.name,
                segment.start,
                segment.end
            ));
            checker.error(pd.program_image.pos, problem);
        }
        for map in &pd.maps {
            let Some(region) = system.memory_regions.get(map.region) else { continue };
            let end = map.vaddr.saturating_add(region.size);
            if map.vaddr < segment.end && segment.start < end {
                let problem = Problem::MapOverlapsSegment {
                    pd: pd.name.clone(),
                    region: region.name.clone(),
                    start: map.vaddr,
                    end,
                    seg_start: segment.start,
                    seg_end: segment.end,
                };
                checker.error(map.pos, problem);
            }
        }
    }
}

/// Sizes of the symbols that the tool writes in every program.
const FIXED: [(&str, u64); 6] = [
    ("microkit_name", NAME_BYTES as u64),
    ("microkit_passive", 1),
    ("microkit_irqs", 8),
    ("microkit_notifications", 8),
    ("microkit_pps", 8),
    ("microkit_ioports", 8),
];

fn check_symbols(checker: &mut Checker<'_>, pd: &ProtectionDomain, programs: &Programs) {
    let index = programs.images.len() - 1;
    let image = &programs.images[index];
    let path = image.path.display().to_string();
    let inside = |symbol: Symbol| {
        image.segments.iter().any(|segment| {
            let range = segment.range();
            symbol.address >= range.start && symbol.address.saturating_add(symbol.size) <= range.end
        })
    };
    let missing = |symbol: &str| Problem::SymbolMissing {
        pd: pd.name.clone(),
        symbol: symbol.into(),
        path: path.clone(),
    };
    for (name, size) in FIXED {
        match programs.symbol(index, name) {
            Some(symbol) if symbol.size >= size && inside(symbol) => {}
            _ => checker.error(pd.program_image.pos, missing(name)),
        }
    }
    for setvar in &pd.setvars {
        let name = &setvar.symbol;
        match programs.symbol(index, name) {
            Some(symbol) if symbol.size != 8 => checker.error(
                setvar.pos,
                Problem::SymbolNotWord {
                    pd: pd.name.clone(),
                    symbol: name.clone(),
                    path: path.clone(),
                    size: symbol.size,
                },
            ),
            Some(symbol) if inside(symbol) => {}
            _ => checker.error(setvar.pos, missing(name)),
        }
    }
}

/// A name as images hold it: cut to fit, zero-terminated.
fn name_bytes(name: &str) -> [u8; NAME_BYTES] {
    let mut bytes = [0; NAME_BYTES];
    for (to, from) in bytes.iter_mut().take(NAME_BYTES - 1).zip(name.bytes()) {
        *to = from;
    }
    bytes
}

/// Writes the monitor's symbols: names, stacks, and where the function names are (when the monitor wants them).
///
/// # Errors
/// When the monitor lacks a symbol that every SDK's has.
pub fn monitor(monitor: &mut Elf, system: &System, platform: &sdf::Platform, symbols: &[u8]) -> Result<()> {
    let pds = &system.protection_domains;
    let pd_names: Vec<&str> = pds.iter().map(|pd| pd.name.as_str()).collect();
    // One entry for each vCPU: the monitor's TCB capabilities are counted in the same way.
    let vm_names: Vec<&str> = pds
        .iter()
        .filter_map(|pd| pd.virtual_machine.as_ref())
        .flat_map(|vm| vm.vcpus.iter().map(|_| vm.name.as_str()))
        .collect();
    let stacks: Vec<u8> =
        pds.iter().flat_map(|pd| (platform.stack_top() - pd.stack_size).to_le_bytes()).collect();
    let names = |names: &[&str]| -> Vec<u8> {
        names.iter().take(MONITOR_NAMES).flat_map(|name| name_bytes(name)).collect()
    };
    for (symbol, bytes) in [
        ("pd_names_len", (pd_names.len() as u64).to_le_bytes().to_vec()),
        ("pd_names", names(&pd_names)),
        ("vm_names_len", (vm_names.len() as u64).to_le_bytes().to_vec()),
        ("vm_names", names(&vm_names)),
        ("pd_stack_bottom_addrs", stacks),
    ] {
        if !monitor.write_symbol(symbol, &bytes) {
            bail!("the SDK's monitor '{}' has no symbol '{symbol}'", monitor.path.display());
        }
    }
    if !symbols.is_empty() {
        let vaddr = symbols_vaddr(monitor);
        monitor.write_symbol("function_names", &vaddr.to_le_bytes());
        monitor.write_symbol("function_names_size", &(symbols.len() as u64).to_le_bytes());
    }
    Ok(())
}
