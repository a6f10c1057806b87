// SPDX-License-Identifier: BSD-2-Clause
//! The interrupt controller, a GICv2 (IHI 0048B.b) or a GICv3 (IHI 0069H): wild registers with every size, floods, SGIs to
//! nobody, the own timer.

pub mod v2;
pub mod v3;

use crate::boot::UNALIGNED_ALIAS;
use crate::cpu;
use crate::exception::{fault_count, probe};
use crate::machine::Machine;
use crate::report::{check, check_value, skip};
use crate::{read_register, timer};
use core::ops::Range;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// INTID of the virtual timer.
pub const VTIMER: u64 = 27;

/// First register of the distributor in either version.
const DISTRIBUTOR: u64 = 0x0800_0000;
/// More interrupts than list registers, banks and interrupts can explain.
const MOST_INTERRUPTS: u32 = 5000;

/// What the versions differ in.
struct Controller {
    /// A working interrupt controller with only SGIs and the virtual timer enabled.
    init: fn(),
    /// Takes an interrupt of either group: its number, and what ends it.
    acknowledge: fn() -> Option<(u64, u64)>,
    end: fn(u64),
    /// Sends an SGI to this vCPU.
    send_to_self: fn(u64),
    /// Makes SGIs 4 to 7 more urgent than all others.
    make_urgent: fn(),
    /// Lets everything come, after wild writes: enabled, pending, urgent enough, and not held back by active marks.
    let_all_come: fn(),
    /// Windows of registers, in the distributor and wherever there are any that can be written with anything.
    windows: fn(&Machine) -> [Range<u64>; MOST_WINDOWS],
    identification: fn(&Machine),
    /// What else the version has.
    own_tests: fn(&Machine),
    /// Sends SGIs that name nobody.
    send_to_nobody: fn(),
}

const MOST_WINDOWS: usize = 6;
const NO_WINDOW: Range<u64> = 0..0;

fn controller() -> &'static Controller {
    if is_v3() { &v3::CONTROLLER } else { &v2::CONTROLLER }
}

/// ID_AA64PFR0_EL1.GIC: system registers of a GICv3 CPU interface.
pub fn is_v3() -> bool {
    read_register!("id_aa64pfr0_el1") >> 24 & 0xf != 0
}

static TAKEN: [AtomicU32; 1024] = [const { AtomicU32::new(0) }; 1024];

fn taken(irq: u64) -> u32 {
    TAKEN.get(irq as usize).map_or(0, |count| count.load(Relaxed))
}

fn all_taken() -> u32 {
    TAKEN.iter().fold(0, |sum, count| sum.wrapping_add(count.load(Relaxed)))
}

/// Acknowledges, counts and ends one interrupt of either group; `None` if there is none.
pub fn take_interrupt() -> Option<u64> {
    let (irq, token) = (controller().acknowledge)()?;
    if let Some(count) = TAKEN.get(irq as usize) {
        count.store(count.load(Relaxed).wrapping_add(1), Relaxed);
    }
    if irq == VTIMER {
        timer::mask();
    }
    (controller().end)(token);
    Some(irq)
}

/// A working interrupt controller with only SGIs and the virtual timer enabled.
pub fn init() {
    timer::mask();
    (controller().init)();
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
    (controller().make_urgent)();
    timer::set(timer::now());
    timer::spin(1);
    let number = || (controller().acknowledge)().map(|(irq, _)| irq);
    let timer = number();
    (controller().send_to_self)(5);
    cpu::barrier();
    let sgi = number();
    check(
        "gic.two_interrupts_are_active",
        (timer, sgi) == (Some(VTIMER), Some(5)),
        format_args!("{timer:?} {sgi:?}"),
    );
    (controller().send_to_self)(3);
}

/// Runs all interrupt tests.
pub fn run(machine: &Machine) {
    init();
    drain();
    (controller().identification)(machine);
    works("gic.works_at_first");
    wild_reads(machine);
    wild_writes(machine);
    works("gic.works_after_wild_accesses");
    (controller().own_tests)(machine);
    works("gic.works_after_odd_accesses");
    sgis_to_nobody(machine);
    works("gic.works_after_sgis_to_nobody");
    waits();
    timer_abuse();
    works("gic.works_at_last");
}

/// An SGI to itself and a timer interrupt arrive once each.
fn works(name: &str) {
    init();
    drain();
    let before = (taken(3), taken(VTIMER), all_taken());
    (controller().send_to_self)(3);
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

/// Every access of a width in the windows, and some unaligned ones.
fn everywhere(machine: &Machine, width: u64, mut access: impl FnMut(u64)) {
    for window in (controller().windows)(machine) {
        for address in window.clone().step_by(width as usize) {
            access(address);
        }
        for address in window.skip(1).step_by(61) {
            access(UNALIGNED_ALIAS + address);
        }
    }
}

fn wild_reads(machine: &Machine) {
    let mut faults = 0;
    for width in [1u64, 2, 4, 8] {
        everywhere(machine, width, |address| {
            let _ = probe(|| cpu::load(width, address));
            if address < UNALIGNED_ALIAS {
                faults += fault_count();
            }
        });
    }
    check("gic.reads_of_every_size_everywhere", faults == 0, format_args!("{faults} exceptions"));
}

/// Ones to every byte in every size: in the end everything is enabled, pending, active, group 1 and
/// the like. Then the interrupts are taken until none is left.
fn wild_writes(machine: &Machine) {
    let mut faults = 0;
    let mut floods = 0;
    for width in [1u64, 2, 4, 8] {
        everywhere(machine, width, |address| {
            let _ = probe(|| cpu::store(width, address, u64::MAX));
            if address < UNALIGNED_ALIAS {
                faults += fault_count();
            }
        });
        (controller().let_all_come)();
        floods += drain();
    }
    check("gic.writes_of_every_size_everywhere", faults == 0, format_args!("{faults} exceptions"));
    check("gic.a_flood_ends", (1..MOST_INTERRUPTS).contains(&floods), format_args!("{floods} interrupts"));
    // In a random-looking order and with everything on, once more, and leave it to init.
    for window in (controller().windows)(machine) {
        let words = (window.end - window.start) / 4;
        for step in 0..words * 4 {
            let word = (step.wrapping_mul(2_654_435_761) >> 7) % words;
            let value = step.wrapping_mul(0x9e37_79b9);
            let _ = probe(|| cpu::store(4, window.start + 4 * word, value));
        }
    }
    init();
    let left = drain();
    check("gic.silence_after_reset", drain() == 0, format_args!("{left} at first, and more"));
}

fn sgis_to_nobody(machine: &Machine) {
    let before = all_taken();
    (controller().send_to_nobody)();
    cpu::allow_interrupts();
    let got = all_taken().wrapping_sub(before);
    if machine.psci_by_smc {
        check("gic.sgis_to_nobody_reach_nobody", got == 0, format_args!("{got} interrupts"));
    } else {
        skip("gic.sgis_to_nobody_reach_nobody", "bare");
    }
    for round in 0..1000u64 {
        (controller().send_to_self)(round & 15);
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
    (controller().send_to_self)(5);
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
