// SPDX-License-Identifier: BSD-2-Clause
//! Exceptions: an expected one is recorded and its instruction skipped; interrupts are counted.

use crate::{gic, timer};
use core::arch::global_asm;
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

global_asm!(
    r#"
    .macro  vector kind
    .balign 128
    sub     sp, sp, #272
    stp     x0, x1, [sp]
    mov     x0, #\kind
    b       take
    .endm

    .text
    .balign 2048
    .global vectors
vectors:
    // Current level with SP_EL0, then with SP_EL1; lower level in AArch64, then in AArch32.
    .irp    kind, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    vector  \kind
    .endr

take:
    stp     x2, x3, [sp, #16]
    stp     x4, x5, [sp, #32]
    stp     x6, x7, [sp, #48]
    stp     x8, x9, [sp, #64]
    stp     x10, x11, [sp, #80]
    stp     x12, x13, [sp, #96]
    stp     x14, x15, [sp, #112]
    stp     x16, x17, [sp, #128]
    stp     x18, x19, [sp, #144]
    stp     x20, x21, [sp, #160]
    stp     x22, x23, [sp, #176]
    stp     x24, x25, [sp, #192]
    stp     x26, x27, [sp, #208]
    stp     x28, x29, [sp, #224]
    mrs     x1, elr_el1
    stp     x30, x1, [sp, #240]
    mrs     x1, spsr_el1
    str     x1, [sp, #256]
    mov     x1, sp
    bl      exception
    ldr     x1, [sp, #256]
    msr     spsr_el1, x1
    ldp     x30, x1, [sp, #240]
    msr     elr_el1, x1
    ldp     x28, x29, [sp, #224]
    ldp     x26, x27, [sp, #208]
    ldp     x24, x25, [sp, #192]
    ldp     x22, x23, [sp, #176]
    ldp     x20, x21, [sp, #160]
    ldp     x18, x19, [sp, #144]
    ldp     x16, x17, [sp, #128]
    ldp     x14, x15, [sp, #112]
    ldp     x12, x13, [sp, #96]
    ldp     x10, x11, [sp, #80]
    ldp     x8, x9, [sp, #64]
    ldp     x6, x7, [sp, #48]
    ldp     x4, x5, [sp, #32]
    ldp     x2, x3, [sp, #16]
    ldp     x0, x1, [sp]
    add     sp, sp, #272
    eret
    "#
);

/// Registers as the vectors store them.
#[repr(C)]
pub struct Frame {
    x: [u64; 31],
    elr: u64,
    spsr: u64,
}

/// One exception that a probe took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// ESR_EL1.
    pub esr: u64,
    /// FAR_EL1.
    pub far: u64,
    /// ELR_EL1.
    pub elr: u64,
}

impl Fault {
    /// Exception class.
    pub const fn class(self) -> u64 {
        (self.esr >> 26) & 0x3f
    }

    /// Whether this is a synchronous external abort (class `class`) on `address`, not on a table walk.
    pub const fn is_external_abort(self, class: u64, address: u64) -> bool {
        let far_not_valid = self.esr & (1 << 10) != 0;
        self.class() == class && self.esr & 0x3f == 0x10 && (far_not_valid || self.far == address)
    }

    /// Whether the instruction was UNDEFINED.
    pub const fn is_undefined(self) -> bool {
        self.class() == class::UNKNOWN
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "esr {:#x} far {:#x} elr {:#x}", self.esr, self.far, self.elr)
    }
}

/// Exception classes (DDI 0487, ESR_EL1).
pub mod class {
    pub const UNKNOWN: u64 = 0x00;
    pub const ILLEGAL_STATE: u64 = 0x0e;
    pub const SVC: u64 = 0x15;
    pub const INSTRUCTION_ABORT: u64 = 0x21;
    pub const DATA_ABORT: u64 = 0x25;
    pub const BREAKPOINT: u64 = 0x31;
    pub const BRK: u64 = 0x3c;
}

/// SPSR.IL.
const ILLEGAL: u64 = 1 << 20;
/// An armed probe that faults this often is in a loop.
const MOST_FAULTS: u32 = 100_000;

static ARMED: AtomicBool = AtomicBool::new(false);
static FAULTS: AtomicU32 = AtomicU32::new(0);
static ESR: AtomicU64 = AtomicU64::new(0);
static FAR: AtomicU64 = AtomicU64::new(0);
static ELR: AtomicU64 = AtomicU64::new(0);

/// Runs `probe`, in which any instruction may take an exception. Returns its result and the last exception.
pub fn probe<R>(probe: impl FnOnce() -> R) -> (R, Option<Fault>) {
    FAULTS.store(0, Relaxed);
    ARMED.store(true, Relaxed);
    let result = probe();
    ARMED.store(false, Relaxed);
    let fault = Fault { esr: ESR.load(Relaxed), far: FAR.load(Relaxed), elr: ELR.load(Relaxed) };
    (result, (FAULTS.load(Relaxed) != 0).then_some(fault))
}

/// Exceptions that the last probe took.
pub fn fault_count() -> u32 {
    FAULTS.load(Relaxed)
}

#[unsafe(no_mangle)]
extern "C" fn exception(kind: u64, frame: &mut Frame) {
    match kind % 4 {
        0 => synchronous(kind, frame),
        1 | 2 => {
            if gic::take_interrupt() == Some(gic::VTIMER) {
                timer::mask();
            }
        }
        _ => crate::hopeless(format_args!("SError, elr {:#x}", frame.elr)),
    }
}

fn synchronous(kind: u64, frame: &mut Frame) {
    let fault = Fault {
        esr: crate::read_register!("esr_el1"),
        far: crate::read_register!("far_el1"),
        elr: crate::read_register!("elr_el1"),
    };
    let faults = FAULTS.load(Relaxed).wrapping_add(1);
    if !ARMED.load(Relaxed) || faults > MOST_FAULTS {
        crate::hopeless(format_args!("unexpected exception, vector {kind}, {fault}"));
    }
    FAULTS.store(faults, Relaxed);
    ESR.store(fault.esr, Relaxed);
    FAR.store(fault.far, Relaxed);
    ELR.store(fault.elr, Relaxed);
    match fault.class() {
        // A jump to nowhere was made by a call.
        class::INSTRUCTION_ABORT => frame.elr = frame.x[30],
        // The link register of SVC is behind it already.
        class::SVC => {}
        class::ILLEGAL_STATE => {
            frame.spsr &= !ILLEGAL;
            frame.elr = fault.elr.wrapping_add(4);
        }
        _ => frame.elr = fault.elr.wrapping_add(4),
    }
    // A lower level has nothing to go back to: its tests end with the first exception.
    if kind >= 8 {
        frame.elr = frame.x[30];
        frame.spsr = 0x3c4;
    }
}
