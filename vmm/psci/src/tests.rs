// SPDX-License-Identifier: BSD-2-Clause
//! What a guest gets for its calls.

use super::*;

const RAM: Range<u64> = 0x4000_0000..0x6000_0000;
const CPU_ON_64: u64 = 0xc400_0003;
const AFFINITY_INFO_64: u64 = 0xc400_0004;

fn machine(count: usize) -> Psci {
    Psci::new(count, RAM)
}

fn call(psci: &mut Psci, function: u64, arguments: [u64; 3]) -> Action {
    psci.call(0, &Call { function, arguments })
}

fn failed(status: Status) -> Action {
    Action::Return(status as i64 as u64)
}

#[test]
fn versions_are_told() {
    let mut psci = machine(1);
    assert_eq!(call(&mut psci, 0x8400_0000, [0; 3]), Action::Return(0x1_0001));
    assert_eq!(call(&mut psci, 0x8000_0000, [0; 3]), Action::Return(0x1_0001));
}

#[test]
fn unknown_functions_are_not_supported() {
    let mut psci = machine(2);
    for function in [
        0,
        u64::MAX,
        0x8400_0005, // MIGRATE
        0x8400_0007, // MIGRATE_INFO_UP_CPU
        0x8400_000e, // SYSTEM_SUSPEND
        0x8400_001f,
        0x8400_ffff,
        0xc400_0000, // VERSION has no 64-bit form
        0xc400_0008,
        0x8600_ff01, // vendor hypervisor UID
        0x8000_8000, // SMCCC_ARCH_WORKAROUND_1
        0x95c1_ba5e, // PSCI 0.1 as some firmware numbered it
    ] {
        assert_eq!(call(&mut psci, function, [0; 3]), failed(Status::NotSupported), "{function:#x}");
    }
}

#[test]
fn only_w0_is_the_function_identifier() {
    assert_eq!(call(&mut machine(1), 0xdead_beef_8400_0000, [0; 3]), Action::Return(0x1_0001));
}

#[test]
fn features_tell_what_is_implemented() {
    let mut psci = machine(1);
    for function in
        [0x8400_0001, 0xc400_0001, 0x8400_0002, 0xc400_0003, 0x8400_0009, 0xc400_0012, 0x8000_0000]
    {
        assert_eq!(call(&mut psci, 0x8400_000a, [function, 0, 0]), failed(Status::Success), "{function:#x}");
    }
    for function in [0x8400_0005, 0x8400_000e, 0x8000_0001, 0, u64::MAX] {
        assert_eq!(
            call(&mut psci, 0x8400_000a, [function, 0, 0]),
            failed(Status::NotSupported),
            "{function:#x}"
        );
    }
}

#[test]
fn architecture_features_know_no_workaround() {
    let mut psci = machine(1);
    assert_eq!(call(&mut psci, 0x8000_0001, [0x8000_0001, 0, 0]), failed(Status::Success));
    for workaround in [0x8000_8000, 0x8000_7fff, 0x8000_3fff, 0x8400_0000] {
        assert_eq!(call(&mut psci, 0x8000_0001, [workaround, 0, 0]), failed(Status::NotSupported));
    }
}

#[test]
fn cpu_on_starts_a_vcpu_once() {
    let mut psci = machine(2);
    let start = Start { vcpu: 1, entry: 0x4100_0000, context: 0xfeed_0000_0000_0001 };
    assert_eq!(call(&mut psci, CPU_ON_64, [1, start.entry, start.context]), Action::CpuOn(start));
    assert_eq!(psci.power(1), Power::On);
    assert_eq!(call(&mut psci, CPU_ON_64, [1, start.entry, 0]), failed(Status::AlreadyOn));
    assert_eq!(call(&mut psci, CPU_ON_64, [0, start.entry, 0]), failed(Status::AlreadyOn));
}

#[test]
fn cpu_on_in_the_32_bit_convention_takes_w_registers() {
    let mut psci = machine(2);
    assert_eq!(
        call(&mut psci, 0x8400_0003, [0xffff_0000_0000_0001, 0x1_4100_0000, 0xffff_ffff_0000_0007]),
        Action::CpuOn(Start { vcpu: 1, entry: 0x4100_0000, context: 7 })
    );
}

#[test]
fn cpu_on_refuses_cpus_that_do_not_exist() {
    let mut psci = machine(2);
    for target in [2, 7, 8, 0x100, 0x1_0001, 0x8000_0001, 0x1_0000_0001, 0xff_0000_0001, u64::MAX] {
        assert_eq!(
            call(&mut psci, CPU_ON_64, [target, 0x4100_0000, 0]),
            failed(Status::InvalidParameters),
            "{target:#x}"
        );
    }
}

#[test]
fn cpu_on_refuses_entry_points_outside_ram() {
    let mut psci = machine(2);
    for entry in [0, 0x3fff_fffc, 0x6000_0000, 0x4000_0002, u64::MAX] {
        assert_eq!(call(&mut psci, CPU_ON_64, [1, entry, 0]), failed(Status::InvalidAddress), "{entry:#x}");
        assert_eq!(psci.power(1), Power::Off);
    }
}

#[test]
fn a_vcpu_that_turned_itself_off_can_be_started_again() {
    let mut psci = machine(2);
    call(&mut psci, CPU_ON_64, [1, 0x4100_0000, 0]);
    assert_eq!(psci.call(1, &Call { function: 0x8400_0002, arguments: [0; 3] }), Action::CpuOff);
    assert_eq!(call(&mut psci, AFFINITY_INFO_64, [1, 0, 0]), Action::Return(1));
    assert!(matches!(call(&mut psci, CPU_ON_64, [1, 0x4100_0000, 0]), Action::CpuOn(_)));
    assert_eq!(call(&mut psci, AFFINITY_INFO_64, [1, 0, 0]), Action::Return(0));
}

#[test]
fn all_off_is_noticed() {
    let mut psci = machine(2);
    assert!(!psci.all_off());
    assert_eq!(call(&mut psci, 0x8400_0002, [0; 3]), Action::CpuOff);
    assert!(psci.all_off());
    psci.reset();
    assert!(!psci.all_off());
}

#[test]
fn affinity_info_refuses_levels_and_cpus_that_do_not_exist() {
    let mut psci = machine(2);
    for arguments in [[0, 1, 0], [0, u64::MAX, 0], [2, 0, 0], [u64::MAX, 0, 0]] {
        assert_eq!(call(&mut psci, AFFINITY_INFO_64, arguments), failed(Status::InvalidParameters));
    }
}

#[test]
fn suspend_is_standby_when_the_power_state_is_valid() {
    let mut psci = machine(1);
    assert_eq!(call(&mut psci, 0xc400_0001, [0, 0, 0]), Action::Standby);
    assert_eq!(call(&mut psci, 0xc400_0001, [0x0301_ffff, 0, 0]), Action::Standby);
    for state in [1 << 17, 1 << 26, 1 << 31, 1 << 32] {
        assert_eq!(
            call(&mut psci, 0xc400_0001, [state, 0, 0]),
            failed(Status::InvalidParameters),
            "{state:#x}"
        );
    }
}

#[test]
fn system_calls_reach_the_vmm() {
    let mut psci = machine(1);
    assert_eq!(call(&mut psci, 0x8400_0008, [0; 3]), Action::SystemOff);
    assert_eq!(call(&mut psci, 0x8400_0009, [0; 3]), Action::SystemReset);
    assert_eq!(call(&mut psci, 0x8400_0012, [0; 3]), Action::SystemReset);
    assert_eq!(call(&mut psci, 0xc400_0012, [0x8000_0000, 0, 0]), failed(Status::InvalidParameters));
    assert_eq!(call(&mut psci, 0xc400_0012, [1, 0, 0]), failed(Status::InvalidParameters));
}

#[test]
fn migration_is_not_needed() {
    assert_eq!(call(&mut machine(1), 0x8400_0006, [0; 3]), Action::Return(2));
}

#[test]
fn impossible_numbers_of_vcpus_are_cut() {
    assert_eq!(machine(0).count(), 1);
    assert_eq!(machine(99).count(), MAX_VCPUS);
}

#[test]
fn every_state_answers_every_call() {
    for on in [Power::Off, Power::On] {
        for low in 0..0x40 {
            for base in [0x8000_0000u64, 0x8400_0000, 0xc400_0000] {
                for argument in [0, 1, u64::MAX] {
                    let mut psci = machine(2);
                    psci.set(1, on);
                    let _ = psci.call(9, &Call { function: base + low, arguments: [argument; 3] });
                    assert_eq!(psci.power(0), Power::On, "a caller that does not exist changes nobody");
                }
            }
        }
    }
}
