// SPDX-License-Identifier: BSD-2-Clause
//
// The image's first instructions. Runs at EL3 or EL2, at EL2 with or without MMU and caches, wherever the image was put; ends in loader_main
// (main.rs) at EL2, at the link address, on a stack. Position independent up to the jump.

.section .text.start, "ax"
.global _start
_start:
    msr     daifset, #0xf
    mrs     x0, CurrentEL
    lsr     x0, x0, #2
    cmp     x0, #3
    b.eq    at_el3
    cmp     x0, #2
    b.eq    at_el2
    // EL1: no kernel with virtual machines can run here. There is no console to say so on.
1:  wfi
    b       1b

at_el3:
    msr     cptr_el3, xzr
    // SCR_EL3: EL2 is AArch64 (RW), HVC on (HCE), SMC on, Non-secure (NS), RES1 bits 5:4.
    mov     x0, #0x531
    msr     scr_el3, x0
    // SCTLR_EL2: RES1 bits, MMU and caches off.
    movz    x0, #0x0830
    movk    x0, #0x30c5, lsl #16
    msr     sctlr_el2, x0
    // SPSR: EL2h, D, A, I, F masked.
    mov     x0, #0x3c9
    msr     spsr_el3, x0
    adr     x0, at_el2
    msr     elr_el3, x0
    // Interrupts belong to the Non-secure world: group 1, for what this security state can still decide.
    ldr     x1, =GIC_DISTRIBUTOR
    ldr     w2, [x1, #4]                // GICD_TYPER
    and     w2, w2, #0x1f               // ITLinesNumber: registers - 1
    add     x3, x1, #0x80               // GICD_IGROUPR0
    mov     w4, #-1
2:  str     w4, [x3], #4
    subs    w2, w2, #1
    b.pl    2b
    mov     w4, #3
    str     w4, [x1]                    // GICD_CTLR: both groups
    .if GIC_CPU_INTERFACE               // GICv2; the kernel sets a GICv3's system registers up
    ldr     x1, =GIC_CPU_INTERFACE
    mov     w4, #0xf0
    str     w4, [x1, #4]                // GICC_PMR
    mov     w4, #3
    str     w4, [x1]                    // GICC_CTLR
    .else
    mov     x4, #0xf
    msr     icc_sre_el3, x4
    .endif
    isb
    eret

at_el2:
    msr     cptr_el2, xzr               // FP registers are used for copying
    msr     cntvoff_el2, xzr
    mov     x0, #3
    msr     cnthctl_el2, x0             // EL1 may use the physical counter and timer
    msr     hcr_el2, xzr
    isb
    // A boot loader that leaves its caches and translation on (U-Boot's `go`): the image goes to memory, and what is cached of
    // where it will be moved goes too, or it would hide what is written there past the caches. Then both go off.
    mrs     x3, sctlr_el2
    tbz     x3, #2, 9f
    adr     x0, _start
    ldr     x1, =LINK_ADDRESS
    ldr     x2, =_image_end
    sub     x2, x2, x1                  // loader bytes
    add     x4, x0, x2                  // header
    ldr     x4, [x4, #8]                // header.size: everything behind the loader
    add     x2, x2, x4                  // bytes of all
    add     x2, x2, x0                  // its end
8:  dc      civac, x0
    dc      civac, x1
    add     x0, x0, #64
    add     x1, x1, #64
    cmp     x0, x2
    b.lo    8b
    dc      civac, x1                   // x0 may have begun inside a line
    dsb     sy
    bic     x3, x3, #1                  // MMU
    bic     x3, x3, #4                  // data cache
    msr     sctlr_el2, x3
    isb
    tlbi    alle2
    ic      iallu
    dsb     sy
    isb
    // Move the image to its link address when it was put elsewhere. The header behind it says how long it is.
9:  adr     x0, _start
    ldr     x1, =LINK_ADDRESS
    cmp     x0, x1
    b.eq    4f
    ldr     x2, =_image_end
    sub     x2, x2, x1                  // loader bytes
    add     x3, x0, x2                  // header
    ldr     x3, [x3, #8]                // header.size: everything behind the loader
    add     x2, x2, x3
    add     x2, x2, #63
    bic     x2, x2, #63
    cmp     x1, x0
    b.hi    5f
    // The target is below: copy upwards.
3:  ldp     q0, q1, [x0], #32
    ldp     q2, q3, [x0], #32
    stp     q0, q1, [x1], #32
    stp     q2, q3, [x1], #32
    subs    x2, x2, #64
    b.ne    3b
    b       6f
    // The target is above: copy downwards.
5:  add     x0, x0, x2
    add     x1, x1, x2
7:  ldp     q0, q1, [x0, #-32]!
    ldp     q2, q3, [x0, #-32]!
    stp     q0, q1, [x1, #-32]!
    stp     q2, q3, [x1, #-32]!
    subs    x2, x2, #64
    b.ne    7b
6:  dsb     sy
    ic      iallu
    dsb     sy
    isb
4:  ldr     x0, =_stack_top
    mov     sp, x0
    ldr     x0, =loader_main
    br      x0

// enable_mmu(root: x0, mair: x1, tcr: x2, sctlr: x3): the caller runs in memory that `root` maps one to one.
.section .text.enable_mmu, "ax"
.global enable_mmu
enable_mmu:
    msr     ttbr0_el2, x0
    msr     mair_el2, x1
    msr     tcr_el2, x2
    dsb     sy
    isb
    tlbi    alle2
    ic      iallu
    dsb     sy
    isb
    msr     sctlr_el2, x3
    isb
    ret

// enter_kernel(arguments: x0 -> six words, entry: x1)
.section .text.enter_kernel, "ax"
.global enter_kernel
enter_kernel:
    msr     tpidr_el1, xzr              // logical CPU number
    mov     x9, x1
    mov     x10, x0
    ldp     x0, x1, [x10]
    ldp     x2, x3, [x10, #16]
    ldp     x4, x5, [x10, #32]
    mov     x30, xzr
    br      x9
