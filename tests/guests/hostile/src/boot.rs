// SPDX-License-Identifier: BSD-2-Clause
//! From the first instruction to Rust: image header, translation tables, stacks, vectors; entry of secondary vCPUs.
//!
//! Memory as the guest sees it (1 GiB blocks, virtual equal to physical unless said):
//!
//! | virtual | what |
//! |---|---|
//! | 0x0000_0000 | device memory |
//! | 0x4000_0000 | RAM, as normal memory; also at 0x8000_0000, and 0x1_0000_0000 up |
//! | 0xc000_0000 | physical 0x4000_0000 again, read only, also for EL0 |
//! | 0x2_0000_0000 | physical 0x0000_0000 again, as normal memory that is not cached: unaligned accesses reach stage 2 |
//!
//! Rust runs on SP_EL0, exceptions on SP_EL1: a test that breaks its stack is still told what happened.

use core::arch::global_asm;

/// Where physical address 0 appears a second time, as normal memory.
pub const UNALIGNED_ALIAS: u64 = 0x2_0000_0000;

/// Where physical address 0x4000_0000 appears a second time, readable and executable by EL0.
pub const USER_ALIAS: u64 = 0xc000_0000;

/// Bytes of each of a secondary vCPU's two stacks.
const SECONDARY_STACK: usize = 0x8000;

global_asm!(
    r#"
    .section .head, "ax"
    .global _start
_start:
    // Image header: Linux, Documentation/arch/arm64/booting.rst.
    b       primary
    .long   0
    .quad   0x200000            // load 2 MiB above a 2 MiB boundary
    .quad   image_size
    .quad   0xa                 // little endian, 4 KiB pages, anywhere
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .long   0

primary:
    msr     daifset, #15
    adr     x1, _start
    ldr     x2, =image_start
    cmp     x1, x2
    b.ne    misplaced
    ldr     x1, =bss_start
    ldr     x2, =bss_end
1:  cmp     x1, x2
    b.hs    2f
    stp     xzr, xzr, [x1], #16
    b       1b
2:  ldr     x1, =primary_stack_top
    ldr     x2, =exception_stack_top
    bl      prepare
    bl      main
3:  wfi
    b       3b

    // Says so one character at a time: nothing here depends on the address.
misplaced:
    adr     x1, 9f
    mov     x2, #0x09000000
8:  ldrb    w3, [x1], #1
    cbz     w3, 3b
    str     w3, [x2]
    b       8b
9:  .asciz  "hostile guest: not loaded at 0x40200000\n"
    .balign 4

    // In: x0 from CPU_ON, which is kept for Rust.
    .global secondary_entry
secondary_entry:
    msr     daifset, #15
    ldr     x1, =secondary_stack_top
    ldr     x2, =secondary_exception_stack_top
    bl      prepare
    b       secondary_main

    // In: x1 stack, x2 exception stack. Turns on the MMU. Keeps x0.
prepare:
    msr     spsel, #1
    mov     sp, x2
    msr     spsel, #0
    mov     sp, x1
    ldr     x3, =vectors
    msr     vbar_el1, x3
    ldr     x3, =translation_table
    ldr     x4, =0x00000000000000ff | (0x44 << 8)     // attribute 0: normal, write-back; 1: normal, not cached; 2: device
    movk    x4, #0x0004, lsl #16
    msr     mair_el1, x4
    // 39-bit lower half, 4 KiB granule, write-back walks; no walks in the upper half (EPD1); 40-bit physical.
    ldr     x4, =(25 | (1 << 8) | (1 << 10) | (3 << 12) | (25 << 16) | (1 << 23) | (2 << 30) | (2 << 32))
    msr     tcr_el1, x4
    msr     ttbr0_el1, x3
    msr     ttbr1_el1, xzr
    mov     x4, #(3 << 20)
    msr     cpacr_el1, x4
    dsb     sy
    tlbi    vmalle1
    ic      iallu
    dsb     sy
    isb
    ldr     x4, =0x30d01805     // RES1 bits, I, C, M; no alignment checks
    msr     sctlr_el1, x4
    isb
    ret

    .section .rodata
    .balign 4096
translation_table:
    .set    NORMAL, 0x701       // block, attribute 0, inner shareable, accessed
    .set    UNCACHED, 0x705
    .set    DEVICE, 0x409
    .set    USER_READ_ONLY, 0xc0
    .quad   0x000000000 + DEVICE
    .set    block, 1
    .rept   2
    .quad   (block << 30) + NORMAL
    .set    block, block + 1
    .endr
    .quad   0x40000000 + NORMAL + USER_READ_ONLY
    .set    block, 4
    .rept   4
    .quad   (block << 30) + NORMAL
    .set    block, block + 1
    .endr
    .quad   0x000000000 + UNCACHED
    .fill   503, 8, 0

    .section .bss
    .balign 16
    .skip   0x10000
primary_stack_top:
    .skip   0x8000
exception_stack_top:
    .skip   {secondary}
secondary_stack_top:
    .skip   {secondary}
secondary_exception_stack_top:
    "#,
    secondary = const SECONDARY_STACK,
);

unsafe extern "C" {
    static secondary_entry: u8;
    static bss_end: u8;
}

/// Address of the entry for CPU_ON.
pub fn secondary_entry_address() -> u64 {
    (&raw const secondary_entry) as u64
}

/// First address behind the guest's own memory.
pub fn end_of_image() -> u64 {
    (&raw const bss_end) as u64
}
