// SPDX-License-Identifier: BSD-2-Clause
//! The monitor: a protection domain of its own, above all others, with one flat CNode.

use system_spec::record::{CacheCare, CapTo, ObjectId, Sched, Thread};

use super::{Input, memory};
use crate::layout::{self, monitor_slot, rights};
use crate::model::{Kind, Model};
use crate::space::{Access, Frames, Space};

/// Objects of the monitor that others refer to.
pub(super) struct Monitor {
    pub(super) endpoint: ObjectId,
    pub(super) cnode: ObjectId,
}

/// Where the function names are mapped in the monitor: behind its image.
#[must_use]
pub fn symbols_vaddr(monitor: &crate::elf::Elf) -> u64 {
    monitor.bounds().end.next_multiple_of(0x20_0000) + 0x20_0000
}

impl Monitor {
    pub(super) fn new(input: &Input<'_>, model: &mut Model) -> Self {
        const NAME: &str = sdf::limits::MONITOR_NAME;
        let platform = &input.config.platform;
        let mut space = Space::new(model, NAME, input.config.table_levels);
        let tcb = model.add_one(Kind::Tcb, format!("tcb_{NAME}"));
        let endpoint = model.add_one(Kind::Endpoint, format!("ep_{NAME}"));
        let reply = model.add_one(Kind::Reply, format!("reply_{NAME}"));
        let sched_context = model.add_one(Kind::SchedContext, format!("sched_context_{NAME}"));
        let cnode = model.add_one(Kind::CNode { radix: layout::CNODE_RADIX }, format!("cnode_{NAME}"));

        memory::program(model, &mut space, NAME, input.monitor);
        let bottom = platform.stack_top() - layout::MONITOR_STACK_SIZE;
        memory::zeroed(model, &mut space, format!("stack_{NAME}"), bottom, layout::MONITOR_STACK_SIZE);
        let ipc_buffer =
            memory::zeroed(model, &mut space, format!("ipcbuf_{NAME}"), platform.ipc_buffer(), 0x1000);
        if !input.symbols.is_empty() {
            let count = input.symbols.len().div_ceil(0x1000) as u32;
            let frames = Frames { first: model.image_pages(input.symbols), count, bits: 12 };
            let vaddr = symbols_vaddr(input.monitor);
            space.map(model, frames, vaddr, Access::READ, false, CacheCare::None);
        }

        let vspace = space.vspace;
        space.finish(model);
        let endpoint_cap = CapTo::Object(endpoint);
        model.slot(cnode, monitor_slot::FAULT_ENDPOINT, endpoint_cap, rights::READ_WRITE_GRANT, 0);
        model.slot(cnode, monitor_slot::REPLY, CapTo::Object(reply), rights::ALL, 0);
        model.content.scheds.push(Sched {
            object: sched_context,
            core: 0,
            budget_us: sdf::limits::DEFAULT_BUDGET_US,
            period_us: sdf::limits::DEFAULT_BUDGET_US,
            badge: 0,
        });
        model.content.threads.push(Thread {
            tcb,
            cspace: cnode,
            cspace_data: layout::FLAT_CNODE_GUARD,
            vspace,
            ipc_buffer,
            ipc_buffer_vaddr: platform.ipc_buffer(),
            sched_context,
            priority: sdf::limits::MONITOR_PRIORITY as u8,
            fault_handler: None,
            notification: None,
            vcpu: None,
            domain: None,
            fpu: true,
            pc: input.monitor.entry,
            sp: platform.stack_top(),
            resume: true,
        });
        Self { endpoint, cnode }
    }
}
