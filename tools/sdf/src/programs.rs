// SPDX-License-Identifier: BSD-2-Clause
//! The programs of a system have the symbols that the description sets, and get all that belong together.
//!
//! The `microkit` tool checks symbols, too, but only against the plain description; here the messages are placed where
//! the author wrote. A program that declares more of a ring or link than the description gives it is connected to the
//! wrong thing: only the tool of the description can know.

use crate::diagnostic::Diagnostic;
use crate::model::{Pos, ProtectionDomain, System};
use crate::problem::{ConnectFault, Problem};
use object::{Object as _, ObjectSymbol as _};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What belongs together, behind one prefix: when the first is set, so have to be the others that the program has.
const FAMILIES: [&[&str]; 4] = [
    &["link", "link_size", "ch", "tx_data", "tx_data_size", "rx_data", "rx_data_size"],
    &["queue", "ch", "data", "data_size"],
    &["tx_queue", "ch", "tx_data", "tx_data_size"],
    &["rx_queue", "ch", "rx_data", "rx_data_size"],
];

/// Sizes of a program's symbols by name.
type Symbols = BTreeMap<String, u64>;

/// Everything that is wrong, placed in the plain description.
pub(crate) fn check(source: &str, system: &System, search_paths: &[PathBuf]) -> Vec<Diagnostic> {
    let mut errors = Vec::new();
    for pd in &system.protection_domains {
        let image = &pd.program_image;
        let mut symbols = None;
        for path in std::iter::once(&image.path).chain(&image.path_for_symbols) {
            match read(pd, path, search_paths) {
                Ok(found) => symbols = Some(found),
                Err(problem) => errors.push(Diagnostic::error(source, image.pos, problem)),
            }
        }
        let Some(symbols) = symbols else { continue };
        let file = image.path_for_symbols.as_ref().unwrap_or(&image.path).display().to_string();
        errors.extend(
            symbol_faults(pd, &symbols, &file)
                .into_iter()
                .map(|(pos, problem)| Diagnostic::error(source, pos, problem)),
        );
    }
    errors
}

fn read(pd: &ProtectionDomain, path: &Path, search_paths: &[PathBuf]) -> Result<Symbols, Problem> {
    let found = crate::find_file(path, search_paths)
        .ok_or_else(|| Problem::ImageNotFound(path.display().to_string()))?;
    let not_elf = |reason: String| Problem::ImageNotElf {
        pd: pd.name.clone(),
        path: found.display().to_string(),
        reason,
    };
    let bytes = std::fs::read(&found).map_err(|error| not_elf(error.to_string()))?;
    let file = object::File::parse(&*bytes).map_err(|error| not_elf(error.to_string()))?;
    let symbols = file.symbols().filter(|symbol| symbol.is_definition());
    Ok(symbols.filter_map(|symbol| Some((symbol.name().ok()?.to_owned(), symbol.size()))).collect())
}

/// Symbols that the program lacks, that are no words, or that it waits for in vain.
fn symbol_faults(pd: &ProtectionDomain, symbols: &Symbols, path: &str) -> Vec<(Pos, Problem)> {
    let mut faults = Vec::new();
    let is_set = |symbol: &str| pd.setvars.iter().any(|setvar| setvar.symbol == symbol);
    for setvar in &pd.setvars {
        let (pd_name, symbol, path) = (pd.name.clone(), setvar.symbol.clone(), path.to_owned());
        match symbols.get(&setvar.symbol) {
            None => faults.push((setvar.pos, Problem::SymbolMissing { pd: pd_name, symbol, path })),
            Some(8) => {}
            Some(&size) => {
                faults.push((setvar.pos, Problem::SymbolNotWord { pd: pd_name, symbol, path, size }));
            }
        }
        for family in FAMILIES {
            let [first, others @ ..] = family else { continue };
            let Some(prefix) = setvar.symbol.strip_suffix(first) else { continue };
            // Directions have a family of their own.
            let whole = prefix.is_empty() || prefix.ends_with('_');
            if !whole || (*first == "queue" && (prefix.ends_with("tx_") || prefix.ends_with("rx_"))) {
                continue;
            }
            for other in others.iter().map(|other| format!("{prefix}{other}")) {
                if symbols.contains_key(&other) && !is_set(&other) {
                    let fault = ConnectFault::Unset {
                        pd: pd.name.clone(),
                        symbol: other,
                        because: setvar.symbol.clone(),
                    };
                    faults.push((setvar.pos, fault.into()));
                }
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::{Symbols, symbol_faults};
    use crate::Platform;
    use board::Board;

    fn faults(maps: &[&str], program: &[(&str, u64)]) -> Vec<String> {
        let board = include_str!("../../../kernel-config/qemu_virt_aarch64.toml");
        let board = Board::parse("board.toml", board).unwrap();
        let maps: String = maps
            .iter()
            .enumerate()
            .map(|(i, symbol)| format!("<map mr='r' vaddr='{:#x}' setvar_vaddr='{symbol}' />", (i + 1) << 12))
            .collect();
        let text = format!(
            "<system><memory_region name='r' size='0x1000' /><protection_domain name='p'>\
             <program_image path='p' />{maps}</protection_domain></system>"
        );
        let system = crate::parse("a", &text, &Platform::from_board(&board), &[]).unwrap();
        let symbols: Symbols = program.iter().map(|(name, size)| ((*name).to_owned(), *size)).collect();
        let faults = symbol_faults(&system.protection_domains[0], &symbols, "p");
        faults.into_iter().map(|(_, problem)| problem.to_string()).collect()
    }

    #[test]
    fn a_program_must_have_the_symbols_that_are_set_as_words() {
        assert!(faults(&["a"], &[("a", 8)]).is_empty());
        assert_eq!(faults(&["a"], &[("b", 8)]), ["could not find symbol 'a' in ELF 'p' for PD 'p'"]);
        assert_eq!(
            faults(&["a"], &[("a", 4)]),
            ["symbol 'a' in ELF 'p' for PD 'p' has size 4 bytes, expected 8"]
        );
    }

    #[test]
    fn what_belongs_to_a_link_or_ring_is_set_with_it() {
        let program = [
            ("net_link", 8),
            ("net_ch", 8),
            ("net_tx_data", 8),
            ("blk_link", 8),
            ("blk_ch", 8),
            ("blk_data", 8),
        ];
        assert_eq!(
            faults(&["net_link", "net_ch"], &program),
            ["program of 'p' waits for 'net_tx_data', which is not set although 'net_link' is"]
        );
        assert!(faults(&["net_link", "net_ch", "net_tx_data"], &program).is_empty());
        assert!(
            faults(&["blk_link", "blk_ch"], &program).is_empty(),
            "data of a link without direction is optional"
        );
        assert!(faults(&["blk_ch"], &program).is_empty());
        let program =
            [("tx_queue", 8), ("tx_data", 8), ("rx_queue", 8), ("ch", 8), ("queue", 8), ("data", 8)];
        assert_eq!(faults(&["tx_queue"], &program).len(), 2);
        assert_eq!(faults(&["queue"], &program).len(), 2);
    }
}
