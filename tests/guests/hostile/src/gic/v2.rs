// SPDX-License-Identifier: BSD-2-Clause
//! A GICv2 (IHI 0048B.b): distributor and CPU interface in memory.

use super::{Controller, DISTRIBUTOR, MOST_WINDOWS, NO_WINDOW, VTIMER};
use crate::cpu::{self, load32, store32};
use crate::exception::{class, fault_count, probe};
use crate::machine::Machine;
use crate::report::{check, check_value};
use core::ops::Range;

const CTLR: u64 = DISTRIBUTOR;
const TYPER: u64 = DISTRIBUTOR + 0x004;
const IGROUPR: u64 = DISTRIBUTOR + 0x080;
const ISENABLER: u64 = DISTRIBUTOR + 0x100;
const ICENABLER: u64 = DISTRIBUTOR + 0x180;
const ISPENDR: u64 = DISTRIBUTOR + 0x200;
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

pub(super) static CONTROLLER: Controller = Controller {
    init,
    acknowledge,
    end: |token| store32(EOIR, token),
    send_to_self: |sgi| store32(SGIR, 2 << 24 | sgi),
    make_urgent: || store32(IPRIORITYR + 4, 0x5050_5050),
    let_all_come,
    windows,
    identification,
    own_tests: edges_of_the_cpu_interface,
    send_to_nobody,
};

fn acknowledge() -> Option<(u64, u64)> {
    let value = load32(IAR, 0);
    let irq = value & 1023;
    (irq != SPURIOUS && irq != OTHER_GROUP).then_some((irq, value))
}

fn init() {
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
    store32(ISENABLER, 1 << VTIMER | 0xffff);
    store32(ACTIVE_PRIORITIES, 0);
    store32(PRIORITY_MASK, 0xf0);
    store32(BINARY_POINT, 0);
    store32(GICC_CTLR, BOTH_GROUPS);
    store32(CTLR, 1);
}

fn let_all_come() {
    for word in 0..72 {
        store32(IPRIORITYR + 4 * word, 0xa0a0_a0a0);
    }
    for bank in 0..32 {
        store32(ICACTIVER + 4 * bank, 0xffff_ffff);
        store32(ISPENDR + 4 * bank, 0xffff_ffff);
        store32(ISENABLER + 4 * bank, 0xffff_ffff);
    }
}

fn windows(_: &Machine) -> [Range<u64>; MOST_WINDOWS] {
    let mut windows = [NO_WINDOW; MOST_WINDOWS];
    windows[0] = DISTRIBUTOR..DISTRIBUTOR + 0x1000;
    windows
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

fn send_to_nobody() {
    let vcpus = (load32(TYPER, 0) >> 5 & 7) + 1;
    let nobody = !((1 << vcpus) - 1) & 0xff;
    for sgi in 0..16 {
        store32(SGIR, nobody << 16 | sgi);
        store32(SGIR, 3 << 24 | 0xff << 16 | sgi);
    }
    store32(SGIR, 0xfc00_7ff0 & !(3 << 24));
}
