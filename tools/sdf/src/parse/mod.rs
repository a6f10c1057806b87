// SPDX-License-Identifier: BSD-2-Clause
//! From the text of a plain SDF file to a [`System`], element by element.
//!
//! Names are collected first, so that everything can be resolved to indices while parsing. Whatever is wrong is noted
//! and replaced by a default, so that one run reports everything; the checks over the whole (`crate::check`) run only on
//! a system whose elements are all sound.

mod channel;
mod domains;
mod irq;
mod map;
mod pd;
mod region;
mod vm;

use crate::check;
use crate::diagnostic::Diagnostic;
use crate::element::{Element, Found};
use crate::limits::{MAX_PDS, PATCHED_SYMBOLS};
use crate::lines::Lines;
use crate::model::{PdIndex, Pos, RegionIndex, Setvar, SetvarValue, System};
use crate::platform::Platform;
use crate::problem::{Fault, Problem};
use crate::resolve::GeneratedFile;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Where the files are that regions are prefilled from.
#[derive(Clone, Copy)]
pub(crate) struct Files<'a> {
    pub(crate) search_paths: &'a [PathBuf],
    /// These need not exist yet.
    pub(crate) generated: &'a [GeneratedFile],
    /// Nor do any others: then they count as one byte long.
    pub(crate) optional: bool,
}

/// See [`crate::parse()`].
pub(crate) fn parse(
    source: &str,
    text: &str,
    platform: &Platform,
    files: Files<'_>,
) -> Result<System, Vec<Diagnostic>> {
    let lines = Lines::new(text);
    let document = document(source, text)?;
    let root = Element::new(document.root_element(), &lines);
    let mut parser = Parser {
        source,
        platform,
        files,
        names: Names::default(),
        errors: Vec::new(),
        system: System::default(),
    };
    parser.system(root);
    if parser.errors.is_empty() {
        let (errors, warnings) = check::check(&parser.system, platform, root.pos());
        for (pos, problem) in errors {
            parser.error(pos, problem);
        }
        let warnings = warnings.into_iter().map(|(pos, problem)| Diagnostic::warning(source, pos, problem));
        parser.system.warnings.extend(warnings);
        parser.system.warnings.sort_by_key(|warning| warning.pos);
    }
    if parser.errors.is_empty() {
        check::promote_page_sizes(&mut parser.system);
        Ok(parser.system)
    } else {
        parser.errors.sort_by_key(|error| (error.problem.is_about_the_whole(), error.pos));
        Err(parser.errors)
    }
}

/// Reads the XML.
pub(crate) fn document<'t>(source: &str, text: &'t str) -> Result<roxmltree::Document<'t>, Vec<Diagnostic>> {
    roxmltree::Document::parse(text).map_err(|error| {
        let pos = Pos { row: error.pos().row, col: error.pos().col };
        let problem = Problem::Xml { file: source.to_owned(), reason: error.to_string() };
        vec![Diagnostic::error(source, pos, problem)]
    })
}

/// Indices by name; the first of several with one name.
#[derive(Default)]
struct Names {
    pds: BTreeMap<String, PdIndex>,
    regions: BTreeMap<String, RegionIndex>,
}

struct Parser<'a> {
    source: &'a str,
    platform: &'a Platform,
    files: Files<'a>,
    names: Names,
    errors: Vec<Diagnostic>,
    system: System,
}

impl<'a> Parser<'a> {
    fn error(&mut self, pos: Pos, problem: Problem) {
        self.errors.push(Diagnostic::error(self.source, pos, problem));
    }

    fn warn(&mut self, pos: Pos, problem: Problem) {
        self.system.warnings.push(Diagnostic::warning(self.source, pos, problem));
    }

    fn fault(&mut self, element: Element<'_>, pos: Pos, fault: Fault) {
        let (pos, problem) = element.fault(pos, fault);
        self.error(pos, problem);
    }

    /// The value, or `None` after noting what is wrong with it.
    fn take<T>(&mut self, found: Found<T>) -> Option<T> {
        found.map_err(|(pos, problem)| self.error(pos, problem)).ok()
    }

    /// Notes attributes that are not in `known`, and stray text.
    fn expect_attributes(&mut self, element: Element<'_>, known: &'static [&'static str]) {
        let findings = element.unknown_attributes(known).into_iter().chain(element.stray_text());
        for (pos, problem) in findings {
            self.error(pos, problem);
        }
    }

    /// The same for an element that must not have children.
    fn expect_leaf(&mut self, element: Element<'_>, known: &'static [&'static str]) {
        self.expect_attributes(element, known);
        for child in element.children() {
            self.invalid_element(child);
        }
    }

    fn invalid_element(&mut self, element: Element<'_>) {
        let problem = Problem::InvalidElement {
            name: element.name().to_owned(),
            parent: element.parent_name().to_owned(),
        };
        self.error(element.pos(), problem);
    }

    fn system(&mut self, root: Element<'_>) {
        if root.name() != "system" {
            self.error(root.pos(), Problem::Root(root.name().to_owned()));
            return;
        }
        let pd_count = root.descendants().filter(|e| e.name() == "protection_domain").count();
        if pd_count > MAX_PDS {
            // Stop here: this also bounds the nesting, and with it the recursion over children.
            self.error(root.pos(), Problem::TooManyPds(pd_count));
            return;
        }
        self.expect_attributes(root, &[]);
        self.collect_names(root);
        for element in root.children().filter(|e| e.name() == "memory_region") {
            self.memory_region(element);
        }
        let mut domains = root.children().filter(|e| e.name() == "domains");
        if let Some(first) = domains.next() {
            self.domains(first);
        }
        for repeated in domains {
            self.fault(repeated, repeated.pos(), Fault::Repeated("domains"));
        }
        for element in root.children() {
            match element.name() {
                "protection_domain" => self.protection_domain(element, None),
                "memory_region" | "channel" | "domains" => {}
                "virtual_machine" => self.error(element.pos(), Problem::VmNotChild),
                "io_address_space" => self.error(element.pos(), Problem::NoIommu),
                _ => self.invalid_element(element),
            }
        }
        // After all protection domains, whose symbols the ends set.
        for element in root.children().filter(|e| e.name() == "channel") {
            self.channel(element);
        }
    }

    fn collect_names(&mut self, root: Element<'_>) {
        let pds = root.descendants().filter(|e| e.name() == "protection_domain");
        for (index, element) in pds.enumerate() {
            if let Some(name) = element.attribute("name") {
                self.names.pds.entry(name.value.to_owned()).or_insert(index);
            }
        }
        let regions = root.children().filter(|e| e.name() == "memory_region");
        for (index, element) in regions.enumerate() {
            if let Some(name) = element.attribute("name") {
                self.names.regions.entry(name.value.to_owned()).or_insert(index);
            }
        }
    }

    /// Notes that the symbol named by attribute `attribute` of `element`, if it is there, gets `value` in `pd`.
    fn setvar(&mut self, pd: PdIndex, element: Element<'_>, attribute: &'static str, value: SetvarValue) {
        let Some(symbol) = element.attribute(attribute) else { return };
        if symbol.value.is_empty() {
            self.fault(element, symbol.pos, Fault::Empty(attribute));
        } else if PATCHED_SYMBOLS.contains(&symbol.value) {
            self.fault(element, symbol.pos, Fault::ReservedSymbol(symbol.value.to_owned()));
        } else if let Some(pd) = self.system.protection_domains.get_mut(pd) {
            if pd.setvars.iter().any(|other| other.symbol == symbol.value) {
                self.fault(element, symbol.pos, Fault::DuplicateSetvar(symbol.value.to_owned()));
            } else {
                pd.setvars.push(Setvar { symbol: symbol.value.to_owned(), value, pos: element.pos() });
            }
        }
    }
}
