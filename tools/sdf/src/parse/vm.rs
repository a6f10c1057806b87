// SPDX-License-Identifier: BSD-2-Clause
//! `virtual_machine` and `vcpu`.

use super::Parser;
use super::pd::{budget, cpu, priority};
use crate::element::Element;
use crate::model::{PdIndex, SetvarValue, Vcpu, VirtualMachine};
use crate::problem::{Fault, Problem};

impl Parser<'_> {
    /// Parses the machine `element` of the domain `pd_element`.
    pub(super) fn virtual_machine(&mut self, pd_element: Element<'_>, element: Element<'_>, pd: PdIndex) {
        let Some((cpu, occupied)) =
            self.system.protection_domains.get(pd).map(|pd| (pd.cpu, pd.virtual_machine.is_some()))
        else {
            return;
        };
        if !self.platform.hypervisor {
            self.fault(pd_element, element.pos(), Fault::NoHypervisor);
        }
        if occupied {
            self.fault(pd_element, element.pos(), Fault::Repeated("virtual_machine"));
            return;
        }
        self.expect_attributes(element, &["name", "priority", "budget", "period"]);
        let name = self.take(element.name_attribute()).unwrap_or_default().to_owned();
        let priority = self.take(priority(element)).unwrap_or_default();
        let (budget_us, period_us) = self.take(budget(element, self.platform)).unwrap_or_default();
        let mut vm = VirtualMachine {
            name,
            priority,
            budget_us,
            period_us,
            vcpus: Vec::new(),
            maps: Vec::new(),
            pos: element.pos(),
        };
        let mut vcpu_seen = false;
        for child in element.children() {
            match child.name() {
                "vcpu" => {
                    vcpu_seen = true;
                    self.vcpu(child, pd, cpu, &mut vm);
                }
                "map" => vm.maps.extend(self.vm_map(child)),
                _ => self.invalid_element(child),
            }
        }
        if !vcpu_seen {
            self.error(element.pos(), Problem::NoVcpu(vm.name.clone()));
        }
        if let Some(pd) = self.system.protection_domains.get_mut(pd) {
            pd.virtual_machine = Some(vm);
        }
    }

    fn vcpu(&mut self, element: Element<'_>, pd: PdIndex, pd_cpu: u8, vm: &mut VirtualMachine) {
        self.expect_leaf(element, &["id", "cpu", "setvar_id"]);
        let id = self.take(element.id());
        let cpu = self.take(cpu(element, self.platform, pd_cpu));
        let (Some(id), Some(cpu)) = (id, cpu) else { return };
        if vm.vcpus.iter().any(|other| other.id == id) {
            self.error(element.pos(), Problem::DuplicateVcpu { id, vm: vm.name.clone() });
            return;
        }
        self.setvar(pd, element, "setvar_id", SetvarValue::Number(id.into()));
        vm.vcpus.push(Vcpu { id, cpu, pos: element.pos() });
    }
}
