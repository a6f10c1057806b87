// SPDX-License-Identifier: BSD-2-Clause
//! Waiting for interrupts: who is held, and what lets it go on.

use super::fake::*;
use crate::machine::Run;
use crate::vcpu::Then;
use crate::{Exit, Reply, SystemRegister};
use vmm_fdt::machine::map;

const WFI: Exit = Exit::Trapped(0x07e0_0000);
const WFE: Exit = Exit::Trapped(0x07e0_0001);
const TIMER: Exit = Exit::PrivateInterrupt(27);

/// Programs the virtual timer of vCPU 0.
fn program(guest: &TestGuest, control: u64, compare: u64) {
    *cpu(guest, 0).system(SystemRegister::CntvCtl) = control;
    *cpu(guest, 0).system(SystemRegister::CntvCval) = compare;
}

fn running(guest: &TestGuest) -> bool {
    guest.machine().cpus[0].run == Run::Running
}

#[test]
fn wfi_without_anything_pending_is_held() {
    let mut guest = guest(1);
    assert_eq!(take(&mut guest, 0, WFI), Reply::Hold);
    assert_eq!(guest.machine().cpus[0].run, Run::Held { pc: PC + 4, deadline: None });
    assert!(guest.host().timeouts.is_empty(), "nothing to wait for");
}

#[test]
fn wfe_is_never_held() {
    let mut guest = guest(1);
    assert_eq!(take(&mut guest, 0, WFE), Reply::Resume);
    assert_eq!(log(&guest, 0).pc(), PC + 4);
}

#[test]
fn held_vcpu_goes_on_when_its_timer_is_due() {
    let mut guest = guest(1);
    program(&guest, 1, 500);
    assert_eq!(take(&mut guest, 0, WFI), Reply::Hold);
    assert_eq!(guest.host().timeouts, [Some(500)]);
    guest.host_mut().now = 499;
    guest.timeout();
    assert!(!running(&guest), "too early");
    guest.host_mut().now = 500;
    guest.timeout();
    assert!(running(&guest));
    assert_eq!(log(&guest, 0).pc(), PC + 4);
    assert_eq!(log(&guest, 0).stores.last(), Some(&(1, Then::Run)));
}

#[test]
fn wfi_with_a_timer_that_is_due_is_not_held() {
    let mut guest = guest(1);
    program(&guest, 1, 500);
    guest.host_mut().now = 500;
    assert_eq!(take(&mut guest, 0, WFI), Reply::Resume);
}

#[test]
fn masked_or_disabled_timer_does_not_wake() {
    for control in [0, 2, 3, 4, 7] {
        let mut guest = guest(1);
        program(&guest, control, 500);
        guest.host_mut().now = 1000;
        assert_eq!(take(&mut guest, 0, WFI), Reply::Hold);
        assert!(guest.host().timeouts.is_empty(), "{control:#x}");
    }
}

#[test]
fn reported_timer_that_the_guest_ignores_does_not_spin() {
    let mut guest = guest(1);
    program(&guest, 1, 500);
    guest.host_mut().now = 500;
    // The interrupt is not enabled in the distributor.
    assert_eq!(take(&mut guest, 0, TIMER), Reply::Resume);
    assert_eq!(take(&mut guest, 0, WFI), Reply::Hold);
}

#[test]
fn timer_interrupt_is_delivered_and_rearmed_after_its_end() {
    let mut guest = guest(1);
    enable(&mut guest, 27);
    assert_eq!(take(&mut guest, 0, TIMER), Reply::Resume);
    let injection = log(&guest, 0).injected[0];
    assert_eq!(injection.irq.number(), 27);
    assert_eq!(take(&mut guest, 0, WFI), Reply::Resume, "pending in a list register");
    assert_eq!(log(&guest, 0).rearmed, 0);
    assert_eq!(take(&mut guest, 0, Exit::Maintenance(Some(injection.list_register.into()))), Reply::Resume);
    assert_eq!(log(&guest, 0).rearmed, 1);
    assert!(!guest.machine().cpus[0].timer_reported);
    assert_eq!(take(&mut guest, 0, WFI), Reply::Hold);
}

#[test]
fn input_wakes_a_held_vcpu() {
    let mut guest = guest(1);
    enable(&mut guest, map::UART_INTID.into());
    store(&mut guest, map::UART + 0x2c, 0x70);
    store(&mut guest, map::UART + 0x30, 0x301);
    store(&mut guest, map::UART + 0x38, 0x50);
    assert_eq!(take(&mut guest, 0, WFI), Reply::Hold);
    guest.host_mut().console.input = b"ls\n".to_vec();
    guest.console();
    assert!(running(&guest));
    assert_eq!(log(&guest, 0).injected[0].irq.number(), 33);
    assert_eq!([0; 3].map(|_| load(&mut guest, map::UART)), [b'l'.into(), b's'.into(), b'\n'.into()]);
}

#[test]
fn long_input_follows_as_the_guest_reads() {
    let mut guest = guest(1);
    store(&mut guest, map::UART + 0x2c, 0x70);
    store(&mut guest, map::UART + 0x30, 0x301);
    store(&mut guest, map::UART + 0x38, 0x50);
    let text: Vec<u8> = (1..=100).collect();
    guest.host_mut().console.input = text.clone();
    guest.console();
    let read: Vec<u8> = (0..100).map(|_| load(&mut guest, map::UART) as u8).collect();
    assert_eq!(read, text);
    assert_eq!(load(&mut guest, map::UART + 0x18) & 0x10, 0x10, "empty");
}

#[test]
fn output_that_found_no_room_follows_and_interrupts() {
    let mut guest = guest(1);
    guest.host_mut().console.room = 1;
    store(&mut guest, map::UART, b'a'.into());
    store(&mut guest, map::UART, b'b'.into());
    assert_eq!(load(&mut guest, map::UART + 0x18) & 0x20, 0x20, "full");
    guest.host_mut().console.room = 10;
    guest.console();
    assert_eq!(guest.host().console.output, b"ab");
    assert_eq!(load(&mut guest, map::UART + 0x3c) & 0x20, 0x20);
}

#[test]
fn output_is_shown_before_the_guest_waits() {
    let mut guest = guest(1);
    store(&mut guest, map::UART, b'#'.into());
    assert_eq!(guest.host().console.flushes, 0, "not for every character");
    take(&mut guest, 0, WFI);
    assert_eq!(guest.host().console.flushes, 1);
}

#[test]
fn physical_timer_is_emulated() {
    let mut guest = guest(1);
    enable(&mut guest, 30);
    let msr =
        |op2: u64| Exit::Trapped(0x6200_0000 | 3 << 20 | op2 << 17 | 3 << 14 | 14 << 10 | 1 << 5 | 2 << 1);
    *cpu(&guest, 0).x(1) = 700;
    assert_eq!(take(&mut guest, 0, msr(2)), Reply::Resume); // CVAL
    *cpu(&guest, 0).x(1) = 1;
    assert_eq!(take(&mut guest, 0, msr(1)), Reply::Resume); // CTL
    assert_eq!(guest.host().timeouts, [Some(700)]);
    assert_eq!(take(&mut guest, 0, WFI), Reply::Hold);
    guest.host_mut().now = 700;
    guest.timeout();
    assert_eq!(log(&guest, 0).injected[0].irq.number(), 30);
    assert!(running(&guest));
    // While the line is up the end of the interrupt brings it again.
    assert_eq!(take(&mut guest, 0, Exit::Maintenance(Some(0))), Reply::Resume);
    assert_eq!(log(&guest, 0).injected.len(), 2);
    *cpu(&guest, 0).x(1) = 0;
    assert_eq!(take(&mut guest, 0, msr(1)), Reply::Resume);
    assert_eq!(take(&mut guest, 0, Exit::Maintenance(Some(0))), Reply::Resume);
    assert_eq!(log(&guest, 0).injected.len(), 2);
}

#[test]
fn alarm_of_the_clock_interrupts() {
    let mut guest = guest(1);
    enable(&mut guest, map::RTC_INTID.into());
    store(&mut guest, map::RTC + 0x10, 1);
    store(&mut guest, map::RTC + 0x04, 3);
    assert!(guest.host().timeouts.last().copied().flatten().is_some_and(|deadline| deadline >= 3000));
    guest.host_mut().now = 3001;
    guest.timeout();
    assert_eq!(log(&guest, 0).injected[0].irq.number(), 34);
}

#[test]
fn earliest_deadline_of_all_vcpus_counts_and_is_asked_once() {
    let mut guest = guest(2);
    assert_eq!(smc(&mut guest, 0, [0xc400_0003, 1, map::RAM, 0]).1, 0);
    program(&guest, 1, 900);
    assert_eq!(take(&mut guest, 0, WFI), Reply::Hold);
    *cpu(&guest, 1).system(SystemRegister::CntvCtl) = 1;
    *cpu(&guest, 1).system(SystemRegister::CntvCval) = 600;
    assert_eq!(take(&mut guest, 1, WFI), Reply::Hold);
    assert_eq!(guest.host().timeouts, [Some(900), Some(600)]);
    guest.host_mut().now = 600;
    guest.timeout();
    assert_eq!(guest.machine().cpus[1].run, Run::Running);
    assert!(!running(&guest));
    assert_eq!(guest.host().timeouts, [Some(900), Some(600), Some(900)]);
}

#[test]
fn later_deadline_waits_for_the_time_out_that_was_asked() {
    let mut guest = guest(1);
    program(&guest, 1, 500);
    assert_eq!(take(&mut guest, 0, WFI), Reply::Hold);
    guest.wake(0);
    program(&guest, 1, 800);
    assert_eq!(take(&mut guest, 0, WFI), Reply::Hold);
    assert_eq!(guest.host().timeouts, [Some(500)]);
    guest.host_mut().now = 500;
    guest.timeout();
    assert!(!running(&guest), "not its time");
    assert_eq!(guest.host().timeouts, [Some(500), Some(800)]);
}
