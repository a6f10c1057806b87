// SPDX-License-Identifier: BSD-2-Clause
//! The shipped `system.xml` says what the design says: who may touch what, who goes first, and that every program gets
//! each address, size and channel number through a symbol.

#![allow(clippy::unwrap_used, reason = "tests")]

use board::Board;
use sdf::{PageSize, Perms, Platform, ProtectionDomain, SetvarValue, System, Variables};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn system(variables: &[(&str, &str)]) -> System {
    let board = Board::load(&root().join("kernel-config/qemu_virt_aarch64.toml")).unwrap();
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

fn pd<'s>(system: &'s System, name: &str) -> &'s ProtectionDomain {
    system.protection_domain(name).unwrap()
}

fn symbol(system: &System, pd: &ProtectionDomain, name: &str) -> Option<u64> {
    pd.setvars.iter().find(|setvar| setvar.symbol == name).and_then(|setvar| system.setvar_value(setvar))
}

#[test]
fn shipped_system_has_no_warnings() {
    assert_eq!(system(&[]).warnings, []);
    assert_eq!(system(&[("INITRD", "initrd.cpio"), ("VCPUS", "4"), ("RAM", "1G")]).warnings, []);
}

#[test]
fn drivers_go_before_virtualisers_before_monitors_before_guests() {
    let system = system(&[]);
    let order: Vec<u8> = ["timer_driver", "uart_driver", "serial_virt", "vmm_0"]
        .map(|name| pd(&system, name).priority)
        .to_vec();
    assert!(order.is_sorted_by(|a, b| a > b), "{order:?}");
    let guests = system.protection_domains.iter().filter_map(|p| p.virtual_machine.as_ref());
    for vm in guests {
        assert!(system.protection_domains.iter().all(|p| p.priority > vm.priority));
    }
}

#[test]
fn everything_above_the_guests_together_leaves_them_time() {
    let system = system(&[]);
    let thousandths: u64 = system.protection_domains.iter().map(|p| p.budget_us * 1000 / p.period_us).sum();
    assert!(thousandths <= 900, "{thousandths}");
    assert!(system.protection_domains.iter().all(|p| p.budget_us < p.period_us));
}

#[test]
fn drivers_map_no_guest_memory_and_only_they_map_device_registers_but_a_clock_to_look_at() {
    let system = system(&[("INITRD", "initrd.cpio")]);
    for p in &system.protection_domains {
        let regions: Vec<_> = p.maps.iter().map(|map| &system.memory_regions[map.region]).collect();
        let driver = p.name.ends_with("_driver");
        assert!(!driver || regions.iter().all(|region| !region.name.starts_with("linux_")), "{}", p.name);
        let looked_at = |map: &sdf::Map| !map.perms.write && system.memory_regions[map.region].name == "rtc";
        let registers = |map: &&sdf::Map| system.memory_regions[map.region].phys_addr.is_some();
        assert!(driver || p.maps.iter().filter(registers).all(looked_at), "{}", p.name);
        assert!(driver || p.irqs.is_empty(), "{}", p.name);
        assert!(p.maps.iter().all(|map| !map.perms.execute), "{}", p.name);
    }
}

#[test]
fn ring_bytes_are_written_by_one_side_only() {
    let system = system(&[]);
    for (index, region) in system.memory_regions.iter().enumerate().filter(|(_, r)| r.name.contains("x_data"))
    {
        let maps: Vec<_> =
            system.protection_domains.iter().flat_map(|p| &p.maps).filter(|m| m.region == index).collect();
        assert_eq!(maps.len(), 2, "{}", region.name);
        assert_eq!(maps.iter().filter(|map| map.perms.write).count(), 1, "{}", region.name);
        assert!(region.size.is_power_of_two());
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
    let vmm = pd(&system, "vmm_0");
    let vm = vmm.virtual_machine.as_ref().unwrap();
    let map = |name: &str| vm.maps.iter().find(|map| system.memory_regions[map.region].name == name).unwrap();
    assert_eq!(vm.vcpus.iter().map(|vcpu| vcpu.id).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!((map("linux_ram").vaddr, map("linux_ram").cached), (0x4000_0000, true));
    assert_eq!(map("linux_ram").perms, Perms { read: true, write: true, execute: true });
    assert_eq!((map("gicv").vaddr, map("gicv").cached), (0x0801_0000, false));
    assert_eq!(vm.maps.len(), 2);
    let ram = system.memory_region("linux_ram").unwrap();
    assert_eq!((ram.size, ram.page_size, ram.phys_addr), (0x1000_0000, PageSize::Large, None));
    assert_eq!(symbol(&system, vmm, "guest_ram_size"), Some(0x1000_0000));
}

#[test]
fn initramfs_is_optional() {
    let without = system(&[("INITRD", "")]);
    assert_eq!(symbol(&without, pd(&without, "vmm_0"), "initrd_image_size"), None);
    let with = system(&[("INITRD", "initrd.cpio")]);
    assert_eq!(symbol(&with, pd(&with, "vmm_0"), "initrd_image_size"), Some(7));
    assert_eq!(symbol(&with, pd(&with, "vmm_0"), "kernel_image_size"), Some(7));
}
