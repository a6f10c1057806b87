// SPDX-License-Identifier: BSD-2-Clause
//! System registers that a hypervisor has to trap or switch: debug, performance monitors, timers, thread and process
//! identifiers, cache selection, implementation-defined ones (DDI 0487). Every access may be UNDEFINED.

use crate::exception::{Fault, probe};
use crate::{cpu, gic};

/// A register by name, with its accesses.
pub struct Register {
    /// Assembler name, or what it is.
    pub name: &'static str,
    read: fn() -> u64,
    write: fn(u64),
    /// Its value may change without anybody writing it.
    pub moves: bool,
}

impl Register {
    /// Reads it; an error when that takes an exception.
    pub fn read(&self) -> Result<u64, Fault> {
        let (value, fault) = probe(self.read);
        fault.map_or(Ok(value), Err)
    }

    /// Writes it; an error when that takes an exception.
    pub fn write(&self, value: u64) -> Result<(), Fault> {
        let write = self.write;
        let ((), fault) = probe(|| write(value));
        fault.map_or(Ok(()), Err)
    }
}

macro_rules! registers {
    ($($name:literal $(= $encoding:literal)? $($moves:ident)?;)*) => {
        [$(Register {
            name: $name,
            read: || registers!(@read $name $($encoding)?),
            write: |value| registers!(@write value, $name $($encoding)?),
            moves: registers!(@moves $($moves)?),
        }),*]
    };
    (read only: $($name:literal $(= $encoding:literal)? $($moves:ident)?;)*) => {
        [$(Register {
            name: $name,
            read: || registers!(@read $name $($encoding)?),
            write: |_| {},
            moves: registers!(@moves $($moves)?),
        }),*]
    };
    (@read $name:literal) => { $crate::read_register!($name) };
    (@read $name:literal $encoding:literal) => { $crate::read_register!($encoding) };
    (@write $value:ident, $name:literal) => { $crate::write_register!($name, $value) };
    (@write $value:ident, $name:literal $encoding:literal) => { $crate::write_register!($encoding, $value) };
    (@moves) => { false };
    (@moves moves) => { true };
}

/// Registers that may be written with anything without harm to this guest.
pub static WRITABLE: [Register; 69] = registers! {
    "tpidr_el0"; "tpidrro_el0"; "tpidr_el1"; "contextidr_el1";
    "csselr_el1"; "par_el1"; "afsr0_el1"; "afsr1_el1"; "amair_el1"; "esr_el1" moves; "far_el1" moves; "ttbr1_el1";
    "actlr_el1";
    "cntp_cval_el0"; "cntv_cval_el0";
    "mdscr_el1"; "mdccint_el1"; "osdtrrx_el1"; "osdtrtx_el1"; "oseccr_el1"; "osdlr_el1"; "dbgprcr_el1";
    "dbgclaimset_el1"; "dbgclaimclr_el1"; "dbgdtr_el0" moves;
    "dbgbvr0_el1"; "dbgbvr1_el1"; "dbgbvr2_el1"; "dbgbvr3_el1"; "dbgbvr4_el1"; "dbgbvr5_el1"; "dbgbvr15_el1";
    "dbgbcr0_el1"; "dbgbcr1_el1"; "dbgbcr5_el1"; "dbgbcr15_el1";
    "dbgwvr0_el1"; "dbgwvr1_el1"; "dbgwvr2_el1"; "dbgwvr3_el1"; "dbgwvr15_el1";
    "dbgwcr0_el1"; "dbgwcr1_el1"; "dbgwcr3_el1"; "dbgwcr15_el1";
    "pmcr_el0"; "pmselr_el0"; "pmcntenset_el0"; "pmcntenclr_el0"; "pmovsset_el0"; "pmovsclr_el0"; "pmuserenr_el0";
    "pmintenset_el1"; "pmintenclr_el1"; "pmxevtyper_el0"; "pmxevcntr_el0" moves; "pmccntr_el0" moves;
    "pmccfiltr_el0"; "pmevtyper0_el0"; "pmevtyper5_el0"; "pmevcntr0_el0" moves; "pmevcntr5_el0" moves;
    "pmevcntr30_el0" moves;
    // Cortex-A53: CPUACTLR_EL1, CPUECTLR_EL1, CPUMERRSR_EL1, L2CTLR_EL1, L2ACTLR_EL1; and one of no processor.
    "cpuactlr_el1" = "s3_1_c15_c2_0"; "cpuectlr_el1" = "s3_1_c15_c2_1"; "cpumerrsr_el1" = "s3_1_c15_c2_2";
    "l2ctlr_el1" = "s3_1_c11_c0_2"; "l2actlr_el1" = "s3_1_c15_c0_0"; "nobody's" = "s3_7_c15_c15_7";
};

/// Registers of higher exception levels, and unallocated ones.
pub static FORBIDDEN: [Register; 22] = registers! {
    "hcr_el2"; "sctlr_el2"; "vttbr_el2"; "vtcr_el2"; "vbar_el2"; "tpidr_el2"; "esr_el2"; "cptr_el2"; "mdcr_el2";
    "cntvoff_el2"; "cnthctl_el2"; "cnthp_ctl_el2"; "vmpidr_el2"; "sp_el1"; "spsr_el2"; "elr_el2";
    "scr_el3"; "vbar_el3"; "cntps_ctl_el1";
    "ich_hcr_el2" = "s3_4_c12_c11_0";
    "unallocated op0=3" = "s3_3_c7_c3_5"; "unallocated op0=2" = "s2_5_c5_c5_5";
};

/// Timer controls: only some of their values are harmless.
pub static TIMERS: [Register; 4] = registers! {
    "cntp_ctl_el0"; "cntv_ctl_el0"; "cntkctl_el1"; "cntp_tval_el0" moves;
};

/// Read-only registers that a guest may read, or that may be UNDEFINED.
pub static READABLE: [Register; 31] = registers! { read only:
    "midr_el1"; "mpidr_el1"; "revidr_el1"; "aidr_el1"; "id_aa64pfr0_el1"; "id_aa64pfr1_el1"; "id_aa64dfr0_el1";
    "id_aa64dfr1_el1"; "id_aa64isar0_el1"; "id_aa64isar1_el1"; "id_aa64mmfr0_el1"; "id_aa64mmfr1_el1";
    "id_aa64mmfr2_el1"; "id_aa64afr0_el1"; "id_aa64zfr0_el1" = "s3_0_c0_c4_4"; "id_pfr0_el1"; "id_dfr0_el1";
    "id_isar0_el1"; "id_mmfr0_el1"; "mvfr0_el1"; "mvfr1_el1"; "ctr_el0"; "dczid_el0"; "clidr_el1"; "ccsidr_el1";
    "mdrar_el1"; "oslsr_el1"; "dbgauthstatus_el1"; "pmceid0_el0"; "cntpct_el0" moves; "mdccsr_el0" moves;
};

/// A GICv3's CPU interface: all of its registers at EL1. (QEMU 7.2 keeps too small a binary point until a hypervisor writes it
/// back: so these two move.)
pub static INTERFACE_V3: [Register; 29] = registers! {
    "icc_pmr_el1" = "s3_0_c4_c6_0";
    "icc_iar0_el1" = "s3_0_c12_c8_0" moves; "icc_eoir0_el1" = "s3_0_c12_c8_1"; "icc_hppir0_el1" = "s3_0_c12_c8_2" moves;
    "icc_bpr0_el1" = "s3_0_c12_c8_3" moves; "icc_ap0r0_el1" = "s3_0_c12_c8_4"; "icc_ap0r1_el1" = "s3_0_c12_c8_5";
    "icc_ap0r2_el1" = "s3_0_c12_c8_6"; "icc_ap0r3_el1" = "s3_0_c12_c8_7";
    "icc_ap1r0_el1" = "s3_0_c12_c9_0"; "icc_ap1r1_el1" = "s3_0_c12_c9_1"; "icc_ap1r2_el1" = "s3_0_c12_c9_2";
    "icc_ap1r3_el1" = "s3_0_c12_c9_3"; "icc_nmiar1_el1" = "s3_0_c12_c9_5" moves;
    "icc_dir_el1" = "s3_0_c12_c11_1"; "icc_rpr_el1" = "s3_0_c12_c11_3" moves;
    "icc_sgi1r_el1" = "s3_0_c12_c11_5"; "icc_asgi1r_el1" = "s3_0_c12_c11_6"; "icc_sgi0r_el1" = "s3_0_c12_c11_7";
    "icc_iar1_el1" = "s3_0_c12_c12_0" moves; "icc_eoir1_el1" = "s3_0_c12_c12_1"; "icc_hppir1_el1" = "s3_0_c12_c12_2" moves;
    "icc_bpr1_el1" = "s3_0_c12_c12_3" moves; "icc_ctlr_el1" = "s3_0_c12_c12_4"; "icc_sre_el1" = "s3_0_c12_c12_5";
    "icc_igrpen0_el1" = "s3_0_c12_c12_6"; "icc_igrpen1_el1" = "s3_0_c12_c12_7";
    "unallocated" = "s3_0_c12_c9_4"; "unallocated too" = "s3_0_c12_c11_0";
};

/// Registers of a GICv2's CPU interface that belong to a vCPU. On a machine without, accesses abort.
pub static INTERFACE: [Register; 2] = [
    Register {
        name: "gicc_pmr",
        read: || cpu::load32(gic::v2::PRIORITY_MASK, 0),
        write: |value| cpu::store32(gic::v2::PRIORITY_MASK, value & 0xff),
        moves: false,
    },
    Register {
        name: "gicc_apr0",
        read: || cpu::load32(gic::v2::ACTIVE_PRIORITIES, 0),
        write: |value| cpu::store32(gic::v2::ACTIVE_PRIORITIES, value & 0xffff_ffff),
        moves: false,
    },
];
