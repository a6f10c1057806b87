// SPDX-License-Identifier: BSD-2-Clause
//! Reports of small systems, as snapshots.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{Fixture, pd};
use microkit_tool::{report, viper};

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

#[test]
fn json_names_every_object() {
    let built = Fixture::new().build(&pd("x", "", "")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&report::json(&built.model).unwrap()).unwrap();
    let objects = json["objects"].as_array().unwrap();
    assert_eq!(objects.len(), built.model.objects.len());
    assert!(objects.iter().any(|object| object["name"] == "tcb_x" && object["kind"] == "Tcb"));
    assert_eq!(json["threads"].as_array().unwrap().len(), 2);
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
