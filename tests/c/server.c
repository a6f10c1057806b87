/* SPDX-License-Identifier: BSD-2-Clause */
/* A passive server: doubles every word. */
#include "test.h"

uintptr_t uart;

void init(void)
{
    report("serves", 0);
}

void notified(microkit_channel ch)
{
    check(0, "nobody notifies the server");
    (void)ch;
}

microkit_msginfo protected(microkit_channel ch, microkit_msginfo msginfo)
{
    check(ch == 7, "channel of the call");
    seL4_Word count = microkit_msginfo_get_count(msginfo);
    for (seL4_Word i = 0; i < count; i++) {
        microkit_mr_set(i, microkit_mr_get(i) * 2);
    }
    return microkit_msginfo_new(microkit_msginfo_get_label(msginfo) + 1, count);
}
