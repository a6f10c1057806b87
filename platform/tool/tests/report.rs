// SPDX-License-Identifier: BSD-2-Clause
//! Reports of small systems, as snapshots.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{Fixture, pd};
use microkit_tool::{capdl, report, viper};
use serde_json::{Value, json};

#[test]
fn report_of_a_small_system() {
    let vm = "<virtual_machine name=\"guest\" priority=\"3\"><vcpu id=\"0\"/>\
              <map mr=\"ram\" vaddr=\"0x40000000\" perms=\"rwx\"/></virtual_machine>";
    let maps = "<map mr=\"uart\" vaddr=\"0x9000000\" cached=\"false\"/><irq irq=\"33\" id=\"2\"/>";
    let system = format!(
        "<memory_region name=\"ram\" size=\"0x400000\" page_size=\"0x200000\"/>\
         <memory_region name=\"uart\" size=\"0x1000\" phys_addr=\"0x9000000\"/>{}{}\
         <channel><end pd=\"vmm\" id=\"1\" pp=\"true\"/><end pd=\"server\" id=\"0\"/></channel>",
        pd("vmm", "priority=\"10\"", vm),
        pd("server", "priority=\"20\" passive=\"true\" smc=\"true\"", maps)
    );
    let built = Fixture::new().build(&system).unwrap();
    insta::assert_snapshot!(report::text(&built.model, &built.placement, built.task));
}

/// A specification refers to objects by their place in it; every path through it has to end where it should.
#[test]
fn specification_is_a_whole_whose_parts_find_each_other() {
    let vm = "<virtual_machine name=\"guest\"><vcpu id=\"0\"/><map mr=\"ram\" vaddr=\"0x40000000\"/></virtual_machine>";
    let maps =
        "<map mr=\"uart\" vaddr=\"0x9000000\" cached=\"false\"/><irq irq=\"33\" id=\"2\" trigger=\"edge\"/>";
    let system = format!(
        "<domains><domain name=\"a\"/><domain_schedule><schedule_entry domain=\"a\" duration=\"5 us\"/></domain_schedule></domains>\
         <memory_region name=\"ram\" size=\"0x400000\" page_size=\"0x200000\"/>\
         <memory_region name=\"uart\" size=\"0x1000\" phys_addr=\"0x9000000\"/>{}",
        pd("vmm", "domain=\"a\" smc=\"true\"", &format!("{maps}{vm}"))
    );
    let built = Fixture::new().build(&system).unwrap();
    let json = capdl::specification(&built.system, &built.model, built.table_levels);
    let objects = json["objects"].as_array().unwrap();
    assert_eq!(json["root_objects"]["end"], objects.len());
    let named = |name: &str| {
        let object = objects.iter().find(|object| object["name"] == name);
        &object.unwrap_or_else(|| panic!("no {name}"))["object"]
    };
    // What a slot of an object's holds: the capability's fields, and the object it is to.
    let follow = |object: &Value, slot: u64, kind: &str| -> (Value, Value) {
        let slots = object.as_object().unwrap().values().next().unwrap()["slots"].as_array().unwrap();
        let cap = &slots.iter().find(|entry| entry["slot"] == slot).unwrap()["cap"][kind];
        (cap.clone(), objects[cap["object"].as_u64().unwrap() as usize]["object"].clone())
    };
    let (cap, microkit_cnode) = follow(&follow(named("tcb_vmm"), 0, "CNode").1, 0, "CNode");
    assert_eq!((&cap["guard"], &cap["guard_size"]), (&json!(0), &json!(49)));
    assert_eq!(follow(&microkit_cnode, 7, "ArmSmc").1, "ArmSmc");
    assert_eq!(follow(&microkit_cnode, 330, "VCpu").1, "VCpu");
    let (_, irq) = follow(&microkit_cnode, 140, "ArmIrqHandler");
    assert_eq!(irq["ArmIrq"]["extra"], json!({"trigger": 1, "target": 0}));
    assert_eq!(follow(&irq, 0, "Notification").0["badge"], 4);
    assert_eq!(json["irqs"][0]["irq"], 33);

    // 0x9000000 is in the first GiB, 2 MiB number 72.
    let (_, root) = follow(named("tcb_vmm"), 1, "PageTable");
    assert_eq!((&root["PageTable"]["is_root"], &root["PageTable"]["level"]), (&json!(true), &json!(1)));
    let (_, table) = follow(&follow(&root, 0, "PageTable").1, 72, "PageTable");
    assert_eq!(table["PageTable"]["level"], 3);
    let (cap, frame) = follow(&table, 0, "Frame");
    assert_eq!((&cap["cached"], &cap["rights"]["write"]), (&json!(false), &json!(true)));
    assert_eq!((&frame["Frame"]["size_bits"], &frame["Frame"]["paddr"]), (&json!(12), &json!(0x900_0000)));
    let (_, guest) = follow(named("tcb_guest_0"), 1, "PageTable");
    let (_, second) = follow(&follow(&guest, 1, "PageTable").1, 1, "Frame");
    assert_eq!(second["Frame"]["size_bits"], 21);
    // The program's first page comes with its bytes.
    let (_, code) = follow(&follow(&follow(&root, 0, "PageTable").1, 1, "PageTable").1, 0, "Frame");
    assert!(
        code["Frame"]["init"]["entries"][0]["content"]["Data"]["BytesContent"]["bytes"].is_array(),
        "{code}"
    );
    assert_eq!(json["domain_schedule"][0], json!({"domain": 0, "duration": {"Us": 5}}));
}

#[test]
fn viper_file_has_the_domains_channels_slots_and_memory() {
    let maps = "<map mr=\"ram\" vaddr=\"0x40000000\" perms=\"r\"/><map mr=\"uart\" vaddr=\"0x9000000\"/>\
                <irq irq=\"33\" id=\"2\"/>";
    let child = pd("child", "id=\"5\"", "");
    let system = format!(
        "<memory_region name=\"uart\" size=\"0x1000\" phys_addr=\"0x9000000\"/><memory_region name=\"ram\" size=\"0x1000\"/>{}{}\
         <channel><end pd=\"caller\" id=\"1\" pp=\"true\" notify=\"false\"/><end pd=\"server\" id=\"7\"/></channel>",
        pd("caller", "priority=\"10\"", maps),
        pd("server", "priority=\"20\" smc=\"true\"", &child)
    );
    let built = Fixture::new().build(&system).unwrap();
    let text = |pd: &str| {
        let index = built.system.protection_domains.iter().position(|other| other.name == pd).unwrap();
        viper::text(&built.system, &built.model, index, "test.system")
    };
    insta::assert_snapshot!(text("caller") + &text("server"));
}
