/* SPDX-License-Identifier: BSD-2-Clause */
/* Crashes every time it starts. */
#include "test.h"

uintptr_t uart;
/* Data stay as they were when a child is restarted; its stack begins anew. */
static unsigned starts = 0;

void init(void)
{
    report("starts", ++starts);
    *(volatile uint32_t *)0x30 = 0;
}

void notified(microkit_channel ch)
{
    (void)ch;
}
