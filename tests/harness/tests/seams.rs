// SPDX-License-Identifier: BSD-2-Clause
//! The seam below the protection domains: the default system, from the same sources, on another platform than ours.

use std::process::Command;
use std::time::Duration;

use harness::disk::guests_disk;
use harness::peer::ADDRESS;
use harness::{Devices, Disk, Guest, Payload, System, other_sdk};

const TIMEOUT: Duration = Duration::from_secs(120);

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

/// The tool as upstream's users call it: with another kernel than the SDK's, and an image that a boot loader for ELF files
/// takes.
#[test]
fn the_tool_takes_another_kernel_and_writes_an_elf_image() {
    let system = System::of("tests/systems/latency.xml");
    // The other kernel: one that checks its invariants, and says so after a while.
    assert!(system.clone().paranoid().try_build().status.success());
    let system = system.debug();
    let mut machine = system.machine();
    let (folder, sdk) = (system.folder(), harness::root().join("build/sdk"));
    let platform = sdk.join("board/qemu_virt_aarch64");
    let image = folder.join("loader.elf");
    let output = Command::new(sdk.join("bin/microkit"))
        .env_remove("MICROKIT_SDK")
        .arg(folder.join("resolved.system"))
        .args(["--board", "qemu_virt_aarch64", "--config", "debug", "--image-type", "elf"])
        .arg("--override-kernel")
        .arg(platform.join("paranoid/elf/sel4.elf"))
        .arg("--output")
        .arg(&image)
        .arg("--report")
        .arg(folder.join("elf_report.txt"))
        .arg("--search-path")
        .arg(harness::root().join("build/qemu_virt_aarch64/debug/pd"))
        .output()
        .expect("the tool starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = std::fs::read(&image).expect("the image");
    assert!(file.starts_with(b"\x7fELF"));
    machine.payload = Payload::Firmware { path: image };
    let mut emulator = harness::start(&machine);
    emulator.expect("invariants held for", TIMEOUT).unwrap_or_else(|error| panic!("{error}"));
}
