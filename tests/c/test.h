/* SPDX-License-Identifier: BSD-2-Clause */
/* What the C programs of the tests share: lines on the UART that begin with TEST, and checks. */
#pragma once

#include <microkit.h>
#include <stdint.h>

/* The UART's registers: set by the tool. */
extern uintptr_t uart;

static inline void put(const char *text)
{
    volatile uint32_t *data = (volatile uint32_t *)uart;
    for (; *text; text++) {
        *data = (uint8_t)*text;
    }
}

static inline void put_hex(uint64_t value)
{
    char text[17] = {0};
    for (int i = 0; i < 16; i++) {
        text[i] = "0123456789abcdef"[value >> (60 - 4 * i) & 15];
    }
    put(text);
}

/* One line: who, what, and a number. */
static inline void report(const char *what, uint64_t value)
{
    put("TEST ");
    put(microkit_name);
    put(" ");
    put(what);
    put(" ");
    put_hex(value);
    put("\n");
}

/* A line that no test waits for, and the end of this program. */
static inline void check(int condition, const char *what)
{
    if (!condition) {
        report("FAILED:", 0);
        put(what);
        put("\n");
        microkit_internal_crash(seL4_NoError);
    }
}
