// SPDX-License-Identifier: BSD-2-Clause
//! The system as kernel objects: the records of a description while they are collected, with names for the report.
//!
//! Objects are numbered as they are added; [`Model::finish`] puts them into the order of allocation and renumbers every
//! record.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use system_spec::format::Content;
use system_spec::record::{CapTo, Fill, Group, Mapping, OWN_VSPACE, ObjectId, Slot, Source};

use crate::sdk::KernelConfig;

/// Kinds of kernel objects that take memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
    /// Bytes that fills refer to.
    pub data: Vec<u8>,
    files: HashMap<PathBuf, u64>,
    next: ObjectId,
}

/// Data is placed so that source and target have the same offset in this many bytes, for wide copies.
const DATA_ALIGN: u64 = 64;

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

    /// Fills consecutive frames with `bytes`, except for whole pages of zeros. `fill` says where; its length and source
    /// are set here.
    pub fn fill(&mut self, fill: Fill, bytes: &[u8]) {
        for (offset, run) in runs_without_zero_pages(fill.offset, bytes) {
            let source = self.put(fill.offset + offset, run);
            self.content.fills.push(Fill {
                offset: fill.offset + offset,
                len: run.len() as u64,
                source: Source::Data(source),
                ..fill
            });
        }
    }

    /// Like [`Model::fill`] with a file's bytes, which are kept once however often they are used.
    pub fn fill_from_file(&mut self, fill: Fill, path: &Path, bytes: &[u8]) {
        let source = match self.files.get(path) {
            Some(&source) => source,
            None => {
                let source = self.put(fill.offset, bytes);
                self.files.insert(path.to_path_buf(), source);
                source
            }
        };
        let source = Source::Data(source);
        self.content.fills.push(Fill { len: bytes.len() as u64, source, ..fill });
    }

    /// Appends bytes that will be copied to `target`.
    fn put(&mut self, target: u64, bytes: &[u8]) -> u64 {
        let misfit = target.wrapping_sub(self.data.len() as u64) % DATA_ALIGN;
        self.data.resize(self.data.len() + misfit as usize, 0);
        let source = self.data.len() as u64;
        self.data.extend_from_slice(bytes);
        source
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
        self.objects = order
            .iter()
            .map(|&index| Objects { first: moved[index], ..objects[index].clone() })
            .collect();
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
        f(frame);
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

/// Parts of `bytes` without whole pages of zeros, and without zeros at their ends, each with its offset. `target` is the
/// offset of `bytes` in its frames.
fn runs_without_zero_pages(target: u64, bytes: &[u8]) -> Vec<(u64, &[u8])> {
    const PAGE: usize = 0x1000;
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    let mut start = 0;
    while start < bytes.len() {
        let in_page = (target as usize + start) % PAGE;
        let end = bytes.len().min(start + PAGE - in_page);
        if bytes[start..end].iter().any(|&byte| byte != 0) {
            match runs.last_mut() {
                Some(run) if run.end == start => run.end = end,
                _ => runs.push(start..end),
            }
        }
        start = end;
    }
    runs.into_iter()
        .map(|run| {
            let part = &bytes[run.clone()];
            let len = part.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
            (run.start as u64, &part[..len])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_pages_are_left_out() {
        let mut bytes = vec![0u8; 0x5000];
        bytes[0x10] = 1;
        bytes[0x1010] = 2;
        bytes[0x4fff] = 3;
        let runs = runs_without_zero_pages(0, &bytes);
        let shape: Vec<_> = runs.iter().map(|(offset, run)| (*offset, run.len())).collect();
        assert_eq!(shape, [(0, 0x1011), (0x4000, 0x1000)]);
        assert!(runs_without_zero_pages(0, &[0; 100]).is_empty());
    }

    #[test]
    fn runs_follow_the_target_s_pages() {
        let mut bytes = vec![0u8; 0x2000];
        bytes[0] = 1;
        bytes[0x1fff] = 1;
        let runs = runs_without_zero_pages(0xff0, &bytes);
        let shape: Vec<_> = runs.iter().map(|(offset, run)| (*offset, run.len())).collect();
        assert_eq!(shape, [(0, 1), (0x1010, 0xff0)]);
    }

    #[test]
    fn data_has_the_target_s_alignment_and_files_are_kept_once() {
        let mut model = Model::default();
        let fill = Fill {
            frame: 0,
            frame_bits: 12,
            offset: 0x123,
            len: 0,
            source: Source::Data(0),
            cache: system_spec::record::CacheCare::None,
        };
        model.fill(fill, &[1, 2, 3]);
        model.fill_from_file(Fill { offset: 0, ..fill }, Path::new("a"), &[4; 100]);
        model.fill_from_file(Fill { offset: 0, frame: 7, ..fill }, Path::new("a"), &[4; 100]);
        let sources: Vec<_> = model.content.fills.iter().map(|fill| fill.source).collect();
        assert_eq!(sources, [Source::Data(0x23), Source::Data(0x40), Source::Data(0x40)]);
        assert_eq!(model.data.len(), 0x40 + 100);
    }
}
