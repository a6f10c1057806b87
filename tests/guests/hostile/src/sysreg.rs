// SPDX-License-Identifier: BSD-2-Clause
//! Reads and writes every register of the lists; then tries to set a hardware breakpoint, a watchpoint, a cycle counter.

use crate::exception::{Fault, class, fault_count, probe};
use crate::machine::Machine;
use crate::registers::{FORBIDDEN, INTERFACE_V3, READABLE, Register, TIMERS, WRITABLE};
use crate::report::{check, check_value, skip};
use crate::{cpu, gic, println, read_register, timer, write_register};
use core::arch::global_asm;

/// What a register did.
fn behaviour(register: &Register) -> (&'static str, Option<Fault>) {
    let before = register.read();
    let written = register.write(0x5555_5555_5555_5555);
    let after = register.read();
    let _ = register.write(0);
    match (before, written, after) {
        (Err(fault), ..) | (Ok(_), _, Err(fault)) => ("trapped", Some(fault)),
        (Ok(_), Err(fault), Ok(_)) => ("read-only", Some(fault)),
        (Ok(0), Ok(()), Ok(0)) => ("reads zero", None),
        (Ok(a), Ok(()), Ok(b)) if a == b && !register.moves => ("constant", None),
        _ => ("keeps values", None),
    }
}

/// Runs all system register tests.
pub fn run(machine: &Machine) {
    for register in &WRITABLE {
        let (what, fault) = behaviour(register);
        let fine = fault.is_none_or(Fault::is_undefined);
        check("sysreg.access_is_answered", fine, format_args!("{} {fault:x?}", register.name));
        println!("# {} {what}", register.name);
    }
    let absent: &[Register] = if gic::is_v3() { &[] } else { &INTERFACE_V3 };
    for register in FORBIDDEN.iter().chain(absent) {
        let undefined = |fault: Result<(), Fault>| fault.is_err_and(Fault::is_undefined);
        let fine = undefined(register.read().map(|_| ())) && undefined(register.write(0));
        check("sysreg.forbidden_is_undefined", fine, format_args!("{}", register.name));
    }
    for register in READABLE.iter().chain(&TIMERS) {
        let value = register.read();
        check(
            "sysreg.readable",
            value.is_ok() || value.is_err_and(Fault::is_undefined),
            format_args!("{} {value:x?}", register.name),
        );
        println!("# {} {:x?}", register.name, value.ok());
    }
    physical_timer(machine);
    breakpoints(machine);
    cycle_counter();
    let value = read_register!("midr_el1");
    check("sysreg.midr_is_a_processor", value & 0xffff_0000 != 0, format_args!("{value:#x}"));
    check_value("sysreg.affinity_of_vcpu_0", cpu::affinity(), &[0]);
}

/// CNTP works as a timer of this guest, or does not exist.
fn physical_timer(machine: &Machine) {
    let ((), fault) = probe(|| {
        write_register!("cntp_cval_el0", 0x1234_5678_9abc_def0);
        write_register!("cntp_ctl_el0", 1);
    });
    if fault.is_some() {
        return skip("sysreg.physical_timer", "trapped");
    }
    check_value("sysreg.physical_timer_compare", read_register!("cntp_cval_el0"), &[0x1234_5678_9abc_def0]);
    check_value("sysreg.physical_timer_control", read_register!("cntp_ctl_el0"), &[1]);
    write_register!("cntp_cval_el0", 0);
    check_value("sysreg.physical_timer_expired", read_register!("cntp_ctl_el0"), &[5]);
    write_register!("cntp_tval_el0", 0x7fff_ffff);
    check_value("sysreg.physical_timer_not_expired", read_register!("cntp_ctl_el0"), &[1]);
    write_register!("cntp_ctl_el0", u64::MAX);
    check_value("sysreg.physical_timer_masked", read_register!("cntp_ctl_el0"), &[3]);
    write_register!("cntp_ctl_el0", 0);
    let (before, count) = (read_register!("cntpct_el0"), timer::now());
    timer::spin(1);
    let passed = read_register!("cntpct_el0").wrapping_sub(before);
    let virtually = timer::now().wrapping_sub(count);
    let close = passed.abs_diff(virtually) < timer::frequency() / 10;
    check("sysreg.both_counters_advance_alike", passed != 0 && close, format_args!("{passed} {virtually}"));
    if machine.psci_by_smc {
        check_value("sysreg.counter_frequency", timer::frequency(), &[62_500_000, 1_000_000_000, 54_000_000]);
    }
}

// A function to break on: its first instruction may be skipped.
global_asm!(
    r#"
    .text
    .global break_target
break_target:
    nop
    movz    x0, #0x7a67
    ret
    "#
);

unsafe extern "C" {
    fn break_target() -> u64;
}

fn breakpoints(machine: &Machine) {
    let watched = 0u64;
    let code = break_target as *const () as u64;
    let ((value, read), fault) = probe(|| {
        write_register!("oslar_el1", 0);
        write_register!("dbgbvr0_el1", code);
        write_register!("dbgwvr0_el1", (&raw const watched) as u64 & !7);
        // Enabled, EL1, byte address select all, and load or store for the watchpoint.
        write_register!("dbgbcr0_el1", 0x1e7);
        write_register!("dbgwcr0_el1", 0x1ffd);
        // Monitor debug events, also in the kernel.
        write_register!("mdscr_el1", 1 << 15 | 1 << 13);
        // SAFETY: lets debug exceptions in; they are probed.
        unsafe { core::arch::asm!("msr daifclr, #8", "isb") };
        // SAFETY: returns a number.
        let value = unsafe { break_target() };
        let read = cpu::load64((&raw const watched) as u64, 1);
        // SAFETY: and masks them again.
        unsafe { core::arch::asm!("msr daifset, #8", "isb") };
        write_register!("mdscr_el1", 0);
        write_register!("dbgbcr0_el1", 0);
        write_register!("dbgwcr0_el1", 0);
        (value, read)
    });
    // Either there are no breakpoints, or they break here and nowhere else.
    let none = fault.is_none() && value == 0x7a67 && read == 0;
    let own = fault.is_some_and(|fault| matches!(fault.class(), class::UNKNOWN | class::BREAKPOINT | 0x35));
    check(
        "sysreg.breakpoints_are_absent_or_the_guests_own",
        none || own,
        format_args!("{fault:x?} {value:#x} {read}"),
    );
    let ((), fault) = probe(|| {
        // Software step at the same level: needs a return; without one nothing may happen.
        write_register!("mdscr_el1", 1);
        cpu::barrier();
        write_register!("mdscr_el1", 0);
    });
    check("sysreg.software_step_bit_alone", fault_count() <= 2, format_args!("{fault:x?}"));
    if machine.psci_by_smc {
        let value = read_register!("mdscr_el1");
        check_value("sysreg.no_self_hosted_debug_left", value & 0xa001, &[0]);
    }
}

fn cycle_counter() {
    let (ran, fault) = probe(|| {
        write_register!("pmcr_el0", 7);
        write_register!("pmcntenset_el0", 0x8000_0000);
        let before = read_register!("pmccntr_el0");
        cpu::barrier();
        let after = read_register!("pmccntr_el0");
        write_register!("pmintenset_el1", 0xffff_ffff);
        write_register!("pmccntr_el0", u64::MAX - 10);
        cpu::barrier();
        write_register!("pmintenclr_el1", 0xffff_ffff);
        write_register!("pmcntenclr_el0", 0xffff_ffff);
        write_register!("pmcr_el0", 0);
        after.wrapping_sub(before)
    });
    let fine = fault.is_none_or(Fault::is_undefined);
    check("sysreg.cycle_counter", fine, format_args!("{ran} {fault:x?}"));
}
