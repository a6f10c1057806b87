// SPDX-License-Identifier: BSD-2-Clause
//! From an exception to the core: called by `vectors.s`, return the register area of the thread to run.
//!
//! Exception classes and syndromes: Arm DDI 0487, D19.2.37 (ESR_EL2).

#[cfg(feature = "paranoid")]
use kernel_abi::ROOT_CNODE_SIZE_BITS;
use kernel_abi::context::stored;
use kernel_core::fault::Fault;
use kernel_core::hardware_debug::DebugEvent;
use kernel_core::layout::Tcb;
use kernel_core::syscall::{FastCall, Next};
use kernel_core::{Machine, PhysAddr};

use crate::gic::Controller as _;
use crate::hardware::Hardware;
use crate::sysreg::read;
use crate::{Kernel, board, console, kernel};

/// ESR_EL2: exception class.
const EC_SHIFT: u64 = 26;
const EC_MASK: u64 = 0x3f;
const EC_UNKNOWN: u64 = 0x00;
const EC_FP: u64 = 0x07;
const EC_HVC64: u64 = 0x16;
const EC_SYSTEM_REGISTER: u64 = 0x18;
const EC_INSTRUCTION_ABORT: u64 = 0x20;
const EC_DATA_ABORT: u64 = 0x24;
const EC_BREAKPOINT: u64 = 0x30;
const EC_SOFTWARE_STEP: u64 = 0x32;
const EC_WATCHPOINT: u64 = 0x34;
const EC_BRK: u64 = 0x3c;
/// SPSR_EL2: the next instruction is a single step.
const SPSR_SS: u64 = 1 << 21;
/// ESR_EL2 of aborts: FAR_EL2 is not valid (10), the fault was on a walk of stage 1 tables (7), status code.
const ISS_FNV: u64 = 1 << 10;
const ISS_S1PTW: u64 = 1 << 7;
const STATUS_MASK: u64 = 0x3f;
/// Status codes with a level in bits 1:0: translation (1), access flag (2), permission (3) fault.
const STATUS_PERMISSION: u64 = 0b0011;
/// HPFAR_EL2: bits 43:4 are address bits 51:12.
const HPFAR_MASK: u64 = 0x0fff_ffff_fff0;
const HPFAR_SHIFT: u64 = 8;
const PAGE_MASK: u64 = 0xfff;
/// TcbSetFlags: the thread may not use FP.
const FLAG_FPU_DISABLED: u64 = 1;

/// Goes on in `vectors.s`; nothing on the stack is needed any more.
macro_rules! go {
    ($label:literal, $x0:expr) => {{
        let x0: u64 = $x0;
        // SAFETY: these take over from a handler that has done its part: registers are stored, x0 is what they expect,
        // and the kernel's next entry starts with an empty stack.
        unsafe { core::arch::asm!(concat!("b ", $label), in("x0") x0, options(noreturn)) }
    }};
}

/// System calls, `svc` of a native thread, that have a fast path. Each is a function of its own, so that none saves
/// registers that only another one needs, and ends with a jump: to the exit, or to what has to be done first.
macro_rules! fast_calls {
    ($($name:ident: $call:ident,)*) => { $(
        #[unsafe(no_mangle)]
        extern "C" fn $name() -> ! {
            kernel().count_entry();
            match kernel().fast_syscall(FastCall::$call) {
                Some(Next::Ready(thread)) => {
                    before_exit(kernel());
                    go!("restore_user", crate::hardware::registers_of(thread))
                }
                Some(Next::Load(thread)) => go!("load_and_restore", thread.addr().0),
                None => go!("slow_syscall", 0),
            }
        }
    )* };
}

fast_calls! {
    fast_call: Call,
    fast_reply_recv: ReplyRecv,
    fast_send: Send,
    fast_recv: Recv,
    fast_nb_send_recv: NBSendRecv,
}

/// The thread at `tcb` is to run, after a fast path.
#[unsafe(no_mangle)]
extern "C" fn load_thread(tcb: u64) -> u64 {
    let kernel = kernel();
    if let Some(tcb) = Tcb::at(PhysAddr(tcb)) {
        kernel.load_thread(tcb);
    }
    leave(kernel)
}

/// A system call that no fast path took.
#[unsafe(no_mangle)]
extern "C" fn trap_syscall() -> u64 {
    let kernel = kernel();
    kernel.count_entry();
    let number = kernel.current.reg(&kernel.m, 7);
    kernel.slow_syscall(number);
    leave(kernel)
}

/// A data abort of a guest or a native thread, by the fast path.
#[unsafe(no_mangle)]
extern "C" fn fast_data_abort(syndrome: u64) -> ! {
    let kernel = kernel();
    kernel.count_entry();
    let guest = kernel.m.vcpus.is_active();
    // The class is known, and so is what follows from it.
    let syndrome = syndrome & !(EC_MASK << EC_SHIFT) | EC_DATA_ABORT << EC_SHIFT;
    match kernel.fast_fault_entry(abort(syndrome, guest, false)) {
        Some(Next::Ready(thread)) => {
            before_exit(kernel);
            go!("restore_user", crate::hardware::registers_of(thread))
        }
        Some(Next::Load(thread)) => go!("load_and_restore", thread.addr().0),
        None => go!("slow_exception", syndrome),
    }
}

/// Any other synchronous exception, and a data abort that the fast path did not take.
#[unsafe(no_mangle)]
extern "C" fn trap_synchronous(syndrome: u64) -> u64 {
    let kernel = kernel();
    kernel.count_entry();
    let guest = kernel.m.vcpus.running().is_some();
    match syndrome >> EC_SHIFT & EC_MASK {
        EC_FP => {
            let thread = kernel.current;
            if thread.flags(&kernel.m) & FLAG_FPU_DISABLED == 0 {
                kernel.m.fpu.take(thread);
            } else {
                kernel.handle_fault(Fault::Vcpu { syndrome: syndrome & 0xffff_ffff });
            }
        }
        EC_HVC64 if guest => kernel.handle_guest_hvc(),
        class if !guest && Hardware::HW_DEBUG && debug_event(class).is_some() => {
            if let Some(event) = debug_event(class) {
                kernel.handle_debug(event);
            }
        }
        EC_SYSTEM_REGISTER if guest && is_debug_or_monitor(syndrome) => skip_register(kernel, syndrome),
        EC_INSTRUCTION_ABORT => kernel.handle_fault(abort(syndrome, guest, true)),
        EC_DATA_ABORT => kernel.handle_fault(abort(syndrome, guest, false)),
        EC_UNKNOWN => kernel.handle_fault(Fault::UserException { number: syndrome & 0xffff_ffff, code: 0 }),
        // Also of a native thread: seL4 tells no guest from other threads here.
        _ => kernel.handle_fault(Fault::Vcpu { syndrome: syndrome & 0xffff_ffff }),
    }
    leave(kernel)
}

/// Whether a trapped access was to a register of self-hosted debug, trace (op0 2) or the performance monitors (3, op1 0 or
/// 3, CRn 9, CRm 12 to 14 and CRn 14, CRm 8 to 15). Syndrome: op0 21:20, op1 16:14, CRn 13:10, CRm 4:1.
fn is_debug_or_monitor(syndrome: u64) -> bool {
    let field = |shift: u64, bits: u64| syndrome >> shift & ((1 << bits) - 1);
    matches!(
        (field(20, 2), field(14, 3), field(10, 4), field(1, 4)),
        (2, ..) | (3, 0 | 3, 9, 12..=14) | (3, 3, 14, 8..=15)
    )
}

/// A guest's access to such a register: reads zero, writes nothing. They are not switched between virtual CPUs, so a guest
/// cannot have the machine's. Monitors written for the reference kernel, which lets guests have them, expect no fault.
fn skip_register(kernel: &mut Kernel, syndrome: u64) {
    let thread = kernel.current;
    let register = (syndrome >> 5 & 0x1f) as usize;
    if syndrome & 1 != 0 && register < 31 {
        thread.set_reg(&mut kernel.m, register, 0);
    }
    let pc = thread.reg(&kernel.m, stored::PC);
    thread.set_reg(&mut kernel.m, stored::PC, pc.wrapping_add(4));
}

/// The debug exception of a class, if it is one.
fn debug_event(class: u64) -> Option<DebugEvent> {
    match class {
        EC_BREAKPOINT => Some(DebugEvent::Breakpoint),
        EC_SOFTWARE_STEP => Some(DebugEvent::Step),
        EC_WATCHPOINT => Some(DebugEvent::Watchpoint(read!("far_el2"))),
        EC_BRK => Some(DebugEvent::BreakRequest),
        _ => None,
    }
}

/// The last that is done in a kernel entry; nothing, in configuration `release`.
#[inline(always)]
fn before_exit(kernel: &mut Kernel) {
    arm_step(kernel);
    #[cfg(feature = "paranoid")]
    check_invariants(kernel);
    kernel.count_exit();
}

/// Stops the machine when an invariant is broken.
#[cfg(feature = "paranoid")]
fn check_invariants(kernel: &Kernel) {
    use core::sync::atomic::{AtomicU64, Ordering};
    /// Kernel entries so far, as long as they are told.
    const TELL: u64 = 1 << 16;
    /// Entries between two checks of the whole state.
    const WHOLE: u64 = 1 << 10;
    static ENTRIES: AtomicU64 = AtomicU64::new(0);
    let entry = ENTRIES.fetch_add(1, Ordering::Relaxed);
    let held = kernel.check_invariants(entry).and_then(|()| match kernel.root {
        Some(root) if entry.is_multiple_of(WHOLE) => kernel.check_everything(root, 1 << ROOT_CNODE_SIZE_BITS),
        _ => Ok(0),
    });
    match held {
        Err(what) => {
            console::debug_println!("kernel: invariant broken after entry {entry}: {what}");
            crate::stop();
        }
        Ok(caps) if entry == TELL => {
            let times = entry / WHOLE + 1;
            console::debug_println!(
                "kernel: invariants held for {entry} entries, {times} times all {caps} capabilities"
            );
        }
        Ok(_) => {}
    }
}

/// A thread that is to be single-stepped executes one instruction after it leaves the kernel (SPSR_EL2.SS).
#[inline(always)]
fn arm_step(kernel: &mut Kernel) {
    if Hardware::HW_DEBUG && kernel.current.steps(&kernel.m) != 0 {
        let thread = kernel.current;
        let spsr = thread.reg(&kernel.m, stored::SPSR) | SPSR_SS;
        thread.set_reg(&mut kernel.m, stored::SPSR, spsr);
    }
}

/// A stage 2 abort as a fault. The address of a native thread is the one it used; a guest's is the intermediate physical
/// address.
fn abort(syndrome: u64, guest: bool, prefetch: bool) -> Fault {
    let far = read!("far_el2");
    let address = if guest { intermediate_address(syndrome, far) } else { far };
    Fault::Vm { address, fsr: syndrome & 0xffff_ffff, prefetch }
}

/// HPFAR_EL2 holds the page, but not for every permission fault (DDI 0487, D19.2.57): then the address is translated by
/// the guest's stage 1. PAR_EL1 is the guest's and is put back.
fn intermediate_address(syndrome: u64, far: u64) -> u64 {
    let status = syndrome & STATUS_MASK;
    let hpfar_invalid = status >> 2 == STATUS_PERMISSION && syndrome & ISS_S1PTW == 0;
    let page = if hpfar_invalid {
        let saved = read!("par_el1");
        // SAFETY: an address translation instruction reads tables through the guest's own translation and changes only
        // PAR_EL1, which is restored.
        unsafe { core::arch::asm!("at s1e1r, {0}", "isb", in(reg) far, options(nostack, preserves_flags)) };
        let par = read!("par_el1");
        crate::sysreg::write!("par_el1", saved);
        if par & 1 == 0 {
            par & 0x000f_ffff_ffff_f000
        } else {
            (read!("hpfar_el2") & HPFAR_MASK) << HPFAR_SHIFT
        }
    } else {
        (read!("hpfar_el2") & HPFAR_MASK) << HPFAR_SHIFT
    };
    // FAR_EL2 tells nothing about the offset when the access was the table walker's.
    let offset = if syndrome & (ISS_FNV | ISS_S1PTW) == 0 { far & PAGE_MASK } else { 0 };
    page | offset
}

/// A physical interrupt.
#[unsafe(no_mangle)]
extern "C" fn trap_interrupt() -> u64 {
    let kernel = kernel();
    kernel.count_entry();
    interrupt(kernel);
    leave(kernel)
}

fn interrupt(kernel: &mut Kernel) {
    let gic = kernel.m.gic;
    let Some(acknowledged) = gic.acknowledge() else { return };
    let irq = acknowledged.irq();
    // The lines are level-triggered or masked before completion, so completing first loses nothing and keeps every
    // path below free to choose another thread.
    match irq {
        board::KERNEL_TIMER_IRQ => {
            // Silence the line; the core sets the next deadline.
            kernel.m.set_deadline(u64::MAX);
            kernel.reprogram = true;
            gic.complete(acknowledged);
            kernel.handle_interrupt(None);
        }
        board::VIRTUAL_TIMER_IRQ => {
            let tell = kernel.m.vcpus.vtimer_fired(gic);
            gic.complete(acknowledged);
            if tell {
                kernel.handle_vcpu_event(Fault::VppiEvent { irq });
            }
        }
        board::MAINTENANCE_IRQ => {
            let ended = kernel.m.vcpus.take_ended();
            gic.complete(acknowledged);
            if ended.is_some() {
                kernel.handle_vcpu_event(Fault::VgicMaintenance { index: ended });
            }
        }
        _ => {
            gic.set_masked(irq, true);
            gic.complete(acknowledged);
            kernel.handle_interrupt(Some(irq));
        }
    }
}

/// A system error while something below EL2 ran: it is held responsible.
#[unsafe(no_mangle)]
extern "C" fn trap_system_error(syndrome: u64) -> u64 {
    let kernel = kernel();
    kernel.count_entry();
    let fault = if kernel.m.vcpus.running().is_some() {
        Fault::Vcpu { syndrome: syndrome & 0xffff_ffff }
    } else {
        Fault::UserException { number: syndrome & 0xffff_ffff, code: 0 }
    };
    kernel.handle_fault(fault);
    leave(kernel)
}

/// Waits while there is nothing to run; returns the register area of the thread that runs.
#[inline]
pub fn leave(kernel: &mut Kernel) -> u64 {
    while kernel.current == kernel.idle {
        kernel.count_exit();
        idle(kernel);
    }
    before_exit(kernel);
    match kernel.m.exit_registers() {
        Some(registers) => registers,
        None => {
            console::debug_println!("kernel: nothing loaded");
            crate::stop()
        }
    }
}

/// Nobody runs until the next interrupt, a virtual CPU least: its timer and its list registers are silent.
#[cold]
fn idle(kernel: &mut Kernel) {
    if kernel.m.vcpus.running().is_some() {
        kernel.loaded = None;
        Hardware::switch_thread(&mut kernel.m, None, None);
    }
    // SAFETY: interrupts are masked in the kernel; a waiting one ends the wait all the same.
    unsafe { core::arch::asm!("dsb sy", "wfi", options(nostack, preserves_flags)) };
    kernel.count_entry();
    interrupt(kernel);
}

/// An exception in the kernel itself: a defect. Tells what is known and stops.
#[unsafe(no_mangle)]
extern "C" fn kernel_exception(vector: u64) -> ! {
    console::debug_println!(
        "kernel: exception {vector} in the kernel: esr {:#x} elr {:#x} far {:#x} spsr {:#x}",
        read!("esr_el2"),
        read!("elr_el2"),
        read!("far_el2"),
        read!("spsr_el2"),
    );
    crate::stop()
}
