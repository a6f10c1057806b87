// SPDX-License-Identifier: BSD-2-Clause
//! Protection domains.

use sdf::{PdIndex, ProtectionDomain, Trigger, UserCapKind};
use system_spec::record::{CapTo, FaultHandler, Irq, Sched, Slot, Thread};

use super::{Builder, Pd, memory};
use crate::layout::{self, monitor_slot, pd_slot, rights};
use crate::model::Kind;
use crate::space::Space;

impl Builder<'_> {
    /// Makes the objects that others refer to.
    pub(super) fn pd_objects(&mut self, index: PdIndex) -> Pd {
        let system = self.input.system;
        let name = &system.protection_domains[index].name;
        let levels = self.input.config.table_levels;
        let model = &mut self.model;
        Pd {
            tcb: model.add_one(Kind::Tcb, format!("tcb_{name}")),
            sched_context: model.add_one(Kind::SchedContext, format!("sched_context_{name}")),
            notification: model.add_one(Kind::Notification, format!("ntfn_{name}")),
            endpoint: system
                .needs_endpoint(index)
                .then(|| model.add_one(Kind::Endpoint, format!("ep_{name}"))),
            cnode: model.add_one(Kind::CNode { radix: layout::CNODE_RADIX }, format!("cnode_{name}")),
            root_cnode: model
                .add_one(Kind::CNode { radix: layout::ROOT_CNODE_RADIX }, format!("cnode_{name}_root")),
            space: Space::new(model, name, levels),
        }
    }

    /// Maps program, regions and stack.
    pub(super) fn pd_memory(&mut self, index: PdIndex, pd: &ProtectionDomain) {
        let platform = &self.input.config.platform;
        let mut space = self.take_space(index);
        memory::program(&mut self.model, &mut space, &pd.name, &self.input.programs[index]);
        for map in &pd.maps {
            self.map(&mut space, map);
        }
        let bottom = platform.stack_top() - pd.stack_size;
        memory::zeroed(&mut self.model, &mut space, format!("stack_{}", pd.name), bottom, pd.stack_size);
        self.pds[index].space = space;
    }

    fn take_space(&mut self, index: PdIndex) -> Space {
        let empty = Space::of(0, "", 0);
        std::mem::replace(&mut self.pds[index].space, empty)
    }

    /// Who hears of the domain's faults: its parent, otherwise the monitor.
    fn pd_fault_handler(&self, index: PdIndex, pd: &ProtectionDomain) -> FaultHandler {
        let parent = pd.parent.and_then(|parent| self.pds.get(parent)).and_then(|parent| parent.endpoint);
        match (parent, pd.child_id) {
            (Some(endpoint), Some(id)) => {
                FaultHandler { endpoint, badge: layout::FAULT_BADGE | u64::from(id) }
            }
            _ => FaultHandler { endpoint: self.monitor.endpoint, badge: index as u64 + 1 },
        }
    }

    /// Fills the domain's CSpace, except for channels and virtual machines.
    pub(super) fn pd_caps(&mut self, index: PdIndex, pd: &ProtectionDomain) {
        let fault = self.pd_fault_handler(index, pd);
        let Pd { tcb, sched_context, notification, endpoint, cnode, root_cnode, ref space } = self.pds[index];
        let vspace = space.vspace;
        let reply = self.model.add_one(Kind::Reply, format!("reply_{}", pd.name));
        let monitor = &self.monitor;
        let model = &mut self.model;
        let object = CapTo::Object;

        let (input, input_rights) = match endpoint {
            Some(endpoint) => (endpoint, rights::READ_WRITE_GRANT),
            None => (notification, rights::READ_WRITE),
        };
        model.slot(cnode, pd_slot::INPUT, object(input), input_rights, 0);
        let grant = rights::READ_WRITE_GRANT;
        model.slot(cnode, pd_slot::FAULT_ENDPOINT, object(fault.endpoint), grant, fault.badge);
        model.slot(cnode, pd_slot::VSPACE, object(vspace), rights::ALL, 0);
        model.slot(cnode, pd_slot::REPLY, object(reply), rights::ALL, 0);
        let monitor_index = index as u32;
        if pd.passive {
            let badge = index as u64 + 1;
            model.slot(cnode, pd_slot::MONITOR_ENDPOINT, object(monitor.endpoint), grant, badge);
            let slot = monitor_slot::SCHED_CONTEXT + monitor_index;
            model.slot(monitor.cnode, slot, object(sched_context), rights::ALL, 0);
            let slot = monitor_slot::NOTIFICATION + monitor_index;
            model.slot(monitor.cnode, slot, object(notification), rights::READ_WRITE, 0);
        }
        model.slot(monitor.cnode, monitor_slot::PD_TCB + monitor_index, object(tcb), rights::ALL, 0);
        if self.input.config.benchmark {
            model.slot(cnode, pd_slot::TCB, object(tcb), rights::ALL, 0);
        }
        if pd.smc {
            model.slot(cnode, pd_slot::SMC, CapTo::Smc, rights::ALL, 0);
        }
        if let (Some(parent), Some(id)) = (pd.parent.and_then(|parent| self.pds.get(parent)), pd.child_id) {
            model.slot(parent.cnode, pd_slot::CHILD_TCB + u32::from(id), object(tcb), rights::ALL, 0);
        }
        for irq in &pd.irqs {
            let handler = model.content.irqs.len() as u32;
            model.content.irqs.push(Irq {
                number: irq.number,
                edge: irq.trigger == Trigger::Edge,
                core: pd.cpu,
                notification,
                badge: 1 << irq.id,
            });
            let slot = pd_slot::IRQ + u32::from(irq.id);
            model.slot(cnode, slot, CapTo::Irq(handler), rights::ALL, 0);
        }
        let mut root = |index: u32, object, data| {
            let cap = CapTo::Object(object);
            let radix = layout::ROOT_CNODE_RADIX;
            model.content.slots.push(Slot {
                cnode: root_cnode,
                radix,
                index,
                cap,
                rights: rights::ALL,
                data,
            });
        };
        root(0, cnode, layout::MICROKIT_CNODE_GUARD);
        for cap in &pd.user_caps {
            let Some(owner) = self.pds.get(cap.pd) else { continue };
            let object = match cap.kind {
                UserCapKind::Tcb => owner.tcb,
                UserCapKind::SchedContext => owner.sched_context,
                UserCapKind::VSpace => owner.space.vspace,
            };
            root(cap.slot.into(), object, 0);
        }
    }

    /// Makes the domain's thread.
    pub(super) fn pd_thread(&mut self, index: PdIndex, pd: &ProtectionDomain) {
        let platform = &self.input.config.platform;
        let fault_handler = Some(self.pd_fault_handler(index, pd));
        let mut space = self.take_space(index);
        let ipc_buffer_vaddr = platform.ipc_buffer();
        let name = format!("ipcbuf_{}", pd.name);
        let ipc_buffer = memory::zeroed(&mut self.model, &mut space, name, ipc_buffer_vaddr, 0x1000);
        self.pds[index].space = space;
        let objects = &self.pds[index];
        self.model.content.scheds.push(Sched {
            object: objects.sched_context,
            core: pd.cpu,
            budget_us: pd.budget_us,
            period_us: pd.period_us,
            badge: layout::SCHED_CONTEXT_BADGE + index as u64,
        });
        self.model.content.threads.push(Thread {
            tcb: objects.tcb,
            cspace: objects.root_cnode,
            cspace_data: 0,
            vspace: objects.space.vspace,
            ipc_buffer,
            ipc_buffer_vaddr,
            sched_context: objects.sched_context,
            priority: pd.priority,
            fault_handler,
            notification: Some(objects.notification),
            vcpu: None,
            domain: pd.domain,
            fpu: pd.fpu,
            pc: self.input.programs[index].entry,
            sp: platform.stack_top(),
            resume: true,
        });
    }
}
