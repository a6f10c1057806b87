/* SPDX-License-Identifier: BSD-2-Clause */
/* Integers, booleans, words and capability pointers. */
#pragma once

#include <sel4/macros.h>
#include <sel4/sel4_arch/constants.h>

#define SEL4_WORD_IS_UINT64
#define SEL4_INT64_IS_LONG

typedef signed char seL4_Int8;
typedef unsigned char seL4_Uint8;
typedef short seL4_Int16;
typedef unsigned short seL4_Uint16;
typedef int seL4_Int32;
typedef unsigned int seL4_Uint32;
typedef long seL4_Int64;
typedef unsigned long seL4_Uint64;

typedef seL4_Int8 seL4_Bool;
#define seL4_True 1
#define seL4_False 0

#ifdef __cplusplus
#define seL4_Null 0L
#else
#define seL4_Null ((void *)0)
#endif

typedef seL4_Uint64 seL4_Word;
typedef seL4_Word seL4_CPtr;

/* Formats of printf() for 64-bit numbers and for words. */
#define SEL4_PRId64 "ld"
#define SEL4_PRIi64 "li"
#define SEL4_PRIu64 "lu"
#define SEL4_PRIx64 "lx"
#define SEL4_PRId_word SEL4_PRId64
#define SEL4_PRIi_word SEL4_PRIi64
#define SEL4_PRIu_word SEL4_PRIu64
#define SEL4_PRIx_word SEL4_PRIx64
#define SEL4_PRI_word SEL4_PRIu_word

SEL4_COMPILE_ASSERT(words_have_64_bits, sizeof(seL4_Word) * 8 == seL4_WordBits)
