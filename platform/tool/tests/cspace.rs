// SPDX-License-Identifier: BSD-2-Clause
//! What is in which slot, with which badge: the Microkit 2.3 ABI.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{Fixture, pd};
use microkit_tool::build::Built;
use microkit_tool::model::Kind;
use system_spec::record::{CapTo, Slot, Thread};

/// The capability in a slot of a CNode: name of the object, rights, badge or guard.
fn cap(built: &Built, cnode: &str, index: u32) -> Option<(String, u8, u64)> {
    let objects = built.model.objects.iter().find(|objects| objects.name == cnode).unwrap();
    let slot: &Slot =
        built.model.content.slots.iter().find(|slot| slot.cnode == objects.first && slot.index == index)?;
    let name = match slot.cap {
        CapTo::Object(object) => built.model.name_of(object),
        CapTo::Irq(index) => format!("irq {}", built.model.content.irqs[index as usize].number),
        CapTo::Smc => "smc".into(),
    };
    Some((name, slot.rights, slot.data))
}

fn object(name: &str, rights: u8, data: u64) -> Option<(String, u8, u64)> {
    Some((name.into(), rights, data))
}

fn thread(built: &Built, tcb: &str) -> Thread {
    *built.model.content.threads.iter().find(|thread| built.model.name_of(thread.tcb) == tcb).unwrap()
}

const FAULT: u64 = 1 << 62;
const CALL: u64 = 1 << 63;

#[test]
fn lone_domain_has_its_notification_as_input() {
    let built = Fixture::new().build(&pd("x", "", "")).unwrap();
    assert_eq!(cap(&built, "cnode_x", 1), object("ntfn_x", 3, 0));
    assert_eq!(cap(&built, "cnode_x", 2), object("ep_monitor", 7, 1));
    assert_eq!(cap(&built, "cnode_x", 3), object("vspace_x", 15, 0));
    assert_eq!(cap(&built, "cnode_x", 4), object("reply_x", 15, 0));
    assert_eq!(cap(&built, "cnode_x", 5), None);
    assert_eq!(cap(&built, "cnode_x", 6), None);
    assert_eq!(cap(&built, "cnode_x", 7), None);
    assert_eq!(cap(&built, "cnode_x_root", 0), object("cnode_x", 15, 49));
    assert_eq!(cap(&built, "cnode_monitor", 1), object("ep_monitor", 7, 0));
    assert_eq!(cap(&built, "cnode_monitor", 10), object("tcb_x", 15, 0));
    let cnodes: Vec<_> =
        built.model.objects.iter().filter(|o| matches!(o.kind, Kind::CNode { .. })).map(|o| o.kind).collect();
    assert_eq!(cnodes, [Kind::CNode { radix: 9 }, Kind::CNode { radix: 9 }, Kind::CNode { radix: 6 }]);
}

#[test]
fn channel_ends_get_what_they_may_use() {
    let system = format!(
        "{}{}<channel><end pd=\"low\" id=\"3\" pp=\"true\"/><end pd=\"high\" id=\"5\" notify=\"false\"/></channel>",
        pd("low", "priority=\"1\"", ""),
        pd("high", "priority=\"2\"", "")
    );
    let built = Fixture::new().build(&system).unwrap();
    assert_eq!(cap(&built, "cnode_low", 10 + 3), object("ntfn_high", 3, 1 << 5));
    assert_eq!(cap(&built, "cnode_low", 74 + 3), object("ep_high", 7, CALL | 5));
    assert_eq!(cap(&built, "cnode_high", 10 + 5), None);
    assert_eq!(cap(&built, "cnode_high", 74 + 5), None);
    assert_eq!(cap(&built, "cnode_high", 1), object("ep_high", 7, 0));
    assert_eq!(cap(&built, "cnode_low", 1), object("ntfn_low", 3, 0));
}

#[test]
fn parent_holds_its_child_and_receives_its_faults() {
    let child = pd("child", "id=\"9\"", "");
    let built = Fixture::new().build(&pd("parent", "", &child)).unwrap();
    assert_eq!(cap(&built, "cnode_parent", 202 + 9), object("tcb_child", 15, 0));
    assert_eq!(cap(&built, "cnode_parent", 1), object("ep_parent", 7, 0));
    assert_eq!(cap(&built, "cnode_child", 2), object("ep_parent", 7, FAULT | 9));
    let handler = thread(&built, "tcb_child").fault_handler.unwrap();
    assert_eq!((built.model.name_of(handler.endpoint).as_str(), handler.badge), ("ep_parent", FAULT | 9));
}

#[test]
fn passive_domain_and_monitor_hold_what_the_handshake_needs() {
    let system = format!("{}{}", pd("x", "", ""), pd("y", "passive=\"true\"", ""));
    let built = Fixture::new().build(&system).unwrap();
    assert_eq!(cap(&built, "cnode_y", 5), object("ep_monitor", 7, 2));
    assert_eq!(cap(&built, "cnode_monitor", 138 + 1), object("sched_context_y", 15, 0));
    assert_eq!(cap(&built, "cnode_monitor", 202 + 1), object("ntfn_y", 3, 0));
    assert_eq!(cap(&built, "cnode_monitor", 138), None);
}

#[test]
fn interrupts_smc_and_user_capabilities_are_in_their_slots() {
    let irq = "<irq irq=\"33\" id=\"4\" trigger=\"edge\"/><cspace><cap_tcb slot=\"7\" pd=\"x\"/></cspace>";
    let built = Fixture::new().build(&pd("x", "smc=\"true\"", irq)).unwrap();
    assert_eq!(cap(&built, "cnode_x", 138 + 4), object("irq 33", 15, 0));
    assert_eq!(cap(&built, "cnode_x", 7), object("smc", 15, 0));
    assert_eq!(cap(&built, "cnode_x_root", 7), object("tcb_x", 15, 0));
    let irq = built.model.content.irqs[0];
    assert_eq!((irq.number, irq.edge, irq.badge), (33, true, 1 << 4));
    assert_eq!(built.model.name_of(irq.notification), "ntfn_x");
}

#[test]
fn vcpus_belong_to_their_monitoring_domain() {
    let vm = "<virtual_machine name=\"guest\" priority=\"3\" budget=\"500\" period=\"900\">\
              <vcpu id=\"0\"/><vcpu id=\"2\"/></virtual_machine>";
    let built = Fixture::new().build(&pd("vmm", "priority=\"4\"", vm)).unwrap();
    assert_eq!(cap(&built, "cnode_vmm", 266 + 2), object("tcb_guest_2", 15, 0));
    assert_eq!(cap(&built, "cnode_vmm", 330 + 2), object("vcpu_guest_2", 15, 0));
    assert_eq!(cap(&built, "cnode_monitor", 74 + 1), object("tcb_guest_2", 15, 0));
    let thread = thread(&built, "tcb_guest_2");
    assert_eq!(
        (thread.priority, thread.resume, thread.cspace_data, thread.ipc_buffer_vaddr),
        (3, false, 55, 0)
    );
    assert_eq!(thread.fault_handler.unwrap().badge, FAULT | 2);
    assert_eq!(built.model.name_of(thread.vspace), "vspace_guest");
    assert_eq!(built.model.name_of(thread.vcpu.unwrap()), "vcpu_guest_2");
    let sched = built.model.content.scheds.iter().find(|sched| sched.object == thread.sched_context).unwrap();
    assert_eq!((sched.budget_us, sched.period_us, sched.badge), (500, 900, 0x101));
}

#[test]
fn stack_and_ipc_buffer_are_at_the_top() {
    let built = Fixture::new().build(&pd("x", "stack_size=\"0x4000\" priority=\"7\"", "")).unwrap();
    let thread = thread(&built, "tcb_x");
    assert_eq!((thread.ipc_buffer_vaddr, thread.sp), (0xff_ffff_f000, 0xff_ffff_e000));
    assert_eq!((thread.pc, thread.priority, thread.resume, thread.cspace_data), (0x20_0040, 7, true, 0));
    let stack = built.model.objects.iter().find(|objects| objects.name == "stack_x").unwrap();
    let mapping = built
        .model
        .content
        .mappings
        .iter()
        .find(|mapping| mapping.frame == system_spec::record::Frame::Object(stack.first))
        .unwrap();
    assert_eq!(
        (mapping.vaddr, mapping.count, mapping.write, mapping.execute),
        (0xff_ffff_a000, 4, true, false)
    );
}
