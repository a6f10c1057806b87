// SPDX-License-Identifier: BSD-2-Clause
//! Variables, `when`, size suffixes, the board's devices and counted vCPUs: all that concerns one element alone.

use super::stage::Stage;
use super::{Variables, value};
use crate::element::Element;
use crate::limits::MAX_ID;
use crate::problem::ResolveFault;
use board::Board;
use std::collections::BTreeMap;

pub(super) struct Resolver<'a, 's> {
    pub(super) stage: &'a mut Stage<'s>,
    pub(super) board: &'a Board,
    pub(super) variables: &'a Variables,
    /// Device of every region that names one.
    pub(super) device_regions: BTreeMap<String, String>,
}

/// Edits every element below `root`.
pub(super) fn resolve(stage: &mut Stage<'_>, root: Element<'_>, board: &Board, variables: &Variables) {
    let mut resolver = Resolver { stage, board, variables, device_regions: BTreeMap::new() };
    resolver.collect_device_regions(root);
    resolver.element(root);
}

impl Resolver<'_, '_> {
    fn collect_device_regions(&mut self, root: Element<'_>) {
        for element in root.descendants().filter(|e| e.name() == "memory_region") {
            if let (Some(name), Some(device)) = (element.attribute("name"), element.attribute("device")) {
                self.device_regions.insert(name.value.to_owned(), device.value.to_owned());
            }
        }
    }

    /// Resolves an element and, unless it is dropped or replaced as a whole, all below.
    fn element(&mut self, root: Element<'_>) {
        // An explicit stack: files may nest deeper than the host's stack allows.
        let mut pending = vec![root];
        while let Some(element) = pending.pop() {
            if !self.wanted(element) {
                self.stage.edits.remove(element.range(), element.text());
                continue;
            }
            self.stage.edits.remove_attribute(element, "when");
            let values = self.values(element);
            if let (Some(device), false) =
                (element.attribute("device"), matches!(element.name(), "memory_region" | "irq"))
            {
                self.stage.error(device.pos, ResolveFault::DeviceHere(element.name().to_owned()));
            }
            match element.name() {
                "memory_region" => self.device_region(element, &values),
                "irq" => self.device_irq(element, &values),
                "map" => self.device_map(element, &values),
                "vcpu" if element.attribute("count").is_some() => {
                    self.vcpus(element, &values);
                    continue;
                }
                _ => {}
            }
            self.edit_values(element, &values);
            let children: Vec<_> = element.children().collect();
            pending.extend(children.into_iter().rev());
        }
    }

    /// Whether `when` lets the element stand.
    fn wanted(&mut self, element: Element<'_>) -> bool {
        let Some(when) = element.attribute("when") else { return true };
        match value::substitute(when.value, self.variables) {
            Ok(condition) => value::is_true(&condition),
            Err(fault) => {
                self.stage.error(when.pos, fault);
                false
            }
        }
    }

    /// `vcpu count="N"`: N elements in its place.
    fn vcpus(&mut self, element: Element<'_>, values: &BTreeMap<&str, String>) {
        let Some(id) = self.stage.take(element.id()) else { return };
        let count = element.attribute("count").map_or(element.pos(), |count| count.pos);
        let text = values.get("count").map_or("", String::as_str);
        let max = u32::from(MAX_ID - id) + 1;
        let Some(n) = text.parse::<u32>().ok().filter(|n| (1..=max).contains(n)) else {
            self.stage.error(count, ResolveFault::Count { value: text.to_owned(), max });
            return;
        };
        if n > 1
            && let Some(setvar) = element.attribute("setvar_id")
        {
            self.stage.error(setvar.pos, ResolveFault::CountWith("setvar_id".to_owned()));
            return;
        }
        let others: String = element
            .raw_attributes()
            .filter(|a| !matches!(a.name(), "id" | "count" | "when"))
            .map(|a| value::render(a.name(), values.get(a.name()).map_or(a.value(), String::as_str)))
            .collect();
        let plain: String =
            (0..n).map(|i| format!("<vcpu id=\"{}\"{others} />", u32::from(id) + i)).collect();
        self.stage.edits.replace(element.range(), element.text(), plain);
    }
}
