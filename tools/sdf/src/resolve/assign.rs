// SPDX-License-Identifier: BSD-2-Clause
//! Addresses and numbers that were left out: `vaddr` of a `map` in a protection domain, `id` of an `irq` and of an `end`.
//!
//! Programs get them through symbols, so nobody has to know or choose them. Whatever the file does give stays and is
//! avoided.

use super::GeneratedFile;
use super::stage::Stage;
use super::value::render;
use crate::element::{Element, parse_number};
use crate::limits::MAX_ID;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

const SMALL_PAGE: u64 = 0x1000;
const LARGE_PAGE: u64 = 0x20_0000;
/// Where regions of small pages go, one behind the other; programs are linked far below.
const SMALL_BASE: u64 = 0x1000_0000;
/// Where regions of large pages go.
const LARGE_BASE: u64 = 0x1_0000_0000;
/// Where regions go whose size only their file knows: each has room for [`UNKNOWN_SIZE`].
const UNKNOWN_BASE: u64 = 0x40_0000_0000;
const UNKNOWN_SIZE: u64 = 0x1_0000_0000;

pub(super) fn assign(stage: &mut Stage<'_>, root: Element<'_>, files: &[GeneratedFile]) {
    numbers(stage, root);
    let regions: BTreeMap<&str, Element<'_>> = root
        .children()
        .filter(|e| e.name() == "memory_region")
        .filter_map(|region| Some((region.attribute("name")?.value, region)))
        .collect();
    for pd in root.descendants().filter(|e| e.name() == "protection_domain") {
        addresses(stage, pd, &regions, files);
    }
}

/// Numbers of interrupts and channels: one name space for each protection domain.
fn numbers(stage: &mut Stage<'_>, root: Element<'_>) {
    let ends = root.children().filter(|e| e.name() == "channel").flat_map(Element::children);
    let ends = ends.filter(|e| e.name() == "end").filter_map(|end| Some((end.attribute("pd")?.value, end)));
    let pds = root.descendants().filter(|e| e.name() == "protection_domain");
    let irqs = pds.filter_map(|pd| Some((pd.attribute("name")?.value, pd)));
    let irqs = irqs.flat_map(|(name, pd)| {
        pd.children().filter(|e| e.name() == "irq").map(move |irq| (name, irq)).collect::<Vec<_>>()
    });
    let all: Vec<(&str, Element<'_>)> = irqs.chain(ends).collect();
    let mut used: BTreeMap<&str, BTreeSet<u8>> = BTreeMap::new();
    for (pd, element) in &all {
        let id = element.attribute("id").and_then(|id| id.value.parse::<u8>().ok());
        used.entry(pd).or_default().extend(id);
    }
    for (pd, element) in all.into_iter().filter(|(_, element)| element.attribute("id").is_none()) {
        let used = used.entry(pd).or_default();
        // Should all be taken, the one behind is refused where it stands.
        let id = (0..=MAX_ID).find(|id| !used.contains(id)).unwrap_or(MAX_ID + 1);
        used.insert(id);
        stage.edits.add_attribute(element, render("id", &id.to_string()));
    }
}

/// How much room a region needs.
#[derive(Clone, Copy)]
enum Room {
    Small(u64),
    Large(u64),
    Unknown,
}

impl Room {
    fn of(region: Element<'_>, files: &[GeneratedFile]) -> Self {
        let number = |name: &str| region.attribute(name).and_then(|value| parse_number(value.value).ok());
        let generated = || {
            let path = region.attribute("prefill_path")?.value;
            let file = files.iter().find(|file| file.name == path)?;
            u64::try_from(file.content.len()).ok()?.checked_next_multiple_of(SMALL_PAGE)
        };
        let Some(size) = number("size").or_else(generated) else { return Self::Unknown };
        let large = match number("page_size") {
            Some(page_size) => page_size == LARGE_PAGE,
            None => size.is_multiple_of(LARGE_PAGE),
        };
        if large { Self::Large(size) } else { Self::Small(size) }
    }

    fn size(self) -> u64 {
        match self {
            Self::Small(size) | Self::Large(size) => size,
            Self::Unknown => UNKNOWN_SIZE,
        }
    }
}

fn addresses(
    stage: &mut Stage<'_>,
    pd: Element<'_>,
    regions: &BTreeMap<&str, Element<'_>>,
    files: &[GeneratedFile],
) {
    let maps: Vec<(Element<'_>, Room)> = pd
        .children()
        .filter(|e| e.name() == "map")
        .map(|map| {
            let region = map.attribute("mr").and_then(|mr| regions.get(mr.value));
            (map, region.map_or(Room::Unknown, |region| Room::of(*region, files)))
        })
        .collect();
    let mut taken: Vec<Range<u64>> = maps
        .iter()
        .filter_map(|(map, room)| {
            let start = parse_number(map.attribute("vaddr")?.value).ok()?;
            Some(start..start.saturating_add(room.size()))
        })
        .collect();
    for (map, room) in maps.iter().filter(|(map, _)| map.attribute("vaddr").is_none()) {
        let (base, align) = match room {
            Room::Small(_) => (SMALL_BASE, SMALL_PAGE),
            Room::Large(_) => (LARGE_BASE, LARGE_PAGE),
            Room::Unknown => (UNKNOWN_BASE, UNKNOWN_SIZE),
        };
        let Some(range) = free(&taken, base, align, room.size()) else { continue };
        stage.edits.add_attribute(*map, render("vaddr", &format!("{:#x}", range.start)));
        taken.push(range);
    }
}

/// The lowest range from `base` on that overlaps nothing and has a page free before it; `None` past the end of numbers.
fn free(taken: &[Range<u64>], base: u64, align: u64, size: u64) -> Option<Range<u64>> {
    let guard = if align == UNKNOWN_SIZE { 0 } else { align };
    let mut start = base;
    // Each round gets past at least one that is taken.
    for _ in 0..=taken.len() {
        let range = start..start.checked_add(size)?;
        let wide = start.saturating_sub(guard)..range.end.checked_add(guard)?;
        match taken
            .iter()
            .filter(|other| other.start < wide.end && wide.start < other.end)
            .map(|o| o.end)
            .max()
        {
            None => return Some(range),
            Some(end) => start = end.checked_add(guard)?.checked_next_multiple_of(align)?,
        }
    }
    None
}
