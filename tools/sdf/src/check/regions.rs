// SPDX-License-Identifier: BSD-2-Clause
//! Memory regions lie where user level can have memory, do not overlap, fit, and are used; page-size promotion.

use super::Findings;
use crate::model::{Map, PageSize, Prefill, System};
use crate::platform::Platform;
use crate::problem::Problem;
use std::collections::BTreeSet;
use std::ops::Range;

pub(super) fn check(system: &System, platform: &Platform, findings: &mut Findings) {
    fixed_addresses(system, platform, findings);
    ram_suffices(system, platform, findings);
    let mut used: BTreeSet<usize> = all_maps(system).map(|map| map.region).collect();
    used.extend(system.protection_domains.iter().flat_map(|pd| &pd.setvars).filter_map(|setvar| {
        match setvar.value {
            crate::SetvarValue::PhysAddr(region) => Some(region),
            crate::SetvarValue::Number(_) => None,
        }
    }));
    for (index, region) in system.memory_regions.iter().enumerate() {
        if !used.contains(&index) {
            findings.warn(region.pos, Problem::UnusedRegion(region.name.clone()));
        }
        if let Some(Prefill::File { len, .. }) = region.prefill {
            let page = region.page_size.bytes();
            let extra = region.size.saturating_sub(len.div_ceil(page).saturating_mul(page));
            if extra > 0 {
                let problem = Problem::PrefillSlack { region: region.name.clone(), size: region.size, extra };
                findings.warn(region.pos, problem);
            }
        }
    }
}

fn all_maps(system: &System) -> impl Iterator<Item = &Map> {
    system
        .protection_domains
        .iter()
        .flat_map(|pd| pd.maps.iter().chain(pd.virtual_machine.iter().flat_map(|vm| &vm.maps)))
}

fn fixed_addresses(system: &System, platform: &Platform, findings: &mut Findings) {
    let mut placed: Vec<(&str, Range<u64>)> = Vec::new();
    for region in &system.memory_regions {
        let Some(start) = region.phys_addr else { continue };
        let Some(end) = start.checked_add(region.size) else {
            findings.error(region.pos, Problem::PhysOverflow { region: region.name.clone() });
            continue;
        };
        let range = start..end;
        if let Some(missing) = platform.first_unavailable(&range) {
            let problem = Problem::PhysUnavailable {
                region: region.name.clone(),
                start,
                end,
                missing,
                available: available(platform),
            };
            findings.error(region.pos, problem);
        }
        let other = placed.iter().find(|(_, other)| other.start < range.end && range.start < other.end);
        if let Some((other, other_range)) = other {
            let problem = Problem::PhysOverlap {
                region: region.name.clone(),
                start,
                end,
                other: (*other).to_owned(),
                other_start: other_range.start,
                other_end: other_range.end,
            };
            findings.error(region.pos, problem);
        }
        placed.push((&region.name, range));
    }
}

/// The ranges of the platform, for a help text.
fn available(platform: &Platform) -> String {
    let list = |ranges: &[Range<u64>]| -> String {
        ranges.iter().map(|r| format!("[{:#x}..{:#x})", r.start, r.end)).collect::<Vec<_>>().join(" ")
    };
    format!("device memory {} or RAM {}", list(&platform.device), list(&platform.ram))
}

fn ram_suffices(system: &System, platform: &Platform, findings: &mut Findings) {
    let available = platform.ram.iter().fold(0u64, |sum, range| sum.saturating_add(range.end - range.start));
    let mut needed = 0u64;
    for region in system.memory_regions.iter().filter(|region| region.phys_addr.is_none()) {
        needed = needed.saturating_add(region.size);
        if needed > available && available > 0 {
            let platform = platform.name.clone();
            findings.error(region.pos, Problem::NotEnoughRam { needed, available, platform });
            return;
        }
    }
}

/// Gives 2 MiB pages to every region that names no page size and whose size, physical address and mappings all allow it.
pub(crate) fn promote_page_sizes(system: &mut System) {
    let large = PageSize::Large.bytes();
    let unaligned: BTreeSet<usize> =
        all_maps(system).filter(|map| !map.vaddr.is_multiple_of(large)).map(|map| map.region).collect();
    for (index, region) in system.memory_regions.iter_mut().enumerate() {
        let aligned = region.size.is_multiple_of(large)
            && region.phys_addr.is_none_or(|address| address.is_multiple_of(large))
            && !unaligned.contains(&index);
        if aligned && !region.page_size_explicit {
            region.page_size = PageSize::Large;
        }
    }
}
