// SPDX-License-Identifier: BSD-2-Clause
//! Registers of a GICv3's CPU interface that trap: those that send interrupts (DDI 0487, HCR_EL2.IMO and FMO), and the choice of
//! the interface (ICC_SRE_EL2.Enable). All others are the hardware's.

use crate::guest::Guest;
use crate::host::Host;
use crate::trap::Trap;
use vgic::{SgiRegister, Version};
use vmm_arm::{SysReg, SysRegAccess};

/// ICC_SRE_EL1: system registers, no bypass of interrupts around the interface. Fixed, as where there is no other interface.
const SRE: u64 = 0b111;

impl<H: Host> Guest<H> {
    /// Performs an access of vCPU `index` to one of them; a write is one of `value`. `false`: it is to none of them, or not
    /// possible.
    pub(crate) fn interrupt_register(
        &mut self,
        index: usize,
        access: SysRegAccess,
        value: u64,
        trap: &mut Trap<'_, H::Vcpu>,
    ) -> bool {
        if self.machine.gic.config().version != Version::V3 {
            return false;
        }
        let register = match access.reg {
            SysReg::ICC_SRE_EL1 => {
                if access.read {
                    trap.set_gpr(access.register, SRE);
                }
                return true;
            }
            SysReg::ICC_SGI1R_EL1 => SgiRegister::Group1,
            SysReg::ICC_SGI0R_EL1 | SysReg::ICC_ASGI1R_EL1 => SgiRegister::Group0,
            _ => return false,
        };
        if access.read {
            return false;
        }
        self.with_gic(|gic, lines| gic.send_sgi(index, register, value, lines));
        true
    }
}
