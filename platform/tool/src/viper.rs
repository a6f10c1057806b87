// SPDX-License-Identifier: BSD-2-Clause
//! What a protection domain may do, for the verifier Viper, in the form of Microkit 2.3's tool: sets of channel ids, of
//! slots of its CNode and of addresses, each as a definition and once more with the arguments that Pancake's contracts pass.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use sdf::System;
use system_spec::record::CapTo;

use crate::model::{Kind, Model};

/// The file of the protection domain with this index, of the system description `source`.
#[must_use]
pub fn text(system: &System, model: &Model, index: usize, source: &str) -> String {
    let Some(pd) = system.protection_domains.get(index) else { return String::new() };
    let mut text = format!("// exported invariants for PD {} in {source}\n", pd.name);
    channels(&mut text, system, index);
    capabilities(&mut text, model, &pd.name);
    memory(&mut text, system, index);
    text
}

fn definition(text: &mut String, name: &str, condition: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "define {name}(x) ({condition})\ndefine f_{name}(heap,gv,x) ({name}(x))");
}

fn set(text: &mut String, name: &str, members: &BTreeSet<u64>) {
    let list: Vec<String> = members.iter().map(u64::to_string).collect();
    let condition =
        if list.is_empty() { "false".to_owned() } else { format!("x in Set({})", list.join(",")) };
    definition(text, name, &condition);
}

fn channels(text: &mut String, system: &System, index: usize) {
    let pds = &system.protection_domains;
    let irqs: BTreeSet<u64> = pds[index].irqs.iter().map(|irq| irq.id.into()).collect();
    let (mut callers, mut servers, mut notifiers, mut notified) =
        (BTreeSet::new(), BTreeSet::new(), irqs.clone(), BTreeSet::new());
    for (own, other) in system.ends_of(index) {
        for (set, is_in) in [
            (&mut callers, other.pp),
            (&mut servers, own.pp),
            (&mut notifiers, other.notify),
            (&mut notified, own.notify),
        ] {
            if is_in {
                set.insert(own.id.into());
            }
        }
    }
    let children = pds.iter().filter(|pd| pd.parent == Some(index));
    let children = children.filter_map(|pd| pd.child_id).map(u64::from).collect();
    for (name, members) in [
        ("mk_is_protected_source", &callers),
        ("mk_is_ppcall_target", &servers),
        ("mk_is_notified_source", &notifiers),
        ("mk_is_notify_target", &notified),
        ("mk_is_irq_channel", &irqs),
        ("mk_is_child", &children),
    ] {
        set(text, name, members);
    }
}

fn capabilities(text: &mut String, model: &Model, pd: &str) {
    let wanted = format!("cnode_{pd}");
    let cnode = model.objects.iter().find(|objects| objects.name == wanted).map(|objects| objects.first);
    let slots: Vec<_> = model.content.slots.iter().filter(|slot| Some(slot.cnode) == cnode).collect();
    let kind = |cap: CapTo| match cap {
        CapTo::Object(object) => model.objects_of(object).map(|objects| objects.kind),
        CapTo::Irq(_) | CapTo::Smc => None,
    };
    let mut slots_with = |name: &str, wanted: &dyn Fn(CapTo) -> bool| {
        let members = slots.iter().filter(|slot| wanted(slot.cap)).map(|slot| slot.index.into()).collect();
        set(text, &format!("pansel4_has_{name}"), &members);
    };
    slots_with("cap", &|_| true);
    slots_with("endpoint_cap", &|cap| kind(cap) == Some(Kind::Endpoint));
    slots_with("notification_cap", &|cap| kind(cap) == Some(Kind::Notification));
    slots_with("reply_cap", &|cap| kind(cap) == Some(Kind::Reply));
    slots_with("page_table_cap", &|cap| matches!(kind(cap), Some(Kind::VSpace | Kind::PageTable)));
    slots_with("irq_handler_cap", &|cap| matches!(cap, CapTo::Irq(_)));
    slots_with("tcb_cap", &|cap| kind(cap) == Some(Kind::Tcb));
    slots_with("vcpu_cap", &|cap| kind(cap) == Some(Kind::Vcpu));
    slots_with("ioport_cap", &|_| false);
    slots_with("arm_smc_cap", &|cap| cap == CapTo::Smc);
}

fn memory(text: &mut String, system: &System, index: usize) {
    let mut maps: Vec<_> = system.protection_domains[index].maps.iter().collect();
    // In the order of the regions, as the reference tool writes them.
    maps.sort_by_key(|map| map.region);
    let name = |map: &sdf::Map| &system.memory_regions[map.region].name;
    for map in &maps {
        let end = map.vaddr.saturating_add(system.memory_regions[map.region].size);
        let _ = writeln!(text, "define mem_{}_contains(x) ({} <= x && x < {end})", name(map), map.vaddr);
    }
    for (what, is_in) in [("mem_readable", false), ("mem_writeable", true)] {
        let contains = maps.iter().filter(|map| map.perms.write || !is_in);
        let contains: Vec<String> = contains.map(|map| format!("mem_{}_contains(x)", name(map))).collect();
        let condition = if contains.is_empty() { "false".to_owned() } else { contains.join(" || ") };
        definition(text, what, &condition);
    }
}
