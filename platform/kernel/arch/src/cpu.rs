// SPDX-License-Identifier: BSD-2-Clause
//! EL2 of this CPU: what traps, what does not, and the state that native threads run under.

use crate::sysreg::{
    self, CNTHCTL_EL2_NATIVE, CNTKCTL_EL1_NATIVE, CPACR_EL1_NATIVE, CPTR_EL2_FP_TRAP, MDCR_EL2,
    SCTLR_EL1_NATIVE, hcr, read, vtcr_el2, write,
};
use crate::translation;

unsafe extern "C" {
    static exception_vectors: u8;
}

/// PMCR_EL0: number of event counters.
const PMCR_N_SHIFT: u32 = 11;
const PMCR_N_MASK: u64 = 0x1f;
/// ID_AA64DFR0_EL1: PMU version; 0 and 15 mean that there is none to speak of.
const PMU_SHIFT: u32 = 8;

/// Puts every EL2 control into a known state, and the EL1 state that native threads need.
pub fn init() {
    write!("vbar_el2", &raw const exception_vectors as u64);
    write!("cptr_el2", CPTR_EL2_FP_TRAP);
    let pmu = read!("id_aa64dfr0_el1") >> PMU_SHIFT & 0xf;
    let counters = if pmu == 0 || pmu == 0xf { 0 } else { read!("pmcr_el0") >> PMCR_N_SHIFT & PMCR_N_MASK };
    // HPMN at its maximum: EL2 reserves no counters.
    write!("mdcr_el2", MDCR_EL2 | counters);
    #[cfg(feature = "benchmark")]
    start_counters();
    write!("hstr_el2", 0);
    write!("vtcr_el2", vtcr_el2(translation::SHAPE));
    write!("hcr_el2", hcr::NATIVE);
    write!("vpidr_el2", read!("midr_el1"));
    write!("cnthctl_el2", CNTHCTL_EL2_NATIVE);
    write!("cntvoff_el2", 0);
    write!("cntv_ctl_el0", 0);
    write!("cntp_ctl_el0", 0);
    write!("cntkctl_el1", CNTKCTL_EL1_NATIVE);
    write!("sctlr_el1", SCTLR_EL1_NATIVE);
    write!("cpacr_el1", CPACR_EL1_NATIVE);
    write!("mdscr_el1", 0);
    write!("csselr_el1", 0);
    // The kernel's timer is always on; its deadline is far away until the core sets one.
    write!("cnthp_cval_el2", u64::MAX);
    write!("cnthp_ctl_el2", 1);
    sysreg::isb();
}

/// Starts the cycle counter, at every exception level, and lets native threads use all counters.
#[cfg(feature = "benchmark")]
fn start_counters() {
    const ENABLE_LONG: u64 = 1 << 6 | 1;
    const CYCLES: u64 = 1 << 31;
    const COUNT_EL2: u64 = 1 << 27;
    const USER_ALL: u64 = 0xf;
    export_counters(true);
    write!("pmccfiltr_el0", COUNT_EL2);
    write!("pmcr_el0", ENABLE_LONG);
    write!("pmcntenset_el0", CYCLES);
    write!("pmuserenr_el0", USER_ALL);
}

/// Whether what runs below EL2 may use the performance counters.
#[cfg(feature = "benchmark")]
pub fn export_counters(export: bool) {
    let trapped = read!("mdcr_el2") | sysreg::MDCR_EL2_TRAP_PMU;
    write!("mdcr_el2", if export { trapped & !sysreg::MDCR_EL2_TRAP_PMU } else { trapped });
}

/// Whether DC ZVA may be used and its block is the one that `memory::zero` assumes.
pub fn zeroes_by_line() -> bool {
    // DCZID_EL0: DZP (4) prohibits; BS (3:0) is log2 of the words.
    read!("dczid_el0") & 0x1f == 4
}
