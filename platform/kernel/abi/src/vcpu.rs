// SPDX-License-Identifier: BSD-2-Clause
//! Register indices of `VCPU_ReadReg` and `VCPU_WriteReg` (`seL4_VCPUReg`).

macro_rules! registers {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A register of a virtual CPU.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u64)]
        pub enum VcpuReg { $($(#[$doc])* $name,)* }
        impl VcpuReg {
            /// All registers in index order.
            pub const ALL: &'static [VcpuReg] = &[$(VcpuReg::$name,)*];
            /// The register with this index.
            pub const fn from_index(index: u64) -> Option<Self> {
                if index < Self::ALL.len() as u64 { Some(Self::ALL[index as usize]) } else { None }
            }
        }
    };
}

registers! {
    /// SCTLR_EL1.
    Sctlr,
    /// CPACR_EL1.
    Cpacr,
    /// TTBR0_EL1.
    Ttbr0,
    /// TTBR1_EL1.
    Ttbr1,
    /// TCR_EL1.
    Tcr,
    /// MAIR_EL1.
    Mair,
    /// AMAIR_EL1.
    Amair,
    /// CONTEXTIDR_EL1.
    Contextidr,
    /// ACTLR_EL1.
    Actlr,
    /// AFSR0_EL1.
    Afsr0,
    /// AFSR1_EL1.
    Afsr1,
    /// ESR_EL1.
    Esr,
    /// FAR_EL1.
    Far,
    /// PAR_EL1.
    Par,
    /// VBAR_EL1.
    Vbar,
    /// TPIDR_EL1.
    Tpidr,
    /// VMPIDR_EL2.
    Vmpidr,
    /// SP_EL1.
    SpEl1,
    /// ELR_EL1.
    Elr,
    /// SPSR_EL1.
    Spsr,
    /// CNTV_CTL_EL0.
    CntvCtl,
    /// CNTV_CVAL_EL0.
    CntvCval,
    /// CNTVOFF_EL2.
    Cntvoff,
    /// CNTKCTL_EL1.
    Cntkctl,
}
