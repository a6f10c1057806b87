// SPDX-License-Identifier: BSD-2-Clause
//! What connects protection domains: one element where plain SDF needs regions, maps on both sides and a channel.
//!
//! An end is written `pd.prefix`: the symbols that the element sets in that domain's program begin with `prefix_`. What
//! each element makes is described in `docs/system-description.md`.
//!
//! Also: regions and channels written inside a protection domain go to the top level, nested domains without `id` get
//! one, and `setvar_paddr` on a `map` becomes a `setvar`.

mod config;
mod end;
mod link;

use super::GeneratedFile;
use super::stage::Stage;
use super::value::render;
use crate::element::Element;
use crate::limits::MAX_ID;
use crate::problem::ConnectFault;
use config::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// A protection domain of the description.
struct Pd<'d> {
    name: &'d str,
    element: Element<'d>,
    parent: Option<usize>,
    /// Number among its parent's children.
    child_id: Option<u8>,
    /// Where new top-level elements can go: before the top-level element that it is in.
    top: usize,
    top_indent: &'d str,
}

struct Connector<'a, 's, 'd> {
    stage: &'a mut Stage<'s>,
    pds: Vec<Pd<'d>>,
    by_name: BTreeMap<&'d str, usize>,
    /// By where the element begins.
    by_start: BTreeMap<usize, usize>,
    regions: BTreeMap<&'d str, Element<'d>>,
    /// Entries for configurations.
    entries: Vec<Entry>,
    files: Vec<GeneratedFile>,
}

/// Edits all below `root`; gives the files that configurations need.
pub(super) fn connect(stage: &mut Stage<'_>, root: Element<'_>) -> Vec<GeneratedFile> {
    let mut connector = Connector {
        stage,
        pds: Vec::new(),
        by_name: BTreeMap::new(),
        by_start: BTreeMap::new(),
        regions: BTreeMap::new(),
        entries: Vec::new(),
        files: Vec::new(),
    };
    connector.survey(root);
    connector.child_ids();
    connector.physical_addresses(root);
    connector.watchdogs();
    for connection in connector.connections(root) {
        connector.connection(&connection);
    }
    connector.hoist();
    connector.configs();
    connector.files
}

impl<'d> Connector<'_, '_, 'd> {
    fn survey(&mut self, root: Element<'d>) {
        for top in root.children() {
            for element in top.descendants() {
                match element.name() {
                    "protection_domain" => self.add_pd(element, top),
                    "memory_region" => {
                        if let Some(name) = element.attribute("name") {
                            self.regions.entry(name.value).or_insert(element);
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    fn add_pd(&mut self, element: Element<'d>, top: Element<'d>) {
        let name = element.attribute("name").map_or("", |name| name.value);
        let parent = element.parent().and_then(|parent| self.by_start.get(&parent.range().start).copied());
        self.by_start.insert(element.range().start, self.pds.len());
        self.by_name.entry(name).or_insert(self.pds.len());
        let child_id = element.attribute("id").and_then(|id| id.value.parse().ok());
        let (top, top_indent) = (top.range().start, top.indent());
        self.pds.push(Pd { name, element, parent, child_id, top, top_indent });
    }

    /// Numbers children that have no number, from 0 on, around those that have one.
    fn child_ids(&mut self) {
        let mut used: BTreeMap<usize, BTreeSet<u8>> = BTreeMap::new();
        for (index, pd) in self.pds.iter().enumerate() {
            if let Some(parent) = pd.parent {
                used.entry(parent).or_default().extend(pd.child_id);
            }
            let machines = pd.element.children().filter(|e| e.name() == "virtual_machine");
            let vcpus = machines.flat_map(Element::children);
            let vcpus = vcpus.filter_map(|vcpu| vcpu.attribute("id")?.value.parse::<u8>().ok());
            used.entry(index).or_default().extend(vcpus);
        }
        for pd in self.pds.iter_mut().filter(|pd| pd.element.attribute("id").is_none()) {
            let Some(used) = pd.parent.and_then(|parent| used.get_mut(&parent)) else { continue };
            // Should all be taken, the one behind is refused where it stands.
            let id = (0..=MAX_ID).find(|id| !used.contains(id)).unwrap_or(MAX_ID + 1);
            used.insert(id);
            pd.child_id = Some(id);
            self.stage.edits.add_attribute(pd.element, render("id", &id.to_string()));
        }
    }

    fn physical_addresses(&mut self, root: Element<'_>) {
        let maps = root.descendants().filter(|e| e.name() == "map");
        for map in maps.filter(|map| map.parent_name() == "protection_domain") {
            let (Some(symbol), Some(region)) = (map.attribute("setvar_paddr"), map.attribute("mr")) else {
                continue;
            };
            self.stage.edits.remove_attribute(map, "setvar_paddr");
            let setvar = format!(
                "\n{}<setvar{}{} />",
                map.indent(),
                render("symbol", symbol.value),
                render("region_paddr", region.value)
            );
            self.stage.edits.insert_from(map.range().end, setvar, map.range().start);
        }
    }

    /// `watchdog`: a channel between a nested domain and its parent.
    fn watchdogs(&mut self) {
        let found: Vec<(usize, Element<'_>)> = self
            .pds
            .iter()
            .enumerate()
            .flat_map(|(index, pd)| pd.element.children().map(move |child| (index, child)))
            .filter(|(_, child)| child.name() == "watchdog")
            .collect();
        for (index, element) in found {
            for finding in element.unknown_attributes(&["config"]) {
                self.stage.take::<()>(Err(finding));
            }
            self.no_children(element);
            let Some(pd) = self.pds.get(index) else { continue };
            let (Some(parent), Some(id)) = (pd.parent, pd.child_id) else {
                self.stage.error(element.pos(), ConnectFault::WatchdogAtTop(pd.name.to_owned()));
                continue;
            };
            let parent_name = self.pds.get(parent).map_or("", |pd| pd.name);
            let channel = channel(
                pd.top_indent,
                &[("pd", parent_name), ("setvar_id", &format!("child{id}_ch"))],
                &[("pd", pd.name), ("setvar_id", "watchdog_ch")],
            );
            let policy = element.attribute("config").map_or(String::new(), |c| format!(",{}", c.value));
            self.entries.push(Entry {
                pd: parent,
                name: format!("child{id}"),
                value: format!("{}{policy}", pd.name),
                pos: element.pos(),
            });
            self.top_level(pd.top, pd.top_indent, &channel, element.range().start);
            self.stage.edits.remove_line(element);
        }
    }

    /// Moves regions and channels written in a protection domain to the top level.
    fn hoist(&mut self) {
        let moved: Vec<(usize, &str, Element<'_>)> = self
            .pds
            .iter()
            .flat_map(|pd| pd.element.children().map(|child| (pd.top, pd.top_indent, child)))
            .filter(|(_, _, child)| matches!(child.name(), "memory_region" | "channel"))
            .collect();
        for (top, indent, element) in moved {
            self.top_level(top, indent, element.text(), element.range().start);
            self.stage.edits.remove_line(element);
        }
    }

    /// Inserts a top-level element before the one that begins at `top`.
    fn top_level(&mut self, top: usize, indent: &str, new: &str, origin: usize) {
        self.stage.edits.insert_from(top, format!("{new}\n{indent}"), origin);
    }

    fn name_of(&self, pd: usize) -> String {
        self.pds.get(pd).map_or("", |pd| pd.name).to_owned()
    }

    fn no_children(&mut self, element: Element<'_>) {
        for finding in element.stray_text() {
            self.stage.take::<()>(Err(finding));
        }
        for child in element.children() {
            self.invalid(child);
        }
    }

    fn invalid(&mut self, element: Element<'_>) {
        let problem = crate::Problem::InvalidElement {
            name: element.name().to_owned(),
            parent: element.parent_name().to_owned(),
        };
        self.stage.error(element.pos(), problem);
    }

    /// The protection domain that an element is written in.
    fn inside(&self, element: Element<'_>) -> Option<&Pd<'d>> {
        let parent = element.parent()?;
        self.pds.get(*self.by_start.get(&parent.range().start)?)
    }

    /// White space before the top-level elements that a connection stands for.
    fn indent_of(&self, element: Element<'d>) -> &'d str {
        self.inside(element).map_or(element.indent(), |pd| pd.top_indent)
    }

    /// Puts the top-level elements that a connection stands for in its place, or before the top-level element around it.
    fn replace(&mut self, element: Element<'d>, new: &[String]) {
        let text = new.join(&format!("\n{}", self.indent_of(element)));
        match self.inside(element).map(|pd| (pd.top, pd.top_indent)) {
            Some((top, top_indent)) => {
                self.top_level(top, top_indent, &text, element.range().start);
                self.stage.edits.remove_line(element);
            }
            None => self.stage.edits.replace(element.range(), element.text(), text),
        }
    }

    /// Adds a line to a protection domain, on behalf of `element`.
    fn in_pd(&mut self, pd: usize, line: &str, element: Element<'_>) {
        if let Some(pd) = self.pds.get(pd) {
            self.stage.edits.append_child(pd.element, line, element.range().start);
        }
    }
}

/// A channel between two ends with these attributes.
fn channel(indent: &str, a: &[(&str, &str)], b: &[(&str, &str)]) -> String {
    let end = |attributes: &[(&str, &str)]| -> String {
        let text: String = attributes.iter().map(|(name, value)| render(name, value)).collect();
        format!("\n{indent}    <end{text} />")
    };
    format!("<channel>{}{}\n{indent}</channel>", end(a), end(b))
}
