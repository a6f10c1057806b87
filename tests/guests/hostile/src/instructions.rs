// SPDX-License-Identifier: BSD-2-Clause
//! Instructions that concern the hypervisor or do not exist, illegal returns, and EL0 in both execution states.

use crate::boot::USER_ALIAS;
use crate::exception::{Fault, class, fault_count, probe};
use crate::report::{check, check_value, skip};
use crate::{cpu, println, read_register, write_register};
use core::arch::{asm, global_asm};

macro_rules! run {
    ($($instruction:literal),+) => {{
        // SAFETY: none of these changes a register that is not declared, or memory; faults are probed.
        let ((), fault) = probe(|| unsafe {
            asm!($(concat!($instruction, "\n"),)+ "/* {x} */", x = inout(reg) 0u64 => _, out("x7") _, options(nostack));
        });
        fault
    }};
}

/// Runs all instruction tests.
pub fn run() {
    exceptions();
    undefined();
    maintenance();
    illegal_return();
    user_mode();
}

fn expect(name: &str, fault: Option<Fault>, wanted: u64, immediate: Option<u64>) {
    let good = fault.is_some_and(|fault| {
        fault.class() == wanted && immediate.is_none_or(|immediate| fault.esr & 0xffff == immediate)
    });
    check(name, good && fault_count() == 1, format_args!("{fault:x?}"));
}

fn exceptions() {
    expect("cpu.svc_at_el1", run!("svc #0x123"), class::SVC, Some(0x123));
    for _ in 0..3 {
        expect("cpu.brk", run!("brk #0xbeef"), class::BRK, Some(0xbeef));
    }
    expect("cpu.svc_with_kernel_call_number", run!("mov x7, #-5", "svc #0"), class::SVC, Some(0));
}

fn undefined() {
    expect("cpu.udf", run!(".inst 0"), class::UNKNOWN, None);
    expect("cpu.hlt", run!("hlt #0xf000"), class::UNKNOWN, None);
    expect("cpu.unallocated", run!(".inst 0xffffffff"), class::UNKNOWN, None);
    expect("cpu.tlbi_of_el2", run!("tlbi alle2"), class::UNKNOWN, None);
    expect("cpu.tlbi_of_stage_2", run!("tlbi vmalls12e1"), class::UNKNOWN, None);
    expect("cpu.tlbi_of_a_stage_2_address", run!("tlbi ipas2e1, {x}"), class::UNKNOWN, None);
    expect("cpu.at_of_stage_2", run!("at s12e1r, {x}"), class::UNKNOWN, None);
    expect("cpu.at_of_el2", run!("at s1e2r, {x}"), class::UNKNOWN, None);
    expect("cpu.at_of_el3", run!("at s1e3w, {x}"), class::UNKNOWN, None);
    expect("cpu.dcps2", run!("dcps2"), class::UNKNOWN, None);
    expect("cpu.drps", run!(".inst 0xd6bf03e0"), class::UNKNOWN, None);
}

/// Everything a guest may do to caches and TLBs, on addresses of its own and by set and way.
fn maintenance() {
    let own = (&raw const MARK) as u64;
    let before = cpu::load64(own, 0);
    let ((), fault) = probe(|| {
        for level in 0..3u64 {
            for set in 0..64u64 {
                for way in 0..4u64 {
                    let operand = way << 30 | set << 6 | level << 1;
                    // SAFETY: cleaning and invalidating; invalidating only is done by the hypervisor as both, or not at all.
                    unsafe { asm!("dc csw, {x}", "dc cisw, {x}", "dc isw, {x}", x = in(reg) operand) };
                }
            }
        }
        // SAFETY: architecturally harmless for a guest with one table and no dirty device memory.
        unsafe {
            asm!("dc cvac, {x}", "dc civac, {x}", "dc cvau, {x}", "ic ivau, {x}", "ic iallu", "ic ialluis", "dsb sy",
                "tlbi vmalle1", "tlbi vmalle1is", "tlbi aside1, xzr", "tlbi vae1, {x}", "dsb sy", "isb",
                "at s1e1r, {x}", "at s1e0w, {x}", "isb", x = in(reg) own);
        }
    });
    let good = fault.is_none() && cpu::load64(own, 0) == before;
    check("cpu.cache_and_tlb_maintenance", good, format_args!("{} exceptions, {fault:x?}", fault_count()));
    println!("# caches: clidr {:#x} ctr {:#x}", read_register!("clidr_el1"), read_register!("ctr_el0"));
}

static MARK: u64 = 0x0123_4567_89ab_cdef;

fn illegal_return() {
    for (name, state) in [
        ("cpu.return_to_el2", 0x3c9u64),
        ("cpu.return_to_el3", 0x3cd),
        ("cpu.return_to_aarch32_hyp", 0x1da),
        ("cpu.return_to_a_reserved_mode", 0x3c6),
    ] {
        // SAFETY: the return is illegal: execution goes on behind it with PSTATE.IL set, which traps once.
        let ((), fault) = probe(|| unsafe {
            asm!("msr spsr_el1, {s}", "adr {a}, 2f", "msr elr_el1, {a}", "isb", "eret", "2: nop", "nop",
                s = in(reg) state, a = out(reg) _);
        });
        expect(name, fault, class::ILLEGAL_STATE, None);
    }
}

global_asm!(
    r#"
    .text
    .balign 64
    // EL0, AArch64: instruction n of the table, then SVC. X0: n.
user_code:
    adr     x1, 1f
    add     x1, x1, x0, lsl #3
    br      x1
1:  svc     #1
    nop
    wfi
    svc     #2
    wfe
    svc     #3
    smc     #0
    svc     #4
    hvc     #0
    svc     #5
    mrs     x2, pmccntr_el0
    svc     #6
    mrs     x2, cntp_ctl_el0
    svc     #7
    mrs     x2, dbgdtr_el0
    svc     #8
    mrs     x2, s3_1_c15_c2_0
    svc     #9
    brk     #3
    svc     #10
    mrs     x2, cntpct_el0
    svc     #11
    .inst   0
    svc     #12
    mrs     x2, s3_3_c15_c2_0
    svc     #13

    .balign 64
    // EL0, AArch32, A32 instructions in the same layout.
user_code_32:
    .inst   0xe1a00180          // mov r0, r0, lsl #3
    .inst   0xe08ff000          // add pc, pc, r0    (pc reads as this + 8)
    nop
    .inst   0xef000001          // svc #1
    .inst   0xe320f000          // nop
    .inst   0xe320f003          // wfi
    .inst   0xef000002
    .inst   0x0320f003          // wfieq: condition fails or not
    .inst   0xef000003
    .inst   0xe1600070          // smc #0: undefined at EL0
    .inst   0xef000004
    .inst   0xe1400070          // hvc #0: undefined at EL0
    .inst   0xef000005
    .inst   0xee191f1d          // mrc p15, 0, r1, c9, c13, 0    cycle counter
    .inst   0xef000006
    .inst   0xee101e15          // mrc p14, 0, r1, c0, c5, 0     debug channel
    .inst   0xef000007
    .inst   0xee1e1f32          // mrc p15, 0, r1, c14, c2, 1    physical timer
    .inst   0xef000008
    .inst   0xec510f0e          // mrrc p15, 0, r0, r1, c14      physical counter
    .inst   0xef000009
    .inst   0xee1f1f10          // mrc p15, 0, r1, c15, c0, 0    implementation defined
    .inst   0xef00000a
    .inst   0xed901e00          // ldc p14, c1, [r0]             debug channel from memory
    .inst   0xef00000b
    .inst   0xee000e10          // mcr p14, 0, r0, c0, c0, 0
    .inst   0xef00000c
    .inst   0xe7f000f0          // udf
    .inst   0xef00000d

    .text
    // In: x0 first argument, x1 address, x2 SPSR. The first exception from EL0 comes back through the link register.
    // AArch32 state leaves no more than 32 bits of anything: all is saved here.
    .global enter_user
enter_user:
    stp     x29, x30, [sp, #-96]!
    stp     x19, x20, [sp, #16]
    stp     x21, x22, [sp, #32]
    stp     x23, x24, [sp, #48]
    stp     x25, x26, [sp, #64]
    stp     x27, x28, [sp, #80]
    adrp    x3, user_saved_sp
    mov     x4, sp
    str     x4, [x3, :lo12:user_saved_sp]
    adr     x30, 1f
    msr     elr_el1, x1
    msr     spsr_el1, x2
    isb
    eret
1:  adrp    x3, user_saved_sp
    ldr     x3, [x3, :lo12:user_saved_sp]
    mov     sp, x3
    ldp     x19, x20, [sp, #16]
    ldp     x21, x22, [sp, #32]
    ldp     x23, x24, [sp, #48]
    ldp     x25, x26, [sp, #64]
    ldp     x27, x28, [sp, #80]
    ldp     x29, x30, [sp], #96
    ret

    .section .bss
    .balign 8
user_saved_sp:
    .skip   8
    "#
);

unsafe extern "C" {
    static user_code: u8;
    static user_code_32: u8;
    fn enter_user(argument: u64, address: u64, state: u64);
}

/// Number of instructions in each of the tables above.
const USER_CASES: u64 = 13;

fn user_mode() {
    // Reset values for what decides traps from EL0: none of the guest's own.
    let saved = read_register!("cntkctl_el1");
    write_register!("cntkctl_el1", 0x303);
    let _ = probe(|| write_register!("pmuserenr_el0", 0xf));
    let alias = |code: *const u8| (code as u64).wrapping_sub(0x4000_0000).wrapping_add(USER_ALIAS);
    run_user("cpu.user_mode", alias(&raw const user_code), 0x3c0);
    if read_register!("id_aa64pfr0_el1") & 15 == 2 {
        run_user("cpu.user_mode_aarch32", alias(&raw const user_code_32), 0x1d0);
    } else {
        skip("cpu.user_mode_aarch32", "not implemented by this processor");
    }
    write_register!("cntkctl_el1", saved);
    let _ = probe(|| write_register!("pmuserenr_el0", 0));
    check_value("cpu.still_at_el1", read_register!("currentel"), &[4]);
}

/// Each instruction ends in exactly one exception: its own, or that of the SVC behind it.
fn run_user(name: &str, code: u64, state: u64) {
    for case in 0..USER_CASES {
        // SAFETY: all registers that EL0 code may change are saved, and its first exception comes back.
        let ((), fault) = probe(|| unsafe { enter_user(case, code, state) });
        let sensible = fault.is_some_and(|fault| {
            // From EL0: unknown, WFI, CP15, CP14, MRRC, LDC, SVC, system register, BRK.
            let own =
                matches!(fault.class(), 0x00 | 0x01 | 0x03..=0x06 | 0x0c | 0x11 | 0x15 | 0x18 | 0x3c | 0x24);
            own && (fault.elr & !0xfff).abs_diff(code & !0xfff) <= 0x1000
        });
        check(name, sensible && fault_count() == 1, format_args!("case {case}: {fault:x?}"));
    }
}
