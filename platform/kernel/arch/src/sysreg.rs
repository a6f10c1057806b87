// SPDX-License-Identifier: BSD-2-Clause
//! System registers: access by name, and the values that the kernel runs PDs and guests under.
//!
//! Names and fields: Arm DDI 0487 (issue J.a), D19.

use kernel_abi::object::AddressSpace;

use crate::board::{PHYSICAL_ADDRESS_BITS, USER_TIMER};

/// Reads a system register.
macro_rules! read {
    ($reg:literal) => {{
        let value: u64;
        // SAFETY: reading a system register at EL2 has no effect on memory.
        unsafe {
            core::arch::asm!(concat!("mrs {}, ", $reg), out(reg) value, options(nomem, nostack, preserves_flags))
        };
        value
    }};
}

/// Writes a system register. The caller argues why the new value is right, and synchronises.
macro_rules! write {
    ($reg:literal, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: every register written through this macro belongs to the code below EL2, to a timer, or is set by
        // `cpu::init` to a value named in this module; none of them changes how the kernel itself executes.
        unsafe {
            core::arch::asm!(concat!("msr ", $reg, ", {}"), in(reg) value, options(nomem, nostack, preserves_flags))
        };
    }};
}

pub(crate) use {read, write};

/// Waits until changes to system registers are in effect.
#[inline(always)]
pub fn isb() {
    // SAFETY: a barrier.
    unsafe { core::arch::asm!("isb", options(nostack, preserves_flags)) };
}

/// Waits until all memory accesses and maintenance before it are complete.
#[inline(always)]
pub fn dsb() {
    // SAFETY: a barrier.
    unsafe { core::arch::asm!("dsb sy", options(nostack, preserves_flags)) };
}

/// HCR_EL2 bits.
pub mod hcr {
    /// Stage 2 translation.
    pub const VM: u64 = 1 << 0;
    /// Set/way invalidation by EL1 also cleans.
    pub const SWIO: u64 = 1 << 1;
    /// A stage 1 walk that hits device memory faults.
    pub const PTW: u64 = 1 << 2;
    /// Physical FIQ, IRQ and SError come to EL2; virtual ones exist.
    pub const FMO: u64 = 1 << 3;
    /// See [`FMO`].
    pub const IMO: u64 = 1 << 4;
    /// See [`FMO`].
    pub const AMO: u64 = 1 << 5;
    /// Barriers reach at least the inner shareable domain.
    pub const BSU_INNER: u64 = 1 << 10;
    /// Maintenance is broadcast.
    pub const FB: u64 = 1 << 9;
    /// Without stage 1, memory is cacheable.
    pub const DC: u64 = 1 << 12;
    /// WFI traps. WFE (bit 14) does not: a guest spinning on a lock would trap for nothing.
    pub const TWI: u64 = 1 << 13;
    /// SMC traps.
    pub const TSC: u64 = 1 << 19;
    /// Implementation-defined system registers trap.
    pub const TIDCP: u64 = 1 << 20;
    /// Exceptions from EL0 come to EL2, stage 1 is off.
    pub const TGE: u64 = 1 << 27;
    /// EL1 is AArch64.
    pub const RW: u64 = 1 << 31;
    /// LORegion registers trap.
    pub const TLOR: u64 = 1 << 35;
    /// Error record registers trap.
    pub const TERR: u64 = 1 << 36;

    const COMMON: u64 = VM | SWIO | PTW | FMO | IMO | AMO | BSU_INNER | FB | RW;
    /// While a thread without a virtual CPU runs, at EL0.
    pub const NATIVE: u64 = COMMON | TGE | DC;
    /// While a virtual CPU runs. What the kernel does not switch traps.
    pub const GUEST: u64 = COMMON | TWI | TSC | TIDCP | TLOR | TERR;
}

/// SCTLR_EL1 while a native thread runs. Stage 1 is off; the EL0 controls count: no traps for WFI and WFE (16, 18),
/// DC ZVA (14), cache maintenance (26), CTR_EL0 (15); RES1 bits.
pub const SCTLR_EL1_NATIVE: u64 = 0x30d0_0800 | 1 << 5 | 1 << 14 | 1 << 15 | 1 << 16 | 1 << 18 | 1 << 26;
/// SCTLR_EL1 of a fresh virtual CPU: RES1 bits, no translation, no caches, no EL0 traps of WFI, WFE, CTR and cache
/// maintenance.
pub const SCTLR_EL1_RESET: u64 = 0x30d0_0800 | 1 << 5 | 1 << 15 | 1 << 16 | 1 << 18 | 1 << 26;
/// CPACR_EL1 while a native thread runs: FP is not trapped by EL1.
pub const CPACR_EL1_NATIVE: u64 = 3 << 20;
/// CNTKCTL_EL1 while a native thread runs: EL0 has the physical counter (0) and, where the board gives it to user level,
/// the physical timer (9), not the virtual ones.
pub const CNTKCTL_EL1_NATIVE: u64 = USER_TIMER << 9 | 1 << 0;
/// CNTHCTL_EL2 while a native thread runs: the physical counter (0) and user level's timer (1) are not trapped.
pub const CNTHCTL_EL2_NATIVE: u64 = USER_TIMER << 1 | 1 << 0;
/// CNTHCTL_EL2 while a virtual CPU runs: the physical timer traps (it belongs to a PD), the counter does not.
pub const CNTHCTL_EL2_GUEST: u64 = 1 << 0;

/// CPTR_EL2: RES1 bits (they include SVE's trap), trace registers trap (20).
pub const CPTR_EL2_BASE: u64 = 0x33ff | 1 << 20;
/// CPTR_EL2: FP traps as well.
pub const CPTR_EL2_FP_TRAP: u64 = CPTR_EL2_BASE | 1 << 10;

/// MDCR_EL2: debug ROM (11), OS-lock (10) and debug registers (9), PMU (6, 5) trap. Debug exceptions stay where they
/// arise (TDE 0): a guest's BRK is the guest's.
pub const MDCR_EL2: u64 = 1 << 11 | 1 << 10 | 1 << 9 | MDCR_EL2_TRAP_PMU;
/// MDCR_EL2: PMU registers trap.
pub const MDCR_EL2_TRAP_PMU: u64 = 1 << 6 | 1 << 5;

/// Width of a physical address in TCR_EL2 and VTCR_EL2 (PS).
const PHYSICAL_SIZE: u64 = match PHYSICAL_ADDRESS_BITS {
    40 => 2,
    44 => 4,
    _ => panic!("a width of physical addresses that is not known here"),
};

/// VTCR_EL2: RES1 (31), physical size, 4 KiB granule, inner shareable write-back walks. The walk starts (SL0) at level 1
/// with two levels below the root, at level 0 with three, and T0SZ leaves as many bits as an address has.
pub const fn vtcr_el2(space: AddressSpace) -> u64 {
    let start = space.table_levels - 1;
    1 << 31 | PHYSICAL_SIZE << 16 | 3 << 12 | 1 << 10 | 1 << 8 | start << 6 | (64 - space.address_bits)
}

/// MAIR_EL2: 0 nGnRnE, 1 nGnRE, 2 GRE, 3 Normal non-cacheable, 4 Normal write-back. The loader's values.
pub const MAIR_EL2: u64 = 0xff_440c_0400;
/// TCR_EL2: RES1 bits, physical size, 4 KiB granule, inner shareable write-back walks, 48-bit addresses.
pub const TCR_EL2: u64 = 1 << 31 | 1 << 23 | PHYSICAL_SIZE << 16 | 3 << 12 | 1 << 10 | 1 << 8 | 16;
/// SCTLR_EL2: RES1 bits, WXN (19), instruction cache (12), stack alignment check (3), data cache (2), MMU (0).
pub const SCTLR_EL2: u64 = 0x30c5_0830 | 1 << 19 | 1 << 12 | 1 << 3 | 1 << 2 | 1;
