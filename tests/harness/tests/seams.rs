// SPDX-License-Identifier: BSD-2-Clause
//! The seam below the protection domains: the default system, from the same sources, on another platform than ours.

use harness::disk::guests_disk;
use harness::peer::ADDRESS;
use harness::{Devices, Disk, Guest, System, other_sdk};

/// With `MICROKIT_SDK` that is a real SDK; without, one with shifted labels, other object sizes and a 44-bit address space
/// (tools/xtask/src/sdk/stand_in.rs). The test says which.
#[test]
fn the_default_system_runs_on_another_sdk() {
    let (path, real) = other_sdk();
    println!("the other SDK is {path}{}", if real { "" } else { ", which stands in for a real one" });
    let mut machine = System::standard().sdk(&path).machine();
    if !real {
        machine.cpu = "cortex-a72".into();
    }
    machine.devices =
        Devices { disk: Some(Disk::discarding(guests_disk())), network: Some("user".into()), entropy: true };
    let mut guest = Guest::wait_all_ready(harness::start(&machine), 2);
    if !real {
        // Its kernel has no extension: the VMMs run on the standard interface alone.
        let console = guest.console().text();
        assert_eq!(console.matches("0 vCPUs tell registers with their exits").count(), 2, "{console}");
    }
    let mounted = guest.run("mount | grep ' / '");
    assert!(mounted.contains("ext4"), "its root file system is on the disk: {mounted}");
    assert_eq!(guest.run(&format!("ping -q -c 2 {ADDRESS} > /dev/null; echo $?")), "0");
}
