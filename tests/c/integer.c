/* SPDX-License-Identifier: BSD-2-Clause */
/* Uses the FPU, which the system description does not let it. */
#include <microkit.h>
#include <stdint.h>

uintptr_t uart;

void init(void)
{
    __asm__ volatile("fmov d0, xzr" ::: "v0");
    microkit_internal_crash(seL4_NoError);
}

void notified(microkit_channel ch)
{
    (void)ch;
}
