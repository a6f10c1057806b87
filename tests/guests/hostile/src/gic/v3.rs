// SPDX-License-Identifier: BSD-2-Clause
//! A GICv3 (IHI 0069H) with one security state: distributor and redistributors in memory, CPU interface in system registers,
//! of which those that send SGIs trap to a hypervisor.

use super::{Controller, DISTRIBUTOR, MOST_WINDOWS, VTIMER, taken};
use crate::cpu::{self, load32, load64, store32, store64};
use crate::exception::{Fault, class, probe};
use crate::machine::Machine;
use crate::registers::INTERFACE_V3;
use crate::report::{check, check_value};
use crate::{read_register, write_register};
use core::ops::Range;

const CTLR: u64 = DISTRIBUTOR;
const TYPER: u64 = DISTRIBUTOR + 0x004;
const IROUTER: u64 = DISTRIBUTOR + 0x6000;
/// Offsets of registers that distributor and redistributor have alike.
mod offset {
    pub const IGROUPR: u64 = 0x080;
    pub const ISENABLER: u64 = 0x100;
    pub const ICENABLER: u64 = 0x180;
    pub const ISPENDR: u64 = 0x200;
    pub const ICPENDR: u64 = 0x280;
    pub const ICACTIVER: u64 = 0x380;
    pub const IPRIORITYR: u64 = 0x400;
    pub const ICFGR: u64 = 0xc00;
    pub const PIDR2: u64 = 0xffe8;
}
use offset::{ICACTIVER, ICENABLER, ICFGR, ICPENDR, IGROUPR, IPRIORITYR, ISENABLER, ISPENDR, PIDR2};

/// Redistributors: a frame each for itself and for private interrupts.
const REDISTRIBUTOR: u64 = 0x080a_0000;
const GICR_TYPER: u64 = REDISTRIBUTOR + 0x008;
const WAKER: u64 = REDISTRIBUTOR + 0x014;
const FRAME: u64 = 0x1_0000;
const PRIVATE: u64 = REDISTRIBUTOR + FRAME;

/// An SPI that no device of the machine has, and the bank that it is in.
const SPI: u64 = 94;
const BANK: u64 = SPI / 32;
/// Banks of 32 interrupts at most; those that are not there read as zero.
const BANKS: u64 = 9;
/// GICD_CTLR: both groups.
const BOTH_GROUPS: u64 = 3;
/// First of the interrupt numbers that mean none.
const SPECIAL: u64 = 1020;
/// Above the INTID in what ends an interrupt: it is of group 0.
const GROUP_0: u64 = 1 << 32;
/// ICC_SGI1R_EL1: all but the sender.
const ALL_OTHERS: u64 = 1 << 40;

pub(super) static CONTROLLER: Controller = Controller {
    init,
    acknowledge,
    end,
    send_to_self: |sgi| send(sgi << 24 | 1),
    make_urgent: || store32(PRIVATE + IPRIORITYR + 4, 0x5050_5050),
    let_all_come,
    windows,
    identification,
    own_tests,
    send_to_nobody,
};

/// ICC_SGI1R_EL1.
fn send(value: u64) {
    write_register!("s3_0_c12_c11_5", value);
}

fn acknowledge() -> Option<(u64, u64)> {
    let irq = read_register!("s3_0_c12_c12_0");
    if irq < SPECIAL {
        return Some((irq, irq));
    }
    let irq = read_register!("s3_0_c12_c8_0");
    (irq < SPECIAL).then_some((irq, irq | GROUP_0))
}

fn end(token: u64) {
    let irq = token & 0xff_ffff;
    if token & GROUP_0 == 0 {
        write_register!("s3_0_c12_c12_1", irq);
    } else {
        write_register!("s3_0_c12_c8_1", irq);
    }
}

/// The frame that has the registers of a bank.
const fn frame(bank: u64) -> u64 {
    if bank == 0 { PRIVATE } else { DISTRIBUTOR }
}

fn init() {
    store32(CTLR, 0);
    store32(WAKER, 0);
    for bank in 0..BANKS {
        for register in [ICENABLER, ICPENDR, ICACTIVER] {
            store32(frame(bank) + register + 4 * bank, 0xffff_ffff);
        }
        store32(frame(bank) + IGROUPR + 4 * bank, 0xffff_ffff);
        for word in 0..8 {
            store32(frame(bank) + IPRIORITYR + 32 * bank + 4 * word, 0xa0a0_a0a0);
        }
    }
    store32(PRIVATE + ICFGR + 4, 0);
    for word in 2..2 * BANKS {
        store32(DISTRIBUTOR + ICFGR + 4 * word, 0);
    }
    store32(PRIVATE + ISENABLER, 1 << VTIMER | 0xffff);
    write_register!("s3_0_c12_c8_4", 0); // ICC_AP0R0_EL1
    write_register!("s3_0_c12_c9_0", 0); // ICC_AP1R0_EL1
    write_register!("s3_0_c4_c6_0", 0xf0); // ICC_PMR_EL1
    write_register!("s3_0_c12_c8_3", 0); // ICC_BPR0_EL1
    write_register!("s3_0_c12_c12_3", 0); // ICC_BPR1_EL1
    write_register!("s3_0_c12_c12_4", 0); // ICC_CTLR_EL1
    write_register!("s3_0_c12_c12_6", 1); // ICC_IGRPEN0_EL1
    write_register!("s3_0_c12_c12_7", 1); // ICC_IGRPEN1_EL1
    store32(CTLR, BOTH_GROUPS);
}

fn let_all_come() {
    for irq in 32..32 * BANKS {
        store64(IROUTER + 8 * irq, 0);
    }
    for bank in 0..BANKS {
        for word in 0..8 {
            store32(frame(bank) + IPRIORITYR + 32 * bank + 4 * word, 0xa0a0_a0a0);
        }
        for register in [ICACTIVER, ISPENDR, ISENABLER] {
            store32(frame(bank) + register + 4 * bank, 0xffff_ffff);
        }
    }
}

/// On bare QEMU a redistributor's first frame has LPIs, whose tables would be anywhere.
fn windows(machine: &Machine) -> [Range<u64>; MOST_WINDOWS] {
    let window = |start: u64, size: u64| start..start + size;
    let redistributor = if machine.psci_by_smc { 0x200 } else { 0 };
    [
        window(DISTRIBUTOR, 0x1000),
        window(IROUTER, 0x800),
        window(DISTRIBUTOR + 0xff80, 0x80),
        window(REDISTRIBUTOR, redistributor),
        window(REDISTRIBUTOR + 0xff80, 0x80),
        window(PRIVATE, 0x1000),
    ]
}

/// Number of redistributors, told by the last one.
fn vcpus() -> u64 {
    (1..64).find(|n| load64(GICR_TYPER + (n - 1) * 2 * FRAME, 0) & 1 << 4 != 0).unwrap_or(0)
}

fn identification(machine: &Machine) {
    for frame in [DISTRIBUTOR, REDISTRIBUTOR] {
        check_value("gic.architecture_version", load32(frame + PIDR2, 0) >> 4 & 15, &[3]);
    }
    let typer = load32(TYPER, 0);
    check("gic.typer", typer & 0x1f >= 1 && typer & 1 << 10 == 0, format_args!("{typer:#x}"));
    check_value("gic.affinity_routing_is_on", load32(CTLR, 0) & 0x50, &[0x50]);
    check_value("gic.affinity_of_the_first_redistributor", load64(GICR_TYPER, 0) >> 32, &[cpu::affinity()]);
    check_value("gic.typer_in_two_words", load32(GICR_TYPER + 4, 1), &[cpu::affinity()]);
    if machine.psci_by_smc {
        // What belongs to private interrupts, to a GICv2, to security states, or to nobody.
        for reserved in
            [0x00c, 0x080, 0x100, 0x200, 0x400, 0x800, 0xc00, 0xd00, 0xe00, 0xf00, 0xf20, 0x6000, 0x8000]
        {
            store32(DISTRIBUTOR + reserved, 0xffff_ffff);
            check_value("gic.reserved_reads_zero", load32(DISTRIBUTOR + reserved, 0x55), &[0]);
        }
        for reserved in [0x010, 0x040, 0x070, 0x078, 0xc000, FRAME + 0x084, FRAME + 0xd00] {
            store32(REDISTRIBUTOR + reserved, 0xffff_ffff);
            check_value("gic.reserved_reads_zero", load32(REDISTRIBUTOR + reserved, 0x55), &[0]);
        }
    }
}

fn own_tests(machine: &Machine) {
    system_registers();
    around_the_frames(machine);
    routing();
    sleep();
    other_redistributors();
}

/// The whole CPU interface, read and written with anything.
fn system_registers() {
    for register in &INTERFACE_V3 {
        for value in [0, 1, 27, 1023, u64::MAX, 0x5555_5555_5555_5555] {
            let results = [register.read().map(|_| ()), register.write(value)];
            let fine =
                results.into_iter().all(|result| result.is_ok() || result.is_err_and(Fault::is_undefined));
            check("gic.interface_register_is_answered", fine, format_args!("{} {value:#x}", register.name));
        }
    }
    write_register!("s3_0_c12_c12_5", 0);
    check_value("gic.system_registers_cannot_be_turned_off", read_register!("s3_0_c12_c12_5") & 1, &[1]);
    for write_only in [
        probe(|| read_register!("s3_0_c12_c11_5")),
        probe(|| read_register!("s3_0_c12_c11_6")),
        probe(|| read_register!("s3_0_c12_c11_7")),
    ] {
        let undefined = write_only.1.is_some_and(Fault::is_undefined);
        check("gic.sgi_registers_are_write_only", undefined, format_args!("{:x?}", write_only.1));
    }
    init();
}

fn around_the_frames(machine: &Machine) {
    if !machine.psci_by_smc {
        return;
    }
    // Where a GICv2 would be, in front of the first redistributor, behind the last one.
    let behind = REDISTRIBUTOR + vcpus() * 2 * FRAME;
    for address in [0x0801_0000, REDISTRIBUTOR - 8, behind, behind + 8, behind + FRAME] {
        let (_, fault) = probe(|| load64(address, 0));
        let aborted = fault.is_some_and(|fault| fault.is_external_abort(class::DATA_ABORT, address));
        check("gic.around_the_register_frames", aborted, format_args!("{address:#x} {fault:x?}"));
    }
}

/// An interrupt for an affinity that no vCPU has waits; the register keeps it.
fn routing() {
    let route = IROUTER + 8 * SPI;
    let before = taken(SPI);
    let pend = || {
        store32(DISTRIBUTOR + ISENABLER + 4 * BANK, 1 << (SPI % 32));
        store32(DISTRIBUTOR + ISPENDR + 4 * BANK, 1 << (SPI % 32));
        cpu::allow_interrupts();
        taken(SPI) - before
    };
    for nobody in [0x0000_0007, 0x0000_0100, 0x0001_0000, 0x00ff_ffff] {
        store64(route, nobody);
        check_value("gic.a_route_is_kept", load64(route, 0), &[nobody]);
        check_value("gic.a_route_to_nobody", pend().into(), &[0]);
    }
    store32(route + 4, 0);
    store32(route, 0);
    cpu::allow_interrupts();
    let got = taken(SPI) - before;
    check("gic.a_route_in_two_words", got == 1, format_args!("{got} interrupts"));
    init();
}

/// A redistributor that sleeps shows it, and wakes up.
fn sleep() {
    store32(WAKER, 2);
    check_value("gic.redistributor_sleeps", load32(WAKER, 0) & 6, &[6]);
    store32(WAKER, 0);
    check_value("gic.redistributor_wakes", load32(WAKER, 6) & 6, &[0]);
}

/// Those of other vCPUs can be written: what is done to them is not done here.
fn other_redistributors() {
    let before = taken(7);
    for vcpu in 1..vcpus() {
        let frame = PRIVATE + vcpu * 2 * FRAME;
        for offset in (0..0x1000).step_by(4) {
            store32(frame + offset, 0xffff_ffff);
        }
        store32(frame + ISPENDR, 1 << 7);
        store32(frame + ICENABLER, 0xffff_ffff);
        store32(frame + ICPENDR, 0xffff_ffff);
        store32(frame + ICACTIVER, 0xffff_ffff);
    }
    cpu::allow_interrupts();
    check_value("gic.private_interrupts_of_others", (taken(7) - before).into(), &[0]);
}

fn send_to_nobody() {
    let nobody = !((1 << vcpus()) - 1) & 0xffff;
    for sgi in 0..16 {
        send(sgi << 24 | nobody);
        // Of another range, of other affinities at levels 1, 2, 3.
        for elsewhere in [1 << 44, 1 << 16, 1 << 32, 1 << 48, 0xff << 48 | 0xff << 32 | 0xff << 16] {
            send(sgi << 24 | elsewhere | 0xffff);
        }
        send(sgi << 24 | ALL_OTHERS);
        // Of group 0, which these are not in.
        write_register!("s3_0_c12_c11_7", sgi << 24 | 0xffff);
    }
}
