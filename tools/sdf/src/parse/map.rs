// SPDX-License-Identifier: BSD-2-Clause
//! `map`, in a protection domain and in a virtual machine, and `setvar`.

use super::Parser;
use crate::element::{Attribute, Element, Found};
use crate::model::{Map, PdIndex, Perms, Prefill, RegionIndex, SetvarValue};
use crate::problem::{Fault, Problem};

const VM_ATTRIBUTES: &[&str] = &["mr", "vaddr", "perms", "cached"];
const PD_ATTRIBUTES: &[&str] =
    &["mr", "vaddr", "perms", "cached", "setvar_vaddr", "setvar_size", "setvar_prefill_size"];

impl Parser<'_> {
    pub(super) fn pd_map(&mut self, element: Element<'_>, pd: PdIndex, limit: u64) {
        self.expect_leaf(element, PD_ATTRIBUTES);
        let Some(map) = self.map(element, limit) else { return };
        let region = self.system.memory_regions.get(map.region);
        let size = region.map_or(0, |region| region.size);
        let prefill = region.and_then(|region| region.prefill.clone());
        self.setvar(pd, element, "setvar_vaddr", SetvarValue::Number(map.vaddr));
        self.setvar(pd, element, "setvar_size", SetvarValue::Number(size));
        match (element.attribute("setvar_prefill_size"), prefill) {
            (Some(_), Some(Prefill::File { len, .. })) => {
                self.setvar(pd, element, "setvar_prefill_size", SetvarValue::Number(len));
            }
            (Some(attribute), _) => self.error(attribute.pos, Problem::PrefillSizeWithoutFile),
            (None, _) => {}
        }
        if let Some(pd) = self.system.protection_domains.get_mut(pd) {
            pd.maps.push(map);
        }
    }

    pub(super) fn vm_map(&mut self, element: Element<'_>) -> Option<Map> {
        self.expect_leaf(element, VM_ATTRIBUTES);
        self.map(element, self.platform.vm_map_limit())
    }

    fn map(&mut self, element: Element<'_>, limit: u64) -> Option<Map> {
        let region = self.take(element.required("mr")).and_then(|name| self.region_index(element, name));
        let vaddr = self.take(vaddr(element, limit));
        let perms = self.take(perms(element));
        let cached = self.take(element.boolean("cached", true));
        Some(Map { region: region?, vaddr: vaddr?, perms: perms?, cached: cached?, pos: element.pos() })
    }

    fn region_index(&mut self, element: Element<'_>, name: Attribute<'_>) -> Option<RegionIndex> {
        let index = self.names.regions.get(name.value).copied();
        if index.is_none() {
            let problem =
                Problem::UnknownRegion { name: name.value.to_owned(), element: element.name().to_owned() };
            self.error(name.pos, problem);
        }
        index
    }

    /// `setvar`: the physical address of a region, which has to be contiguous for that.
    pub(super) fn setvar_element(&mut self, element: Element<'_>, pd: PdIndex) {
        self.expect_leaf(element, &["symbol", "region_paddr"]);
        let symbol = self.take(element.required("symbol"));
        let region =
            self.take(element.required("region_paddr")).and_then(|name| self.region_index(element, name));
        let (Some(_), Some(region)) = (symbol, region) else { return };
        self.setvar(pd, element, "symbol", SetvarValue::PhysAddr(region));
        if let Some(region) = self.system.memory_regions.get_mut(region) {
            region.contiguous = true;
        }
    }
}

fn vaddr(element: Element<'_>, limit: u64) -> Found<u64> {
    let attribute = element.required("vaddr")?;
    let vaddr = element.parse_number(attribute)?;
    if vaddr < limit {
        Ok(vaddr)
    } else {
        Err(element.fault(attribute.pos, Fault::VaddrLimit { vaddr, limit }))
    }
}

fn perms(element: Element<'_>) -> Found<Perms> {
    let mut perms = Perms { read: false, write: false, execute: false };
    let Some(Attribute { value, pos }) = element.attribute("perms") else {
        return Ok(Perms { read: true, write: true, execute: false });
    };
    for letter in value.chars() {
        match letter {
            'r' => perms.read = true,
            'w' => perms.write = true,
            'x' => perms.execute = true,
            _ => return Err(element.fault(pos, Fault::PermsLetters)),
        }
    }
    if value.is_empty() {
        Err(element.fault(pos, Fault::Empty("perms")))
    } else if perms.write && !perms.read {
        Err(element.fault(pos, Fault::PermsWriteOnly(value.to_owned())))
    } else {
        Ok(perms)
    }
}
