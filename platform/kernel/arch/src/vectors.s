// SPDX-License-Identifier: BSD-2-Clause
//
// Exception vectors and the way in and out of the kernel.
//
// While anything below EL2 runs, SP_EL2 points at the register area of the thread that runs (layout::Tcb::REGISTERS:
// x0..x30, sp, pc, spsr), so that saving needs no free register. In the kernel SP_EL2 is the kernel's stack. Every
// handler returns in x0 the register area of the thread to run.

.macro save_user
    stp     x0, x1, [sp]
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
    mrs     x20, sp_el0
    mrs     x21, elr_el2
    mrs     x22, spsr_el2
    stp     x30, x20, [sp, #240]
    stp     x21, x22, [sp, #256]
    ldr     x23, =_stack_top
    mov     sp, x23
.endm

// One entry: at most 32 instructions.
.macro from_user label
    .balign 0x80
    b       \label
.endm

.macro from_kernel kind
    .balign 0x80
    ldr     x23, =_fatal_stack_top
    mov     sp, x23
    mov     x0, #\kind
    b       kernel_exception
.endm

.section .vectors, "ax"
.balign 0x800
.global exception_vectors
exception_vectors:
    // From EL2 itself: only by a defect.
    from_kernel 0
    from_kernel 1
    from_kernel 2
    from_kernel 3
    from_kernel 4
    from_kernel 5
    from_kernel 6
    from_kernel 7
    // From below, AArch64.
    from_user synchronous
    from_user interrupt
    from_user interrupt
    from_user system_error
    // From below, AArch32 (a guest's 32-bit programs).
    from_user synchronous
    from_user interrupt
    from_user interrupt
    from_user system_error

    .balign 0x80
synchronous:
    save_user
    mrs     x24, esr_el2
    lsr     x25, x24, #26
    cmp     x25, #0x15              // SVC from AArch64: only threads without a virtual CPU bring it here
    b.ne    1f
    cmn     x7, #{CALL}             // each leaves by itself
    b.eq    fast_call
    cmn     x7, #{REPLY_RECV}
    b.eq    fast_reply_recv
    cmn     x7, #{RECV}
    b.eq    fast_recv
    cmn     x7, #{SEND}
    b.eq    fast_send
    cmn     x7, #{NB_SEND_RECV}
    b.eq    fast_nb_send_recv
    cmn     x7, #{NB_SEND}
    b.eq    fast_send
.global slow_syscall
slow_syscall:
    bl      trap_syscall
    b       restore_user
1:  mov     x0, x24
    cmp     x25, #0x24              // data abort
    b.eq    fast_data_abort
.global slow_exception
slow_exception:
    bl      trap_synchronous
    b       restore_user

.global load_and_restore
load_and_restore:
    bl      load_thread
    b       restore_user

interrupt:
    save_user
    bl      trap_interrupt
    b       restore_user

system_error:
    save_user
    mrs     x0, esr_el2
    bl      trap_system_error
    // falls through

.global restore_user
restore_user:
    mov     sp, x0
    ldp     x30, x20, [sp, #240]
    ldp     x21, x22, [sp, #256]
    msr     sp_el0, x20
    msr     elr_el2, x21
    msr     spsr_el2, x22
    ldp     x0, x1, [sp]
    ldp     x2, x3, [sp, #16]
    ldp     x4, x5, [sp, #32]
    ldp     x6, x7, [sp, #48]
    ldp     x8, x9, [sp, #64]
    ldp     x10, x11, [sp, #80]
    ldp     x12, x13, [sp, #96]
    ldp     x14, x15, [sp, #112]
    ldp     x16, x17, [sp, #128]
    ldp     x18, x19, [sp, #144]
    ldp     x20, x21, [sp, #160]
    ldp     x22, x23, [sp, #176]
    ldp     x24, x25, [sp, #192]
    ldp     x26, x27, [sp, #208]
    ldp     x28, x29, [sp, #224]
    eret
    .ltorg
