// SPDX-License-Identifier: BSD-2-Clause
//! Hardware breakpoints, watchpoints and software step of native threads (Arm DDI 0487, D2), in configuration `debug`.
//!
//! What is set is in the threads (`kernel_core::hardware_debug`); here it is put into the registers while such a thread
//! runs. Debug exceptions of native threads come to EL2 because HCR_EL2.TGE is set; guests' own debug registers trap, and
//! while a guest runs all of these are off.

use kernel_abi::debug::{BREAKPOINTS, ON_READ, ON_WRITE, TOTAL};
use kernel_core::hardware_debug::Breakpoint;
use kernel_core::layout::Tcb;

use crate::hardware::Hardware;
use crate::sysreg::{isb, write};

/// MDSCR_EL1: software step; breakpoints and watchpoints.
const SOFTWARE_STEP: u64 = 1;
const MONITOR: u64 = 1 << 15;
/// DBGBCR, DBGWCR: enabled; matches at EL0.
const ENABLED: u64 = 1;
const AT_EL0: u64 = 2 << 1;
/// Byte address select: of a breakpoint, all four bytes.
const BYTES_SHIFT: u64 = 5;
const INSTRUCTION_BYTES: u64 = 0xf << BYTES_SHIFT;
/// DBGWCR: loads, stores.
const ON_LOAD: u64 = 1 << 3;
const ON_STORE: u64 = 2 << 3;

/// The debug registers of this CPU.
#[derive(Clone, Copy, Debug)]
pub struct DebugUnit {
    active: bool,
}

impl DebugUnit {
    /// Nothing is set, and the OS lock, which keeps debug exceptions off, is open.
    pub fn new() -> Self {
        write!("oslar_el1", 0);
        isb();
        let unit = Self { active: false };
        for number in 0..TOTAL {
            set(number, Breakpoint { address: 0, size: 0, access: 0, enabled: false });
        }
        unit
    }

    /// `to`, a thread without a virtual CPU, runs next; `None`: some other.
    #[inline]
    pub fn switch(self, to: Option<Tcb>, m: &Hardware) -> Self {
        let debugged = to.filter(|tcb| tcb.is_debugged(m));
        if let Some(tcb) = debugged {
            for number in 0..TOTAL {
                set(number, tcb.breakpoint(m, number));
            }
            write!("mdscr_el1", MONITOR | if tcb.steps(m) != 0 { SOFTWARE_STEP } else { 0 });
        } else if self.active {
            write!("mdscr_el1", 0);
        }
        Self { active: debugged.is_some() }
    }
}

fn set(number: u64, to: Breakpoint) {
    if number < BREAKPOINTS {
        let control = if to.enabled { INSTRUCTION_BYTES | AT_EL0 | ENABLED } else { 0 };
        set_breakpoint(number, to.address, control);
        return;
    }
    let bytes = ((1 << to.size) - 1) << (to.address & 7);
    let accesses = match to.access {
        ON_READ => ON_LOAD,
        ON_WRITE => ON_STORE,
        _ => ON_LOAD | ON_STORE,
    };
    let control = if to.enabled { bytes << BYTES_SHIFT | accesses | AT_EL0 | ENABLED } else { 0 };
    set_watchpoint(number - BREAKPOINTS, to.address & !7, control);
}

/// Writes one of the numbered pairs of value and control register.
macro_rules! numbered {
    ($name:ident: $($number:literal => $value:literal, $control:literal;)*) => {
        fn $name(number: u64, value: u64, control: u64) {
            match number {
                $($number => {
                    write!($value, value);
                    write!($control, control);
                })*
                _ => {}
            }
        }
    };
}

numbered! { set_breakpoint:
    0 => "dbgbvr0_el1", "dbgbcr0_el1";
    1 => "dbgbvr1_el1", "dbgbcr1_el1";
    2 => "dbgbvr2_el1", "dbgbcr2_el1";
    3 => "dbgbvr3_el1", "dbgbcr3_el1";
    4 => "dbgbvr4_el1", "dbgbcr4_el1";
    5 => "dbgbvr5_el1", "dbgbcr5_el1";
}

numbered! { set_watchpoint:
    0 => "dbgwvr0_el1", "dbgwcr0_el1";
    1 => "dbgwvr1_el1", "dbgwcr1_el1";
    2 => "dbgwvr2_el1", "dbgwcr2_el1";
    3 => "dbgwvr3_el1", "dbgwcr3_el1";
}
