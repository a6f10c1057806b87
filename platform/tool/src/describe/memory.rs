// SPDX-License-Identifier: BSD-2-Clause
//! Memory regions and programs as frames.

use std::collections::BTreeMap;

use sdf::{Map, PageSize, Prefill, RegionIndex};
use system_spec::record::{CacheCare, Fill, Frame, ObjectId, Source};

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
    (0..input.system.memory_regions.len()).map(|index| region(input, model, index)).collect()
}

fn region(input: &Input<'_>, model: &mut Model, index: RegionIndex) -> Region {
    let region = &input.system.memory_regions[index];
    let bits = region.page_size.bits() as u8;
    let count = region.page_count() as u32;
    let paddr = region.phys_addr.or_else(|| input.chosen.get(&index).copied());
    let name = format!("mr_{}", region.name);
    let cache = cache_care(input, index);
    let content = input.prefills.get(&index).map_or(&[][..], Vec::as_slice);
    let mut runs = Vec::new();
    let mut fresh = count;
    // Small pages at no particular address need not be made: the image has them, with their content.
    if let Some(Prefill::File { path, .. }) = &region.prefill
        && paddr.is_none()
        && !region.contiguous
        && region.page_size == PageSize::Small
    {
        let first = if written(input, index) {
            model.image_pages(content)
        } else {
            model.shared_image_pages(path, content)
        };
        let pages = content.len().div_ceil(PAGE as usize) as u32;
        runs.push(Frames { first, count: pages, bits });
        fresh = count.saturating_sub(pages);
    }
    if fresh > 0 {
        let first = model.add(Kind::page(region.page_size), name, fresh, paddr);
        if fresh == count {
            let source = Source::BootInfo(BOOT_INFO_FDT);
            let fill = Fill { frame: first, frame_bits: bits, offset: 0, len: region.size, source, cache };
            match &region.prefill {
                Some(Prefill::File { path, .. }) => model.fill_from_file(fill, path, content),
                Some(Prefill::DeviceTree) => model.content.fills.push(fill),
                None => {}
            }
        }
        runs.push(Frames { first: Frame::Object(first), count: fresh, bits });
    }
    Region { runs, cache, mapped: false }
}

/// All mappings of a region: those of protection domains, then those of virtual machines.
fn maps_of<'a>(input: &Input<'a>, region: RegionIndex) -> [impl Iterator<Item = &'a Map>; 2] {
    let pds = &input.system.protection_domains;
    let of_pds: Vec<&Map> = pds.iter().flat_map(|pd| &pd.maps).collect();
    let vms = pds.iter().filter_map(|pd| pd.virtual_machine.as_ref());
    let of_vms: Vec<&Map> = vms.flat_map(|vm| &vm.maps).collect();
    [of_pds, of_vms].map(|maps| maps.into_iter().filter(move |map| map.region == region))
}

/// Whether anybody may write to a region.
fn written(input: &Input<'_>, region: RegionIndex) -> bool {
    maps_of(input, region).into_iter().flatten().any(|map| map.perms.write)
}

/// What the caches need for a region's content, given everybody who will use it.
fn cache_care(input: &Input<'_>, region: RegionIndex) -> CacheCare {
    let [mut of_pds, mut of_vms] = maps_of(input, region);
    let executed = maps_of(input, region)[0].any(|map| map.perms.execute);
    if of_vms.next().is_some() || of_pds.any(|map| !map.cached) {
        CacheCare::Clean
    } else if executed {
        CacheCare::Unify
    } else {
        CacheCare::None
    }
}

/// Maps a program. Pages come with the image, except those of zeros. Segments may share a page; it has the rights of
/// both.
pub(super) fn program(model: &mut Model, space: &mut Space, name: &str, elf: &Elf) {
    let mut pages: BTreeMap<u64, (Access, Vec<u8>)> = BTreeMap::new();
    for segment in &elf.segments {
        let range = segment.range();
        for page in range.start / PAGE..range.end.div_ceil(PAGE) {
            let (access, bytes) = pages.entry(page).or_insert_with(|| (Access::READ, vec![0; PAGE as usize]));
            access.write |= segment.write;
            access.execute |= segment.execute;
            let start = (page * PAGE).max(range.start);
            let end = (page * PAGE + PAGE).min(range.end);
            let part = &segment.data[(start - range.start) as usize..(end - range.start) as usize];
            bytes[(start - page * PAGE) as usize..][..part.len()].copy_from_slice(part);
        }
    }
    let is_zero = |bytes: &[u8]| bytes.iter().all(|&byte| byte == 0);
    let zeros = pages.values().filter(|(_, bytes)| is_zero(bytes)).count() as u32;
    let mut zero = if zeros > 0 { model.add(Kind::SmallPage, format!("elf_{name}"), zeros, None) } else { 0 };
    let mut runs: Vec<(u64, Frames, Access)> = Vec::new();
    for (page, (access, bytes)) in pages {
        let first = if is_zero(&bytes) {
            zero += 1;
            Frame::Object(zero - 1)
        } else {
            model.image_pages(&bytes)
        };
        match runs.last_mut() {
            Some((start, frames, last))
                if *start + u64::from(frames.count) == page && *last == access && follows(frames, first) =>
            {
                frames.count += 1;
            }
            _ => runs.push((page, Frames { first, count: 1, bits: PAGE_BITS }, access)),
        }
    }
    for (page, frames, access) in runs {
        let cache = if access.execute { CacheCare::Unify } else { CacheCare::None };
        space.map(model, frames, page * PAGE, access, false, cache);
    }
}

/// Whether `next` is the frame behind a run.
fn follows(run: &Frames, next: Frame) -> bool {
    match (run.first, next) {
        (Frame::Object(first), Frame::Object(next)) | (Frame::Image(first), Frame::Image(next)) => {
            first + run.count == next
        }
        _ => false,
    }
}

/// Makes zeroed frames and maps them read-write; gives the first.
pub(super) fn zeroed(model: &mut Model, space: &mut Space, name: String, vaddr: u64, size: u64) -> ObjectId {
    let count = size.div_ceil(PAGE) as u32;
    let first = model.add(Kind::SmallPage, name, count, None);
    let frames = Frames { first: Frame::Object(first), count, bits: PAGE_BITS };
    space.map(model, frames, vaddr, Access::DATA, false, CacheCare::None);
    first
}

impl Builder<'_> {
    /// Maps a region.
    pub(super) fn map(&mut self, space: &mut Space, map: &Map) {
        let Some(region) = self.regions.get_mut(map.region) else { return };
        let access = Access { write: map.perms.write, execute: map.perms.execute, cached: map.cached };
        let mut vaddr = map.vaddr;
        for &frames in &region.runs {
            space.map(&mut self.model, frames, vaddr, access, region.mapped, region.cache);
            vaddr += frames.size();
        }
        region.mapped = true;
    }
}
