// SPDX-License-Identifier: BSD-2-Clause
//! Memory regions and programs as frames.

use std::collections::BTreeMap;

use sdf::{Map, Prefill};
use system_spec::record::{CacheCare, Fill, ObjectId, Source};

use super::{Builder, Input, Region};
use crate::elf::Elf;
use crate::model::{Kind, Model};
use crate::space::{Access, Frames, Space};

const PAGE: u64 = 0x1000;
const PAGE_BITS: u8 = 12;
/// The device tree's chunk of boot information.
const BOOT_INFO_FDT: u32 = 6;

/// Makes the frames of all memory regions, with their content.
pub(super) fn regions(input: &Input<'_>, model: &mut Model) -> Vec<Region> {
    let system = input.system;
    let mut regions = Vec::new();
    for (index, region) in system.memory_regions.iter().enumerate() {
        let bits = region.page_size.bits() as u8;
        let count = u32::try_from(region.page_count()).unwrap_or(u32::MAX);
        let paddr = region.phys_addr.or_else(|| input.chosen.get(&index).copied());
        let first = model.add(Kind::page(region.page_size), format!("mr_{}", region.name), count, paddr);
        let cache = cache_care(input, index);
        let fill = Fill { frame: first, frame_bits: bits, offset: 0, len: 0, source: Source::Data(0), cache };
        match &region.prefill {
            Some(Prefill::File { path, .. }) => {
                let content = input.prefills.get(&index).map_or(&[][..], Vec::as_slice);
                model.fill_from_file(fill, path, content);
            }
            Some(Prefill::DeviceTree) => {
                let source = Source::BootInfo(BOOT_INFO_FDT);
                model.content.fills.push(Fill { len: region.size, source, ..fill });
            }
            None => {}
        }
        regions.push(Region { frames: Frames { first, count, bits }, mapped: false });
    }
    regions
}

/// What the caches need after a region was filled, given everybody who will use it.
fn cache_care(input: &Input<'_>, region: usize) -> CacheCare {
    let pds = &input.system.protection_domains;
    let of = |maps: &[Map], wanted: fn(&Map) -> bool| maps.iter().any(|m| m.region == region && wanted(m));
    let past_caches = pds.iter().any(|pd| {
        of(&pd.maps, |map| !map.cached) || pd.virtual_machine.as_ref().is_some_and(|vm| of(&vm.maps, |_| true))
    });
    if past_caches {
        CacheCare::Clean
    } else if pds.iter().any(|pd| of(&pd.maps, |map| map.perms.execute)) {
        CacheCare::Unify
    } else {
        CacheCare::None
    }
}

/// Makes the frames of a program and maps them. Segments may share a page; it gets the rights of both.
pub(super) fn program(model: &mut Model, space: &mut Space, name: &str, elf: &Elf) {
    let mut pages: BTreeMap<u64, Access> = BTreeMap::new();
    for segment in &elf.segments {
        let range = segment.range();
        for page in (range.start / PAGE)..range.end.div_ceil(PAGE) {
            let access = pages.entry(page).or_insert(Access::READ);
            access.write |= segment.write;
            access.execute |= segment.execute;
        }
    }
    let first = model.add(Kind::SmallPage, format!("elf_{name}"), pages.len() as u32, None);
    let mut runs: Vec<(u64, Frames, Access)> = Vec::new();
    for (frame, (&page, &access)) in (first..).zip(&pages) {
        match runs.last_mut() {
            Some((start, frames, last)) if *start + u64::from(frames.count) == page && *last == access => {
                frames.count += 1;
            }
            _ => runs.push((page, Frames { first: frame, count: 1, bits: PAGE_BITS }, access)),
        }
    }
    for segment in &elf.segments {
        let page = segment.vaddr / PAGE;
        let frame = first + pages.range(..page).count() as ObjectId;
        let cache = if segment.execute { CacheCare::Unify } else { CacheCare::None };
        let fill = Fill {
            frame,
            frame_bits: PAGE_BITS,
            offset: segment.vaddr % PAGE,
            len: 0,
            source: Source::Data(0),
            cache,
        };
        model.fill(fill, &segment.data);
    }
    for (page, frames, access) in runs {
        space.map(model, frames, page * PAGE, access, false);
    }
}

/// Makes zeroed frames and maps them read-write; gives the first.
pub(super) fn zeroed(
    model: &mut Model,
    space: &mut Space,
    name: String,
    vaddr: u64,
    size: u64,
) -> ObjectId {
    let count = size.div_ceil(PAGE) as u32;
    let first = model.add(Kind::SmallPage, name, count, None);
    space.map(model, Frames { first, count, bits: PAGE_BITS }, vaddr, Access::DATA, false);
    first
}

impl Builder<'_> {
    /// Maps a region.
    pub(super) fn map(&mut self, space: &mut Space, map: &Map) {
        let Some(region) = self.regions.get_mut(map.region) else { return };
        let access =
            Access { write: map.perms.write, execute: map.perms.execute, cached: map.cached };
        space.map(&mut self.model, region.frames, map.vaddr, access, region.mapped);
        region.mapped = true;
    }
}
