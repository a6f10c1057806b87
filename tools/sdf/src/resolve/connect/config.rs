// SPDX-License-Identifier: BSD-2-Clause
//! `config`: facts that only the description knows, handed to a program as text in a page of its own.
//!
//! ```xml
//! <config setvar_vaddr="config" setvar_prefill_size="config_size">
//!     <entry name="vcpus" value="${VCPUS:-1}" />
//! </config>
//! ```
//! becomes a read-only `map` of a region `<pd>_config`, prefilled with a generated file of lines `name=value`. What
//! connects to the domain can add entries.

use super::{Connector, GeneratedFile};
use crate::element::Element;
use crate::model::Pos;
use crate::problem::{Fault, Problem, ResolveFault};
use crate::resolve::value::render;
use std::collections::BTreeMap;

const ATTRIBUTES: &[&str] = &["vaddr", "setvar_vaddr", "setvar_size", "setvar_prefill_size"];

/// An entry that a connection adds.
pub(super) struct Entry {
    pub(super) pd: usize,
    pub(super) name: String,
    pub(super) value: String,
    pub(super) pos: Pos,
}

impl Connector<'_, '_, '_> {
    /// Every `config`, after all connections.
    pub(super) fn configs(&mut self) {
        let configs: Vec<(usize, Element<'_>)> = self
            .pds
            .iter()
            .enumerate()
            .flat_map(|(index, pd)| pd.element.children().map(move |child| (index, child)))
            .filter(|(_, child)| child.name() == "config")
            .collect();
        for (pd, element) in &configs {
            self.config(*element, *pd);
        }
        let without: Vec<&Entry> =
            self.entries.iter().filter(|entry| configs.iter().all(|(pd, _)| *pd != entry.pd)).collect();
        for entry in without {
            let pd = self.pds.get(entry.pd).map_or("", |pd| pd.name).to_owned();
            self.stage.error(entry.pos, ResolveFault::NoConfig { pd, entry: entry.name.clone() });
        }
    }

    fn config(&mut self, element: Element<'_>, pd: usize) {
        let findings = element.unknown_attributes(ATTRIBUTES).into_iter().chain(element.stray_text());
        for finding in findings {
            self.stage.take::<()>(Err(finding));
        }
        let content = self.content(element, pd);
        let Some(domain) = self.pds.get(pd) else { return };
        let region = format!("{}_config", domain.name);
        let file = format!(
            "{}.txt",
            region.replace(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'), "_")
        );
        if self.files.iter().any(|other| other.name == file) {
            self.stage.take::<()>(Err(element.fault(element.pos(), Fault::Repeated("config"))));
            return;
        }
        let mut map = format!("<map{}", render("mr", &region));
        for name in ATTRIBUTES {
            if let Some(attribute) = element.attribute(name) {
                map += &render(name, attribute.value);
            }
        }
        map += " perms=\"r\" />";
        let new_region =
            format!("<memory_region{}{} />", render("name", &region), render("prefill_path", &file));
        self.top_level(domain.top, domain.top_indent, &new_region, element.range().start);
        self.stage.edits.replace(element.range(), element.text(), map);
        self.files.push(GeneratedFile { name: file, content });
    }

    fn content(&mut self, element: Element<'_>, pd: usize) -> String {
        let mut lines: BTreeMap<String, String> = BTreeMap::new();
        let mut entries: Vec<(Pos, String, String)> = Vec::new();
        for child in element.children() {
            if child.name() != "entry" {
                let problem =
                    Problem::InvalidElement { name: child.name().to_owned(), parent: "config".to_owned() };
                self.stage.error(child.pos(), problem);
                continue;
            }
            for finding in child.unknown_attributes(&["name", "value"]) {
                self.stage.take::<()>(Err(finding));
            }
            let name = self.stage.take(child.required("name"));
            let value = self.stage.take(child.required("value"));
            if let (Some(name), Some(value)) = (name, value) {
                entries.push((child.pos(), name.value.to_owned(), value.value.to_owned()));
            }
        }
        let added = self.entries.iter().filter(|entry| entry.pd == pd);
        entries.extend(added.map(|entry| (entry.pos, entry.name.clone(), entry.value.clone())));
        if entries.is_empty() && self.stage.errors.is_empty() {
            self.stage.error(element.pos(), ResolveFault::ConfigEmpty);
        }
        for (pos, name, value) in entries {
            let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            let malformed = name.is_empty()
                || !name.chars().all(word)
                || value.trim() != value
                || value.contains(char::is_control);
            if malformed {
                self.stage.error(pos, ResolveFault::ConfigEntry(format!("{name}={value}")));
            } else if lines.insert(name.clone(), value).is_some() {
                self.stage.error(pos, ResolveFault::ConfigTwice(name));
            }
        }
        lines.iter().map(|(name, value)| format!("{name}={value}\n")).collect()
    }
}
