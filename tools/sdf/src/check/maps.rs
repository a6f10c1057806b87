// SPDX-License-Identifier: BSD-2-Clause
//! Mappings are aligned, inside their address space, and disjoint.

use super::Findings;
use crate::model::{Map, MemoryRegion, System};
use crate::platform::Platform;
use crate::problem::Problem;
use std::collections::BTreeMap;

pub(super) fn check(system: &System, platform: &Platform, findings: &mut Findings) {
    let mut caching: BTreeMap<usize, bool> = BTreeMap::new();
    for pd in &system.protection_domains {
        let space = format!("protection domain '{}'", pd.name);
        address_space(system, &pd.maps, platform.pd_map_limit(pd.stack_size), &space, findings);
        for map in pd.maps.iter().filter(|map| map.vaddr == 0) {
            let region = region_name(system, map);
            findings.warn(map.pos, Problem::MapAtNull { region, pd: pd.name.clone() });
        }
        let mut maps: Vec<&Map> = pd.maps.iter().collect();
        if let Some(vm) = &pd.virtual_machine {
            let space = format!("virtual machine '{}'", vm.name);
            address_space(system, &vm.maps, platform.vm_map_limit(), &space, findings);
            maps.extend(&vm.maps);
        }
        for map in maps {
            if *caching.entry(map.region).or_insert(map.cached) != map.cached {
                findings.warn(map.pos, Problem::MixedCaching { region: region_name(system, map) });
            }
        }
    }
}

fn region_name(system: &System, map: &Map) -> String {
    system.memory_regions.get(map.region).map_or(String::new(), |region| region.name.clone())
}

/// A mapping with its exclusive end and its place in the file's order.
struct Placed<'s> {
    order: usize,
    map: &'s Map,
    region: &'s MemoryRegion,
    end: u64,
}

fn address_space(system: &System, maps: &[Map], limit: u64, space: &str, findings: &mut Findings) {
    let mut placed = Vec::with_capacity(maps.len());
    for (order, map) in maps.iter().enumerate() {
        let Some(region) = system.memory_regions.get(map.region) else { continue };
        let name = || region.name.clone();
        let page_size = region.page_size.bytes();
        if !map.vaddr.is_multiple_of(page_size) {
            findings.error(map.pos, Problem::MapAlignment { vaddr: map.vaddr, page_size, region: name() });
        }
        let Some(end) = map.vaddr.checked_add(region.size) else {
            findings.error(map.pos, Problem::MapOverflow(name()));
            continue;
        };
        if end > limit {
            findings.error(map.pos, Problem::MapTooHigh { region: name(), start: map.vaddr, end, limit });
        }
        placed.push(Placed { order, map, region, end });
    }
    placed.sort_by_key(|p| p.map.vaddr);
    // Whatever overlaps a mapping from below overlaps the one that reaches highest among those before it.
    let mut highest: Option<&Placed<'_>> = None;
    for this in &placed {
        if let Some(below) = highest.filter(|below| below.end > this.map.vaddr) {
            let (earlier, later) = if below.order < this.order { (below, this) } else { (this, below) };
            let problem = Problem::MapOverlap {
                region: later.region.name.clone(),
                start: later.map.vaddr,
                end: later.end,
                other: earlier.region.name.clone(),
                other_start: earlier.map.vaddr,
                other_end: earlier.end,
                space: space.to_owned(),
            };
            findings.error(later.map.pos, problem);
        }
        if highest.is_none_or(|below| below.end < this.end) {
            highest = Some(this);
        }
    }
}
