// SPDX-License-Identifier: BSD-2-Clause
//! `protection_domain` with `program_image` and `cspace`.

use super::Parser;
use crate::element::{Attribute, Element, Found};
use crate::limits::{
    DEFAULT_BUDGET_US, DEFAULT_STACK_SIZE, MAX_STACK_SIZE, MIN_STACK_SIZE, MONITOR_PRIORITY, ROOT_CNODE_SLOTS,
};
use crate::model::{PdIndex, ProgramImage, ProtectionDomain, SetvarValue, UserCap, UserCapKind};
use crate::platform::Platform;
use crate::problem::{Fault, Problem};
use std::path::PathBuf;

const ROOT_ATTRIBUTES: &[&str] =
    &["name", "priority", "budget", "period", "passive", "stack_size", "cpu", "smc", "fpu", "domain"];
const CHILD_ATTRIBUTES: &[&str] = &[
    "name",
    "priority",
    "budget",
    "period",
    "passive",
    "stack_size",
    "cpu",
    "smc",
    "fpu",
    "domain",
    "id",
    "setvar_id",
];

impl Parser<'_> {
    /// Parses a domain and its children; there are at most `MAX_PDS`, so the recursion is bounded.
    pub(super) fn protection_domain(&mut self, element: Element<'_>, parent: Option<PdIndex>) {
        let index = self.pd_attributes(element, parent);
        let limit = match self.system.protection_domains.get(index) {
            Some(pd) => self.platform.pd_map_limit(pd.stack_size),
            None => return,
        };
        let mut image = None;
        let mut cspace_seen = false;
        for child in element.children() {
            match child.name() {
                "program_image" if image.is_some() => {
                    self.fault(element, child.pos(), Fault::Repeated("program_image"));
                }
                "program_image" => image = Some(self.program_image(child)),
                "map" => self.pd_map(child, index, limit),
                "irq" => self.irq(child, index),
                "ioport" => self.fault(child, child.pos(), Fault::X86Only("I/O port")),
                "setvar" => self.setvar_element(child, index),
                "protection_domain" => self.protection_domain(child, Some(index)),
                "virtual_machine" => self.virtual_machine(element, child, index),
                "cspace" if cspace_seen => self.fault(element, child.pos(), Fault::Repeated("cspace")),
                "cspace" => {
                    cspace_seen = true;
                    self.cspace(child, index);
                }
                _ => self.invalid_element(child),
            }
        }
        if image.is_none() {
            let name = element.attribute("name").map_or("", |name| name.value);
            self.error(element.pos(), Problem::NoImage(name.to_owned()));
        }
        if let (Some(image), Some(pd)) = (image, self.system.protection_domains.get_mut(index)) {
            pd.program_image = image;
        }
    }

    /// Appends the domain with what its attributes say; gives its index.
    fn pd_attributes(&mut self, element: Element<'_>, parent: Option<PdIndex>) -> PdIndex {
        let index = self.system.protection_domains.len();
        self.expect_attributes(element, if parent.is_some() { CHILD_ATTRIBUTES } else { ROOT_ATTRIBUTES });
        let name = self.take(element.name_attribute()).unwrap_or_default().to_owned();
        let child_id = if parent.is_some() { self.take(element.id()) } else { None };
        let priority = self.take(priority(element)).unwrap_or_default();
        let (budget_us, period_us) = self.take(budget(element, self.platform)).unwrap_or_default();
        let passive = self.take(element.boolean("passive", false)).unwrap_or_default();
        let stack_size = self.take(stack_size(element)).unwrap_or(DEFAULT_STACK_SIZE);
        let cpu = self.take(cpu(element, self.platform, 0)).unwrap_or_default();
        let smc = self.take(smc(element, self.platform)).unwrap_or_default();
        let fpu = self.take(element.boolean("fpu", true)).unwrap_or_default();
        let domain = self.pd_domain(element);
        self.system.protection_domains.push(ProtectionDomain {
            name,
            parent,
            child_id,
            children: Vec::new(),
            priority,
            budget_us,
            period_us,
            passive,
            stack_size,
            cpu,
            smc,
            fpu,
            domain,
            program_image: ProgramImage { path: PathBuf::new(), path_for_symbols: None, pos: element.pos() },
            maps: Vec::new(),
            irqs: Vec::new(),
            setvars: Vec::new(),
            virtual_machine: None,
            user_caps: Vec::new(),
            pos: element.pos(),
        });
        if let Some(parent) = parent {
            if let Some(pd) = self.system.protection_domains.get_mut(parent) {
                pd.children.push(index);
            }
            if let Some(id) = child_id {
                self.setvar(parent, element, "setvar_id", SetvarValue::Number(id.into()));
            }
        }
        index
    }

    fn pd_domain(&mut self, element: Element<'_>) -> Option<u8> {
        let attribute = element.attribute("domain");
        match (&self.system.domains, attribute) {
            (None, None) => None,
            (None, Some(Attribute { value, pos })) => {
                self.fault(element, pos, Fault::DomainWithoutSchedule(value.to_owned()));
                None
            }
            (Some(_), None) => {
                self.take(element.required("domain"));
                None
            }
            (Some(config), Some(Attribute { value, pos })) => {
                let id = config.domains.iter().find(|domain| domain.name == value).map(|domain| domain.id);
                if id.is_none() {
                    self.fault(element, pos, Fault::DomainUndeclared(value.to_owned()));
                }
                id
            }
        }
    }

    fn program_image(&mut self, element: Element<'_>) -> ProgramImage {
        self.expect_leaf(element, &["path", "path_for_symbols"]);
        let path = self.take(element.filled("path")).unwrap_or_default();
        let path_for_symbols = element.attribute("path_for_symbols");
        if let Some(Attribute { value: "", pos }) = path_for_symbols {
            self.fault(element, pos, Fault::Empty("path_for_symbols"));
        }
        ProgramImage {
            path: PathBuf::from(path),
            path_for_symbols: path_for_symbols.map(|attribute| PathBuf::from(attribute.value)),
            pos: element.pos(),
        }
    }

    fn cspace(&mut self, element: Element<'_>, pd: PdIndex) {
        self.expect_attributes(element, &[]);
        for child in element.children() {
            let kind = match child.name() {
                "cap_tcb" => UserCapKind::Tcb,
                "cap_sc" => UserCapKind::SchedContext,
                "cap_vspace" => UserCapKind::VSpace,
                name => {
                    let problem = match name.strip_prefix("cap_") {
                        Some(kind) => Problem::CapType(kind.to_owned()),
                        None => Problem::CapElement(name.to_owned()),
                    };
                    self.error(child.pos(), problem);
                    continue;
                }
            };
            self.expect_leaf(child, &["slot", "pd"]);
            let slot = self.take(slot(child));
            let target = self.take(child.required("pd")).and_then(|name| {
                let target = self.names.pds.get(name.value).copied();
                if target.is_none() {
                    self.error(name.pos, Problem::UnknownPd(name.value.to_owned()));
                }
                target
            });
            if let (Some(slot), Some(target)) = (slot, target)
                && let Some(pd) = self.system.protection_domains.get_mut(pd)
            {
                pd.user_caps.push(UserCap { slot, kind, pd: target, pos: child.pos() });
            }
        }
    }
}

pub(super) fn priority(element: Element<'_>) -> Found<u8> {
    let Some(attribute) = element.attribute("priority") else { return Ok(0) };
    let priority = element.parse_number(attribute)?;
    u8::try_from(priority)
        .ok()
        .filter(|priority| u64::from(*priority) < MONITOR_PRIORITY)
        .ok_or_else(|| element.fault(attribute.pos, Fault::Priority))
}

/// Budget and period, microseconds.
pub(super) fn budget(element: Element<'_>, platform: &Platform) -> Found<(u64, u64)> {
    let pos = |name| element.attribute(name).map_or(element.pos(), |attribute: Attribute<'_>| attribute.pos);
    let budget = element.number("budget")?.unwrap_or(DEFAULT_BUDGET_US);
    let period = element.number("period")?.unwrap_or(budget);
    let fault = if budget > period {
        (pos("period"), Fault::BudgetOverPeriod { budget, period })
    } else if budget < platform.min_budget_us {
        (pos("budget"), Fault::BudgetTooSmall { budget, min: platform.min_budget_us })
    } else if period > platform.max_period_us {
        (pos("period"), Fault::PeriodTooLong { period, max: platform.max_period_us })
    } else {
        return Ok((budget, period));
    };
    Err(element.fault(fault.0, fault.1))
}

pub(super) fn cpu(element: Element<'_>, platform: &Platform, default: u8) -> Found<u8> {
    let Some(attribute) = element.attribute("cpu") else { return Ok(default) };
    let cpu = element.parse_number(attribute)?;
    match u8::try_from(cpu) {
        Ok(core) if u32::from(core) < platform.cores => Ok(core),
        _ => Err(element.fault(attribute.pos, Fault::Cpu { cores: platform.cores, cpu })),
    }
}

fn stack_size(element: Element<'_>) -> Found<u64> {
    let Some(attribute) = element.attribute("stack_size") else { return Ok(DEFAULT_STACK_SIZE) };
    let size = element.parse_number(attribute)?;
    if !(MIN_STACK_SIZE..=MAX_STACK_SIZE).contains(&size) {
        Err(element.fault(attribute.pos, Fault::StackRange))
    } else if !size.is_multiple_of(0x1000) {
        Err(element.fault(attribute.pos, Fault::StackAlignment))
    } else {
        Ok(size)
    }
}

fn smc(element: Element<'_>, platform: &Platform) -> Found<bool> {
    let smc = element.boolean("smc", false)?;
    match element.attribute("smc") {
        Some(attribute) if smc && !platform.smc => Err(element.fault(attribute.pos, Fault::Smc)),
        _ => Ok(smc),
    }
}

fn slot(element: Element<'_>) -> Found<u8> {
    let attribute = element.required("slot")?;
    match element.parse_number(attribute)? {
        0 => Err(element.fault(attribute.pos, Fault::SlotReserved)),
        slot => u8::try_from(slot)
            .ok()
            .filter(|slot| u64::from(*slot) < ROOT_CNODE_SLOTS)
            .ok_or_else(|| element.fault(attribute.pos, Fault::SlotLimit)),
    }
}
