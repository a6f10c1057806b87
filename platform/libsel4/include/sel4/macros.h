/* SPDX-License-Identifier: BSD-2-Clause */
/* Compiler attributes and compile-time checks. */
#pragma once

#include <sel4/config.h>

#ifndef CONST
#define CONST __attribute__((__const__))
#endif
#ifndef PURE
#define PURE __attribute__((__pure__))
#endif

#define SEL4_PACKED __attribute__((packed))
#define SEL4_DEPRECATED(reason) __attribute__((deprecated(reason)))
#define LIBSEL4_UNUSED __attribute__((unused))
#define LIBSEL4_WEAK __attribute__((weak))
#define LIBSEL4_NOINLINE __attribute__((noinline))
#define LIBSEL4_INLINE static inline
#define LIBSEL4_INLINE_FUNC static inline
/* One thread in each address space: what is a thread's own is an ordinary variable. */
#define LIBSEL4_THREAD_LOCAL

#define LIBSEL4_BIT(n) (1ul << (n))

/* Stands for itself in C11, and for an array that has no size when the condition fails before that. */
#if defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define SEL4_COMPILE_ASSERT(name, condition) _Static_assert(condition, #name);
#elif defined(__cplusplus)
#define SEL4_COMPILE_ASSERT(name, condition) static_assert(condition, #name);
#else
#define SEL4_COMPILE_ASSERT(name, condition) typedef char sel4_assert_##name[(condition) ? 1 : -1] LIBSEL4_UNUSED;
#endif

#define SEL4_SIZE_SANITY(entry, index, size) \
    SEL4_COMPILE_ASSERT(entry##_and_##index##_make_##size, (entry) + (index) == (size))

/* Makes an enumeration as wide as a word. */
#define SEL4_FORCE_LONG_ENUM(type) sel4_pad_##type = 0x7fffffffffffffff
