// SPDX-License-Identifier: BSD-2-Clause
//! What is different for a guest with a GICv3: redistributors, and system registers of the CPU interface that trap.

use super::fake::*;
use crate::machine::Run;
use crate::vcpu::position;
use crate::{Exit, Life, Reply, SystemRegister};
use vgic::Version;
use vmm_fdt::machine::map;

const CPU_ON: u64 = 0xc400_0003;
const SYSTEM_RESET: u64 = 0x8400_0009;
const PRIVATE: u64 = map::GICR + 0x1_0000;
/// Redistributors of two vCPUs.
const BEHIND: u64 = map::GICR + 0x4_0000;

/// ESR_EL2 of an access by x1 to the register S3_0_C12_C<crm>_<op2>.
const fn icc(crm: u64, op2: u64, read: bool) -> u64 {
    0x6200_0000 | 3 << 20 | op2 << 17 | 12 << 10 | 1 << 5 | crm << 1 | read as u64
}
const SGI1R: u64 = icc(11, 5, false);
const ASGI1R: u64 = icc(11, 6, false);
const SGI0R: u64 = icc(11, 7, false);

/// A write of `value` to a register.
fn write(guest: &mut TestGuest, syndrome: u64, value: u64) -> Reply {
    *cpu(guest, 0).x(1) = value;
    take(guest, 0, Exit::Trapped(syndrome))
}

/// Two vCPUs, the second one on and waiting, SGIs of group 1 enabled.
fn two_vcpus() -> TestGuest {
    let mut guest = started(2, Version::V3);
    smc(&mut guest, 0, [CPU_ON, 1, 0x4100_0000, 0]);
    store(&mut guest, map::GICD, 2);
    for private in [PRIVATE, PRIVATE + 0x2_0000] {
        store(&mut guest, private + 0x080, 0xffff_ffff);
        store(&mut guest, private + 0x100, 0xffff);
    }
    assert_eq!(take(&mut guest, 1, Exit::Trapped(0x07e0_0000)), Reply::Hold);
    guest
}

fn injected(guest: &TestGuest, index: usize) -> Vec<u16> {
    log(guest, index).injected.iter().map(|injection| injection.irq.number()).collect()
}

/// The guest has taken Undefined Instruction.
fn assert_undefined(guest: &TestGuest) {
    let mut cpu = cpu(guest, 0);
    assert_eq!((cpu.pc(), *cpu.system(SystemRegister::Esr) >> 26), (VBAR + 0x200, 0));
}

#[test]
fn an_sgi_wakes_the_vcpu_that_it_names() {
    let mut guest = two_vcpus();
    let pc = log(&guest, 0).pc();
    assert_eq!(write(&mut guest, SGI1R, 5 << 24 | 2), Reply::Resume);
    assert_eq!(log(&guest, 0).pc(), pc + 4);
    assert_eq!((injected(&guest, 0), injected(&guest, 1)), (vec![], vec![5]));
    assert_eq!(guest.machine().cpus[1].run, Run::Running);
}

#[test]
fn registers_for_group_0_reach_no_interrupt_of_group_1() {
    let mut guest = two_vcpus();
    for register in [SGI0R, ASGI1R] {
        assert_eq!(write(&mut guest, register, 3), Reply::Resume);
    }
    assert_eq!((injected(&guest, 0), injected(&guest, 1)), (vec![], vec![]));
    assert!(matches!(guest.machine().cpus[1].run, Run::Held { .. }));
}

#[test]
fn sgi_registers_cannot_be_read() {
    for register in [SGI1R, ASGI1R, SGI0R] {
        let mut guest = started(1, Version::V3);
        assert_eq!(take(&mut guest, 0, Exit::Trapped(register | 1)), Reply::Resume);
        assert_undefined(&guest);
    }
}

#[test]
fn the_system_register_interface_cannot_be_turned_off() {
    let mut guest = started(1, Version::V3);
    assert_eq!(write(&mut guest, icc(12, 5, false), 0), Reply::Resume);
    assert_eq!(take(&mut guest, 0, Exit::Trapped(icc(12, 5, true))), Reply::Resume);
    let mut cpu = cpu(&guest, 0);
    assert_eq!((*cpu.x(1), cpu.pc()), (7, PC + 8));
}

#[test]
fn a_guest_with_a_gicv2_has_none_of_it() {
    for syndrome in [SGI1R, SGI0R, icc(12, 5, false), icc(12, 5, true)] {
        let mut guest = guest(1);
        assert_eq!(write(&mut guest, syndrome, 1), Reply::Resume);
        assert_undefined(&guest);
    }
    let mut guest = guest(1);
    assert_eq!(store(&mut guest, map::GICR + 0x14, 0), Reply::Resume);
    assert_eq!(log(&guest, 0).pc(), VBAR + 0x200, "nothing is there");
}

#[test]
fn redistributors_end_behind_the_last_vcpus() {
    let mut guest = started(2, Version::V3);
    assert_eq!(load(&mut guest, BEHIND - 0x2_0000 + 8), 0x110, "GICR_TYPER");
    assert_eq!(load(&mut guest, BEHIND - 4), 0);
    assert_eq!(log(&guest, 0).pc(), PC + 8);
    for nothing in [BEHIND, map::GICR - 4, map::GICC] {
        let mut guest = started(2, Version::V3);
        load(&mut guest, nothing);
        assert_eq!(log(&guest, 0).pc(), VBAR + 0x200, "{nothing:#x}");
    }
}

#[test]
fn exits_of_redistributors_are_counted_with_the_distributors() {
    let mut guest = started(2, Version::V3);
    load(&mut guest, map::GICD + 0x6100);
    load(&mut guest, PRIVATE + 0x2_0100);
    assert_eq!(guest.exits().get("gicd"), 2);
}

#[test]
fn list_registers_are_emptied_by_code_for_a_gicv3() {
    let mut guest = started(1, Version::V3);
    store(&mut guest, map::GICD, 1);
    store(&mut guest, PRIVATE + 0x100, 1 << 27);
    take(&mut guest, 0, Exit::PrivateInterrupt(27));
    assert_eq!(injected(&guest, 0), [27]);
    assert_eq!(smc(&mut guest, 0, [SYSTEM_RESET, 0, 0, 0]).0, Reply::Hold);
    assert_eq!(guest.life(), Life::Rebooting);
    assert_eq!(guest.host().placed, Version::V3.quiesce());
    assert_eq!(log(&guest, 0).registers[position::PC], map::RAM);
}
