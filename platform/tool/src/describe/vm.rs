// SPDX-License-Identifier: BSD-2-Clause
//! Virtual machines: one address space, and a thread with a virtual CPU for each vCPU, started by the monitoring domain.

use sdf::{PdIndex, VirtualMachine};
use system_spec::record::{CapTo, FaultHandler, Sched, Thread};

use super::Builder;
use crate::layout::{self, monitor_slot, pd_slot, rights};
use crate::model::Kind;
use crate::space::Space;

impl Builder<'_> {
    /// Makes the virtual machine of protection domain `index`.
    pub(super) fn virtual_machine(&mut self, index: PdIndex, vm: &VirtualMachine) {
        let mut space = Space::new(&mut self.model, &vm.name, self.input.config.table_levels);
        for map in &vm.maps {
            self.map(&mut space, map);
        }
        let vspace = space.vspace;
        space.finish(&mut self.model);
        let monitoring = &self.pds[index];
        let model = &mut self.model;
        for (vcpu_index, vcpu) in vm.vcpus.iter().enumerate() {
            let name = format!("{}_{}", vm.name, vcpu.id);
            let tcb = model.add_one(Kind::Tcb, format!("tcb_{name}"));
            let sched_context = model.add_one(Kind::SchedContext, format!("sched_context_{name}"));
            let cspace = model.add_one(Kind::CNode { radix: layout::CNODE_RADIX }, format!("cnode_{name}"));
            let ipc_buffer = model.add_one(Kind::SmallPage, format!("ipcbuf_{name}"));
            let object = model.add_one(Kind::Vcpu, format!("vcpu_{name}"));
            let id = u32::from(vcpu.id);
            let (to_tcb, to_vcpu) = (CapTo::Object(tcb), CapTo::Object(object));
            model.slot(monitoring.cnode, pd_slot::VCPU_TCB + id, to_tcb, rights::ALL, 0);
            model.slot(monitoring.cnode, pd_slot::VCPU + id, to_vcpu, rights::ALL, 0);
            let monitor_index = monitor_slot::VCPU_TCB + self.vcpus;
            model.slot(self.monitor.cnode, monitor_index, to_tcb, rights::ALL, 0);
            self.vcpus += 1;
            model.content.scheds.push(Sched {
                object: sched_context,
                core: vcpu.cpu,
                budget_us: vm.budget_us,
                period_us: vm.period_us,
                badge: layout::SCHED_CONTEXT_BADGE + vcpu_index as u64,
            });
            model.content.threads.push(Thread {
                tcb,
                cspace,
                cspace_data: layout::FLAT_CNODE_GUARD,
                vspace,
                ipc_buffer,
                ipc_buffer_vaddr: 0,
                sched_context,
                priority: vm.priority,
                fault_handler: monitoring.endpoint.map(|endpoint| FaultHandler {
                    endpoint,
                    badge: layout::FAULT_BADGE | u64::from(vcpu.id),
                }),
                notification: None,
                vcpu: Some(object),
                domain: None,
                fpu: true,
                pc: 0,
                sp: 0,
                resume: false,
            });
        }
    }
}
