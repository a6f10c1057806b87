/* SPDX-License-Identifier: BSD-2-Clause */
/* Answers notifications, and has a timer interrupt and the right to make secure monitor calls. */
#include "test.h"

uintptr_t uart;
#define CLIENT 0
#define TIMER 1
#define PSCI_VERSION 0x84000000

/* The physical timer: fires after `ticks`. */
static void arm_timer(uint64_t ticks)
{
    __asm__ volatile("msr cntp_tval_el0, %0; msr cntp_ctl_el0, %1; isb" : : "r"(ticks), "r"(1ul));
}

void init(void)
{
    seL4_ARM_SMCContext arguments = {.x0 = PSCI_VERSION};
    seL4_ARM_SMCContext response = {0};
    microkit_arm_smc_call(&arguments, &response);
    report("has PSCI version", response.x0);
    arm_timer(100000);
}

void notified(microkit_channel ch)
{
    static unsigned ticks = 0;
    if (ch == CLIENT) {
        microkit_deferred_notify(CLIENT);
    } else if (ch == TIMER && ++ticks < 3) {
        arm_timer(100000);
        if (ticks == 1) {
            microkit_irq_ack(TIMER);
        } else {
            microkit_deferred_irq_ack(TIMER);
        }
    } else {
        __asm__ volatile("msr cntp_ctl_el0, %0; isb" : : "r"(0ul));
        report("was interrupted", ticks);
    }
}
