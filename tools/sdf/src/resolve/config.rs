// SPDX-License-Identifier: BSD-2-Clause
//! `config`: facts that only the description knows, handed to a program as text in a page of its own.
//!
//! ```xml
//! <config vaddr="0x3000000" setvar_vaddr="config" setvar_prefill_size="config_size">
//!     <entry name="vcpus" value="${VCPUS:-1}" />
//! </config>
//! ```
//! becomes a read-only `map` of a region `<pd>_config`, prefilled with a generated file of lines `name=value`.

use super::value::render;
use super::{GeneratedFile, Place, Resolver};
use crate::element::Element;
use crate::problem::{Problem, ResolveFault};
use std::collections::BTreeMap;

const ATTRIBUTES: &[&str] = &["vaddr", "setvar_vaddr", "setvar_size", "setvar_prefill_size", "when"];

impl Resolver<'_> {
    pub(super) fn config(&mut self, element: Element<'_>, values: &BTreeMap<&str, String>, place: Place<'_>) {
        let findings = element.unknown_attributes(ATTRIBUTES).into_iter().chain(element.stray_text());
        for finding in findings {
            self.take::<()>(Err(finding));
        }
        let content = self.entries(element);
        let (Some(top), Some(pd)) = (place.top, place.pd) else { return };
        let region = format!("{pd}_config");
        let file = format!(
            "{}.txt",
            region.replace(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'), "_")
        );
        if self.files.iter().any(|other| other.name == file) {
            self.take::<()>(Err(element.fault(element.pos(), crate::Fault::Repeated("config"))));
            return;
        }
        let mut map = format!("<map{}", render("mr", &region));
        for name in ATTRIBUTES.iter().filter(|name| **name != "when") {
            if let Some(value) = values.get(name) {
                map += &render(name, value);
            }
        }
        map += " perms=\"r\" />";
        let new_region =
            format!("<memory_region{}{} />", render("name", &region), render("prefill_path", &file));
        self.edits.insert(top, new_region);
        self.edits.replace(element.range(), element.text(), map);
        self.files.push(GeneratedFile { name: file, content });
    }

    fn entries(&mut self, element: Element<'_>) -> String {
        let mut lines: BTreeMap<String, String> = BTreeMap::new();
        for child in element.children() {
            if child.name() != "entry" {
                let problem =
                    Problem::InvalidElement { name: child.name().to_owned(), parent: "config".to_owned() };
                self.take::<()>(Err((child.pos(), problem)));
                continue;
            }
            for finding in child.unknown_attributes(&["name", "value"]) {
                self.take::<()>(Err(finding));
            }
            let values = self.values(child);
            let required = [self.take(child.required("name")), self.take(child.required("value"))];
            let (Some(name), Some(value), [Some(_), Some(_)]) =
                (values.get("name"), values.get("value"), required)
            else {
                continue;
            };
            let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            let malformed = name.is_empty()
                || !name.chars().all(word)
                || value.trim() != value
                || value.contains(char::is_control);
            if malformed {
                self.error(child.pos(), ResolveFault::ConfigEntry(format!("{name}={value}")));
            } else if lines.insert(name.clone(), value.clone()).is_some() {
                self.error(child.pos(), ResolveFault::ConfigTwice(name.clone()));
            }
        }
        if lines.is_empty() {
            self.error(element.pos(), ResolveFault::ConfigEmpty);
        }
        lines.iter().map(|(name, value)| format!("{name}={value}\n")).collect()
    }
}
