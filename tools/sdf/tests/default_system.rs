// SPDX-License-Identifier: BSD-2-Clause
//! The shipped `system.xml` says what the design says: who may touch what, who goes first, and that every program gets
//! each address, size and channel number through a symbol. However many guests there are.

#![allow(clippy::unwrap_used, reason = "tests")]

use board::Board;
use sdf::{
    MemoryRegion, PageSize, Perms, Platform, ProtectionDomain, SetvarValue, System, Variables, VirtualMachine,
};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn system(variables: &[(&str, &str)]) -> System {
    system_on("qemu_virt_aarch64", variables)
}

fn system_on(board: &str, variables: &[(&str, &str)]) -> System {
    let board = Board::load(&root().join(format!("kernel-config/{board}.toml"))).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for file in ["Image", "initrd.cpio", "cmdline.txt"] {
        std::fs::write(folder.path().join(file), "content").unwrap();
    }
    let text = std::fs::read_to_string(root().join("system.xml")).unwrap();
    let variables: Variables = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let resolved = sdf::resolve("system.xml", &text, &board, &variables).unwrap();
    let parsed = resolved.parse(&Platform::from_board(&board), &[folder.path().to_owned()]);
    parsed.unwrap_or_else(|errors| panic!("{errors:#?}"))
}

fn symbol(system: &System, pd: &ProtectionDomain, name: &str) -> Option<u64> {
    pd.setvars.iter().find(|setvar| setvar.symbol == name).and_then(|setvar| system.setvar_value(setvar))
}

/// Every guest with its VMM.
fn guests(system: &System) -> Vec<(&ProtectionDomain, &VirtualMachine)> {
    let found = system.protection_domains.iter().filter_map(|pd| Some((pd, pd.virtual_machine.as_ref()?)));
    let found: Vec<_> = found.collect();
    assert!(!found.is_empty());
    found
}

/// Indices of the regions that are guests' RAM.
fn guest_ram(system: &System) -> Vec<usize> {
    let maps = guests(system).into_iter().flat_map(|(_, vm)| &vm.maps);
    maps.filter(|map| map.perms.execute).map(|map| map.region).collect()
}

fn is_driver(pd: &ProtectionDomain) -> bool {
    pd.name.ends_with("_driver")
}

/// Heartbeats before drivers before virtualisers before VMMs before the witness.
fn rank(pd: &ProtectionDomain) -> u8 {
    match pd {
        pd if matches!(pd.name.as_str(), "heartbeat" | "tick") => 4,
        pd if pd.name == "witness" => 0,
        pd if pd.virtual_machine.is_some() => 1,
        pd if is_driver(pd) => 3,
        _ => 2,
    }
}

#[test]
fn shipped_system_has_no_warnings() {
    assert_eq!(system(&[]).warnings, []);
    assert_eq!(system(&[("INITRD", "initrd.cpio"), ("VCPUS", "4"), ("RAM", "128M")]).warnings, []);
}

/// The second board has another timer and another disk, another network, and neither clock nor entropy.
#[test]
fn shipped_system_fits_boards_with_other_devices() {
    for board in ["rpi4b_1gb", "rpi4b_2gb", "rpi4b_4gb", "rpi4b_8gb"] {
        let system = system_on(board, &[("RAM", "128M")]);
        assert_eq!(system.warnings, []);
        let pd = |name: &str| system.protection_domains.iter().find(|pd| pd.name == name);
        for (name, program) in [
            ("timer_driver", "system_timer_driver.elf"),
            ("uart_driver", "uart_driver.elf"),
            ("blk_driver", "sdhci_driver.elf"),
            ("net_driver", "genet_driver.elf"),
            ("tick", "heartbeat.elf"),
            ("line", "heartbeat.elf"),
        ] {
            assert_eq!(pd(name).unwrap().program_image.path, Path::new(program));
        }
        for absent in ["rng_driver", "rtc_driver"] {
            assert!(pd(absent).is_none(), "{absent}");
        }
        let region = |name: &str| system.memory_regions.iter().find(|region| region.name == name);
        assert_eq!(region("blk_registers").unwrap().phys_addr, Some(0xfe34_0000));
        assert_eq!(region("timer_registers").unwrap().phys_addr, Some(0xfe00_3000));
        assert_eq!(region("net_registers").unwrap().phys_addr, Some(0xfd58_0000));
    }
    let first = system(&[]);
    assert!(first.memory_regions.iter().all(|region| region.name != "timer_registers"));
    assert!(first.protection_domain("tick").is_none() && first.protection_domain("line").is_none());
}

/// Guests have the board's GIC; only version 2 has a CPU interface that could be mapped.
#[test]
fn guests_of_a_board_with_a_gicv3_map_no_cpu_interface() {
    let system = system_on("qemu_virt_aarch64_gicv3", &[]);
    assert_eq!(system.warnings, []);
    for (_, vm) in guests(&system) {
        let names: Vec<_> = vm.maps.iter().map(|map| &*system.memory_regions[map.region].name).collect();
        assert!(names.len() == 1 && names[0].ends_with("_ram"), "{names:?}");
    }
    let text = std::fs::read_to_string(root().join("system.xml")).unwrap();
    for (name, line) in [("qemu_virt_aarch64", "gic=2"), ("qemu_virt_aarch64_gicv3", "gic=3")] {
        let board = Board::load(&root().join(format!("kernel-config/{name}.toml"))).unwrap();
        let resolved = sdf::resolve("system.xml", &text, &board, &Variables::new()).unwrap();
        let config = resolved.files.iter().find(|file| file.name == "vmm_0_config.txt").unwrap();
        let config = &config.content;
        assert!(config.lines().any(|found| found == line), "{config}");
    }
}

#[test]
fn drivers_go_before_virtualisers_before_monitors_before_guests() {
    let system = system(&[]);
    let pds: Vec<_> = system.protection_domains.iter().filter(|pd| pd.children.is_empty()).collect();
    for a in &pds {
        for b in pds.iter().filter(|b| rank(b) < rank(a)) {
            assert!(a.priority > b.priority, "{} and {}", a.name, b.name);
        }
    }
    for (_, vm) in guests(&system) {
        assert!(system.protection_domains.iter().all(|p| p.priority > vm.priority));
    }
}

#[test]
fn a_parent_goes_before_its_children() {
    let system = system(&[]);
    for pd in &system.protection_domains {
        if let Some(parent) = pd.parent {
            assert!(system.protection_domains[parent].priority > pd.priority, "{}", pd.name);
        }
    }
}

#[test]
fn nobody_above_the_guests_can_take_all_the_time() {
    let system = system(&[]);
    let wildest = system.protection_domains.iter().max_by_key(|p| p.budget_us * 1000 / p.period_us).unwrap();
    assert!(wildest.budget_us * 10 <= wildest.period_us * 6, "{}", wildest.name);
}

#[test]
fn only_a_guests_own_vmm_maps_its_memory() {
    let system = system(&[("INITRD", "initrd.cpio")]);
    for (vmm, vm) in guests(&system) {
        for map in vm.maps.iter().filter(|map| map.perms.execute) {
            let holders =
                system.protection_domains.iter().filter(|pd| pd.maps.iter().any(|m| m.region == map.region));
            assert_eq!(holders.map(|pd| &pd.name).collect::<Vec<_>>(), [&vmm.name]);
        }
    }
}

#[test]
fn guests_have_no_writable_memory_in_common() {
    let system = system(&[("INITRD", "initrd.cpio")]);
    let writable = |(pd, vm): &(&ProtectionDomain, &VirtualMachine)| -> Vec<usize> {
        let maps = pd.maps.iter().chain(&vm.maps).filter(|map| map.perms.write);
        // The CPU interface shows each vCPU its own.
        maps.map(|map| map.region).filter(|region| system.memory_regions[*region].name != "gicv").collect()
    };
    let guests = guests(&system);
    for (index, guest) in guests.iter().enumerate() {
        for other in &guests[..index] {
            assert!(writable(guest).iter().all(|region| !writable(other).contains(region)));
        }
    }
}

#[test]
fn only_drivers_have_interrupts_and_may_write_device_registers() {
    let system = system(&[("INITRD", "initrd.cpio")]);
    for p in system.protection_domains.iter().filter(|p| !is_driver(p)) {
        let device = |map: &&sdf::Map| system.memory_regions[map.region].phys_addr.is_some();
        assert!(p.maps.iter().filter(device).all(|map| !map.perms.write), "{}", p.name);
        assert!(p.irqs.is_empty(), "{}", p.name);
    }
    let ram = guest_ram(&system);
    for p in &system.protection_domains {
        assert!(p.maps.iter().all(|map| !map.perms.execute), "{}", p.name);
        assert!(!is_driver(p) || p.maps.iter().all(|map| !ram.contains(&map.region)), "{}", p.name);
    }
}

#[test]
fn ring_bytes_are_written_by_one_side_only() {
    let system = system(&[]);
    let data = |region: &&(usize, &MemoryRegion)| region.1.name.ends_with("_data");
    let regions: Vec<(usize, &MemoryRegion)> = system.memory_regions.iter().enumerate().collect();
    assert!(regions.iter().any(|region| data(&region)));
    for (index, region) in regions.iter().filter(data) {
        let maps = system.protection_domains.iter().flat_map(|p| &p.maps).filter(|m| m.region == *index);
        let maps: Vec<_> = maps.collect();
        assert!((1..=2).contains(&maps.len()), "{}", region.name);
        assert!(maps.iter().filter(|map| map.perms.write).count() <= 1, "{}", region.name);
    }
}

#[test]
fn every_address_and_channel_reaches_its_program_through_a_symbol() {
    let system = system(&[("INITRD", "initrd.cpio")]);
    for (index, p) in system.protection_domains.iter().enumerate() {
        let known = |number: u64| p.setvars.iter().any(|setvar| setvar.value == SetvarValue::Number(number));
        assert!(p.maps.iter().all(|map| known(map.vaddr)), "{}", p.name);
        assert!(p.irqs.iter().all(|irq| known(irq.id.into())), "{}", p.name);
        // Who is called answers on the channel that the call came by.
        assert!(system.ends_of(index).all(|(end, peer)| peer.pp || known(end.id.into())), "{}", p.name);
    }
}

#[test]
fn guest_sees_the_machine_that_qemu_calls_virt() {
    let system = system(&[("RAM", "0x10000000"), ("VCPUS", "3")]);
    for (vmm, vm) in guests(&system) {
        let at = |vaddr| vm.maps.iter().find(|map| map.vaddr == vaddr).unwrap();
        assert_eq!(vm.vcpus.iter().map(|vcpu| vcpu.id).collect::<Vec<_>>(), [0, 1, 2]);
        let ram = at(0x4000_0000);
        assert_eq!(ram.perms, Perms { read: true, write: true, execute: true });
        assert!(ram.cached);
        let region = &system.memory_regions[ram.region];
        assert_eq!((region.size, region.page_size, region.phys_addr), (0x1000_0000, PageSize::Large, None));
        let gicv = at(0x0801_0000);
        assert_eq!(system.memory_regions[gicv.region].name, "gicv");
        assert!(!gicv.cached);
        assert_eq!(vm.maps.len(), 2);
        assert_eq!(symbol(&system, vmm, "guest_ram_size"), Some(0x1000_0000));
    }
}

#[test]
fn initramfs_is_optional() {
    let without = system(&[("INITRD", "")]);
    for (vmm, _) in guests(&without) {
        assert_eq!(symbol(&without, vmm, "initrd_image_size"), None);
    }
    let with = system(&[("INITRD", "initrd.cpio")]);
    for (vmm, _) in guests(&with) {
        assert_eq!(symbol(&with, vmm, "initrd_image_size"), Some(7));
        assert_eq!(symbol(&with, vmm, "kernel_image_size"), Some(7));
    }
}

#[test]
fn only_the_direct_layout_tells_the_disks_virtualiser_where_guest_memory_is() {
    for (layout, expected) in [("", 0), ("isolated", 0), ("direct", guests(&system(&[])).len())] {
        let system = system(&[("BLK_LAYOUT", layout)]);
        let ram = guest_ram(&system);
        let told = system.protection_domains.iter().flat_map(|pd| pd.setvars.iter().map(move |s| (pd, s)));
        let told =
            told.filter(|(_, s)| matches!(s.value, SetvarValue::PhysAddr(region) if ram.contains(&region)));
        let told: Vec<_> = told.map(|(pd, _)| pd.name.as_str()).collect();
        assert_eq!(told, vec!["blk_virt"; expected], "{layout}");
    }
}

#[test]
fn all_but_heartbeats_and_supervisor_are_watched_children() {
    let system = system(&[]);
    let supervisor = system.protection_domain("supervisor").unwrap();
    for pd in &system.protection_domains {
        let alone = matches!(pd.name.as_str(), "heartbeat" | "witness" | "supervisor");
        assert_eq!(pd.parent.is_none(), alone, "{}", pd.name);
        assert!(alone || symbol(&system, pd, "watchdog_ch").is_some(), "{}", pd.name);
        assert!(alone || symbol(&system, supervisor, &format!("child{}_ch", pd.child_id.unwrap())).is_some());
    }
}
