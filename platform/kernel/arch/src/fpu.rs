// SPDX-License-Identifier: BSD-2-Clause
//! Lazy switching of the FP and SIMD registers: they stay with the last thread that used them; another one traps on its
//! first use (CPTR_EL2.TFP) and takes over. The kernel itself uses none.

use core::arch::global_asm;

use kernel_core::layout::Tcb;

use crate::memory;
use crate::sysreg::{self, CPTR_EL2_BASE, CPTR_EL2_FP_TRAP, write};

global_asm!(include_str!("fpu.s"));

unsafe extern "C" {
    fn fpu_save(area: u64);
    fn fpu_load(area: u64);
}

/// Whose registers the hardware holds.
#[derive(Debug)]
pub struct Fpu {
    owner: Option<Tcb>,
    trapped: bool,
}

fn area(tcb: Tcb) -> u64 {
    memory::address(tcb.addr()) + Tcb::FPU
}

impl Fpu {
    /// Nobody's. CPTR_EL2 traps FP (`cpu::init`).
    pub const fn new() -> Self {
        Self { owner: None, trapped: true }
    }

    #[inline(always)]
    fn set_trapped(&mut self, trapped: bool) {
        if self.trapped != trapped {
            self.trapped = trapped;
            write!("cptr_el2", if trapped { CPTR_EL2_FP_TRAP } else { CPTR_EL2_BASE });
        }
    }

    /// `to` runs next.
    #[inline(always)]
    pub fn switch(&mut self, to: Option<Tcb>) {
        self.set_trapped(to.is_none() || self.owner != to);
    }

    /// `tcb`, which runs, has trapped and gets the registers.
    pub fn take(&mut self, tcb: Tcb) {
        self.set_trapped(false);
        sysreg::isb();
        if self.owner == Some(tcb) {
            return;
        }
        if let Some(owner) = self.owner {
            // SAFETY: the FPU area of a live thread (`release` is called before one goes), 528 bytes in its TCB.
            unsafe { fpu_save(area(owner)) };
        }
        // SAFETY: as above.
        unsafe { fpu_load(area(tcb)) };
        self.owner = Some(tcb);
    }

    /// `tcb` gives the registers up, if it has them; they are kept in its TCB unless it is to be forgotten.
    pub fn release(&mut self, tcb: Tcb, discard: bool) {
        if self.owner != Some(tcb) {
            return;
        }
        if !discard {
            self.set_trapped(false);
            sysreg::isb();
            // SAFETY: as in `take`.
            unsafe { fpu_save(area(tcb)) };
        }
        self.owner = None;
        self.set_trapped(true);
    }
}
