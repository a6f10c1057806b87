// SPDX-License-Identifier: BSD-2-Clause
//! HVC and SMC with every x7 of interest and many function identifiers: each call returns behind its instruction, an
//! unknown one with NOT_SUPPORTED, and x4 to x30, SP and TPIDR_EL0 survive (DEN 0028, 2.6: SMCCC 1.1).

use crate::conduit::{Conduit, Registers};
use crate::exception::{fault_count, probe};
use crate::machine::Machine;
use crate::psci::function;
use crate::random::Random;
use crate::report::{check, skip};

/// A function identifier and whether anybody may implement it.
const KNOWN: [u64; 14] = [
    function::VERSION,
    function::AFFINITY_INFO,
    function::AFFINITY_INFO_32,
    function::MIGRATE_INFO_TYPE,
    function::FEATURES,
    function::SMCCC_VERSION,
    function::SMCCC_ARCH_FEATURES,
    0x8000_0002, // SMCCC_ARCH_SOC_ID
    0x8000_8000, // SMCCC_ARCH_WORKAROUND_1
    0x8000_7fff, // SMCCC_ARCH_WORKAROUND_2
    0x8000_3fff, // SMCCC_ARCH_WORKAROUND_3
    0x8600_ff01, // vendor hypervisor: UID
    0xc500_0020, // paravirtualised time: features
    0x8400_0050, // TRNG version
];

/// Nobody implements these. None may turn anything off: identifiers of the other width, with reserved bits, of
/// yielding calls, of trusted applications, and numbers that mean something to kernels.
const UNKNOWN: [u64; 24] = [
    0,
    1,
    2,
    7,
    0x11,
    0x1f,
    0x3f,
    0xff,
    0x1000,
    0x7fff_ffff,
    0xffff_ffff,
    0xffff_fff7,
    0x0400_0000,
    0x0400_0008,
    0x8402_0000,
    0x8400_001f,
    0xc400_0000,
    0xc400_0008,
    0xc400_001f,
    0x8100_0000,
    0x8200_0000,
    0xb000_0000,
    0xb200_0000,
    0xbfff_ffff,
];

const NOT_SUPPORTED: u64 = -1i64 as u64;
/// SMC64 and HVC64: the result has 64 bits.
const SIXTY_FOUR: u64 = 1 << 30;

struct Sweep {
    conduit: Conduit,
    calls: u64,
    broken_registers: u64,
    wrong_results: u64,
    leaks: u64,
    faults: u64,
    first: Option<(u64, u64, u64)>,
}

impl Sweep {
    const fn new(conduit: Conduit) -> Self {
        Self { conduit, calls: 0, broken_registers: 0, wrong_results: 0, leaks: 0, faults: 0, first: None }
    }

    /// One call. `unknown`: nobody implements it.
    fn call(&mut self, function: u64, x7: u64, unknown: bool) {
        let mut before = Registers::pattern(x7 ^ function);
        before.x[0] = function;
        before.x[7] = x7;
        let (after, fault) = probe(|| self.conduit.call(&before));
        self.calls += 1;
        if fault.is_some() {
            self.faults += u64::from(fault_count());
            // An odd immediate may be UNDEFINED: then nothing was called.
            return self.remember(self.is_odd(), function, x7, after.x[0]);
        }
        if let Some(register) = before.first_difference(&after, 4) {
            self.broken_registers += 1;
            self.remember(false, function, x7, register as u64);
        }
        let mask = if function & SIXTY_FOUR == 0 { 0xffff_ffff } else { u64::MAX };
        // What a call with another immediate does is not defined; it only must not harm.
        let unknown = unknown && !self.is_odd();
        if unknown && after.x[0] & mask != NOT_SUPPORTED & mask {
            self.wrong_results += 1;
            self.remember(false, function, x7, after.x[0]);
        }
        // An unknown function has no results in x1 to x3.
        let kept = (1..4).all(|i| after.x[i] == before.x[i] || after.x[i] == 0);
        if unknown && !kept {
            self.leaks += 1;
            self.remember(false, function, x7, after.x[1]);
        }
    }

    fn is_odd(&self) -> bool {
        matches!(self.conduit, Conduit::OddHvc | Conduit::OddSmc)
    }

    fn remember(&mut self, allowed: bool, function: u64, x7: u64, what: u64) {
        if !allowed && self.first.is_none() {
            self.first = Some((function, x7, what));
        }
    }

    fn all_functions(&mut self, x7: u64) {
        for function in UNKNOWN {
            self.call(function, x7, true);
            // The upper half of x0 is no part of an identifier.
            self.call(function | 0xdead_beef << 32, x7, true);
        }
        for function in KNOWN {
            self.call(function, x7, false);
        }
    }

    fn report(&self, name: &str) {
        let good = self.broken_registers + self.wrong_results + self.leaks == 0
            && (self.faults == 0 || self.is_odd());
        check(
            name,
            good,
            format_args!(
                "{} calls: {} changed registers, {} results, {} of x1-x3, {} exceptions; first (x0, x7, what): {:x?}",
                self.calls, self.broken_registers, self.wrong_results, self.leaks, self.faults, self.first
            ),
        );
    }
}

/// All x7 from -64 to 64 and `random_values` more, by SMC and HVC.
pub fn run(machine: &Machine, random_values: u64) {
    let names = [
        (Conduit::Smc, "sweep.smc"),
        (Conduit::Hvc, "sweep.hvc"),
        (Conduit::OddSmc, "sweep.smc_with_immediate"),
        (Conduit::OddHvc, "sweep.hvc_with_immediate"),
    ];
    for (conduit, name) in names {
        let by_smc = matches!(conduit, Conduit::Smc | Conduit::OddSmc);
        if !machine.psci_by_smc && conduit != Conduit::Hvc {
            skip(name, "bare");
            continue;
        }
        if !by_smc && machine.option("hvc") == Some("off") {
            skip(name, "hvc=off");
            continue;
        }
        let mut sweep = Sweep::new(conduit);
        for x7 in -64i64..=64 {
            sweep.all_functions(x7 as u64);
        }
        let mut random = Random::new(machine.number("seed", 1));
        for bit in [31u64, 32, 62, 63] {
            sweep.all_functions(1 << bit);
            sweep.all_functions((1 << bit) - 1);
        }
        for _ in 0..random_values {
            sweep.all_functions(random.next());
            // A random identifier with the bit of reserved calls set is nobody's.
            sweep.call(random.next() & 0xffff_ffff | 0x8002_0000, random.next(), true);
        }
        sweep.report(name);
    }
}
