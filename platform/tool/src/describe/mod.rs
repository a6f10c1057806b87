// SPDX-License-Identifier: BSD-2-Clause
//! From a checked system description and its programs to kernel objects, capabilities, mappings and threads.
//!
//! What goes where is the Microkit 2.3 ABI ([`crate::layout`]); the initialiser does nothing but carry it out.

mod channel;
mod domain;
mod memory;
pub mod monitor;
mod pd;
mod vm;

use std::collections::BTreeMap;

use sdf::{RegionIndex, System};
use system_spec::record::{CacheCare, OWN_VSPACE, ObjectId};

use crate::elf::Elf;
use crate::model::Model;
use crate::sdk::KernelConfig;
use crate::space::{Frames, Space};

/// What a description is made from.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The system.
    pub system: &'a System,
    /// The kernel.
    pub config: &'a KernelConfig,
    /// The patched program of each protection domain.
    pub programs: &'a [Elf],
    /// The patched monitor.
    pub monitor: &'a Elf,
    /// Function names for the monitor's reports; empty when it has no use for them.
    pub symbols: &'a [u8],
    /// Content of each region with a prefill file.
    pub prefills: &'a BTreeMap<RegionIndex, Vec<u8>>,
    /// Physical addresses that the tool has chosen for regions.
    pub chosen: &'a BTreeMap<RegionIndex, u64>,
    /// First virtual address behind the initialiser's image, IPC buffer and boot information.
    pub initialiser_end: u64,
}

/// The finished model and the initialiser's window for filling frames.
#[derive(Debug)]
pub struct Description {
    /// Objects and records.
    pub model: Model,
    /// See [`system_spec::Header::window`].
    pub window: u64,
}

/// A region's frames, what their content needs, and whether they have been mapped.
struct Region {
    runs: Vec<Frames>,
    cache: CacheCare,
    mapped: bool,
}

/// Objects of a protection domain that others refer to.
struct Pd {
    tcb: ObjectId,
    sched_context: ObjectId,
    notification: ObjectId,
    endpoint: Option<ObjectId>,
    cnode: ObjectId,
    root_cnode: ObjectId,
    space: Space,
}

struct Builder<'a> {
    input: Input<'a>,
    model: Model,
    regions: Vec<Region>,
    pds: Vec<Pd>,
    monitor: monitor::Monitor,
    vcpus: u32,
}

/// Describes a system.
#[must_use]
pub fn describe(input: Input<'_>) -> Description {
    let mut model = Model::default();
    let window = window(&input, &mut model);
    let regions = memory::regions(&input, &mut model);
    let monitor = monitor::Monitor::new(&input, &mut model);
    let mut builder = Builder { input, model, regions, pds: Vec::new(), monitor, vcpus: 0 };
    builder.run();
    Description { model: builder.model.finish(input.config), window }
}

/// Page tables of the initialiser's own window for filling frames, behind its image.
fn window(input: &Input<'_>, model: &mut Model) -> u64 {
    const GIB: u64 = 1 << 30;
    let window = input.initialiser_end.next_multiple_of(GIB);
    let levels = input.config.table_levels;
    let mut space = Space::of(OWN_VSPACE, "initialiser", levels);
    space.need_tables(1, window + (1 << 21));
    if levels > 2 && window >> 39 == input.initialiser_end.saturating_sub(1) >> 39 {
        space.has_table(3, window);
    }
    space.finish(model);
    window
}

impl Builder<'_> {
    fn run(&mut self) {
        let system = self.input.system;
        for index in 0..system.protection_domains.len() {
            let pd = self.pd_objects(index);
            self.pds.push(pd);
        }
        for (index, pd) in system.protection_domains.iter().enumerate() {
            self.pd_memory(index, pd);
            self.pd_caps(index, pd);
            self.pd_thread(index, pd);
            if let Some(vm) = &pd.virtual_machine {
                self.virtual_machine(index, vm);
            }
        }
        for channel in &system.channels {
            self.channel(channel);
        }
        for pd in std::mem::take(&mut self.pds) {
            pd.space.finish(&mut self.model);
        }
        if let Some(domains) = &system.domains {
            self.domain_schedule(domains);
        }
    }
}
