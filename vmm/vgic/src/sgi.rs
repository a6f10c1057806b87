// SPDX-License-Identifier: BSD-2-Clause
//! Software-generated interrupts of a GICv3: ICC_SGI1R_EL1, ICC_ASGI1R_EL1 and ICC_SGI0R_EL1 (IHI 0069H), whose writes trap
//! (DDI 0487, HCR_EL2.IMO and FMO).

use crate::delivery::ListRegisters;
use crate::model::{VcpuSet, Version, Vgic};

/// Which register was written. With one security state they differ in the groups of interrupts that they reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SgiRegister {
    /// ICC_SGI0R_EL1, ICC_ASGI1R_EL1: group 0 only.
    Group0,
    /// ICC_SGI1R_EL1: whichever group the interrupt is in.
    Group1,
}

/// A list of targets holds affinity levels 0 of one range of sixteen.
const RANGE: u64 = 16;

impl Vgic {
    /// vCPU `vcpu` writes `value` to one of the registers. What names nobody does nothing, nor does a GICv2, which has none.
    pub fn send_sgi(&mut self, vcpu: usize, register: SgiRegister, value: u64, out: &mut impl ListRegisters) {
        if self.config.version != Version::V3 || self.check_vcpu(vcpu).is_err() {
            return;
        }
        // Aff3 55:48, RS 47:44, IRM 40, Aff2 39:32, INTID 27:24, Aff1 23:16, TargetList 15:0.
        let field = |shift: u32, mask: u64| value.wrapping_shr(shift) & mask;
        let named = if field(40, 1) != 0 {
            VcpuSet::ALL.without(VcpuSet::one(vcpu))
        } else if [field(48, 0xff), field(44, RANGE - 1), field(32, 0xff), field(16, 0xff)] == [0; 4] {
            VcpuSet::from_bits(field(0, 0xff) as u8)
        } else {
            VcpuSet::NONE
        };
        let bit = 1u32.wrapping_shl(field(24, 0xf) as u32);
        let mut reached = VcpuSet::NONE;
        for target in named.intersection(self.config_vcpus()).iter() {
            let Some(cpu) = self.vcpus.get_mut(target) else { continue };
            if register == SgiRegister::Group1 || cpu.private.group & bit == 0 {
                cpu.private.latch |= bit;
                reached = reached.union(VcpuSet::one(target));
            }
        }
        self.deliver(reached, out);
    }
}
