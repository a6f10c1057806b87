// SPDX-License-Identifier: BSD-2-Clause
//! Access to nothing, and accesses to devices that no driver makes.
//!
//! Nothing answers with a synchronous external abort, as on real hardware. A device access that a hypervisor cannot
//! decode (ESR_EL2.ISV = 0) may end in one too; bare it simply works.

use crate::boot::UNALIGNED_ALIAS;
use crate::console;
use crate::cpu;
use crate::exception::{Fault, class, fault_count, probe};
use crate::machine::Machine;
use crate::report::{check, check_value, skip};
use core::arch::asm;

/// Addresses where neither this guest's machine nor QEMU's has anything.
const NOTHING: [u64; 4] = [0x0a10_0000, 0x0f00_0000, 0x0fff_fff8, 0x1_c000_0000];

/// PrimeCell identification bytes of a PL011, at 0xfe0 in words (DDI 0183).
const IDENTIFICATION: [u64; 8] = [0x11, 0x10, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1];

/// What an untouched register holds.
const BEFORE: u64 = 0x5a5a_5a5a_a5a5_a5a5;

/// Runs all memory tests.
pub fn run(machine: &Machine) {
    nothing(machine);
    identification();
    odd_registers();
    undecodable(machine);
    unaligned(machine);
    table_walks(machine);
    exits();
}

fn nothing(machine: &Machine) {
    for address in NOTHING.into_iter().chain([machine.memory_end, machine.memory_end + 0x1000]) {
        for width in [1, 2, 4, 8] {
            let (_, fault) = probe(|| cpu::load(width, address));
            expect_abort("memory.load_from_nothing", fault, address, false);
            let (_, fault) = probe(|| cpu::store(width, address, u64::MAX));
            expect_abort("memory.store_to_nothing", fault, address, true);
        }
    }
    let (value, fault) = probe(|| cpu::load64(NOTHING[0], BEFORE));
    let kept = fault.is_some() && value == BEFORE;
    check("memory.aborted_load_keeps_its_register", kept, format_args!("{value:#x} {fault:?}"));
    for address in [NOTHING[1], NOTHING[1] + UNALIGNED_ALIAS] {
        let ((), fault) = probe(|| cpu::call(address));
        let good = fault.is_some_and(|fault| {
            fault.is_external_abort(class::INSTRUCTION_ABORT, address) && fault.elr == address
        });
        check("memory.jump_to_nothing", good, format_args!("{fault:x?}"));
    }
    if machine.psci_by_smc {
        let ((), fault) = probe(|| cpu::call(console::BASE + UNALIGNED_ALIAS));
        let good = fault.is_some_and(|fault| fault.class() == class::INSTRUCTION_ABORT);
        check("memory.jump_into_a_device", good, format_args!("{fault:x?}"));
    } else {
        skip("memory.jump_into_a_device", "bare");
    }
    let ((), fault) = probe(|| {
        // SAFETY: SP_EL0 is restored before the next instruction that uses it; the push is expected to abort.
        unsafe {
            asm!("mov {s}, sp", "mov sp, {n}", "stp x0, x1, [sp, #-16]!", "mov sp, {s}",
                s = out(reg) _, n = in(reg) NOTHING[1] + 0x100);
        }
    });
    let good = fault.is_some_and(|fault| fault.is_external_abort(class::DATA_ABORT, NOTHING[1] + 0xf0));
    check("memory.push_to_a_stack_that_is_nowhere", good, format_args!("{fault:x?}"));
}

fn expect_abort(name: &str, fault: Option<Fault>, address: u64, write: bool) {
    // Only failures are worth a line each: there are many of these.
    let good = fault.is_some_and(|fault| {
        fault.is_external_abort(class::DATA_ABORT, address) && (fault.esr & 1 << 6 != 0) == write
    });
    check(name, good && fault_count() == 1, format_args!("at {address:#x}: {fault:x?}"));
}

/// The value that a device returns reaches the right register in the right form.
fn identification() {
    let last = console::BASE + 0xffc;
    for (i, wanted) in (0u64..).zip(IDENTIFICATION) {
        check_value(
            "memory.pl011_identification",
            cpu::load32(console::BASE + 0xfe0 + 4 * i, BEFORE),
            &[wanted],
        );
    }
    check_value("memory.load_byte", cpu::load8(last, BEFORE), &[0xb1]);
    check_value("memory.load_half", cpu::load16(last, BEFORE), &[0xb1]);
    check_value("memory.load_signed_byte_to_w", cpu::load_signed8_to_32(last, BEFORE), &[0xffff_ffb1]);
    check_value(
        "memory.load_signed_byte_to_x",
        cpu::load_signed8_to_64(last, BEFORE),
        &[0xffff_ffff_ffff_ffb1],
    );
    check_value("memory.load_signed_half_to_x", cpu::load_signed16_to_64(last, BEFORE), &[0xb1]);
    check_value("memory.load_signed_word_to_x", cpu::load_signed32_to_64(last, BEFORE), &[0xb1]);
    check_value("memory.load_acquire", cpu::load_acquire32(last, BEFORE), &[0xb1]);
}

/// The zero register as source and destination, and every general-purpose register as destination.
fn odd_registers() {
    // UARTIBRD keeps 16 bits.
    let scratch = console::BASE + 0x24;
    cpu::store32(scratch, 0x1234);
    check_value("memory.store_and_load_back", cpu::load32(scratch, BEFORE), &[0x1234]);
    // SAFETY: a device register without side effects.
    unsafe { asm!("ldr wzr, [{a}]", "str wzr, [{a}]", a = in(reg) scratch) };
    check_value("memory.store_of_the_zero_register", cpu::load32(scratch, BEFORE), &[0]);
    cpu::store_release32(scratch, 0x77);
    check_value("memory.store_release", cpu::load32(scratch, BEFORE), &[0x77]);
    let mut wrong = 0u32;
    macro_rules! each {
        ($($number:literal $register:tt)*) => { $({
            let value: u64;
            // SAFETY: a device register without side effects; the destination is declared.
            unsafe {
                asm!(concat!("ldr w", $number, ", [{a}]"), a = in(reg) scratch, out($register) value);
            }
            wrong += u32::from(value != 0x77);
        })* };
    }
    each!(0 "x0" 1 "x1" 2 "x2" 3 "x3" 4 "x4" 5 "x5" 6 "x6" 7 "x7" 8 "x8" 9 "x9" 10 "x10" 11 "x11" 12 "x12" 13 "x13" 14 "x14" 15 "x15" 16 "x16" 17 "x17" 20 "x20" 21 "x21" 22 "x22" 23 "x23" 24 "x24" 25 "x25" 26 "x26" 27 "x27" 28 "x28" 30 "x30");
    check("memory.every_register_can_be_loaded", wrong == 0, format_args!("{wrong} registers"));
}

/// Instructions that leave ESR_EL2.ISV clear.
fn undecodable(machine: &Machine) {
    let device = console::BASE + 0x20;
    macro_rules! undecodable {
        ($($name:literal: $($instruction:literal),+;)*) => { $({
            let (base, fault) = probe(|| {
                let mut base = device;
                // SAFETY: the registers of a PL011 that this guest does not use; operands are declared.
                unsafe {
                    asm!(".arch armv8-a", $(concat!($instruction, "\n"),)+
                        b = inout(reg) base, out("x9") _, out("x10") _, out("x11") _);
                }
                base
            });
            let bare = !machine.psci_by_smc && fault.is_none();
            // An aborted access writes nothing back.
            let aborted = fault.is_some_and(|fault| fault.is_external_abort(class::DATA_ABORT, fault.far)
                && fault_count() == 1) && base == device;
            check(concat!("memory.undecodable_", $name), bare || aborted || fault.is_none(),
                format_args!("{fault:x?} base {base:#x}"));
        })* };
    }
    undecodable! {
        "ldp_w": "ldp w9, w10, [{b}]";
        "ldp_x": "ldp x9, x10, [{b}]";
        "stp_w": "stp wzr, wzr, [{b}]";
        "stp_x": "stp xzr, xzr, [{b}]";
        "ldr_post_index": "ldr w9, [{b}], #4";
        "str_post_index": "str wzr, [{b}], #4";
        "ldr_pre_index": "ldr w9, [{b}, #4]!";
        "ldr_simd_32": "ldr s0, [{b}]";
        "ldr_simd_128": "ldr q0, [{b}]";
        "str_simd_128": "str q0, [{b}]";
        "ld1": "ld1 {{v0.16b}}, [{b}]";
        "st1_post_index": "st1 {{v0.2d}}, [{b}], #16";
        "ldxr": "ldxr w9, [{b}]";
        "stxr": "stxr w11, wzr, [{b}]";
        "ldaxp": "ldaxp x9, x10, [{b}]";
        "prfm": "prfm pldl1keep, [{b}]";
        "dc_civac": "dc civac, {b}";
        "dc_ivac": "dc ivac, {b}";
        "ic_ivau": "ic ivau, {b}";
    }
    // Zeroing a block of a device.
    let (_, fault) = probe(|| cpu_zero(console::BASE + 0xf00 + UNALIGNED_ALIAS));
    check("memory.dc_zva_on_a_device", fault_count() <= 1, format_args!("{fault:x?}"));
    let (_, fault) = probe(|| cpu_zero(NOTHING[1] + UNALIGNED_ALIAS));
    check("memory.dc_zva_on_nothing", fault.is_some(), format_args!("no abort"));
    let (_, fault) = probe(|| cpu::load_exclusive32(NOTHING[1], BEFORE));
    check("memory.exclusive_load_from_nothing", fault.is_some(), format_args!("no abort"));
}

fn cpu_zero(address: u64) {
    // SAFETY: a block of a device's or nobody's addresses.
    unsafe { asm!("dc zva, {}", in(reg) address) };
}

/// Unaligned accesses that stage 1 lets pass: the device model sees them.
fn unaligned(machine: &Machine) {
    let alias = console::BASE + UNALIGNED_ALIAS;
    let mut most = 0;
    for offset in [1u64, 2, 3, 5, 0x19, 0x1a, 0x23, 0xfdf, 0xfe1, 0xffd, 0xffe, 0xfff] {
        for width in [2, 4, 8] {
            let (_, _) = probe(|| cpu::load(width, alias + offset));
            most = most.max(fault_count());
            // Not the data register, nor the control register.
            if offset > 0x30 {
                let (_, _) = probe(|| cpu::store(width, alias + offset, u64::MAX));
                most = most.max(fault_count());
            }
        }
    }
    check("memory.unaligned_device_access", most <= 1, format_args!("{most} exceptions for one access"));
    if machine.psci_by_smc {
        let value = cpu::load32(console::BASE + 0xffc, BEFORE);
        check_value("memory.device_answers_after_unaligned_access", value, &[0xb1]);
    }
}

/// The upper half's translation tables lie where nothing, or a device, is.
fn table_walks(machine: &Machine) {
    use crate::{read_register, write_register};
    const UPPER_HALF: u64 = 0xffff_ff80_0000_0000;
    const WALKS_DISABLED: u64 = 1 << 23;
    let control = read_register!("tcr_el1");
    for (name, table) in [
        ("memory.table_walk_through_nothing", NOTHING[1]),
        ("memory.table_walk_through_a_device", console::BASE),
        ("memory.table_walk_through_the_distributor", 0x0800_0000),
    ] {
        if !machine.psci_by_smc && table != NOTHING[1] {
            skip(name, "bare");
            continue;
        }
        write_register!("ttbr1_el1", table);
        write_register!("tcr_el1", control & !WALKS_DISABLED);
        for (what, expected) in [("load", class::DATA_ABORT), ("jump", class::INSTRUCTION_ABORT)] {
            let (_, fault) = probe(|| match what {
                "load" => cpu::load64(UPPER_HALF, BEFORE),
                _ => {
                    cpu::call(UPPER_HALF);
                    0
                }
            });
            // External abort, on the access or on the walk; a device may also read as an invalid descriptor.
            let good = fault.is_some_and(|fault| {
                fault.class() == expected && matches!(fault.esr & 0x3f, 0x10 | 0x14..=0x17 | 0x04..=0x07)
            });
            check(name, good && fault_count() == 1, format_args!("{what}: {fault:x?}"));
        }
        write_register!("tcr_el1", control);
        write_register!("ttbr1_el1", 0);
    }
}

/// Many exits in a row.
fn exits() {
    let mut wrong = 0u32;
    for _ in 0..20_000 {
        wrong += u32::from(cpu::load32(console::BASE + 0xff8, BEFORE) != 5);
    }
    check("memory.20000_device_reads", wrong == 0, format_args!("{wrong} wrong"));
}
