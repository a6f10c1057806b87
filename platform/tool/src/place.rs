// SPDX-License-Identifier: BSD-2-Clause
//! Where everything will be in physical memory: the kernel's untypeds, every object, and regions whose address a
//! program is told.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

use sdf::{Diagnostic, Problem, RegionIndex, System};
use system_spec::Untyped;
use system_spec::allocator::{PlanError, Step, plan};
use system_spec::record::ObjectId;

use crate::model::Model;

/// Ascending, disjoint ranges of physical memory, for messages and for searching.
pub fn ranges(untypeds: &[Untyped], device: bool) -> Vec<Range<u64>> {
    let mut sorted: Vec<_> = untypeds.iter().filter(|untyped| untyped.device == device).collect();
    sorted.sort_unstable_by_key(|untyped| untyped.paddr);
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for untyped in sorted {
        match ranges.last_mut() {
            Some(last) if last.end == untyped.paddr => last.end = untyped.end(),
            _ => ranges.push(untyped.paddr..untyped.end()),
        }
    }
    ranges
}

/// Says what memory there is.
fn list_ranges(untypeds: &[Untyped]) -> String {
    let mut text = String::new();
    for (title, device) in
        [("valid ranges outside of main memory:", true), ("valid ranges within main memory:", false)]
    {
        let _ = write!(text, "\n  {title}");
        for range in ranges(untypeds, device) {
            let _ = write!(text, "\n    [{:#014x}..{:#014x})", range.start, range.end);
        }
    }
    text
}

/// Regions whose `phys_addr` is not in memory that the system can have. `taken` is what else has a fixed place: named in
/// the message when it is in the way.
pub fn check_fixed(
    system: &System,
    source: &str,
    untypeds: &[Untyped],
    taken: &[(&str, Range<u64>)],
) -> Vec<Diagnostic> {
    let available: Vec<Range<u64>> =
        [true, false].into_iter().flat_map(|device| ranges(untypeds, device)).collect();
    let mut errors = Vec::new();
    for region in &system.memory_regions {
        let Some(start) = region.phys_addr else { continue };
        let end = start.saturating_add(region.size);
        if !available.iter().any(|range| range.start <= start && end <= range.end) {
            let obstacle = taken.iter().find(|(_, range)| range.start < end && start < range.end);
            let reason = match obstacle {
                Some((what, range)) => format!("the {what} is at [{:#x}..{:#x})", range.start, range.end),
                None => "not all of it is free when the system starts".to_owned(),
            };
            let problem = Problem::Other(format!(
                "memory region '{}' at [{start:#x}..{end:#x}) cannot be allocated: {reason}{}",
                region.name,
                list_ranges(untypeds)
            ));
            errors.push(Diagnostic::error(source, region.pos, problem));
        }
    }
    errors
}

/// Chooses addresses for the regions that need one and have none: from the top of main memory, or of what devices reach of
/// it, downwards, away from where ordinary objects are.
///
/// # Errors
/// When there is no contiguous room for a region.
pub fn choose(
    system: &System,
    source: &str,
    untypeds: &[Untyped],
    dma_limit: u64,
) -> Result<BTreeMap<RegionIndex, u64>, Box<Diagnostic>> {
    let mut taken: Vec<Range<u64>> = system
        .memory_regions
        .iter()
        .filter_map(|region| Some(region.phys_addr?..region.phys_addr?.saturating_add(region.size)))
        .collect();
    let mut free = ranges(untypeds, false);
    free.retain_mut(|range| {
        range.end = range.end.min(dma_limit);
        range.start < range.end
    });
    let mut chosen = BTreeMap::new();
    for (index, region) in system.memory_regions.iter().enumerate() {
        if !region.contiguous || region.phys_addr.is_some() {
            continue;
        }
        let align = region.page_size.bytes();
        let found = free.iter().rev().find_map(|range| top_fit(range, region.size, align, &taken));
        let Some(start) = found else {
            let problem = Problem::Other(format!(
                "no contiguous main memory{} for region '{}' of {:#x} bytes, whose physical address a setvar asks for{}",
                if dma_limit == u64::MAX {
                    String::new()
                } else {
                    format!(" below {dma_limit:#x}, where devices reach it,")
                },
                region.name,
                region.size,
                list_ranges(untypeds)
            ));
            return Err(Box::new(Diagnostic::error(source, region.pos, problem)));
        };
        taken.push(start..start + region.size);
        chosen.insert(index, start);
    }
    Ok(chosen)
}

/// The highest aligned address in `range` with `size` bytes that nobody has taken.
fn top_fit(range: &Range<u64>, size: u64, align: u64, taken: &[Range<u64>]) -> Option<u64> {
    let mut end = range.end;
    loop {
        let start = end.checked_sub(size)? / align * align;
        if start < range.start {
            return None;
        }
        match taken.iter().filter(|t| t.start < start + size && start < t.end).map(|t| t.start).min() {
            Some(obstacle) => end = obstacle,
            None => return Some(start),
        }
    }
}

/// Physical addresses of objects, as runs.
#[derive(Clone, Debug, Default)]
pub struct Placement {
    /// First object of each run, ascending, with its address.
    runs: Vec<(ObjectId, u64, u8)>,
}

impl Placement {
    /// The address of an object.
    #[must_use]
    pub fn paddr(&self, object: ObjectId) -> Option<u64> {
        let at = self.runs.partition_point(|run| run.0 <= object).checked_sub(1)?;
        let (first, paddr, size_bits) = *self.runs.get(at)?;
        Some(paddr + (u64::from(object - first) << size_bits))
    }
}

/// Replays the initialiser's allocation.
///
/// # Errors
/// Why not everything gets memory, naming the object.
pub fn allocate(model: &Model, untypeds: &[Untyped]) -> Result<Placement, String> {
    let mut placement = Placement::default();
    let groups = model.content.groups.iter().map(|group| Ok(*group));
    let result = plan(untypeds.iter().copied(), groups, |step| {
        if let Step::Create { object, paddr, group, .. } = step {
            placement.runs.push((object, paddr, group.size_bits));
        }
        Ok::<_, std::convert::Infallible>(())
    });
    match result {
        Ok(()) => Ok(placement),
        Err(error @ (PlanError::OutOfMemory { object, .. } | PlanError::FixedAddress { object, .. })) => {
            let kind = model.objects_of(object).map_or("object", |objects| objects.kind.name());
            let name = model.name_of(object);
            Err(format!("cannot allocate {kind} '{name}': {error}{}", list_ranges(untypeds)))
        }
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_untypeds_are_one_range() {
        let ram = |paddr, size_bits| Untyped { paddr, size_bits, device: false };
        let untypeds = [ram(0x3000, 12), ram(0x1000, 12), ram(0x2000, 12), ram(0x8000, 13)];
        assert_eq!(ranges(&untypeds, false), [0x1000..0x4000, 0x8000..0xa000]);
        assert!(ranges(&untypeds, true).is_empty());
    }

    #[test]
    fn top_fit_goes_round_what_is_taken() {
        let range = 0x1000..0x9000;
        assert_eq!(top_fit(&range, 0x2000, 0x1000, &[]), Some(0x7000));
        assert_eq!(top_fit(&range, 0x2000, 0x1000, std::slice::from_ref(&(0x8000..0x9000))), Some(0x6000));
        assert_eq!(top_fit(&range, 0x2000, 0x1000, &[0x7000..0x8000, 0x4000..0x6000]), Some(0x2000));
        assert_eq!(top_fit(&range, 0x2000, 0x4000, &[]), Some(0x4000));
        assert_eq!(top_fit(&range, 0x9000, 0x1000, &[]), None);
        assert_eq!(top_fit(&range, 0x1000, 0x1000, std::slice::from_ref(&(0..0x10000))), None);
    }
}
