// SPDX-License-Identifier: BSD-2-Clause
//! PSCI and SMCCC as a guest sees them: a state machine over the power states of its vCPUs.
//!
//! The VMM hands over the registers of an HVC or SMC and does what the [`Action`] says; both conduits are equal.
//! Sources: Power State Coordination Interface, DEN 0022 (PSCI 1.1); SMC Calling Convention, DEN 0028 (1.1).
//! Everything in a call is decided by the guest: unknown functions return NOT_SUPPORTED, impossible arguments the error
//! that the specification names, and nothing panics.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod function;
#[cfg(test)]
mod tests;

use core::ops::Range;
use function::Function;
use serde::{Deserialize, Serialize};

/// Most vCPUs of one guest: a GICv2 has eight CPU interfaces.
pub const MAX_VCPUS: usize = 8;

/// PSCI 1.1.
pub const PSCI_VERSION: u32 = 0x0001_0001;
/// SMCCC 1.1.
pub const SMCCC_VERSION: u32 = 0x0001_0001;

/// Return codes (DEN 0022, 5.2.2; DEN 0028, 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Status {
    /// Done.
    Success = 0,
    /// No such function here.
    NotSupported = -1,
    /// An argument is outside what the function takes.
    InvalidParameters = -2,
    /// The vCPU is on already.
    AlreadyOn = -4,
    /// The entry point cannot be executed.
    InvalidAddress = -9,
}

/// The first argument registers of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// X0: function identifier (W0).
    pub function: u64,
    /// X1 to X3.
    pub arguments: [u64; 3],
}

/// How a vCPU that was turned on begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Index of the vCPU.
    pub vcpu: usize,
    /// Guest physical address of its first instruction.
    pub entry: u64,
    /// X0.
    pub context: u64,
}

/// What the VMM does about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Return this value in X0.
    Return(u64),
    /// Start another vCPU, then return SUCCESS to the caller.
    CpuOn(Start),
    /// The caller is off now: it does not return.
    CpuOff,
    /// Wait as for an interrupt, then return SUCCESS to the caller.
    Standby,
    /// The guest wants to be turned off.
    SystemOff,
    /// The guest wants to start over.
    SystemReset,
}

impl Action {
    const fn status(status: Status) -> Self {
        Self::Return(status as i64 as u64)
    }
}

/// Power state of one vCPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Power {
    /// Waits for CPU_ON.
    #[default]
    Off,
    /// Runs, or stands by.
    On,
}

/// The power states of a guest's vCPUs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Psci {
    power: [Power; MAX_VCPUS],
    count: usize,
    entry_points: Range<u64>,
}

/// Affinity fields of an MPIDR as PSCI passes them; the other bits must be zero.
const MPIDR_AFFINITY: u64 = 0xff_00ff_ffff;

impl Psci {
    /// A guest with `count` vCPUs (1 to [`MAX_VCPUS`]; others are cut to that) of which only vCPU 0 is on.
    /// `entry_points` are the guest physical addresses where a vCPU may start: its RAM.
    pub fn new(count: usize, entry_points: Range<u64>) -> Self {
        let mut psci =
            Self { power: [Power::Off; MAX_VCPUS], count: count.clamp(1, MAX_VCPUS), entry_points };
        psci.reset();
        psci
    }

    /// Back to only vCPU 0 on.
    pub fn reset(&mut self) {
        self.power = [Power::Off; MAX_VCPUS];
        self.power[0] = Power::On;
    }

    /// Number of vCPUs.
    pub const fn count(&self) -> usize {
        self.count
    }

    /// The power state of `vcpu`; a vCPU that does not exist is off.
    pub fn power(&self, vcpu: usize) -> Power {
        self.power.get(vcpu).copied().unwrap_or_default()
    }

    /// Whether no vCPU is on: nobody is left who could turn one on.
    pub fn all_off(&self) -> bool {
        self.power.iter().all(|&power| power == Power::Off)
    }

    /// A call by `caller`.
    pub fn call(&mut self, caller: usize, call: &Call) -> Action {
        let Some((function, wide)) = Function::decode(call.function) else {
            return Action::status(Status::NotSupported);
        };
        // In the 32-bit convention only the W registers carry arguments.
        let [first, second, third] =
            call.arguments.map(|value| if wide { value } else { value & 0xffff_ffff });
        match function {
            Function::SmcccVersion => Action::Return(SMCCC_VERSION.into()),
            Function::SmcccArchFeatures => arch_features(first),
            Function::Version => Action::Return(PSCI_VERSION.into()),
            Function::Features => features(first),
            Function::CpuOn => self.cpu_on(first, second, third),
            Function::CpuOff => {
                self.set(caller, Power::Off);
                Action::CpuOff
            }
            Function::CpuSuspend => suspend(first),
            Function::AffinityInfo => self.affinity_info(first, second),
            Function::MigrateInfoType => Action::Return(NO_TRUSTED_OS),
            Function::SystemOff => Action::SystemOff,
            Function::SystemReset => Action::SystemReset,
            Function::SystemReset2 if first == WARM_RESET => Action::SystemReset,
            Function::SystemReset2 => Action::status(Status::InvalidParameters),
        }
    }

    fn cpu_on(&mut self, target: u64, entry: u64, context: u64) -> Action {
        let Some(vcpu) = self.index(target) else {
            return Action::status(Status::InvalidParameters);
        };
        if self.power(vcpu) == Power::On {
            return Action::status(Status::AlreadyOn);
        }
        if !self.entry_points.contains(&entry) || !entry.is_multiple_of(4) {
            return Action::status(Status::InvalidAddress);
        }
        self.set(vcpu, Power::On);
        Action::CpuOn(Start { vcpu, entry, context })
    }

    /// Level 0 only: with affinity levels above there is nothing to power down separately.
    fn affinity_info(&self, target: u64, level: u64) -> Action {
        match self.index(target) {
            Some(vcpu) if level == 0 => Action::Return(match self.power(vcpu) {
                Power::On => 0,
                Power::Off => 1,
            }),
            _ => Action::status(Status::InvalidParameters),
        }
    }

    /// The vCPU that an MPIDR names: affinity 0 counts the vCPUs, all other fields are zero.
    fn index(&self, mpidr: u64) -> Option<usize> {
        let vcpu = usize::try_from(mpidr & MPIDR_AFFINITY).ok()?;
        (mpidr & !MPIDR_AFFINITY == 0 && vcpu < self.count).then_some(vcpu)
    }

    fn set(&mut self, vcpu: usize, power: Power) {
        if let Some(state) = self.power.get_mut(vcpu) {
            *state = power;
        }
    }
}

/// MIGRATE_INFO_TYPE: a trusted OS is not present, or needs no migration.
const NO_TRUSTED_OS: u64 = 2;
/// SYSTEM_RESET2: the architectural reset type SYSTEM_WARM_RESET.
const WARM_RESET: u64 = 0;

fn features(queried: u64) -> Action {
    // Flags are zero for all of them; for CPU_SUSPEND that says: original format, platform-coordinated.
    Action::status(match Function::decode(queried & 0xffff_ffff) {
        Some((function, _)) if function != Function::SmcccArchFeatures => Status::Success,
        _ => Status::NotSupported,
    })
}

fn arch_features(queried: u64) -> Action {
    Action::status(match Function::decode(queried & 0xffff_ffff) {
        Some((Function::SmcccVersion | Function::SmcccArchFeatures, _)) => Status::Success,
        _ => Status::NotSupported,
    })
}

/// CPU_SUSPEND. A power-down request is carried out as standby, which DEN 0022, 5.4.2 allows.
fn suspend(power_state: u64) -> Action {
    /// Original format: StateID in bits 15:0, StateType in 16, PowerLevel in 25:24.
    const DEFINED: u64 = 0x0301_ffff;
    if power_state & !DEFINED == 0 { Action::Standby } else { Action::status(Status::InvalidParameters) }
}
