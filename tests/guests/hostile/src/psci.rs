// SPDX-License-Identifier: BSD-2-Clause
//! PSCI with bad arguments, and starting a second vCPU (DEN 0022).

use crate::boot;
use crate::machine::Machine;
use crate::report::{check, check_value, skip};
use crate::{cpu, timer};
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// Function identifiers.
pub mod function {
    pub const VERSION: u64 = 0x8400_0000;
    pub const CPU_SUSPEND: u64 = 0xc400_0001;
    pub const CPU_OFF: u64 = 0x8400_0002;
    pub const CPU_ON: u64 = 0xc400_0003;
    pub const CPU_ON_32: u64 = 0x8400_0003;
    pub const AFFINITY_INFO: u64 = 0xc400_0004;
    pub const AFFINITY_INFO_32: u64 = 0x8400_0004;
    pub const MIGRATE_INFO_TYPE: u64 = 0x8400_0006;
    pub const SYSTEM_OFF: u64 = 0x8400_0008;
    pub const SYSTEM_RESET: u64 = 0x8400_0009;
    pub const FEATURES: u64 = 0x8400_000a;
    pub const SYSTEM_RESET2: u64 = 0x8400_0012;
    pub const SYSTEM_RESET2_64: u64 = 0xc400_0012;
    pub const SMCCC_VERSION: u64 = 0x8000_0000;
    pub const SMCCC_ARCH_FEATURES: u64 = 0x8000_0001;
}

const NOT_SUPPORTED: u64 = -1i32 as u32 as u64;
const INVALID_PARAMETERS: u64 = -2i32 as u32 as u64;
const DENIED: u64 = -3i32 as u32 as u64;
const ALREADY_ON: u64 = -4i32 as u32 as u64;
const ON_PENDING: u64 = -5i32 as u32 as u64;
const INVALID_ADDRESS: u64 = -9i32 as u32 as u64;

/// An affinity that no machine here has.
const NOBODY: u64 = 0x7f;

/// Runs all PSCI tests.
pub fn run(machine: &Machine) {
    let conduit = machine.conduit();
    // Return codes are 32 bits wide for half of the functions; all that are checked here are small.
    let call = |function, arguments| conduit.function(function, arguments) & 0xffff_ffff;
    let own = cpu::affinity();

    let version = call(function::VERSION, [0; 3]);
    check("psci.version", (0x1_0000..0x1_0004).contains(&version), format_args!("{version:#x}"));
    for (name, queried, wanted) in [
        ("psci.features_of_version", function::VERSION, 0),
        ("psci.features_of_cpu_on", function::CPU_ON, 0),
        ("psci.features_of_cpu_off", function::CPU_OFF, 0),
        ("psci.features_of_system_off", function::SYSTEM_OFF, 0),
        ("psci.features_of_nothing", 0x8400_001f, NOT_SUPPORTED),
        ("psci.features_of_nonsense", 0xffff_ffff, NOT_SUPPORTED),
    ] {
        check_value(name, call(function::FEATURES, [queried, 0, 0]), &[wanted]);
    }
    check_value("psci.migrate_info_type", call(function::MIGRATE_INFO_TYPE, [0; 3]), &[2, NOT_SUPPORTED]);

    check_value("psci.affinity_info_of_self", call(function::AFFINITY_INFO, [own, 0, 0]), &[0]);
    let nobody = call(function::AFFINITY_INFO, [NOBODY, 0, 0]);
    check_value("psci.affinity_info_of_nobody", nobody, &[INVALID_PARAMETERS]);
    let nobody = call(function::AFFINITY_INFO, [u64::MAX, 0, 0]);
    check_value("psci.affinity_info_of_all_ones", nobody, &[INVALID_PARAMETERS]);
    for level in 1..4 {
        let value = call(function::AFFINITY_INFO, [own, level, 0]);
        check_value(
            "psci.affinity_info_of_a_higher_level",
            value,
            &[0, 1, INVALID_PARAMETERS, NOT_SUPPORTED],
        );
    }
    for level in [4, 0x7fff_ffff, 0xffff_ffff, u64::MAX] {
        let value = call(function::AFFINITY_INFO, [own, level, 0]);
        if machine.psci_by_smc {
            check_value("psci.affinity_info_of_an_impossible_level", value, &[INVALID_PARAMETERS]);
        }
    }
    if machine.psci_by_smc {
        let value = call(function::AFFINITY_INFO_32, [own | 0xdead_beef << 32, 0x1234 << 32, 0]);
        check_value("psci.upper_halves_of_32_bit_arguments_are_ignored", value, &[0]);
    } else {
        skip("psci.upper_halves_of_32_bit_arguments_are_ignored", "bare");
    }

    let entry = boot::secondary_entry_address();
    check_value("psci.cpu_on_of_self", call(function::CPU_ON, [own, entry, 0]), &[ALREADY_ON]);
    check_value("psci.cpu_on_32_of_self", call(function::CPU_ON_32, [own, entry, 0]), &[ALREADY_ON]);
    for mpidr in [NOBODY, 1 << 31, 1 << 40, 0xff00_0000, u64::MAX, 0x8000_0000 | own] {
        let value = call(function::CPU_ON, [mpidr, entry, 0]);
        check_value("psci.cpu_on_of_nobody", value, &[INVALID_PARAMETERS]);
    }
    check_value(
        "psci.cpu_suspend_with_bad_state",
        call(function::CPU_SUSPEND, [0xffff_ffff, entry, 0]),
        &[INVALID_PARAMETERS, NOT_SUPPORTED, DENIED],
    );
    for (kind, function) in [
        (0x1, function::SYSTEM_RESET2),
        (0x7fff_ffff, function::SYSTEM_RESET2_64),
        (0x8000_0001, function::SYSTEM_RESET2),
    ] {
        let value = call(function, [kind, 0, 0]);
        check_value("psci.system_reset2_of_unknown_type", value, &[INVALID_PARAMETERS, NOT_SUPPORTED]);
    }
    for function in
        [0xc400_0008u64, 0xc400_0009, 0xc400_0002, 0x8400_001f, 0xc400_001f, 0x8402_0008, 0x0400_0008]
    {
        check_value("psci.no_such_function", call(function, [0; 3]), &[NOT_SUPPORTED]);
    }
    if machine.psci_by_smc {
        smccc(&call);
    } else {
        skip("smccc.version", "bare");
    }
    secondary(machine, &call);
}

fn smccc(call: &impl Fn(u64, [u64; 3]) -> u64) {
    let version = call(function::SMCCC_VERSION, [0; 3]);
    check("smccc.version", (0x1_0001..0x1_0010).contains(&version), format_args!("{version:#x}"));
    for (name, queried, wanted) in [
        ("smccc.features_of_version", function::SMCCC_VERSION, 0),
        ("smccc.features_of_features", function::SMCCC_ARCH_FEATURES, 0),
        ("smccc.features_of_nothing", 0x8000_7abc, NOT_SUPPORTED),
        ("smccc.features_of_zero", 0, NOT_SUPPORTED),
        ("smccc.features_of_psci", function::VERSION, NOT_SUPPORTED),
    ] {
        check_value(name, call(function::SMCCC_ARCH_FEATURES, [queried, 0, 0]), &[wanted]);
    }
    let value = call(function::FEATURES, [function::SMCCC_VERSION, 0, 0]);
    check_value("psci.features_of_smccc_version", value, &[0]);
}

/// What the second vCPU was started with; 0 until it runs.
static STARTED_WITH: AtomicU64 = AtomicU64::new(0);
/// Set to let the second vCPU turn itself off.
static MAY_END: AtomicU64 = AtomicU64::new(0);
/// Conduit of the second vCPU: 1 for SMC.
static BY_SMC: AtomicU64 = AtomicU64::new(0);

/// Longest wait for another vCPU, in milliseconds of virtual time.
const PATIENCE: u64 = 2000;

fn eventually(condition: impl Fn() -> bool) -> bool {
    for _ in 0..PATIENCE {
        if condition() {
            return true;
        }
        timer::spin(1);
    }
    false
}

fn secondary(machine: &Machine, call: &impl Fn(u64, [u64; 3]) -> u64) {
    const OTHER: u64 = 1;
    if call(function::AFFINITY_INFO, [OTHER, 0, 0]) != 1 {
        skip("psci.second_vcpu", "there is none, or it is on");
        return;
    }
    BY_SMC.store(machine.psci_by_smc.into(), SeqCst);
    let entry = boot::secondary_entry_address();
    if machine.psci_by_smc {
        for bad in [0x0f00_0000, entry | 1, entry | 2, u64::MAX, 0x0900_0000, machine.memory_end, 1 << 63] {
            let value = call(function::CPU_ON, [OTHER, bad, 0]);
            check_value("psci.cpu_on_at_bad_entry", value, &[INVALID_ADDRESS, INVALID_PARAMETERS]);
        }
        check_value("psci.still_off_after_bad_entries", call(function::AFFINITY_INFO, [OTHER, 0, 0]), &[1]);
    }
    for context in [0xfeed_0000_0000_0001, 2] {
        STARTED_WITH.store(0, SeqCst);
        MAY_END.store(0, SeqCst);
        check_value("psci.cpu_on", call(function::CPU_ON, [OTHER, entry, context]), &[0]);
        let again = call(function::CPU_ON, [OTHER, entry, context]);
        // Bare QEMU starts it a little later, and accepts this one as well.
        if machine.psci_by_smc {
            check_value("psci.cpu_on_twice", again, &[ALREADY_ON, ON_PENDING]);
        }
        let started = eventually(|| STARTED_WITH.load(SeqCst) != 0);
        check("psci.second_vcpu_starts", started, format_args!("it does not run"));
        check_value("psci.context_reaches_x0", STARTED_WITH.load(SeqCst), &[context]);
        check_value("psci.affinity_info_of_running", call(function::AFFINITY_INFO, [OTHER, 0, 0]), &[0]);
        MAY_END.store(1, SeqCst);
        let off = eventually(|| call(function::AFFINITY_INFO, [OTHER, 0, 0]) == 1);
        check("psci.cpu_off", off, format_args!("it stays on"));
    }
}

#[unsafe(no_mangle)]
extern "C" fn secondary_main(context: u64) -> ! {
    STARTED_WITH.store(context, SeqCst);
    while MAY_END.load(SeqCst) == 0 {
        core::hint::spin_loop();
    }
    // Not through `conduit`, which belongs to the first vCPU: it keeps SP in a static.
    loop {
        // SAFETY: does not return, or changes X0 to X3 only.
        unsafe {
            if BY_SMC.load(SeqCst) == 1 {
                asm!("smc #0", inout("x0") function::CPU_OFF => _, out("x1") _, out("x2") _, out("x3") _);
            } else {
                asm!("hvc #0", inout("x0") function::CPU_OFF => _, out("x1") _, out("x2") _, out("x3") _);
            }
        }
    }
}

/// Ends the guest.
pub fn system_off(machine: &Machine) -> ! {
    loop {
        machine.conduit().function(function::SYSTEM_OFF, [0; 3]);
    }
}
