// SPDX-License-Identifier: BSD-2-Clause
//! Bad ends, one a boot, and memory that should not outlive one.

use crate::machine::Machine;
use crate::psci::{self, function};
use crate::{boot, console, cpu, gic, leak, println, report, timer, write_register};
use core::arch::asm;

const NOTHING: u64 = 0x0f00_0000;
/// With gigabytes of nothing below, too.
const FAR_FROM_ANYTHING: u64 = 0x1_ffff_0000;

/// Ends this guest in the way that the command line says. Returns if it names none.
pub fn run(machine: &Machine) {
    let Some(way) = machine.option("die") else { return };
    println!("DYING {way}");
    match way {
        // A jump to nothing, and vectors there too.
        "jump" => {
            write_register!("vbar_el1", NOTHING);
            cpu::call(NOTHING + 0x1000);
        }
        // The same into a device, for fetches and vectors.
        "device" => {
            write_register!("vbar_el1", console::BASE);
            cpu::call(console::BASE);
        }
        // The exception stack is gone: the handler faults in its first instruction, for ever.
        // SAFETY: does not come back.
        "stack" => unsafe {
            asm!("msr spsel, #1", "mov sp, {}", "brk #0", "b .", in(reg) FAR_FROM_ANYTHING, options(noreturn))
        },
        // Vectors in the middle of unmapped virtual memory: stage 1 faults for ever, which nobody but the guest sees.
        "vectors" => {
            write_register!("vbar_el1", 0x40_0000_0000u64);
            // SAFETY: does not come back.
            unsafe { asm!("brk #0", "b .", options(noreturn)) }
        }
        // Translation tables where nothing is.
        "tables" => {
            write_register!("ttbr0_el1", NOTHING);
            // SAFETY: does not come back.
            unsafe { asm!("tlbi vmalle1", "dsb sy", "isb", "b .", options(noreturn)) }
        }
        // Waits for ever with nothing that could come.
        "wfi" => {
            timer::mask();
            loop {
                cpu::wait_for_interrupt();
            }
        }
        // Never lets go.
        // SAFETY: does not come back.
        "spin" => unsafe { asm!("b .", options(noreturn)) },
        // Exits as fast as it can.
        "storm" => loop {
            cpu::load32(console::FLAGS, 0);
            machine.conduit().function(0, [0; 3]);
        },
        "reset" => end(machine, function::SYSTEM_RESET, 0),
        "reset2" => end(machine, function::SYSTEM_RESET2, 0),
        "cpuoff" => end(machine, function::CPU_OFF, 0),
        "panic" => panic!("as told"),
        _ => psci::system_off(machine),
    }
}

fn end(machine: &Machine, function: u64, argument: u64) {
    let result = machine.conduit().function(function, [argument, 0, 0]);
    println!("TEST die FAIL still alive, {result:#x}");
}

/// Looks for the pattern in memory, fills memory with it, resets.
pub fn scrub(machine: &Machine) {
    // The device tree lies within 2 MiB of the image, or at the top; leave what is near alone.
    let first = (boot::end_of_image() + 0x40_0000) & !0xfff;
    let last = machine.memory_end.saturating_sub(0x40_0000).min(first + 0x1000_0000);
    let found = (first..last)
        .step_by(0x1000)
        .find(|&at| cpu::load64(at + 8 * (at >> 12 & 0x1ff), 0) == leak::FOREIGN);
    report::check("memory.scrubbed", found.is_none(), format_args!("the pattern is at {found:x?}"));
    for at in (first..last).step_by(64) {
        // SAFETY: RAM that nothing uses; all that is needed from here on is the image.
        unsafe {
            asm!("stp {p}, {p}, [{a}]", "stp {p}, {p}, [{a}, #16]", "stp {p}, {p}, [{a}, #32]",
                "stp {p}, {p}, [{a}, #48]", p = in(reg) leak::FOREIGN, a = in(reg) at);
        }
    }
    println!("FILLED {} bytes", last - first);
    reset(machine);
}

/// Resets while interrupts are active and pending: they must not be missing after it.
pub fn reset_with_active_interrupts(machine: &Machine) {
    gic::leave_active();
    println!("RESETTING");
    reset(machine);
}

fn reset(machine: &Machine) {
    end(machine, function::SYSTEM_RESET, 0);
}
