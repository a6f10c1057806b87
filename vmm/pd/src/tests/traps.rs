// SPDX-License-Identifier: BSD-2-Clause
//! Memory accesses, calls and system registers.

use super::fake::*;
use crate::vcpu::Then;
use crate::{Exit, Life, Reply, SystemRegister};
use vgic::Version;
use vmm_fdt::machine::map;

/// ELR, ESR and FAR of EL1 after an injected exception, having checked that the guest is at its vector.
fn injected(guest: &TestGuest) -> (u64, u64, u64) {
    let mut cpu = cpu(guest, 0);
    assert_eq!(cpu.pc(), VBAR + 0x200);
    assert_eq!(cpu.pstate() & 0x3cf, 0x3c5);
    (*cpu.system(SystemRegister::Elr), *cpu.system(SystemRegister::Esr), *cpu.system(SystemRegister::Far))
}

#[test]
fn uart_store_moves_few_registers() {
    let mut guest = guest(1);
    assert_eq!(store(&mut guest, map::UART, b'A'.into()), Reply::Resume);
    assert_eq!(guest.host().console.output, b"A");
    let cpu = log(&guest, 0);
    assert_eq!(cpu.pc(), PC + 4);
    let moved: (&[_], &[_]) = if super::TELLS { (&[], &[]) } else { (&[5], &[(1, Then::Stay)]) };
    assert_eq!((cpu.loads.as_slice(), cpu.stores.as_slice()), moved);
}

#[test]
fn uart_load_moves_few_registers() {
    let mut guest = guest(1);
    *cpu(&guest, 0).x(0) = 0x1234;
    assert_eq!(load(&mut guest, map::UART + 0x18) & 0x90, 0x90);
    let mut cpu = cpu(&guest, 0);
    assert_eq!((cpu.pc(), *cpu.x(0)), (PC + 4, 0x1234));
    let moved: (&[_], &[_]) = if super::TELLS { (&[], &[]) } else { (&[4], &[(5, Then::Stay)]) };
    assert_eq!((cpu.loads.as_slice(), cpu.stores.as_slice()), moved);
}

#[test]
fn high_registers_work_too() {
    let mut guest = guest(1);
    for number in [9, 15, 16, 18, 28, 29, 30] {
        assert_eq!(memory(&mut guest, map::UART + 0xff0, access(number, false)), Reply::Resume);
        assert_eq!(*cpu(&guest, 0).x(number as usize), 0x0d, "x{number}");
    }
}

#[test]
fn zero_register_stores_zero_and_takes_nothing() {
    let mut guest = guest(1);
    let before = log(&guest, 0).registers.clone();
    assert_eq!(memory(&mut guest, map::UART + 0xfe0, access(31, false)), Reply::Resume);
    assert_eq!(memory(&mut guest, map::UART, access(31, true)), Reply::Resume);
    assert_eq!(guest.host().console.output, [0]);
    assert_eq!(log(&guest, 0).pc(), PC + 8);
    assert_eq!(log(&guest, 0).registers[1..], before[1..]);
}

#[test]
fn parts_of_a_register_can_be_loaded() {
    let mut guest = guest(1);
    let byte = 0x9200_0007 | 1 << 24 | 1 << 16;
    assert_eq!(memory(&mut guest, map::UART + 0x31, byte), Reply::Resume);
    assert_eq!(*cpu(&guest, 0).x(1), 0x03, "second byte of CR");
    assert_eq!(memory(&mut guest, map::UART + 0x31, byte | 1 << 6), Reply::Resume);
    assert_eq!(load(&mut guest, map::UART + 0x30), 0x300, "a store to it is ignored");
}

#[test]
fn access_to_nothing_is_an_external_abort() {
    let mut guest = guest(1);
    assert_eq!(memory(&mut guest, 0x0a00_0000, access(1, true)), Reply::Resume);
    assert_eq!(injected(&guest), (PC, 0x9600_0050, 0x0a00_0000));
}

#[test]
fn address_is_marked_unknown_when_the_guest_translates() {
    let mut guest = guest(1);
    *cpu(&guest, 0).system(SystemRegister::Sctlr) = 1 << 23 | 1;
    assert_eq!(memory(&mut guest, 0x0a00_0000, access(1, false)), Reply::Resume);
    assert_eq!(injected(&guest).1, 0x9600_0410);
}

#[test]
fn undecodable_and_odd_device_accesses_are_external_aborts() {
    for (address, syndrome) in [
        (map::UART, 0x9200_0007),                // ISV = 0
        (map::UART, access(1, false) | 3 << 22), // 64 bits
        (map::RTC, access(1, false) | 3 << 22),  // 64 bits
        (map::UART + 1, access(1, false)),       // unaligned
        (map::GICD + 2, access(1, true)),        // unaligned
        (map::UART + 0x1000, access(1, true)),   // behind the device
        (map::GICD - 4, access(1, false)),       // before it
        (u64::MAX - 3, access(1, false)),        // nowhere
    ] {
        let mut guest = guest(1);
        assert_eq!(memory(&mut guest, address, syndrome), Reply::Resume);
        assert_eq!(injected(&guest).1 & !0x40, 0x9600_0010, "{address:#x}");
    }
}

#[test]
fn wild_distributor_accesses_read_zero() {
    let mut guest = guest(1);
    for offset in [0xf00, 0xffc - 4, 0x1000, 0xfffc] {
        let _ = load(&mut guest, map::GICD + offset);
    }
    assert_eq!(load(&mut guest, map::GICD + 0x8000), 0);
    assert_eq!(memory(&mut guest, map::GICD, access(1, false) | 3 << 22), Reply::Resume);
    assert_eq!(*cpu(&guest, 0).x(1), 0);
}

#[test]
fn cache_maintenance_of_nothing_does_nothing() {
    let mut guest = guest(1);
    assert_eq!(memory(&mut guest, 0x0a00_0000, 0x9200_0147), Reply::Resume);
    assert_eq!(log(&guest, 0).pc(), PC + 4);
}

#[test]
fn fetch_from_nothing_is_an_external_abort() {
    let mut guest = guest(1);
    let exit = Exit::Memory { pc: 0x1000, address: 0x1000, fetch: true, syndrome: 0x8200_0007 };
    cpu(&guest, 0).registers[0] = 0x1000;
    assert_eq!(take(&mut guest, 0, exit), Reply::Resume);
    assert_eq!(injected(&guest), (0x1000, 0x8600_0010, 0x1000));
}

#[test]
fn vectors_in_nothing_stop_the_guest() {
    let mut guest = guest(2);
    *cpu(&guest, 0).system(SystemRegister::Vbar) = 0;
    let fetch = |pc| Exit::Memory { pc, address: pc, fetch: true, syndrome: 0x8200_0007 };
    assert_eq!(take(&mut guest, 0, fetch(0x1000)), Reply::Resume);
    assert_eq!(log(&guest, 0).pc(), 0x200);
    assert_eq!(take(&mut guest, 0, fetch(0x200)), Reply::Hold);
    assert_eq!(guest.life(), Life::Ended);
    assert_eq!((log(&guest, 0).stopped, log(&guest, 1).stopped), (1, 1));
}

#[test]
fn hvc_and_smc_answer_alike() {
    for exit in [Exit::Trapped(0x5e00_0000), Exit::Hypercall(PC)] {
        let mut guest = guest(1);
        *cpu(&guest, 0).x(0) = 0x8400_0000;
        assert_eq!(take(&mut guest, 0, exit), Reply::Resume);
        let x0 = *cpu(&guest, 0).x(0);
        assert_eq!((x0, log(&guest, 0).pc()), (0x1_0001, PC + 4));
    }
}

#[test]
fn unknown_calls_are_not_supported() {
    let mut guest = guest(1);
    assert_eq!(smc(&mut guest, 0, [0x8600_ff01, 0, 0, 0]), (Reply::Resume, u64::MAX));
}

#[test]
fn unknown_system_registers_and_traps_are_undefined() {
    for exit in [
        Exit::Trapped(0x6200_0000 | 3 << 20 | 15 << 10 | 1), // S3_0_C15_C0_0
        Exit::Trapped(0x1fe0_0000),                          // SIMD
        Exit::Trapped(0),
        Exit::Unknown(PC),
    ] {
        let mut guest = guest(1);
        assert_eq!(take(&mut guest, 0, exit), Reply::Resume);
        assert_eq!(injected(&guest), (PC, 0x0200_0000, 0), "{exit:?}");
    }
}

#[test]
fn trapped_reads_reach_their_register() {
    let mut guest = guest(1);
    // mrs x7, oslsr_el1
    let syndrome = 0x6200_0000 | 2 << 20 | 4 << 17 | 1 << 10 | 7 << 5 | 1 << 1 | 1;
    assert_eq!(take(&mut guest, 0, Exit::Trapped(syndrome)), Reply::Resume);
    let x7 = *cpu(&guest, 0).x(7);
    assert_eq!((x7, log(&guest, 0).pc()), (0b1010, PC + 4));
}

#[test]
fn events_that_no_guest_causes_stop_it() {
    let mut guest = guest(1);
    assert_eq!(take(&mut guest, 0, Exit::Unexpected("something")), Reply::Hold);
    assert_eq!(guest.life(), Life::Ended);
    assert_eq!(store(&mut guest, map::UART, 0), Reply::Hold);
}

#[test]
fn no_exit_panics() {
    for version in [Version::V2, Version::V3] {
        random_exits(version);
    }
}

fn random_exits(version: Version) {
    // A linear congruential generator (Knuth's MMIX constants).
    let mut state = 1u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 16 ^ state << 40
    };
    let mut guest = started(2, version);
    for round in 0..25_000u64 {
        let index = random() as usize % 2;
        for register in &mut cpu(&guest, index).registers {
            *register = random();
        }
        let address = match random() % 5 {
            0 => map::GICD + random() % 0x1_0000,
            4 => map::GICR + random() % 0x5_0000,
            1 => map::UART + random() % 0x1000,
            2 => map::RTC + random() % 0x1000,
            _ => random(),
        };
        let exit = match random() % 9 {
            0..3 => Exit::Memory { pc: random(), address, fetch: false, syndrome: random() },
            3 => Exit::Trapped(random()),
            4 => Exit::Trapped(0x6200_0000 | random() & 0x1ff_ffff),
            5 => Exit::Maintenance(Some(random() as usize % 6)),
            6 => Exit::PrivateInterrupt(27),
            // ICC registers of all kinds.
            7 => Exit::Trapped(0x6230_3000 | random() & 0xe_03ff),
            _ => Exit::Hypercall(random()),
        };
        let _ = take(&mut guest, index, exit);
        guest.host_mut().now = round;
        if round % 16 == 0 {
            guest.timeout();
            guest.console();
        }
        if guest.life() == Life::Ended {
            guest.start(crate::host::Memory::Used);
        }
    }
}
