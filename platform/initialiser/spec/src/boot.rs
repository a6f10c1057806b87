// SPDX-License-Identifier: BSD-2-Clause
//! Which untyped memory the kernel reports, predicted from what it is given.
//!
//! The kernel's own code for this mirrors [`untypeds`] step by step: it is seL4's boot protocol as far as the root task
//! can observe it.
//!
//! 1. RAM is free, except the kernel image and the root task's image.
//! 2. The root task's objects (CNode, TCB, two frames, ASID pool, page tables, scheduling context) are taken in one
//!    block from the top of the last free region that has room for it, its start aligned to the largest of them.
//! 3. Reported are: device memory, then the kernel's boot code (`boot`, free again), then the free regions; each
//!    ascending, each region cut into naturally aligned powers of two as large as possible from its start on.

use core::ops::Range;

use heapless::Vec;

use crate::Untyped;

/// Most regions of memory at any time.
pub const MAX_REGIONS: usize = 64;
/// Most untypeds that are reported (the upstream kernel stops at its configured limit, 230).
pub const MAX_UNTYPEDS: usize = 256;

const PAGE_BITS: u8 = 12;
const TABLE_INDEX_BITS: u8 = 9;
const MIN_UNTYPED_BITS: u8 = 4;
const MAX_UNTYPED_BITS: u8 = 47;
const ASID_POOL_BITS: u8 = 12;
const MIN_SCHED_CONTEXT_BITS: u8 = 7;

/// What the prediction depends on. Addresses are physical unless they say otherwise.
#[derive(Clone, Debug)]
pub struct BootLayout<'a> {
    /// RAM that the kernel hands out, ascending.
    pub ram: &'a [Range<u64>],
    /// Device memory, ascending.
    pub device: &'a [Range<u64>],
    /// The kernel image.
    pub kernel: Range<u64>,
    /// The part of the kernel image that is free after boot.
    pub boot: Range<u64>,
    /// The root task's image.
    pub user_image: Range<u64>,
    /// Virtual address of its start.
    pub user_vaddr: u64,
    /// Sizes of the root task's objects.
    pub sizes: RootSizes,
}

/// Sizes of the root task's objects, as log2 of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootSizes {
    /// CNode.
    pub cnode_bits: u8,
    /// TCB.
    pub tcb_bits: u8,
    /// Top-level page table.
    pub vspace_bits: u8,
    /// Levels of page tables below it: 2 for a 40-bit stage 2, otherwise 3.
    pub table_levels: u8,
}

/// A layout that the kernel cannot boot with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BootError {
    /// More regions than there is room for.
    #[error("memory is in more than {MAX_REGIONS} pieces at boot")]
    TooManyRegions,
    /// More untypeds than there is room for.
    #[error("the kernel would report more than {MAX_UNTYPEDS} untypeds")]
    TooManyUntypeds,
    /// The root task's objects fit nowhere.
    #[error("no room for the root task's kernel objects ({0:#x} bytes)")]
    RootObjects(u64),
}

impl RootSizes {
    /// Bytes of all objects of a root task that is mapped at `vaddr` (IPC buffer and boot information included).
    #[must_use]
    pub fn total(&self, vaddr: Range<u64>) -> u64 {
        let objects =
            [self.cnode_bits, self.tcb_bits, PAGE_BITS, PAGE_BITS, ASID_POOL_BITS, self.vspace_bits]
                .into_iter()
                .chain([MIN_SCHED_CONTEXT_BITS])
                .map(|bits| 1u64 << bits)
                .sum::<u64>();
        objects + (page_tables(vaddr, self.table_levels) << PAGE_BITS)
    }

    /// Alignment of the block of objects, as log2.
    #[must_use]
    pub fn align_bits(&self) -> u8 {
        self.cnode_bits.max(self.vspace_bits)
    }
}

/// Number of page tables that map `vaddr` with small pages, `levels` levels below the top.
#[must_use]
pub fn page_tables(vaddr: Range<u64>, levels: u8) -> u64 {
    (1..=levels)
        .map(|level| {
            let covers = PAGE_BITS + TABLE_INDEX_BITS * level;
            vaddr.end.div_ceil(1 << covers) - (vaddr.start >> covers)
        })
        .sum()
}

/// The untypeds that the kernel reports, in its order.
///
/// # Errors
/// When the kernel could not boot like this.
pub fn untypeds(layout: &BootLayout<'_>) -> Result<Vec<Untyped, MAX_UNTYPEDS>, BootError> {
    let mut free = Regions::from(layout.ram)?;
    free.remove(&layout.kernel)?;
    free.remove(&layout.user_image)?;
    // Behind the image: one page of IPC buffer, one of boot information.
    let image_size = layout.user_image.end.saturating_sub(layout.user_image.start);
    let user_end = layout.user_vaddr.saturating_add(image_size).saturating_add(2 << PAGE_BITS);
    let size = layout.sizes.total(layout.user_vaddr..user_end);
    let start = free.last_fit(size, layout.sizes.align_bits()).ok_or(BootError::RootObjects(size))?;
    free.remove(&(start..start + size))?;

    let mut untypeds = Vec::new();
    for region in layout.device {
        cut(region.clone(), true, &mut untypeds)?;
    }
    cut(layout.boot.clone(), false, &mut untypeds)?;
    for region in free.0 {
        cut(region, false, &mut untypeds)?;
    }
    Ok(untypeds)
}

/// Cuts a region into naturally aligned powers of two.
fn cut(
    mut region: Range<u64>,
    device: bool,
    untypeds: &mut Vec<Untyped, MAX_UNTYPEDS>,
) -> Result<(), BootError> {
    while let Some(room) = region.end.saturating_sub(region.start).checked_ilog2() {
        let size_bits = room.min(region.start.trailing_zeros()).min(MAX_UNTYPED_BITS.into()) as u8;
        if size_bits >= MIN_UNTYPED_BITS {
            let untyped = Untyped { paddr: region.start, size_bits, device };
            untypeds.push(untyped).map_err(|_| BootError::TooManyUntypeds)?;
        }
        region.start += 1 << size_bits;
    }
    Ok(())
}

/// Disjoint regions, ascending.
struct Regions(Vec<Range<u64>, MAX_REGIONS>);

impl Regions {
    fn from(regions: &[Range<u64>]) -> Result<Self, BootError> {
        Vec::from_slice(regions).map(Self).map_err(|_| BootError::TooManyRegions)
    }

    /// Takes `gone` away, wherever it overlaps.
    fn remove(&mut self, gone: &Range<u64>) -> Result<(), BootError> {
        let mut left = Vec::new();
        for region in &self.0 {
            let below = region.start..region.end.min(gone.start);
            let above = region.start.max(gone.end)..region.end;
            for part in [below, above] {
                if part.start < part.end {
                    left.push(part).map_err(|_| BootError::TooManyRegions)?;
                }
            }
        }
        self.0 = left;
        Ok(())
    }

    /// Start of a block as near as possible to the end of the last region that has room for it.
    fn last_fit(&self, size: u64, align_bits: u8) -> Option<u64> {
        self.0.iter().rev().find_map(|region| {
            let start = region.end.checked_sub(size)? >> align_bits << align_bits;
            (start >= region.start).then_some(start)
        })
    }
}

#[cfg(test)]
#[path = "boot_tests.rs"]
mod tests;
