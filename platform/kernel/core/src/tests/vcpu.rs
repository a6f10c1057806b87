// SPDX-License-Identifier: BSD-2-Clause
//! Virtual CPUs through their invocations.

use super::world::World;
use crate::cap::Cap;
use crate::layout::{Tcb, Vcpu};
use crate::machine::VirtualInterrupt;
use kernel_abi::context::stored;
use kernel_abi::error as code;
use kernel_abi::{Invocation as I, ObjectType as O};

/// EL1h, everything masked.
const EL1H: u64 = 0x3c5;
/// EL2h: nobody below may ever have this.
const EL2H: u64 = 0x3c9;
/// EL0 as the kernel sets it, in a build for debugging, as the simulated machine is: FIQ masked.
const EL0: u64 = 0x40;

fn vcpu(world: &mut World) -> (u64, Vcpu) {
    let index = world.make(O::Vcpu, 0);
    let Cap::Vcpu { at } = world.cap(index) else { panic!("no VCPU") };
    (index, at)
}

fn bound() -> (World, u64, Vcpu, u64, Tcb) {
    let (mut world, _) = World::new();
    let (thread, tcb) = world.thread(50, 0, 0);
    let (index, at) = vcpu(&mut world);
    assert_eq!(world.invoke(index, I::ArmVcpuSetTcb, &[], &[thread]).0, code::NONE);
    (world, index, at, thread, tcb)
}

#[test]
fn only_a_thread_with_a_virtual_cpu_runs_at_el1_and_none_at_el2() {
    let (mut world, _, _, thread, tcb) = bound();
    let spsr = |world: &World| tcb.reg(&world.kernel.m, stored::SPSR);
    for (asked, got) in [(EL1H, EL1H), (EL2H, EL0), (0x3cd, EL0), (0x3c4, 0x3c4), (0x3c0, 0x3c0), (0x13, EL0)]
    {
        world.invoke(thread, I::TcbWriteRegisters, &[0, 3, 0, 0, asked], &[]);
        assert_eq!(spsr(&world), got, "{asked:#x}");
    }
    let (plain, other) = world.thread(50, 0, 0);
    world.invoke(plain, I::TcbWriteRegisters, &[0, 3, 0, 0, EL1H | 1 << 30], &[]);
    assert_eq!(other.reg(&world.kernel.m, stored::SPSR), EL0 | 1 << 30);
}

#[test]
fn a_thread_that_loses_its_virtual_cpu_falls_back_to_el0() {
    let (mut world, index, at, thread, tcb) = bound();
    world.invoke(thread, I::TcbWriteRegisters, &[0, 3, 0, 0, EL1H], &[]);
    let (next, other) = world.thread(50, 0, 0);
    assert_eq!(world.invoke(index, I::ArmVcpuSetTcb, &[], &[next]).0, code::NONE);
    assert_eq!(tcb.vcpu(&world.kernel.m), None);
    assert_eq!(tcb.reg(&world.kernel.m, stored::SPSR), EL0);
    assert_eq!(other.vcpu(&world.kernel.m), Some(at));

    world.invoke(next, I::TcbWriteRegisters, &[0, 3, 0, 0, EL1H], &[]);
    let slot = world.slot(index);
    world.kernel.delete(slot).unwrap();
    assert_eq!(other.vcpu(&world.kernel.m), None);
    assert_eq!(other.reg(&world.kernel.m, stored::SPSR), EL0);
}

#[test]
fn a_deleted_thread_leaves_its_virtual_cpu_unbound() {
    let (mut world, _, at, thread, _) = bound();
    let slot = world.slot(thread);
    world.kernel.delete(slot).unwrap();
    assert_eq!(at.tcb(&world.kernel.m), None);
}

#[test]
fn registers_are_read_and_written_by_index() {
    let (mut world, index, ..) = bound();
    assert_eq!(world.invoke(index, I::ArmVcpuWriteReg, &[20, 5], &[]).0, code::NONE);
    assert_eq!(world.invoke(index, I::ArmVcpuReadReg, &[20], &[]), (code::NONE, 5));
    assert_eq!(world.invoke(index, I::ArmVcpuReadReg, &[24], &[]), (code::INVALID_ARGUMENT, 1));
    assert_eq!(world.invoke(index, I::ArmVcpuWriteReg, &[u64::MAX, 5], &[]).0, code::INVALID_ARGUMENT);
    assert_eq!(world.invoke(index, I::ArmVcpuWriteReg, &[20], &[]).0, code::TRUNCATED_MESSAGE);
}

#[test]
fn injection_checks_every_field() {
    let (mut world, index, at, ..) = bound();
    let word = |virq: u64, priority: u64, group: u64, lr: u64| virq | priority << 16 | group << 24 | lr << 32;
    let mut inject = |w: u64| world.invoke(index, I::ArmVcpuInjectIrq, &[w], &[]).0;
    assert_eq!(inject(word(1023, 31, 1, 3)), code::NONE);
    for bad in [word(1024, 0, 0, 0), word(1, 32, 0, 0), word(1, 0, 2, 0), word(1, 0, 0, 4)] {
        assert_eq!(inject(bad), code::RANGE_ERROR);
    }
    assert_eq!(
        world.kernel.m.list_registers.get(&(at, 3)),
        Some(&VirtualInterrupt { number: 1023, priority: 31, group: 1, source: 0 })
    );
}

#[test]
fn only_the_virtual_timer_is_acknowledged() {
    let (mut world, index, ..) = bound();
    assert_eq!(world.invoke(index, I::ArmVcpuAckVppi, &[27], &[]).0, code::NONE);
    assert_eq!(world.invoke(index, I::ArmVcpuAckVppi, &[30], &[]).0, code::INVALID_ARGUMENT);
    assert_eq!(world.invoke(index, I::ArmVcpuAckVppi, &[5000], &[]).0, code::RANGE_ERROR);
}
