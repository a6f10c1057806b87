/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The interface of a protection domain written in C. A program defines init() and notified(), and protected() if others
 * call it, fault() if it has children or a virtual machine; it is linked with libmicrokit.a and microkit.ld.
 *
 * Channel, child and vCPU numbers are those of the system description. A function that is given a number which this
 * domain does not have says so on the debug console and does nothing; one whose invocation the kernel refuses ends the
 * domain with a memory fault at the address of the error's number, which its fault handler reports.
 */
#pragma once

#include <sel4/sel4.h>

typedef unsigned int microkit_channel;
typedef unsigned int microkit_child;
typedef unsigned int microkit_ioport;
typedef seL4_MessageInfo_t microkit_msginfo;

/* Where the tool puts capabilities. */
#define MONITOR_EP 5
#define TCB_CAP 6     /* in the configuration `benchmark` */
#define ARM_SMC_CAP 7 /* of domains with smc="true" */
#define BASE_OUTPUT_NOTIFICATION_CAP 10
#define BASE_ENDPOINT_CAP 74
#define BASE_IRQ_CAP 138
#define BASE_TCB_CAP 202
#define BASE_VM_TCB_CAP 266
#define BASE_VCPU_CAP 330
#define BASE_IOPORT_CAP 394
#define BASE_USER_CAPS 458

#define PD_ROOT_CAP_BITS 6
#define PD_ROOT_CAP_SIZE (1ul << PD_ROOT_CAP_BITS)

#define MICROKIT_MAX_USER_CAPS 128
#define MICROKIT_MAX_CHANNELS 62
#define MICROKIT_MAX_CHANNEL_ID (MICROKIT_MAX_CHANNELS - 1)
#define MICROKIT_MAX_IOPORT_ID MICROKIT_MAX_CHANNELS
#define MICROKIT_PD_NAME_LENGTH 64

/* --- what the program defines ----------------------------------------------------------------------------------- */

void init(void);
void notified(microkit_channel ch);
/* Returns the reply. */
microkit_msginfo protected(microkit_channel ch, microkit_msginfo msginfo);
/* Returns whether the child goes on, with what *reply_msginfo says as the reply to its fault. */
seL4_Bool fault(microkit_child child, microkit_msginfo msginfo, microkit_msginfo *reply_msginfo);

/* --- what the library and the tool define ----------------------------------------------------------------------- */

extern char microkit_name[MICROKIT_PD_NAME_LENGTH];
/* What is sent together with the next receive, if anything. */
extern seL4_Bool microkit_have_signal;
extern seL4_CPtr microkit_signal_cap;
extern seL4_MessageInfo_t microkit_signal_msg;
/* A bit for each channel that may be used so. */
extern seL4_Word microkit_irqs;
extern seL4_Word microkit_notifications;
extern seL4_Word microkit_pps;
extern seL4_Word microkit_ioports;

/* The debug console; silent where the kernel does not print. Numbers are written in decimal. */
void microkit_dbg_putc(int c);
void microkit_dbg_puts(const char *s);
void microkit_dbg_put8(seL4_Uint8 x);
void microkit_dbg_put32(seL4_Uint32 x);

/* Ends this domain; `err` becomes the address of its last fault. */
static inline void microkit_internal_crash(seL4_Error err)
{
    __asm__ volatile("str wzr, [%0]" : : "r"((seL4_Word)err) : "memory");
}

/* Ends this domain unless an invocation succeeded. */
static inline void microkit_internal_check(seL4_Error err, const char *what)
{
    if (err != seL4_NoError) {
        microkit_dbg_puts(what);
        microkit_dbg_puts(": the kernel refused it\n");
        microkit_internal_crash(err);
    }
}

/* Whether `set` has `ch`; says so if not. */
static inline int microkit_internal_has(seL4_Word set, microkit_channel ch, const char *what)
{
    if (ch <= MICROKIT_MAX_CHANNEL_ID && (set >> ch & 1)) {
        return 1;
    }
    microkit_dbg_puts(microkit_name);
    microkit_dbg_puts(" ");
    microkit_dbg_puts(what);
    microkit_dbg_puts(": invalid channel given '");
    microkit_dbg_put32(ch);
    microkit_dbg_puts("'\n");
    return 0;
}

/* --- channels and interrupts ------------------------------------------------------------------------------------ */

static inline void microkit_notify(microkit_channel ch)
{
    if (microkit_internal_has(microkit_notifications, ch, "microkit_notify")) {
        seL4_Signal(BASE_OUTPUT_NOTIFICATION_CAP + ch);
    }
}

static inline void microkit_irq_ack(microkit_channel ch)
{
    if (microkit_internal_has(microkit_irqs, ch, "microkit_irq_ack")) {
        (void)seL4_IRQHandler_Ack(BASE_IRQ_CAP + ch);
    }
}

/* Calls the other end; its reply, or an empty message if there is no such channel. */
static inline microkit_msginfo microkit_ppcall(microkit_channel ch, microkit_msginfo msginfo)
{
    if (!microkit_internal_has(microkit_pps, ch, "microkit_ppcall")) {
        return seL4_MessageInfo_new(0, 0, 0, 0);
    }
    return seL4_Call(BASE_ENDPOINT_CAP + ch, msginfo);
}

/* Deferred: done by the system call that waits for the next event. There is one place; a second action replaces the
 * first. */
static inline void microkit_internal_defer(seL4_CPtr cap, seL4_Word label)
{
    microkit_have_signal = seL4_True;
    microkit_signal_cap = cap;
    microkit_signal_msg = seL4_MessageInfo_new(label, 0, 0, 0);
}

static inline void microkit_deferred_notify(microkit_channel ch)
{
    if (microkit_internal_has(microkit_notifications, ch, "microkit_deferred_notify")) {
        microkit_internal_defer(BASE_OUTPUT_NOTIFICATION_CAP + ch, 0);
    }
}

static inline void microkit_deferred_irq_ack(microkit_channel ch)
{
    if (microkit_internal_has(microkit_irqs, ch, "microkit_deferred_irq_ack")) {
        microkit_internal_defer(BASE_IRQ_CAP + ch, IRQAckIRQ);
    }
}

/* --- messages --------------------------------------------------------------------------------------------------- */

static inline microkit_msginfo microkit_msginfo_new(seL4_Word label, seL4_Uint16 count)
{
    return seL4_MessageInfo_new(label, 0, 0, count);
}

static inline seL4_Word microkit_msginfo_get_label(microkit_msginfo msginfo)
{
    return seL4_MessageInfo_get_label(msginfo);
}

static inline seL4_Word microkit_msginfo_get_count(microkit_msginfo msginfo)
{
    return seL4_MessageInfo_get_length(msginfo);
}

static inline void microkit_mr_set(seL4_Uint8 mr, seL4_Word value)
{
    seL4_SetMR(mr, value);
}

static inline seL4_Word microkit_mr_get(seL4_Uint8 mr)
{
    return seL4_GetMR(mr);
}

/* --- children --------------------------------------------------------------------------------------------------- */

/* Sets a thread's program counter, no other register, and lets it run. */
static inline seL4_Error microkit_internal_start(seL4_TCB tcb, seL4_Word entry_point)
{
    seL4_UserContext context = {0};
    context.pc = entry_point;
    return seL4_TCB_WriteRegisters(tcb, seL4_True, 0, 1, &context);
}

static inline void microkit_pd_restart(microkit_child pd, seL4_Word entry_point)
{
    microkit_internal_check(microkit_internal_start(BASE_TCB_CAP + pd, entry_point), "microkit_pd_restart");
}

static inline void microkit_pd_stop(microkit_child pd)
{
    microkit_internal_check(seL4_TCB_Suspend(BASE_TCB_CAP + pd), "microkit_pd_stop");
}

static inline void microkit_pd_resume(microkit_child pd)
{
    microkit_internal_check(seL4_TCB_Resume(BASE_TCB_CAP + pd), "microkit_pd_resume");
}

/* --- virtual machines ------------------------------------------------------------------------------------------- */

#ifdef CONFIG_ARM_HYPERVISOR_SUPPORT
static inline void microkit_vcpu_restart(microkit_child vcpu, seL4_Word entry_point)
{
    microkit_internal_check(microkit_internal_start(BASE_VM_TCB_CAP + vcpu, entry_point), "microkit_vcpu_restart");
}

static inline void microkit_vcpu_stop(microkit_child vcpu)
{
    microkit_internal_check(seL4_TCB_Suspend(BASE_VM_TCB_CAP + vcpu), "microkit_vcpu_stop");
}

/* `index` is the list register. */
static inline void microkit_vcpu_arm_inject_irq(microkit_child vcpu, seL4_Uint16 irq, seL4_Uint8 priority,
                                                seL4_Uint8 group, seL4_Uint8 index)
{
    microkit_internal_check(seL4_ARM_VCPU_InjectIRQ(BASE_VCPU_CAP + vcpu, irq, priority, group, index),
                            "microkit_vcpu_arm_inject_irq");
}

static inline void microkit_vcpu_arm_ack_vppi(microkit_child vcpu, seL4_Word irq)
{
    microkit_internal_check(seL4_ARM_VCPU_AckVPPI(BASE_VCPU_CAP + vcpu, irq), "microkit_vcpu_arm_ack_vppi");
}

static inline seL4_Word microkit_vcpu_arm_read_reg(microkit_child vcpu, seL4_Word reg)
{
    seL4_ARM_VCPU_ReadRegs_t result = seL4_ARM_VCPU_ReadRegs(BASE_VCPU_CAP + vcpu, (seL4_VCPUReg)reg);
    microkit_internal_check((seL4_Error)result.error, "microkit_vcpu_arm_read_reg");
    return result.value;
}

static inline void microkit_vcpu_arm_write_reg(microkit_child vcpu, seL4_Word reg, seL4_Word value)
{
    microkit_internal_check(seL4_ARM_VCPU_WriteRegs(BASE_VCPU_CAP + vcpu, (seL4_VCPUReg)reg, value),
                            "microkit_vcpu_arm_write_reg");
}
#endif

#ifdef CONFIG_ALLOW_SMC_CALLS
/* Makes a secure monitor call with the registers x0 to x7 of *args; what it returns is in *response. */
static inline void microkit_arm_smc_call(seL4_ARM_SMCContext *args, seL4_ARM_SMCContext *response)
{
    microkit_internal_check(seL4_ARM_SMC_Call(ARM_SMC_CAP, args, response), "microkit_arm_smc_call");
}
#endif

/* --- capabilities of the <cspace> element ----------------------------------------------------------------------- */

/* The capability in a slot of the system description's <cspace>; the null capability if there is no such slot. */
static inline seL4_CPtr microkit_cspace_root_slot_to_cptr(seL4_Word slot)
{
    return slot < PD_ROOT_CAP_SIZE ? slot << (seL4_WordBits - PD_ROOT_CAP_BITS) : seL4_CapNull;
}
