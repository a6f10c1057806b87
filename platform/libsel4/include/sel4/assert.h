/* SPDX-License-Identifier: BSD-2-Clause */
/* Assertions. */
#pragma once

#include <sel4/macros.h>

void __assert_fail(const char *condition, const char *file, int line, const char *function);

#define seL4_Fail(text) __assert_fail(text, __FILE__, __LINE__, __func__)
#define seL4_Assert(condition) \
    do { \
        if (!(condition)) { \
            __assert_fail(#condition, __FILE__, __LINE__, __func__); \
        } \
    } while (0)
#define seL4_CompileTimeAssert(condition) SEL4_COMPILE_ASSERT(seL4_CompileTimeAssert, condition)

#ifdef NDEBUG
#define seL4_DebugAssert(condition) ((void)0)
#else
#define seL4_DebugAssert(condition) seL4_Assert(condition)
#endif
