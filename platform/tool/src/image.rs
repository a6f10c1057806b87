// SPDX-License-Identifier: BSD-2-Clause
//! The bootable image: loader, header, region list, root task, kernel.
//!
//! All header fields are 64-bit little endian: magic, size from the header to the image's end, kernel entry (virtual),
//! root task start and end (physical), its physical minus virtual offset, its entry (virtual), number of regions; each
//! region has load address, size, offset behind the region list, type (1: data; 2: data that is the device tree, which
//! the kernel is told of). The root task's place in the image is
//! where it runs, if that is memory that the kernel hands out: then the loader has nothing to copy.

use std::ops::Range;

use anyhow::{Context, Result, bail};

use crate::elf::Elf;

const MAGIC: u64 = 0x5e14_dead_14de_5ead;
const REGION_DATA: u64 = 1;
const REGION_DEVICE_TREE: u64 = 2;
const WORD: u64 = 8;
const HEADER_WORDS: u64 = 8;
const REGION_WORDS: u64 = 4;
const PAGE: u64 = 0x1000;

/// The kernel as the loader and the prediction see it.
#[derive(Debug)]
pub struct Kernel {
    entry: u64,
    /// Physical address and bytes of each segment.
    segments: Vec<(u64, Vec<u8>)>,
    /// The whole image.
    pub image: Range<u64>,
    /// The part that is free after boot.
    pub boot: Range<u64>,
}

impl Kernel {
    /// Takes the kernel's segments and its symbols `ki_end` and `ki_boot_end`.
    ///
    /// # Errors
    /// When a symbol is missing, or segments have different distances between virtual and physical address.
    pub fn new(elf: &Elf) -> Result<Self> {
        let Some(first) = elf.segments.first() else { bail!("no segment to load") };
        let offset = first.vaddr.wrapping_sub(first.paddr);
        if elf.segments.iter().any(|segment| segment.vaddr.wrapping_sub(segment.paddr) != offset) {
            bail!("the kernel's segments have different distances between virtual and physical addresses");
        }
        let symbol = |name: &str| {
            let symbol = elf.symbol(name).with_context(|| format!("the kernel has no symbol '{name}'"))?;
            anyhow::Ok(symbol.address.wrapping_sub(offset))
        };
        let image = first.paddr..symbol("ki_end")?;
        let boot = first.paddr..symbol("ki_boot_end")?;
        let segments = elf.segments.iter().map(|segment| (segment.paddr, segment.data.clone())).collect();
        Ok(Self { entry: elf.entry, segments, image, boot })
    }
}

/// The root task: one contiguous piece of memory.
#[derive(Debug)]
pub struct RootTask {
    /// Virtual address of its start; page-aligned.
    pub vaddr: u64,
    /// Virtual entry point.
    pub entry: u64,
    /// Everything, a whole number of pages.
    pub bytes: Vec<u8>,
    /// A device tree that the kernel hands to it in BootInfo; empty for none.
    pub device_tree: Vec<u8>,
}

impl RootTask {
    /// Bytes of both, one behind the other.
    #[must_use]
    pub fn size(&self) -> u64 {
        (self.bytes.len() + self.device_tree.len()) as u64
    }
}

/// The loader and where things go behind it.
#[derive(Debug)]
pub struct Layout {
    loader: Vec<u8>,
    loader_entry: u64,
    /// Physical address of the image.
    base: u64,
    /// Physical address where the root task runs.
    pub root_task: u64,
    /// Offset of the root task behind the region list.
    root_task_offset: u64,
    regions: u64,
}

impl Layout {
    /// Lays out an image: the root task goes right behind the header, page-aligned, and stays there when `ram` has room
    /// for it there; otherwise it is to be copied behind the kernel.
    ///
    /// # Errors
    /// When there is no room for it anywhere.
    pub fn new(loader: &Elf, kernel: &Kernel, task: &RootTask, ram: &[Range<u64>]) -> Result<Self> {
        let root_task_size = task.size();
        let (base, loader_bytes) = loader.flat(|segment| segment.vaddr);
        let regions = kernel.segments.len() as u64 + 1 + u64::from(!task.device_tree.is_empty());
        let list_end = base + loader_bytes.len() as u64 + (HEADER_WORDS + regions * REGION_WORDS) * WORD;
        let in_place = list_end.next_multiple_of(PAGE);
        let image_end = in_place + root_task_size;
        let is_free = |range: &Range<u64>| {
            ram.iter().any(|ram| ram.start <= range.start && range.end <= ram.end)
                && (range.end <= kernel.image.start || kernel.image.end <= range.start)
        };
        let root_task = if is_free(&(in_place..image_end)) {
            in_place
        } else {
            let candidates = ram.iter().map(|ram| ram.start).chain([kernel.image.end, image_end]);
            let kernel_size: u64 = kernel.segments.iter().map(|(_, data)| data.len() as u64 + PAGE).sum();
            let image = base..image_end + kernel_size;
            candidates
                .map(|start| start.next_multiple_of(PAGE))
                .filter(|&start| {
                    let range = start..start + root_task_size;
                    is_free(&range) && (range.end <= image.start || image.end <= range.start)
                })
                .min()
                .context("no room in main memory for the initial task")?
        };
        Ok(Self {
            loader: loader_bytes,
            loader_entry: loader.entry,
            base,
            root_task,
            root_task_offset: in_place - list_end,
            regions,
        })
    }

    /// The image's bytes.
    #[must_use]
    pub fn write(&self, kernel: &Kernel, task: &RootTask) -> Vec<u8> {
        let task_size = task.bytes.len() as u64;
        let mut offset = self.root_task_offset;
        let mut regions = vec![(self.root_task, &task.bytes, offset, REGION_DATA)];
        offset += task_size;
        if !task.device_tree.is_empty() {
            regions.push((self.root_task + task_size, &task.device_tree, offset, REGION_DEVICE_TREE));
            offset = (offset + task.device_tree.len() as u64).next_multiple_of(PAGE);
        }
        for (paddr, data) in &kernel.segments {
            regions.push((*paddr, data, offset, REGION_DATA));
            offset = (offset + data.len() as u64).next_multiple_of(PAGE);
        }
        let list_size = (HEADER_WORDS + self.regions * REGION_WORDS) * WORD;
        let data_end = regions.iter().map(|(_, data, at, _)| at + data.len() as u64).max().unwrap_or(0);
        let header = [
            MAGIC,
            list_size + data_end,
            kernel.entry,
            self.root_task,
            self.root_task + task_size,
            self.root_task.wrapping_sub(task.vaddr),
            task.entry,
            self.regions,
        ];
        let list = regions.iter().flat_map(|&(paddr, data, at, kind)| [paddr, data.len() as u64, at, kind]);
        let mut image = self.loader.clone();
        image.extend(header.into_iter().chain(list).flat_map(u64::to_le_bytes));
        let data_start = image.len();
        for (_, data, at, _) in regions {
            image.resize(data_start + at as usize, 0);
            image.extend_from_slice(data);
        }
        image
    }

    /// The image wrapped into an ELF file with one segment.
    #[must_use]
    pub fn wrap_elf(&self, image: &[u8]) -> Vec<u8> {
        const EHDR: u64 = 64;
        const PHDR: u64 = 56;
        const OFFSET: u64 = PAGE;
        let mut elf = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0];
        elf.resize(16, 0);
        let half = |value: u16| value.to_le_bytes().to_vec();
        let word = |value: u32| value.to_le_bytes().to_vec();
        let long = |value: u64| value.to_le_bytes().to_vec();
        let size = image.len() as u64;
        let executable_aarch64 = [half(2), half(183), word(1), long(self.loader_entry)];
        elf.extend(executable_aarch64.concat());
        let tables = [long(EHDR), long(0), word(0), half(EHDR as u16), half(PHDR as u16), half(1)];
        elf.extend(tables.concat());
        elf.extend([half(64), half(0), half(0)].concat());
        elf.extend([word(1), word(7), long(OFFSET)].concat());
        elf.extend([long(self.base), long(self.base), long(size), long(size), long(PAGE)].concat());
        elf.resize(OFFSET as usize, 0);
        elf.extend_from_slice(image);
        elf
    }
}
