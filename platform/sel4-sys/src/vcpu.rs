// SPDX-License-Identifier: BSD-2-Clause
//! The registers of a virtual CPU that `ARM_VCPU_ReadRegs` and `ARM_VCPU_WriteRegs` name (seL4 16).

macro_rules! vcpu_registers {
    ($($variant:ident $constant:ident $number:literal $doc:literal;)*) => {
        /// Register numbers with seL4's names.
        pub mod seL4_VCPUReg {
            use crate::seL4_Word;
            /// The type of a register number.
            pub type Type = seL4_Word;
            $(#[doc = concat!($doc, ".")] pub const $constant: Type = $number;)*
        }

        /// A register of a virtual CPU.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
        #[repr(u64)]
        pub enum VcpuReg {
            $(#[doc = concat!($doc, ".")] $variant = $number,)*
        }

        impl VcpuReg {
            /// Every register, in the kernel's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
        }
    };
}

vcpu_registers! {
    Sctlr seL4_VCPUReg_SCTLR 0 "`SCTLR_EL1`";
    Cpacr seL4_VCPUReg_CPACR 1 "`CPACR_EL1`";
    Ttbr0 seL4_VCPUReg_TTBR0 2 "`TTBR0_EL1`";
    Ttbr1 seL4_VCPUReg_TTBR1 3 "`TTBR1_EL1`";
    Tcr seL4_VCPUReg_TCR 4 "`TCR_EL1`";
    Mair seL4_VCPUReg_MAIR 5 "`MAIR_EL1`";
    Amair seL4_VCPUReg_AMAIR 6 "`AMAIR_EL1`";
    Cidr seL4_VCPUReg_CIDR 7 "`CONTEXTIDR_EL1`";
    Actlr seL4_VCPUReg_ACTLR 8 "`ACTLR_EL1`";
    Afsr0 seL4_VCPUReg_AFSR0 9 "`AFSR0_EL1`";
    Afsr1 seL4_VCPUReg_AFSR1 10 "`AFSR1_EL1`";
    Esr seL4_VCPUReg_ESR 11 "`ESR_EL1`";
    Far seL4_VCPUReg_FAR 12 "`FAR_EL1`";
    Par seL4_VCPUReg_PAR 13 "`PAR_EL1`";
    Vbar seL4_VCPUReg_VBAR 14 "`VBAR_EL1`";
    TpidrEl1 seL4_VCPUReg_TPIDR_EL1 15 "`TPIDR_EL1`";
    VmpidrEl2 seL4_VCPUReg_VMPIDR_EL2 16 "`VMPIDR_EL2`";
    SpEl1 seL4_VCPUReg_SP_EL1 17 "`SP_EL1`";
    ElrEl1 seL4_VCPUReg_ELR_EL1 18 "`ELR_EL1`";
    SpsrEl1 seL4_VCPUReg_SPSR_EL1 19 "`SPSR_EL1`";
    CntvCtl seL4_VCPUReg_CNTV_CTL 20 "`CNTV_CTL_EL0`";
    CntvCval seL4_VCPUReg_CNTV_CVAL 21 "`CNTV_CVAL_EL0`";
    Cntvoff seL4_VCPUReg_CNTVOFF 22 "`CNTVOFF_EL2`";
    CntkctlEl1 seL4_VCPUReg_CNTKCTL_EL1 23 "`CNTKCTL_EL1`";
}

impl From<VcpuReg> for seL4_VCPUReg::Type {
    fn from(register: VcpuReg) -> Self {
        register as Self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_are_numbered_without_a_gap() {
        assert_eq!(VcpuReg::ALL.len(), 24);
        for (index, register) in VcpuReg::ALL.iter().enumerate() {
            assert_eq!(u64::from(*register), index as u64);
        }
    }
}
