/* SPDX-License-Identifier: BSD-2-Clause */
/* System calls for debugging and measuring, each where the configuration's kernel has it. */
#pragma once

#include <sel4/syscalls.h>

#ifdef CONFIG_PRINTING
LIBSEL4_INLINE_FUNC void seL4_DebugPutChar(char c)
{
    (void)sel4_word_call(seL4_SysDebugPutChar, (seL4_Uint8)c);
}

LIBSEL4_INLINE_FUNC void seL4_DebugPutString(char *str)
{
    for (; *str; str++) {
        seL4_DebugPutChar(*str);
    }
}

LIBSEL4_INLINE_FUNC void seL4_DebugDumpScheduler(void)
{
    (void)sel4_word_call(seL4_SysDebugDumpScheduler, 0);
}
#endif

#ifdef CONFIG_DEBUG_BUILD
LIBSEL4_INLINE_FUNC void seL4_DebugHalt(void)
{
    (void)sel4_word_call(seL4_SysDebugHalt, 0);
}

LIBSEL4_INLINE_FUNC void seL4_DebugSnapshot(void)
{
    (void)sel4_word_call(seL4_SysDebugSnapshot, 0);
}

/* The kernel's number for the type of a capability. */
LIBSEL4_INLINE_FUNC seL4_Uint32 seL4_DebugCapIdentify(seL4_CPtr cap)
{
    return (seL4_Uint32)sel4_word_call(seL4_SysDebugCapIdentify, cap);
}

/* The name travels in the message registers, as text with a zero behind it. */
LIBSEL4_INLINE_FUNC void seL4_DebugNameThread(seL4_CPtr tcb, const char *name)
{
    char *text = (char *)seL4_GetIPCBuffer()->msg;
    unsigned i = 0;
    for (; name[i] && i + 1 < seL4_MsgMaxLength * sizeof(seL4_Word); i++) {
        text[i] = name[i];
    }
    text[i] = 0;
    (void)sel4_word_call(seL4_SysDebugNameThread, tcb);
}
#endif

#ifdef CONFIG_SET_TLS_BASE_SELF
LIBSEL4_INLINE_FUNC void seL4_SetTLSBase(seL4_Word tls_base)
{
    (void)sel4_word_call(seL4_SysSetTLSBase, tls_base);
}
#endif

#ifdef CONFIG_ENABLE_BENCHMARKS
LIBSEL4_INLINE_FUNC seL4_Error seL4_BenchmarkResetLog(void)
{
    return (seL4_Error)sel4_word_call(seL4_SysBenchmarkResetLog, 0);
}

LIBSEL4_INLINE_FUNC seL4_Word seL4_BenchmarkFinalizeLog(void)
{
    return sel4_word_call(seL4_SysBenchmarkFinalizeLog, 0);
}

LIBSEL4_INLINE_FUNC seL4_Error seL4_BenchmarkSetLogBuffer(seL4_Word frame_cptr)
{
    return (seL4_Error)sel4_word_call(seL4_SysBenchmarkSetLogBuffer, frame_cptr);
}

LIBSEL4_INLINE_FUNC void seL4_BenchmarkNullSyscall(void)
{
    (void)sel4_word_call(seL4_SysBenchmarkNullSyscall, 0);
}

LIBSEL4_INLINE_FUNC void seL4_BenchmarkFlushCaches(void)
{
    (void)sel4_word_call(seL4_SysBenchmarkFlushCaches, 0);
}
#endif

#ifdef CONFIG_BENCHMARK_TRACK_UTILISATION
/* The figures are in the IPC buffer: benchmark_utilisation_types.h. */
LIBSEL4_INLINE_FUNC void seL4_BenchmarkGetThreadUtilisation(seL4_Word tcb_cptr)
{
    (void)sel4_word_call(seL4_SysBenchmarkGetThreadUtilisation, tcb_cptr);
}

LIBSEL4_INLINE_FUNC void seL4_BenchmarkResetThreadUtilisation(seL4_Word tcb_cptr)
{
    (void)sel4_word_call(seL4_SysBenchmarkResetThreadUtilisation, tcb_cptr);
}

#ifdef CONFIG_DEBUG_BUILD
LIBSEL4_INLINE_FUNC void seL4_BenchmarkDumpAllThreadsUtilisation(void)
{
    (void)sel4_word_call(seL4_SysBenchmarkDumpAllThreadsUtilisation, 0);
}

LIBSEL4_INLINE_FUNC void seL4_BenchmarkResetAllThreadsUtilisation(void)
{
    (void)sel4_word_call(seL4_SysBenchmarkResetAllThreadsUtilisation, 0);
}
#endif
#endif
