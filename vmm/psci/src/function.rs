// SPDX-License-Identifier: BSD-2-Clause
//! Function identifiers (DEN 0028, 2.5; DEN 0022, 5.1).

/// A function that is implemented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// SMCCC_VERSION.
    SmcccVersion,
    /// SMCCC_ARCH_FEATURES.
    SmcccArchFeatures,
    /// PSCI_VERSION.
    Version,
    /// CPU_SUSPEND.
    CpuSuspend,
    /// CPU_OFF.
    CpuOff,
    /// CPU_ON.
    CpuOn,
    /// AFFINITY_INFO.
    AffinityInfo,
    /// MIGRATE_INFO_TYPE.
    MigrateInfoType,
    /// SYSTEM_OFF.
    SystemOff,
    /// SYSTEM_RESET.
    SystemReset,
    /// PSCI_FEATURES.
    Features,
    /// SYSTEM_RESET2.
    SystemReset2,
}

impl Function {
    /// The function that W0 of `identifier` names, and whether it uses the 64-bit convention.
    pub const fn decode(identifier: u64) -> Option<(Self, bool)> {
        Some(match identifier as u32 {
            0x8000_0000 => (Self::SmcccVersion, false),
            0x8000_0001 => (Self::SmcccArchFeatures, false),
            0x8400_0000 => (Self::Version, false),
            0x8400_0001 => (Self::CpuSuspend, false),
            0xc400_0001 => (Self::CpuSuspend, true),
            0x8400_0002 => (Self::CpuOff, false),
            0x8400_0003 => (Self::CpuOn, false),
            0xc400_0003 => (Self::CpuOn, true),
            0x8400_0004 => (Self::AffinityInfo, false),
            0xc400_0004 => (Self::AffinityInfo, true),
            0x8400_0006 => (Self::MigrateInfoType, false),
            0x8400_0008 => (Self::SystemOff, false),
            0x8400_0009 => (Self::SystemReset, false),
            0x8400_000a => (Self::Features, false),
            0x8400_0012 => (Self::SystemReset2, false),
            0xc400_0012 => (Self::SystemReset2, true),
            _ => return None,
        })
    }
}
