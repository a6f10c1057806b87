// SPDX-License-Identifier: BSD-2-Clause
//! Names and child numbers are unique; user capabilities have a slot each; guests run below their monitors.

use super::Findings;
use crate::limits::MONITOR_NAME;
use crate::model::{Pos, ProtectionDomain, System, UserCap, UserCapKind, VirtualMachine};
use crate::problem::Problem;
use std::collections::BTreeSet;

pub(super) fn check(system: &System, findings: &mut Findings) {
    let pds = &system.protection_domains;
    unique(pds.iter().map(|pd| (pd.name.as_str(), pd.pos)), Problem::DuplicatePd, findings);
    let regions = system.memory_regions.iter().map(|region| (region.name.as_str(), region.pos));
    unique(regions, Problem::DuplicateRegion, findings);
    let vms = pds.iter().filter_map(|pd| pd.virtual_machine.as_ref());
    unique(vms.map(|vm| (vm.name.as_str(), vm.pos)), Problem::DuplicateVm, findings);
    for pd in pds {
        if pd.name == MONITOR_NAME {
            findings.error(pd.pos, Problem::ReservedPd);
        }
        child_ids(system, pd, findings);
        user_caps(system, pd, findings);
        if let Some(vm) = &pd.virtual_machine {
            vm_priority(pd, vm, findings);
        }
    }
}

fn unique<'s>(
    names: impl Iterator<Item = (&'s str, Pos)>,
    problem: fn(String) -> Problem,
    findings: &mut Findings,
) {
    let mut seen = BTreeSet::new();
    for (name, pos) in names {
        if !seen.insert(name) {
            findings.error(pos, problem(name.to_owned()));
        }
    }
}

fn child_ids(system: &System, parent: &ProtectionDomain, findings: &mut Findings) {
    let mut seen = BTreeSet::new();
    for child in parent.children.iter().filter_map(|child| system.protection_domains.get(*child)) {
        let Some(id) = child.child_id else { continue };
        let pd = parent.name.clone();
        let vcpus = parent.virtual_machine.iter().flat_map(|vm| &vm.vcpus);
        if !seen.insert(id) {
            findings.error(child.pos, Problem::DuplicateChild { id, pd });
        } else if vcpus.into_iter().any(|vcpu| vcpu.id == id) {
            findings.error(child.pos, Problem::ChildIsVcpu { id, pd });
        }
    }
}

fn user_caps(system: &System, pd: &ProtectionDomain, findings: &mut Findings) {
    let describe = |cap: &UserCap| {
        let kind = match cap.kind {
            UserCapKind::Tcb => "TCB",
            UserCapKind::SchedContext => "SC",
            UserCapKind::VSpace => "VSpace",
        };
        let owner = system.protection_domains.get(cap.pd).map_or("?", |pd| pd.name.as_str());
        format!("type {kind} from '{owner}' at {}", cap.pos)
    };
    for (i, cap) in pd.user_caps.iter().enumerate() {
        let Some(earlier) = pd.user_caps.iter().take(i).find(|other| other.slot == cap.slot) else {
            continue;
        };
        let problem = Problem::CapOverlap {
            slot: cap.slot,
            pd: pd.name.clone(),
            first: describe(earlier),
            second: describe(cap),
        };
        findings.error(cap.pos, problem);
    }
}

fn vm_priority(pd: &ProtectionDomain, vm: &VirtualMachine, findings: &mut Findings) {
    // Equal priorities are what files without any priority have; the guest's fault then still reaches the monitor.
    if vm.priority > pd.priority {
        let problem = Problem::VmAboveMonitor {
            vm: vm.name.clone(),
            vm_priority: vm.priority,
            pd_priority: pd.priority,
        };
        findings.warn(vm.pos, problem);
    }
}
