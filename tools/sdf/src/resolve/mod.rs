// SPDX-License-Identifier: BSD-2-Clause
//! From our dialect to plain SDF, which any Microkit SDK accepts.
//!
//! The dialect adds to SDF 2.3:
//! * `${NAME}`, `${NAME:-default}` (unset or empty) and `${NAME-default}` (unset) in attribute values; `$$` is a dollar;
//! * `K`, `M`, `G` behind decimal numbers in `size`, `page_size`, `phys_addr`, `vaddr` and `stack_size`;
//! * `device="..."` on `memory_region` (gives `phys_addr` and `size`) and on `irq` (gives `irq` and `trigger`; `index`
//!   chooses among several), from the board description;
//! * `count="N"` on `vcpu`: N of them, numbered upwards from `id`;
//! * `when="..."` on any element: without it, as if it were not there, when the value is empty, `0`, `no` or `false`;
//! * `config` in a protection domain: text of `name=value` lines in a read-only page of its own.
//!
//! It works by editing the text in place: comments and line numbers stay, and every message can be given at its place in
//! the original.

mod config;
mod device;
mod edit;
#[cfg(test)]
mod tests;
mod value;

use crate::diagnostic::Diagnostic;
use crate::element::{Element, Found};
use crate::limits::MAX_ID;
use crate::lines::Lines;
use crate::model::{Pos, System};
use crate::platform::Platform;
use crate::problem::{Problem, ResolveFault};
use board::Board;
use edit::Edits;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Values of `${NAME}`.
pub type Variables = BTreeMap<String, String>;

/// A file that a resolved description needs beside it, on a search path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratedFile {
    /// Name, without folder.
    pub name: String,
    /// Content.
    pub content: String,
}

/// A plain system description made from one in our dialect.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The plain description. Rows are those of the original.
    pub text: String,
    /// Files to write next to it.
    pub files: Vec<GeneratedFile>,
    source: String,
    original: String,
    edits: Edits,
}

/// Resolves a description in our dialect. A plain one comes out unchanged, but for the comment at its end.
///
/// # Errors
/// Every unknown device, unset variable and malformed dialect element, in file order; never empty.
pub fn resolve(
    source_name: &str,
    text: &str,
    board: &Board,
    variables: &Variables,
) -> Result<Resolved, Vec<Diagnostic>> {
    let lines = Lines::new(text);
    let document = crate::parse::document(source_name, text)?;
    let mut resolver = Resolver {
        source: source_name,
        board,
        variables,
        device_regions: BTreeMap::new(),
        edits: Edits::default(),
        files: Vec::new(),
        errors: Vec::new(),
    };
    let root = Element::new(document.root_element(), &lines);
    resolver.collect_device_regions(root);
    resolver.element(root, Place::default());
    resolver.errors.sort_by_key(|error| error.pos);
    if !resolver.errors.is_empty() {
        return Err(resolver.errors);
    }
    let mut edits = resolver.edits;
    let note = format!("<!-- Made from {} for {}. -->\n", comment_safe(source_name), board.name);
    edits.insert(text.len(), note);
    Ok(Resolved {
        text: edits.apply(text),
        files: resolver.files,
        source: source_name.to_owned(),
        original: text.to_owned(),
        edits,
    })
}

/// Two dashes end a comment.
fn comment_safe(text: &str) -> String {
    text.replace("--", "-_")
}

impl Resolved {
    /// Parses and checks the plain description; messages are placed in the original.
    ///
    /// # Errors
    /// As [`crate::parse()`].
    pub fn parse(&self, platform: &Platform, search_paths: &[PathBuf]) -> Result<System, Vec<Diagnostic>> {
        let parsed = crate::parse::parse(&self.source, &self.text, platform, search_paths, &self.files);
        let plain = Lines::new(&self.text);
        let original = Lines::new(&self.original);
        let origin = |diagnostic: &mut Diagnostic| {
            let offset = self.edits.origin(plain.offset(diagnostic.pos));
            diagnostic.pos = original.pos(offset);
        };
        match parsed {
            Ok(mut system) => {
                system.warnings.iter_mut().for_each(origin);
                Ok(system)
            }
            Err(mut errors) => {
                errors.iter_mut().for_each(origin);
                Err(errors)
            }
        }
    }
}

/// Where in the tree the resolver is.
#[derive(Clone, Copy, Default)]
struct Place<'d> {
    /// Start of the top-level element that this one is in: where new top-level elements can go.
    top: Option<usize>,
    /// Name of the innermost protection domain.
    pd: Option<&'d str>,
}

struct Resolver<'a> {
    source: &'a str,
    board: &'a Board,
    variables: &'a Variables,
    /// Device of every region that names one.
    device_regions: BTreeMap<String, String>,
    edits: Edits,
    files: Vec<GeneratedFile>,
    errors: Vec<Diagnostic>,
}

impl Resolver<'_> {
    fn error(&mut self, pos: Pos, fault: ResolveFault) {
        self.errors.push(Diagnostic::error(self.source, pos, Problem::Resolve(fault)));
    }

    fn take<T>(&mut self, found: Found<T>) -> Option<T> {
        found.map_err(|(pos, problem)| self.errors.push(Diagnostic::error(self.source, pos, problem))).ok()
    }

    fn collect_device_regions(&mut self, root: Element<'_>) {
        for element in root.children().filter(|e| e.name() == "memory_region") {
            if let (Some(name), Some(device)) = (element.attribute("name"), element.attribute("device")) {
                self.device_regions.insert(name.value.to_owned(), device.value.to_owned());
            }
        }
    }

    /// Resolves an element and, unless it is dropped or replaced as a whole, all below.
    fn element<'d>(&mut self, root: Element<'d>, place: Place<'d>) {
        // An explicit stack: files may nest deeper than the host's stack allows.
        let mut pending = vec![(root, place)];
        while let Some((element, place)) = pending.pop() {
            if !self.wanted(element) {
                self.edits.remove(element.range(), element.text());
                continue;
            }
            self.edits.remove_attribute(element, "when");
            let values = self.values(element);
            if let (Some(device), false) =
                (element.attribute("device"), matches!(element.name(), "memory_region" | "irq"))
            {
                self.error(device.pos, ResolveFault::DeviceHere(element.name().to_owned()));
            }
            match element.name() {
                "memory_region" => self.device_region(element, &values),
                "irq" => self.device_irq(element, &values),
                "map" => self.device_map(element, &values),
                "vcpu" if element.attribute("count").is_some() => {
                    self.vcpus(element, &values);
                    continue;
                }
                "config" if element.parent_name() == "protection_domain" => {
                    self.config(element, &values, place);
                    continue;
                }
                _ => {}
            }
            self.edit_values(element, &values);
            let top = match element.parent_name() {
                "" => None,
                _ => place.top.or(Some(element.range().start)),
            };
            let pd = match element.name() {
                "protection_domain" => element.attribute("name").map(|name| name.value),
                _ => place.pd,
            };
            let children: Vec<_> = element.children().collect();
            pending.extend(children.into_iter().rev().map(|child| (child, Place { top, pd })));
        }
    }

    /// Whether `when` lets the element stand.
    fn wanted(&mut self, element: Element<'_>) -> bool {
        let Some(when) = element.attribute("when") else { return true };
        match value::substitute(when.value, self.variables) {
            Ok(value) => !matches!(value.as_str(), "" | "0" | "no" | "false"),
            Err(fault) => {
                self.error(when.pos, fault);
                false
            }
        }
    }

    /// `vcpu count="N"`: N elements in its place.
    fn vcpus(&mut self, element: Element<'_>, values: &BTreeMap<&str, String>) {
        let Some(id) = self.take(element.id()) else { return };
        let count = element.attribute("count").map_or(element.pos(), |count| count.pos);
        let text = values.get("count").map_or("", String::as_str);
        let max = u32::from(MAX_ID - id) + 1;
        let Some(n) = text.parse::<u32>().ok().filter(|n| (1..=max).contains(n)) else {
            self.error(count, ResolveFault::Count { value: text.to_owned(), max });
            return;
        };
        if n > 1
            && let Some(setvar) = element.attribute("setvar_id")
        {
            self.error(setvar.pos, ResolveFault::CountWith("setvar_id".to_owned()));
            return;
        }
        let others: String = element
            .raw_attributes()
            .filter(|a| !matches!(a.name(), "id" | "count" | "when"))
            .map(|a| value::render(a.name(), values.get(a.name()).map_or(a.value(), String::as_str)))
            .collect();
        let plain: String =
            (0..n).map(|i| format!("<vcpu id=\"{}\"{others} />", u32::from(id) + i)).collect();
        self.edits.replace(element.range(), element.text(), plain);
    }
}
