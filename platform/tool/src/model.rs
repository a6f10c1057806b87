// SPDX-License-Identifier: BSD-2-Clause
//! The system as kernel objects: the records of a description while they are collected, with names for the report.
//!
//! Objects are numbered as they are added; [`Model::finish`] puts them into the order of allocation and renumbers every
//! record.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use system_spec::format::Content;
use system_spec::record::{CapTo, Fill, Frame, Group, Mapping, OWN_VSPACE, ObjectId, Slot, Source};

use crate::sdk::KernelConfig;

/// Kinds of kernel objects that take memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Thread control block.
    Tcb,
    /// Endpoint.
    Endpoint,
    /// Notification.
    Notification,
    /// CNode with `1 << radix` slots.
    CNode {
        /// log2 of the slots.
        radix: u8,
    },
    /// Scheduling context.
    SchedContext,
    /// Reply object.
    Reply,
    /// Top-level page table.
    VSpace,
    /// 4 KiB frame.
    SmallPage,
    /// 2 MiB frame.
    LargePage,
    /// Page table.
    PageTable,
    /// Virtual CPU.
    Vcpu,
}

impl Kind {
    /// The kernel's object type number (ABI page: MCS with hypervisor support).
    #[must_use]
    pub const fn object_type(self) -> u8 {
        match self {
            Self::Tcb => 1,
            Self::Endpoint => 2,
            Self::Notification => 3,
            Self::CNode { .. } => 4,
            Self::SchedContext => 5,
            Self::Reply => 6,
            Self::VSpace => 8,
            Self::SmallPage => 9,
            Self::LargePage => 10,
            Self::PageTable => 11,
            Self::Vcpu => 12,
        }
    }

    /// Name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcb => "TCB",
            Self::Endpoint => "Endpoint",
            Self::Notification => "Notification",
            Self::CNode { .. } => "CNode",
            Self::SchedContext => "Scheduling Context",
            Self::Reply => "Reply",
            Self::VSpace => "VSpace",
            Self::SmallPage => "Page(4 KiB)",
            Self::LargePage => "Page(2 MiB)",
            Self::PageTable => "Page Table",
            Self::Vcpu => "VCPU",
        }
    }

    /// The frame of this page size.
    #[must_use]
    pub const fn page(size: sdf::PageSize) -> Self {
        match size {
            sdf::PageSize::Small => Self::SmallPage,
            sdf::PageSize::Large => Self::LargePage,
        }
    }

    const fn user_size(self) -> u8 {
        match self {
            Self::CNode { radix } => radix,
            Self::SchedContext => crate::layout::SCHED_CONTEXT_BITS,
            _ => 0,
        }
    }
}

/// A run of equal objects with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objects {
    /// Name for reports, unique together with the kind.
    pub name: String,
    /// Kind.
    pub kind: Kind,
    /// How many.
    pub count: u32,
    /// Fixed physical address of the first.
    pub paddr: Option<u64>,
    /// Number of the first.
    pub first: ObjectId,
}

/// A system in the making, or finished.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// Objects in order of their numbers.
    pub objects: Vec<Objects>,
    /// All other records.
    pub content: Content,
    /// Pages that are handed over with their content, then bytes that fills refer to.
    data: Data,
    files: HashMap<(PathBuf, Use), u64>,
    next: ObjectId,
}

/// The data that comes with a description.
#[derive(Clone, Debug, Default)]
struct Data {
    pages: Vec<u8>,
    copied: Vec<u8>,
}

/// How the bytes of a file are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Use {
    Pages,
    Copied,
}

/// Bytes of a page.
pub const PAGE: usize = 0x1000;

/// Data to copy starts on a multiple of this, for wide copies.
const DATA_ALIGN: usize = 64;

impl Model {
    /// Adds `count` objects; gives the number of the first.
    pub fn add(&mut self, kind: Kind, name: impl Into<String>, count: u32, paddr: Option<u64>) -> ObjectId {
        let first = self.next;
        self.next += count;
        self.objects.push(Objects { name: name.into(), kind, count, paddr, first });
        first
    }

    /// Adds one object anywhere.
    pub fn add_one(&mut self, kind: Kind, name: impl Into<String>) -> ObjectId {
        self.add(kind, name, 1, None)
    }

    /// The objects that number `id` belongs to.
    #[must_use]
    pub fn objects_of(&self, id: ObjectId) -> Option<&Objects> {
        let at = self.objects.partition_point(|objects| objects.first <= id).checked_sub(1)?;
        self.objects.get(at)
    }

    /// Name of one object: with its number in the run when there are several.
    #[must_use]
    pub fn name_of(&self, id: ObjectId) -> String {
        match self.objects_of(id) {
            Some(objects) if objects.count > 1 => format!("{}[{}]", objects.name, id - objects.first),
            Some(objects) => objects.name.clone(),
            None => String::new(),
        }
    }

    /// Puts a capability into a CNode with [`crate::layout::CNODE_RADIX`].
    pub fn slot(&mut self, cnode: ObjectId, index: u32, cap: CapTo, rights: u8, data: u64) {
        self.content.slots.push(Slot { cnode, radix: crate::layout::CNODE_RADIX, index, cap, rights, data });
    }

    /// Pages of the image with `bytes`, then zeros; gives the first.
    pub fn image_pages(&mut self, bytes: &[u8]) -> Frame {
        let pages = &mut self.data.pages;
        let first = pages.len() / PAGE;
        pages.extend_from_slice(bytes);
        pages.resize(pages.len().next_multiple_of(PAGE), 0);
        Frame::Image(first as u32)
    }

    /// Like [`Model::image_pages`] with a file that is kept once: for users who all only read.
    pub fn shared_image_pages(&mut self, path: &Path, bytes: &[u8]) -> Frame {
        let key = (path.to_path_buf(), Use::Pages);
        match self.files.get(&key) {
            Some(&first) => Frame::Image(first as u32),
            None => {
                self.files.insert(key, (self.data.pages.len() / PAGE) as u64);
                self.image_pages(bytes)
            }
        }
    }

    /// Fills consecutive frames with a file's bytes, which are kept once however often they are used. Until
    /// [`Model::finish`], the source does not count the pages before it.
    pub fn fill_from_file(&mut self, fill: Fill, path: &Path, bytes: &[u8]) {
        let copied = &mut self.data.copied;
        let source = *self.files.entry((path.to_path_buf(), Use::Copied)).or_insert_with(|| {
            copied.resize(copied.len().next_multiple_of(DATA_ALIGN), 0);
            let source = copied.len() as u64;
            copied.extend_from_slice(bytes);
            source
        });
        let source = Source::Data(source);
        self.content.fills.push(Fill { len: bytes.len() as u64, source, ..fill });
    }

    /// Pages of the image that are handed over.
    #[must_use]
    pub fn image_page_count(&self) -> usize {
        self.data.pages.len() / PAGE
    }

    /// The data in the order in which it comes.
    pub fn data(&self) -> impl Iterator<Item = &[u8]> {
        [self.data.pages.as_slice(), self.data.copied.as_slice()].into_iter()
    }

    /// Objects in order of allocation, all records renumbered.
    #[must_use]
    pub fn finish(mut self, config: &KernelConfig) -> Self {
        let mut order: Vec<usize> = (0..self.objects.len()).collect();
        order.sort_by(|&a, &b| {
            let key = |index: usize| {
                let objects = &self.objects[index];
                let free_size = std::cmp::Reverse(config.size_bits(objects.kind));
                (objects.paddr.is_none(), objects.paddr, free_size, &objects.name, index)
            };
            key(a).cmp(&key(b))
        });
        let mut moved = vec![0; self.objects.len()];
        let mut next = 0;
        for &index in &order {
            moved[index] = next;
            next += self.objects[index].count;
        }
        let objects = std::mem::take(&mut self.objects);
        let renumber = |id: &mut ObjectId| {
            if *id != OWN_VSPACE {
                let index = objects.partition_point(|objects| objects.first <= *id) - 1;
                *id = moved[index] + (*id - objects[index].first);
            }
        };
        each_object(&mut self.content, renumber);
        let pages = self.data.pages.len() as u64;
        for fill in &mut self.content.fills {
            if let Source::Data(offset) = &mut fill.source {
                *offset += pages;
            }
        }
        self.objects =
            order.iter().map(|&index| Objects { first: moved[index], ..objects[index].clone() }).collect();
        self.content.groups = self
            .objects
            .iter()
            .map(|objects| Group {
                object_type: objects.kind.object_type(),
                user_size: objects.kind.user_size(),
                size_bits: config.size_bits(objects.kind),
                count: objects.count,
                paddr: objects.paddr,
            })
            .collect();
        self
    }
}

/// Calls `f` with every object number in the records.
fn each_object(content: &mut Content, mut f: impl FnMut(&mut ObjectId)) {
    let Content { groups: _, irqs, tables, fills, mappings, scheds, slots, threads, domains: _ } = content;
    irqs.iter_mut().for_each(|irq| f(&mut irq.notification));
    for table in tables {
        f(&mut table.object);
        f(&mut table.vspace);
    }
    fills.iter_mut().for_each(|fill| f(&mut fill.frame));
    for Mapping { vspace, frame, .. } in mappings {
        f(vspace);
        if let Frame::Object(object) = frame {
            f(object);
        }
    }
    scheds.iter_mut().for_each(|sched| f(&mut sched.object));
    for slot in slots {
        f(&mut slot.cnode);
        if let CapTo::Object(object) = &mut slot.cap {
            f(object);
        }
    }
    for thread in threads {
        for object in [
            &mut thread.tcb,
            &mut thread.cspace,
            &mut thread.vspace,
            &mut thread.ipc_buffer,
            &mut thread.sched_context,
        ] {
            f(object);
        }
        thread.fault_handler.iter_mut().for_each(|handler| f(&mut handler.endpoint));
        thread.notification.iter_mut().for_each(&mut f);
        thread.vcpu.iter_mut().for_each(&mut f);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use system_spec::record::CacheCare;

    #[test]
    fn pages_are_whole_and_in_front_of_copied_data() {
        let mut model = Model::default();
        let fill = Fill {
            frame: 0,
            frame_bits: 21,
            offset: 0,
            len: 0,
            source: Source::Data(0),
            cache: CacheCare::None,
        };
        model.fill_from_file(fill, Path::new("a"), &[4; 100]);
        model.fill_from_file(fill, Path::new("b"), &[5; 100]);
        model.fill_from_file(fill, Path::new("a"), &[4; 100]);
        assert_eq!(model.image_pages(&[1; 0x1001]), Frame::Image(0));
        assert_eq!(model.image_pages(&[2; 3]), Frame::Image(2));
        let sources =
            |model: &Model| -> Vec<Source> { model.content.fills.iter().map(|fill| fill.source).collect() };
        assert_eq!(sources(&model), [0, 128, 0].map(Source::Data));
        let data: Vec<usize> = model.data().map(<[u8]>::len).collect();
        assert_eq!(data, [0x3000, 228]);
    }

    #[test]
    fn shared_pages_are_kept_once_others_are_not() {
        let mut model = Model::default();
        assert_eq!(model.shared_image_pages(Path::new("a"), &[1]), Frame::Image(0));
        assert_eq!(model.image_pages(&[1]), Frame::Image(1));
        assert_eq!(model.shared_image_pages(Path::new("a"), &[1]), Frame::Image(0));
        assert_eq!(model.shared_image_pages(Path::new("b"), &[2]), Frame::Image(2));
    }
}
