// SPDX-License-Identifier: BSD-2-Clause
//! `memcpy` and `memset`, which compiled code calls for copies whose size it does not know. They replace the compiler's
//! own, which move a word at a time and need about a hundred instructions to begin with.
//!
//! General-purpose registers only: a floating-point register would make the kernel switch the floating-point unit, from
//! the guest's registers to the VMM's on every exit. Accesses may be unaligned, so neither is for device memory.

use core::arch::global_asm;

global_asm!(
    r#"
    .section .text.memcpy, "ax"
    .globl memcpy
    .type memcpy, %function
    .p2align 4
memcpy: // x0 to, x1 from, x2 size; returns x0
    add x4, x1, x2
    add x5, x0, x2
    cmp x2, #16
    b.lo 3f
    cmp x2, #64
    b.hi 5f
    cmp x2, #32
    b.hi 2f
    // 16 to 32: both ends, which may overlap; likewise below.
    ldp x6, x7, [x1]
    ldp x8, x9, [x4, #-16]
    stp x6, x7, [x0]
    stp x8, x9, [x5, #-16]
    ret
2:  // 33 to 64
    ldp x6, x7, [x1]
    ldp x8, x9, [x1, #16]
    ldp x10, x11, [x4, #-32]
    ldp x12, x13, [x4, #-16]
    stp x6, x7, [x0]
    stp x8, x9, [x0, #16]
    stp x10, x11, [x5, #-32]
    stp x12, x13, [x5, #-16]
    ret
3:  tbz x2, #3, 4f
    ldr x6, [x1] // 8 to 15
    ldr x7, [x4, #-8]
    str x6, [x0]
    str x7, [x5, #-8]
    ret
4:  tbz x2, #2, 7f
    ldr w6, [x1] // 4 to 7
    ldr w7, [x4, #-4]
    str w6, [x0]
    str w7, [x5, #-4]
    ret
7:  cbz x2, 8f
    lsr x8, x2, #1 // 1 to 3
    ldrb w6, [x1]
    ldrb w9, [x1, x8]
    ldrb w7, [x4, #-1]
    strb w6, [x0]
    strb w9, [x0, x8]
    strb w7, [x5, #-1]
8:  ret
5:  mov x3, x0 // more than 64: blocks, then the last 64, which may overlap them
6:  ldp x6, x7, [x1]
    ldp x8, x9, [x1, #16]
    ldp x10, x11, [x1, #32]
    ldp x12, x13, [x1, #48]
    add x1, x1, #64
    stp x6, x7, [x3]
    stp x8, x9, [x3, #16]
    stp x10, x11, [x3, #32]
    stp x12, x13, [x3, #48]
    add x3, x3, #64
    sub x2, x2, #64
    cmp x2, #64
    b.hi 6b
    ldp x6, x7, [x4, #-64]
    ldp x8, x9, [x4, #-48]
    ldp x10, x11, [x4, #-32]
    ldp x12, x13, [x4, #-16]
    stp x6, x7, [x5, #-64]
    stp x8, x9, [x5, #-48]
    stp x10, x11, [x5, #-32]
    stp x12, x13, [x5, #-16]
    ret
    .size memcpy, . - memcpy

    .section .text.memset, "ax"
    .globl memset
    .type memset, %function
    .p2align 4
memset: // x0 to, w1 byte, x2 size; returns x0
    and x1, x1, #0xff
    mov x6, #0x0101010101010101
    mul x6, x1, x6
    add x5, x0, x2
    cmp x2, #16
    b.lo 3f
    cmp x2, #64
    b.hi 5f
    cmp x2, #32
    b.hi 2f
    stp x6, x6, [x0] // 16 to 32
    stp x6, x6, [x5, #-16]
    ret
2:  stp x6, x6, [x0] // 33 to 64
    stp x6, x6, [x0, #16]
    stp x6, x6, [x5, #-32]
    stp x6, x6, [x5, #-16]
    ret
3:  tbz x2, #3, 4f
    str x6, [x0] // 8 to 15
    str x6, [x5, #-8]
    ret
4:  tbz x2, #2, 7f
    str w6, [x0] // 4 to 7
    str w6, [x5, #-4]
    ret
7:  cbz x2, 8f
    lsr x8, x2, #1 // 1 to 3
    strb w6, [x0]
    strb w6, [x0, x8]
    strb w6, [x5, #-1]
8:  ret
5:  mov x3, x0 // more than 64
6:  stp x6, x6, [x3]
    stp x6, x6, [x3, #16]
    stp x6, x6, [x3, #32]
    stp x6, x6, [x3, #48]
    add x3, x3, #64
    sub x2, x2, #64
    cmp x2, #64
    b.hi 6b
    stp x6, x6, [x5, #-64]
    stp x6, x6, [x5, #-48]
    stp x6, x6, [x5, #-32]
    stp x6, x6, [x5, #-16]
    ret
    .size memset, . - memset
    "#
);
