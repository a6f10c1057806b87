// SPDX-License-Identifier: BSD-2-Clause
//
// The kernel's first instructions. Entered by the loader at EL2 with translation on, at the virtual address the image
// is linked for; x0 to x5 as in boot::Handover. This page is given to the root task after boot.

.section .boot.entry, "ax"
.global _start
_start:
    msr     daifset, #0xf
    msr     spsel, #1
    // Zero what is not in the file (start and end are multiples of 16).
    adrp    x9, _bss_start
    add     x9, x9, :lo12:_bss_start
    adrp    x10, _bss_end
    add     x10, x10, :lo12:_bss_end
1:  cmp     x9, x10
    b.hs    2f
    stp     xzr, xzr, [x9], #16
    b       1b
2:  adrp    x9, _stack_top
    add     x9, x9, :lo12:_stack_top
    mov     sp, x9
    mov     x29, xzr
    // kernel_main takes this page out of the address space and returns the registers of the first thread.
    ldr     x30, =restore_user
    ldr     x16, =kernel_main
    br      x16
    .ltorg
