// SPDX-License-Identifier: BSD-2-Clause
//! The interrupt controller (IHI 0048B.b): wild registers with every size, floods, SGIs to nobody, the own timer.

use crate::boot::UNALIGNED_ALIAS;
use crate::cpu::{self, load32, store32};
use crate::exception::{class, fault_count, probe};
use crate::machine::Machine;
use crate::report::{check, check_value, skip};
use crate::timer;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// INTID of the virtual timer.
pub const VTIMER: u64 = 27;

const DISTRIBUTOR: u64 = 0x0800_0000;
const CTLR: u64 = DISTRIBUTOR;
const TYPER: u64 = DISTRIBUTOR + 0x004;
const IGROUPR: u64 = DISTRIBUTOR + 0x080;
const ISENABLER: u64 = DISTRIBUTOR + 0x100;
const ICENABLER: u64 = DISTRIBUTOR + 0x180;
const ICPENDR: u64 = DISTRIBUTOR + 0x280;
const ICACTIVER: u64 = DISTRIBUTOR + 0x380;
const IPRIORITYR: u64 = DISTRIBUTOR + 0x400;
const ICFGR: u64 = DISTRIBUTOR + 0xc00;
const SGIR: u64 = DISTRIBUTOR + 0xf00;
const CPENDSGIR: u64 = DISTRIBUTOR + 0xf10;
const PIDR2: u64 = DISTRIBUTOR + 0xfe8;

const CPU_INTERFACE: u64 = 0x0801_0000;
const GICC_CTLR: u64 = CPU_INTERFACE;
/// Priority mask: also a register that `leak-write` marks.
pub const PRIORITY_MASK: u64 = CPU_INTERFACE + 0x004;
const BINARY_POINT: u64 = CPU_INTERFACE + 0x008;
const IAR: u64 = CPU_INTERFACE + 0x00c;
const EOIR: u64 = CPU_INTERFACE + 0x010;
const AEOIR: u64 = CPU_INTERFACE + 0x024;
/// Active priorities.
pub const ACTIVE_PRIORITIES: u64 = CPU_INTERFACE + 0x0d0;

/// EnableGrp0, EnableGrp1, AckCtl: GICC_IAR and GICC_EOIR serve both groups (QEMU has no GICC_AIAR).
const BOTH_GROUPS: u64 = 0b111;
const SPURIOUS: u64 = 1023;
const OTHER_GROUP: u64 = 1022;
/// More interrupts than list registers, banks and interrupts can explain.
const MOST_INTERRUPTS: u32 = 5000;

static TAKEN: [AtomicU32; 1024] = [const { AtomicU32::new(0) }; 1024];

fn taken(irq: u64) -> u32 {
    TAKEN.get(irq as usize).map_or(0, |count| count.load(Relaxed))
}

fn all_taken() -> u32 {
    TAKEN.iter().fold(0, |sum, count| sum.wrapping_add(count.load(Relaxed)))
}

/// Acknowledges, counts and ends one interrupt of either group; `None` if there is none.
pub fn take_interrupt() -> Option<u64> {
    let value = load32(IAR, 0);
    let irq = value & 1023;
    if irq == SPURIOUS || irq == OTHER_GROUP {
        return None;
    }
    if let Some(count) = TAKEN.get(irq as usize) {
        count.store(count.load(Relaxed).wrapping_add(1), Relaxed);
    }
    if irq == VTIMER {
        timer::mask();
    }
    store32(EOIR, value);
    Some(irq)
}

/// A working interrupt controller with only SGIs and the virtual timer enabled.
pub fn init() {
    store32(CTLR, 0);
    for bank in 0..9u64 {
        for register in [ICENABLER, ICPENDR, ICACTIVER] {
            store32(register + 4 * bank, 0xffff_ffff);
        }
        store32(IGROUPR + 4 * bank, 0);
        for word in 0..8 {
            store32(IPRIORITYR + 32 * bank + 4 * word, 0xa0a0_a0a0);
        }
    }
    for word in 1..18u64 {
        store32(ICFGR + 4 * word, 0);
    }
    for word in 0..4u64 {
        store32(CPENDSGIR + 4 * word, 0xffff_ffff);
    }
    timer::mask();
    store32(ISENABLER, 1 << VTIMER | 0xffff);
    store32(ACTIVE_PRIORITIES, 0);
    store32(PRIORITY_MASK, 0xf0);
    store32(BINARY_POINT, 0);
    store32(GICC_CTLR, BOTH_GROUPS);
    store32(CTLR, 1);
}

/// Takes what is pending, whatever it is. Returns how many.
fn drain() -> u32 {
    let mut count = 0;
    while take_interrupt().is_some() && count < MOST_INTERRUPTS {
        count += 1;
    }
    count
}

/// Checks that interrupts arrive, then leaves two of them active: the timer's, and one SGI.
pub fn leave_active() {
    works("gic.works_after_a_boot");
    store32(IPRIORITYR + 4, 0x5050_5050);
    timer::set(timer::now());
    timer::spin(1);
    let timer = load32(IAR, 0);
    store32(SGIR, 2 << 24 | 5);
    cpu::barrier();
    let sgi = load32(IAR, 0);
    check(
        "gic.two_interrupts_are_active",
        (timer & 1023, sgi & 1023) == (VTIMER, 5),
        format_args!("{timer} {sgi}"),
    );
    store32(SGIR, 2 << 24 | 3);
}

/// Runs all interrupt tests.
pub fn run(machine: &Machine) {
    init();
    drain();
    identification(machine);
    works("gic.works_at_first");
    wild_reads();
    wild_writes();
    works("gic.works_after_wild_accesses");
    edges_of_the_cpu_interface(machine);
    sgis_to_nobody(machine);
    works("gic.works_after_sgis_to_nobody");
    waits();
    timer_abuse();
    works("gic.works_at_last");
}

fn identification(machine: &Machine) {
    check_value("gic.architecture_version", load32(PIDR2, 0) >> 4 & 15, &[2]);
    let typer = load32(TYPER, 0);
    check("gic.typer", typer & 0x1f >= 1 && typer & 0xf400 == 0, format_args!("{typer:#x}"));
    if machine.psci_by_smc {
        for reserved in [0x00c, 0x07c, 0xd00, 0xe00, 0xf04, 0xf0c, 0xf30, 0xfcc] {
            store32(DISTRIBUTOR + reserved, 0xffff_ffff);
            check_value("gic.reserved_reads_zero", load32(DISTRIBUTOR + reserved, 0x55), &[0]);
        }
        for width in [1u64, 2, 8] {
            cpu::store(width, TYPER & !7, 0x1234);
            let value = probe(|| cpu::load(width, DISTRIBUTOR)).0;
            check_value("gic.narrow_and_wide_accesses_of_words_read_zero", value, &[0]);
        }
    }
}

/// An SGI to itself and a timer interrupt arrive once each.
fn works(name: &str) {
    init();
    drain();
    let before = (taken(3), taken(VTIMER), all_taken());
    store32(SGIR, 2 << 24 | 3);
    cpu::allow_interrupts();
    timer::set(timer::now());
    for _ in 0..100 {
        cpu::allow_interrupts();
        if taken(VTIMER) != before.1 {
            break;
        }
        timer::spin(1);
    }
    cpu::allow_interrupts();
    let after = (taken(3), taken(VTIMER), all_taken());
    let good = after == (before.0 + 1, before.1 + 1, before.2 + 2);
    check(name, good, format_args!("SGI 3, timer, all: {before:?} then {after:?}"));
}

fn wild_reads() {
    let mut faults = 0;
    for width in [1u64, 2, 4, 8] {
        for offset in (0..0x1000).step_by(width as usize) {
            let _ = probe(|| cpu::load(width, DISTRIBUTOR + offset));
            faults += fault_count();
        }
        for offset in (1..0x1000).step_by(61) {
            let _ = probe(|| cpu::load(width, DISTRIBUTOR + UNALIGNED_ALIAS + offset));
        }
    }
    check("gic.reads_of_every_size_everywhere", faults == 0, format_args!("{faults} exceptions"));
}

/// Ones to every byte of the distributor in every size: in the end everything is enabled, pending, active, group 1 and
/// the like. Then the interrupts are taken until none is left.
fn wild_writes() {
    let mut faults = 0;
    let mut floods = 0;
    for width in [1u64, 2, 4, 8] {
        for offset in (0..0x1000).step_by(width as usize) {
            let _ = probe(|| cpu::store(width, DISTRIBUTOR + offset, u64::MAX));
            faults += fault_count();
        }
        for offset in (1..0x1000).step_by(61) {
            let _ = probe(|| cpu::store(width, DISTRIBUTOR + UNALIGNED_ALIAS + offset, u64::MAX));
        }
        // Urgent enough, enabled, pending, and not held back by active marks.
        for word in 0..72 {
            store32(IPRIORITYR + 4 * word, 0xa0a0_a0a0);
        }
        for bank in 0..32 {
            store32(ICACTIVER + 4 * bank, 0xffff_ffff);
            store32(DISTRIBUTOR + 0x200 + 4 * bank, 0xffff_ffff);
            store32(ISENABLER + 4 * bank, 0xffff_ffff);
        }
        floods += drain();
    }
    check("gic.writes_of_every_size_everywhere", faults == 0, format_args!("{faults} exceptions"));
    check("gic.a_flood_ends", (1..MOST_INTERRUPTS).contains(&floods), format_args!("{floods} interrupts"));
    // In a random-looking order and with everything on, once more, and leave it to init.
    for step in 0..4096u64 {
        let offset = step.wrapping_mul(2_654_435_761) >> 7 & 0xffc;
        let _ = probe(|| cpu::store(4, DISTRIBUTOR + offset, step.wrapping_mul(0x9e37_79b9)));
    }
    init();
    let left = drain();
    check("gic.silence_after_reset", drain() == 0, format_args!("{left} at first, and more"));
}

fn edges_of_the_cpu_interface(machine: &Machine) {
    let mut most = 0;
    // The last interrupts may be ended twice, and ones that never were.
    for value in [0u64, 27, 1022, 1023, 0xffff_ffff] {
        store32(EOIR, value);
        store32(AEOIR, value);
        store32(CPU_INTERFACE + 0x1000, value);
    }
    for offset in (0x028..0x2000).step_by(52) {
        for width in [1u64, 2, 4, 8] {
            let _ = probe(|| cpu::load(width, CPU_INTERFACE + (offset & !7)));
            most = most.max(fault_count());
        }
    }
    check("gic.cpu_interface_reads", most <= 1, format_args!("{most} exceptions for one access"));
    if machine.psci_by_smc {
        for address in [CPU_INTERFACE + 0x2000, CPU_INTERFACE - 8, DISTRIBUTOR + 0x1000] {
            let (value, fault) = probe(|| cpu::load64(address, 0));
            let aborted = fault.is_some_and(|fault| fault.is_external_abort(class::DATA_ABORT, address));
            // A distributor region may be larger than its registers.
            let zero = fault.is_none() && value == 0 && address < CPU_INTERFACE;
            check("gic.around_the_register_pages", aborted || zero, format_args!("{address:#x} {fault:x?}"));
        }
    }
}

fn sgis_to_nobody(machine: &Machine) {
    let before = all_taken();
    let vcpus = (load32(TYPER, 0) >> 5 & 7) + 1;
    let nobody = !((1 << vcpus) - 1) & 0xff;
    for sgi in 0..16 {
        store32(SGIR, nobody << 16 | sgi);
        store32(SGIR, 3 << 24 | 0xff << 16 | sgi);
    }
    store32(SGIR, 0xfc00_7ff0 & !(3 << 24));
    cpu::allow_interrupts();
    let got = all_taken().wrapping_sub(before);
    if machine.psci_by_smc {
        check("gic.sgis_to_nobody_reach_nobody", got == 0, format_args!("{got} interrupts"));
    } else {
        skip("gic.sgis_to_nobody_reach_nobody", "bare");
    }
    for round in 0..1000u64 {
        store32(SGIR, 2 << 24 | (round & 15));
        if round % 64 == 63 {
            cpu::allow_interrupts();
        }
    }
    drain();
    let got = all_taken().wrapping_sub(before);
    check("gic.a_thousand_sgis_to_itself", (16..=1000).contains(&got), format_args!("{got} interrupts"));
}

/// Waiting with something pending returns, masked or not; waiting for a timer takes as long as it says.
fn waits() {
    store32(SGIR, 2 << 24 | 5);
    cpu::wait_for_interrupt();
    check_value("gic.wait_with_a_masked_interrupt_pending_returns", drain().into(), &[1]);
    timer::set(timer::now());
    cpu::wait_for_interrupt();
    cpu::wait_for_interrupt();
    drain();
    check("gic.wait_with_the_timer_expired_returns", true, format_args!(""));

    for milliseconds in [1u64, 20, 100] {
        let start = timer::now();
        let length = timer::frequency() / 1000 * milliseconds;
        timer::set(start + length);
        while timer::now() < start + length {
            cpu::wait_for_interrupt();
        }
        let late = timer::now().wrapping_sub(start + length);
        let arrived = (0..100).any(|_| {
            drain() != 0 || {
                timer::spin(1);
                false
            }
        });
        check(
            "gic.wait_for_the_timer",
            arrived,
            format_args!("{milliseconds} ms, {late} ticks late, no interrupt"),
        );
    }
    // Handled between expiry and the wait that follows: the next event has to wake it.
    let before = taken(VTIMER);
    for _ in 0..50 {
        timer::set(timer::now() + timer::frequency() / 2000);
        while taken(VTIMER) == before {
            cpu::allow_interrupts();
            if taken(VTIMER) != before {
                break;
            }
            cpu::wait_for_interrupt();
        }
        TAKEN[VTIMER as usize].store(before, Relaxed);
    }
    check("gic.fifty_waits_and_handlers", true, format_args!(""));
    let start = timer::now();
    for _ in 0..1000 {
        // SAFETY: only waits; the event register was set just before.
        unsafe { core::arch::asm!("sevl", "wfe", "sev", "wfe") };
    }
    let ticks = timer::now().wrapping_sub(start);
    check("gic.waits_for_events_return", ticks < timer::frequency() * 10, format_args!("{ticks} ticks"));
}

fn timer_abuse() {
    use crate::{read_register, write_register};
    for compare in [0, 1, u64::MAX, 1 << 63, (1 << 63) - 1, timer::now().wrapping_sub(1)] {
        write_register!("cntv_cval_el0", compare);
        write_register!("cntv_ctl_el0", timer::ENABLED);
        cpu::allow_interrupts();
        timer::mask();
        check_value("gic.timer_compare_reads_back", read_register!("cntv_cval_el0"), &[compare]);
        check("gic.timer_status", timer::status() == (compare <= timer::now()), format_args!("{compare:#x}"));
    }
    for left in [0u64, 0xffff_ffff, 0x8000_0000, 0x7fff_ffff] {
        write_register!("cntv_tval_el0", left);
        write_register!("cntv_ctl_el0", u64::MAX);
        write_register!("cntv_ctl_el0", 0);
    }
    drain();
    let before = taken(VTIMER);
    for _ in 0..1000 {
        timer::set(0);
        cpu::allow_interrupts();
    }
    for _ in 0..100 {
        drain();
        timer::spin(1);
    }
    let storm = taken(VTIMER).wrapping_sub(before);
    check("gic.a_timer_storm", (1..=1001).contains(&storm), format_args!("{storm} of 1000"));
    timer::mask();
    drain();
}
