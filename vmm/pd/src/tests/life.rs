// SPDX-License-Identifier: BSD-2-Clause
//! Start, secondary vCPUs, reboot, power-off.

use super::fake::*;
use crate::crash::Report;
use crate::host::{Host, Memory};
use crate::machine::{Machine, Run};
use crate::vcpu::Then;
use crate::{Exit, Life, REGISTERS, Reply, SystemRegister};
use vmm_fdt::machine::map;

const CPU_OFF: u64 = 0x8400_0002;
const CPU_ON: u64 = 0xc400_0003;
const SYSTEM_OFF: u64 = 0x8400_0008;
const SYSTEM_RESET: u64 = 0x8400_0009;

#[test]
fn vcpu_0_starts_as_linux_wants_it() {
    let mut guest = unstarted(1);
    guest.start(Memory::Zeroed);
    let mut cpu = cpu(&guest, 0);
    assert_eq!((cpu.pc(), cpu.pstate(), *cpu.x(0), *cpu.x(1)), (map::RAM, 0x3c5, map::RAM + 0x20_0000, 0));
    assert_eq!(cpu.stores, [(REGISTERS, Then::Run)]);
    assert_eq!(*cpu.system(SystemRegister::Sctlr) & 0x1005, 0, "MMU and caches off");
    assert_eq!(*cpu.system(SystemRegister::Vmpidr), 1 << 31);
}

#[test]
fn guest_that_cannot_be_loaded_does_not_start() {
    let mut guest = unstarted(1);
    guest.host_mut().broken = true;
    guest.start(Memory::Zeroed);
    assert_eq!(guest.life(), Life::Ended);
    assert!(log(&guest, 0).stores.is_empty());
}

#[test]
fn cpu_on_starts_the_second_vcpu() {
    let mut guest = guest(2);
    assert_eq!(take(&mut guest, 1, Exit::Trapped(0x07e0_0001)), Reply::Hold, "off");
    assert_eq!(smc(&mut guest, 0, [CPU_ON, 1, 0x4100_0000, 0xfeed]), (Reply::Resume, 0));
    let mut second = cpu(&guest, 1);
    assert_eq!((second.pc(), *second.x(0), second.pstate()), (0x4100_0000, 0xfeed, 0x3c5));
    assert_eq!(*second.system(SystemRegister::Vmpidr), 1 << 31 | 1);
    assert_eq!(second.stores.last(), Some(&(REGISTERS, Then::Run)));
}

#[test]
fn cpu_off_ends_only_the_caller() {
    let mut guest = guest(2);
    smc(&mut guest, 0, [CPU_ON, 1, 0x4100_0000, 0]);
    assert_eq!(smc(&mut guest, 1, [CPU_OFF, 0, 0, 0]).0, Reply::Hold);
    assert_eq!((guest.machine().cpus[1].run, guest.life()), (Run::Off, Life::Running));
    assert_eq!(smc(&mut guest, 0, [CPU_ON, 1, 0x4100_0000, 0]), (Reply::Resume, 0));
    assert_eq!(guest.machine().cpus[1].run, Run::Running);
}

#[test]
fn guest_without_vcpus_has_ended() {
    let mut guest = guest(1);
    assert_eq!(smc(&mut guest, 0, [CPU_OFF, 0, 0, 0]).0, Reply::Hold);
    assert_eq!(guest.life(), Life::Ended);
}

#[test]
fn power_off_stops_everything() {
    let mut guest = guest(2);
    *cpu(&guest, 0).system(SystemRegister::CntvCtl) = 1;
    *cpu(&guest, 0).system(SystemRegister::CntvCval) = 500;
    smc(&mut guest, 0, [CPU_ON, 1, 0x4100_0000, 0]);
    take(&mut guest, 0, Exit::Trapped(0x07e0_0000));
    assert_eq!(smc(&mut guest, 1, [SYSTEM_OFF, 0, 0, 0]).0, Reply::Hold);
    assert_eq!(guest.life(), Life::Ended);
    assert_eq!((log(&guest, 0).stopped, log(&guest, 1).stopped), (1, 1));
    assert_eq!(guest.host().timeouts, [Some(500), None]);
    guest.host_mut().now = 1000;
    guest.timeout();
    guest.console();
    assert_eq!(take(&mut guest, 0, Exit::Trapped(0x07e0_0000)), Reply::Hold);
}

#[test]
fn reboot_scrubs_resets_and_starts_again() {
    let mut guest = guest(2);
    enable(&mut guest, map::UART_INTID.into());
    store(&mut guest, map::UART + 0x38, 0x20);
    store(&mut guest, map::UART, b'x'.into());
    assert!(guest.machine().uart_line);
    smc(&mut guest, 0, [CPU_ON, 1, 0x4100_0000, 0]);
    *cpu(&guest, 0).system(SystemRegister::Ttbr0) = 0x1234;
    assert_eq!(take(&mut guest, 0, Exit::Maintenance(Some(0))), Reply::Resume);
    let _ = load(&mut guest, map::UART);
    store(&mut guest, map::UART + 0x44, 0x20);
    assert_eq!(take(&mut guest, 0, Exit::Maintenance(Some(0))), Reply::Resume);
    assert_eq!(smc(&mut guest, 1, [SYSTEM_RESET, 0, 0, 0]).0, Reply::Hold);
    assert_eq!(guest.host().loads, [Memory::Zeroed, Memory::Used]);
    assert_eq!(guest.life(), Life::Running);
    assert_eq!((guest.machine().cpus[0].run, guest.machine().cpus[1].run), (Run::Running, Run::Off));
    assert!(!guest.machine().uart_line);
    assert_eq!(load(&mut guest, map::UART + 0x38), 0);
    assert_eq!(load(&mut guest, map::GICD), 0);
    let mut first = cpu(&guest, 0);
    assert_eq!(*first.system(SystemRegister::Ttbr0), 0);
    // The loads above came after the start; by the standard interface they stored registers.
    let last = if super::TELLS { REGISTERS } else { 5 };
    assert_eq!(first.stores.last().map(|store| store.0), Some(last));
}

#[test]
fn memory_is_scrubbed_in_steps_before_the_guest_starts_again() {
    let mut guest = guest(1);
    guest.host_mut().to_scrub = 5 << 20;
    assert_eq!(smc(&mut guest, 0, [SYSTEM_RESET, 0, 0, 0]).0, Reply::Hold);
    for step in 1..=3 {
        assert_eq!((guest.life(), guest.host().scrubs.len()), (Life::Rebooting, step));
        assert_eq!(guest.host().timeouts.len(), step, "goes on soon");
        guest.timeout();
    }
    assert_eq!(guest.host().scrubs, [0, 2 << 20, 4 << 20, 6 << 20]);
    assert_eq!((guest.life(), guest.host().loads.last()), (Life::Running, Some(&Memory::Used)));
}

#[test]
fn list_registers_are_emptied_by_their_vcpus_before_the_guest_starts_again() {
    let mut guest = guest(2);
    enable(&mut guest, 27);
    smc(&mut guest, 0, [CPU_ON, 1, 0x4100_0000, 0]);
    take(&mut guest, 0, Exit::PrivateInterrupt(27));
    assert_eq!(smc(&mut guest, 1, [SYSTEM_RESET, 0, 0, 0]).0, Reply::Hold);
    assert_eq!((guest.life(), guest.host().loads.len()), (Life::Rebooting, 1));
    assert_eq!(guest.machine().cpus[1].run, Run::Off, "its list registers are empty");
    assert_eq!(guest.host().placed, vgic::Version::V2.quiesce());
    let [pc, x2] = [0, 5].map(|position| log(&guest, 0).registers[position]);
    assert_eq!((pc, x2), (map::RAM, map::GICC));
    assert_eq!(take(&mut guest, 0, Exit::Maintenance(Some(0))), Reply::Resume);
    assert_eq!(log(&guest, 0).rearmed, 1);
    assert_eq!(take(&mut guest, 0, Exit::Trapped(0x07e0_0000)), Reply::Hold);
    assert_eq!((guest.life(), guest.host().loads.len()), (Life::Running, 2));
    assert_eq!(log(&guest, 0).stores.last(), Some(&(REGISTERS, Then::Run)));
    assert_eq!(take(&mut guest, 0, Exit::Trapped(0x07e0_0000)), Reply::Hold, "an ordinary WFI again");
    assert_eq!(guest.life(), Life::Running);
}

/// Nothing is left to be ended where the kernel takes back what the guest has not taken.
#[test]
fn pending_interrupts_are_withdrawn_before_the_guest_starts_again() {
    let mut guest = guest(1);
    enable(&mut guest, 27);
    take(&mut guest, 0, Exit::PrivateInterrupt(27));
    cpu(&guest, 0).pending.insert(0);
    assert_eq!(smc(&mut guest, 0, [SYSTEM_RESET, 0, 0, 0]).0, Reply::Hold);
    if super::TELLS {
        assert_eq!((guest.life(), guest.host().loads.len()), (Life::Running, 2));
        assert_eq!(log(&guest, 0).rearmed, 1, "the timer may report again");
    } else {
        assert_eq!((guest.life(), guest.host().loads.len()), (Life::Rebooting, 1));
    }
}

#[test]
fn state_survives_serialisation() {
    let mut guest = guest(2);
    enable(&mut guest, 27);
    store(&mut guest, map::UART + 0x24, 0x1234);
    take(&mut guest, 0, Exit::PrivateInterrupt(27));
    let bytes = postcard::to_allocvec(guest.machine()).expect("serialises");
    let machine: Machine = postcard::from_bytes(&bytes).expect("reads back");
    assert_eq!(&machine, guest.machine());
}

#[test]
fn crash_report_names_registers_and_reason() {
    let guest = guest(1);
    *cpu(&guest, 0).x(30) = 0xabcd;
    *cpu(&guest, 0).system(SystemRegister::Far) = 0x77;
    let text = Report::new(&guest.host().vcpu(0), 0, "a reason").to_string();
    for part in [
        "crash of vCPU 0: a reason",
        "pc 0000000040081000",
        "x30 000000000000abcd",
        "far    0000000000000077",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
}
