/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * System calls. Registers: x0 capability in, badge out; x1 message word both ways; x2 to x5 the first four message
 * registers; x6 reply object; x7 number; x8 where NBSendRecv sends to. The kernel changes no other register, and of
 * memory only the IPC buffer.
 *
 * Plain functions take the first four message registers from the IPC buffer and put those that were received there.
 * The ones called ...WithMRs take them from variables; a null pointer stands for a register that is of no interest.
 */
#pragma once

#include <sel4/functions.h>
#include <sel4/syscall.h>

/* Sends without receiving. */
LIBSEL4_INLINE_FUNC void sel4_send(seL4_Word number, seL4_CPtr cap, seL4_MessageInfo_t info, const seL4_Word mr[4])
{
    register seL4_Word x0 __asm__("x0") = cap;
    register seL4_Word x1 __asm__("x1") = info.words[0];
    register seL4_Word x2 __asm__("x2") = mr[0];
    register seL4_Word x3 __asm__("x3") = mr[1];
    register seL4_Word x4 __asm__("x4") = mr[2];
    register seL4_Word x5 __asm__("x5") = mr[3];
    register seL4_Word x7 __asm__("x7") = number;
    __asm__ volatile("svc #0"
                     : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3), "+r"(x4), "+r"(x5)
                     : "r"(x7)
                     : "memory");
}

/* Receives, whatever else the call does. `mr` goes both ways; `badge` may be null. */
LIBSEL4_INLINE_FUNC seL4_MessageInfo_t sel4_receive(seL4_Word number, seL4_CPtr cap, seL4_MessageInfo_t info,
                                                    seL4_Word mr[4], seL4_CPtr reply, seL4_CPtr destination,
                                                    seL4_Word *badge)
{
    register seL4_Word x0 __asm__("x0") = cap;
    register seL4_Word x1 __asm__("x1") = info.words[0];
    register seL4_Word x2 __asm__("x2") = mr[0];
    register seL4_Word x3 __asm__("x3") = mr[1];
    register seL4_Word x4 __asm__("x4") = mr[2];
    register seL4_Word x5 __asm__("x5") = mr[3];
    register seL4_Word x6 __asm__("x6") = reply;
    register seL4_Word x7 __asm__("x7") = number;
    register seL4_Word x8 __asm__("x8") = destination;
    __asm__ volatile("svc #0"
                     : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3), "+r"(x4), "+r"(x5)
                     : "r"(x6), "r"(x7), "r"(x8)
                     : "memory");
    mr[0] = x2;
    mr[1] = x3;
    mr[2] = x4;
    mr[3] = x5;
    if (badge) {
        *badge = x0;
    }
    seL4_MessageInfo_t received = {{x1}};
    return received;
}

/* The first four message registers as the IPC buffer has them. */
LIBSEL4_INLINE_FUNC void sel4_load_mrs(seL4_Word mr[4])
{
    for (int i = 0; i < 4; i++) {
        mr[i] = seL4_GetMR(i);
    }
}

LIBSEL4_INLINE_FUNC void sel4_store_mrs(const seL4_Word mr[4])
{
    for (int i = 0; i < 4; i++) {
        seL4_SetMR(i, mr[i]);
    }
}

/* Calls an object. If it fails, what describes the error is put into the IPC buffer. */
LIBSEL4_INLINE_FUNC seL4_Error sel4_invoke(seL4_CPtr cap, seL4_MessageInfo_t info, seL4_Word mr[4])
{
    seL4_MessageInfo_t reply = sel4_receive(seL4_SysCall, cap, info, mr, 0, 0, seL4_Null);
    seL4_Error error = (seL4_Error)seL4_MessageInfo_get_label(reply);
    if (error != seL4_NoError) {
        sel4_store_mrs(mr);
    }
    return error;
}

/* A call of the debugging kind: one word in, one word out. */
LIBSEL4_INLINE_FUNC seL4_Word sel4_word_call(seL4_Word number, seL4_Word word)
{
    seL4_Word mr[4] = {0, 0, 0, 0};
    seL4_MessageInfo_t none = {{0}};
    seL4_Word result;
    (void)sel4_receive(number, word, none, mr, 0, 0, &result);
    return result;
}

LIBSEL4_INLINE_FUNC void seL4_Send(seL4_CPtr dest, seL4_MessageInfo_t msgInfo)
{
    seL4_Word mr[4];
    sel4_load_mrs(mr);
    sel4_send(seL4_SysSend, dest, msgInfo, mr);
}

LIBSEL4_INLINE_FUNC void seL4_NBSend(seL4_CPtr dest, seL4_MessageInfo_t msgInfo)
{
    seL4_Word mr[4];
    sel4_load_mrs(mr);
    sel4_send(seL4_SysNBSend, dest, msgInfo, mr);
}

LIBSEL4_INLINE_FUNC void seL4_Signal(seL4_CPtr dest)
{
    register seL4_Word x0 __asm__("x0") = dest;
    register seL4_Word x1 __asm__("x1") = 0;
    register seL4_Word x7 __asm__("x7") = (seL4_Word)seL4_SysSend;
    __asm__ volatile("svc #0" : "+r"(x0), "+r"(x1) : "r"(x7) : "x2", "x3", "x4", "x5", "memory");
}

LIBSEL4_INLINE_FUNC void seL4_Yield(void)
{
    register seL4_Word x7 __asm__("x7") = (seL4_Word)seL4_SysYield;
    __asm__ volatile("svc #0" : : "r"(x7) : "memory");
}

LIBSEL4_INLINE_FUNC seL4_MessageInfo_t seL4_Call(seL4_CPtr dest, seL4_MessageInfo_t msgInfo)
{
    seL4_Word mr[4];
    sel4_load_mrs(mr);
    seL4_MessageInfo_t info = sel4_receive(seL4_SysCall, dest, msgInfo, mr, 0, 0, seL4_Null);
    sel4_store_mrs(mr);
    return info;
}

LIBSEL4_INLINE_FUNC seL4_MessageInfo_t seL4_ReplyRecv(seL4_CPtr src, seL4_MessageInfo_t msgInfo, seL4_Word *sender,
                                                      seL4_CPtr reply)
{
    seL4_Word mr[4];
    sel4_load_mrs(mr);
    seL4_MessageInfo_t info = sel4_receive(seL4_SysReplyRecv, src, msgInfo, mr, reply, 0, sender);
    sel4_store_mrs(mr);
    return info;
}

LIBSEL4_INLINE_FUNC seL4_MessageInfo_t seL4_NBSendRecv(seL4_CPtr dest, seL4_MessageInfo_t msgInfo, seL4_CPtr src,
                                                       seL4_Word *sender, seL4_CPtr reply)
{
    seL4_Word mr[4];
    sel4_load_mrs(mr);
    seL4_MessageInfo_t info = sel4_receive(seL4_SysNBSendRecv, src, msgInfo, mr, reply, dest, sender);
    sel4_store_mrs(mr);
    return info;
}

/* Without a reply object the destination travels in its register. */
LIBSEL4_INLINE_FUNC seL4_MessageInfo_t seL4_NBSendWait(seL4_CPtr dest, seL4_MessageInfo_t msgInfo, seL4_CPtr src,
                                                       seL4_Word *sender)
{
    seL4_Word mr[4];
    sel4_load_mrs(mr);
    seL4_MessageInfo_t info = sel4_receive(seL4_SysNBSendWait, src, msgInfo, mr, dest, 0, sender);
    sel4_store_mrs(mr);
    return info;
}

/* Calls that only receive. */
LIBSEL4_INLINE_FUNC seL4_MessageInfo_t sel4_receive_only(seL4_Word number, seL4_CPtr src, seL4_Word *sender,
                                                         seL4_CPtr reply)
{
    seL4_Word mr[4] = {0, 0, 0, 0};
    seL4_MessageInfo_t none = {{0}};
    seL4_MessageInfo_t info = sel4_receive(number, src, none, mr, reply, 0, sender);
    sel4_store_mrs(mr);
    return info;
}

LIBSEL4_INLINE_FUNC seL4_MessageInfo_t seL4_Recv(seL4_CPtr src, seL4_Word *sender, seL4_CPtr reply)
{
    return sel4_receive_only(seL4_SysRecv, src, sender, reply);
}

LIBSEL4_INLINE_FUNC seL4_MessageInfo_t seL4_NBRecv(seL4_CPtr src, seL4_Word *sender, seL4_CPtr reply)
{
    return sel4_receive_only(seL4_SysNBRecv, src, sender, reply);
}

LIBSEL4_INLINE_FUNC seL4_MessageInfo_t seL4_Wait(seL4_CPtr src, seL4_Word *sender)
{
    return sel4_receive_only(seL4_SysWait, src, sender, 0);
}

LIBSEL4_INLINE_FUNC seL4_MessageInfo_t seL4_NBWait(seL4_CPtr src, seL4_Word *sender)
{
    return sel4_receive_only(seL4_SysNBWait, src, sender, 0);
}

LIBSEL4_INLINE_FUNC seL4_MessageInfo_t seL4_Poll(seL4_CPtr src, seL4_Word *sender)
{
    return seL4_NBWait(src, sender);
}

/* Message registers in variables. */
LIBSEL4_INLINE_FUNC void sel4_take_mrs(seL4_Word mr[4], const seL4_Word *mr0, const seL4_Word *mr1,
                                       const seL4_Word *mr2, const seL4_Word *mr3)
{
    mr[0] = mr0 ? *mr0 : 0;
    mr[1] = mr1 ? *mr1 : 0;
    mr[2] = mr2 ? *mr2 : 0;
    mr[3] = mr3 ? *mr3 : 0;
}

LIBSEL4_INLINE_FUNC void sel4_give_mrs(const seL4_Word mr[4], seL4_Word *mr0, seL4_Word *mr1, seL4_Word *mr2,
                                       seL4_Word *mr3)
{
    if (mr0) {
        *mr0 = mr[0];
    }
    if (mr1) {
        *mr1 = mr[1];
    }
    if (mr2) {
        *mr2 = mr[2];
    }
    if (mr3) {
        *mr3 = mr[3];
    }
}

LIBSEL4_INLINE_FUNC void seL4_SendWithMRs(seL4_CPtr dest, seL4_MessageInfo_t msgInfo, seL4_Word *mr0, seL4_Word *mr1,
                                          seL4_Word *mr2, seL4_Word *mr3)
{
    seL4_Word mr[4];
    sel4_take_mrs(mr, mr0, mr1, mr2, mr3);
    sel4_send(seL4_SysSend, dest, msgInfo, mr);
}

LIBSEL4_INLINE_FUNC void seL4_NBSendWithMRs(seL4_CPtr dest, seL4_MessageInfo_t msgInfo, seL4_Word *mr0, seL4_Word *mr1,
                                            seL4_Word *mr2, seL4_Word *mr3)
{
    seL4_Word mr[4];
    sel4_take_mrs(mr, mr0, mr1, mr2, mr3);
    sel4_send(seL4_SysNBSend, dest, msgInfo, mr);
}

/* Declares a receiving call whose first four message registers are in variables. */
#define SEL4_RECEIVE_WITH_MRS(name, arguments, number, cap, info, reply, destination, sender) \
    LIBSEL4_INLINE_FUNC seL4_MessageInfo_t name arguments \
    { \
        seL4_Word mr[4]; \
        seL4_MessageInfo_t none = {{0}}; \
        sel4_take_mrs(mr, mr0, mr1, mr2, mr3); \
        (void)none; \
        seL4_MessageInfo_t received = sel4_receive(number, cap, info, mr, reply, destination, sender); \
        sel4_give_mrs(mr, mr0, mr1, mr2, mr3); \
        return received; \
    }

SEL4_RECEIVE_WITH_MRS(seL4_CallWithMRs,
                      (seL4_CPtr dest, seL4_MessageInfo_t msgInfo, seL4_Word *mr0, seL4_Word *mr1, seL4_Word *mr2,
                       seL4_Word *mr3),
                      seL4_SysCall, dest, msgInfo, 0, 0, seL4_Null)
SEL4_RECEIVE_WITH_MRS(seL4_RecvWithMRs,
                      (seL4_CPtr src, seL4_Word *sender, seL4_CPtr reply, seL4_Word *mr0, seL4_Word *mr1,
                       seL4_Word *mr2, seL4_Word *mr3),
                      seL4_SysRecv, src, none, reply, 0, sender)
SEL4_RECEIVE_WITH_MRS(seL4_ReplyRecvWithMRs,
                      (seL4_CPtr src, seL4_MessageInfo_t msgInfo, seL4_Word *sender, seL4_Word *mr0, seL4_Word *mr1,
                       seL4_Word *mr2, seL4_Word *mr3, seL4_CPtr reply),
                      seL4_SysReplyRecv, src, msgInfo, reply, 0, sender)
SEL4_RECEIVE_WITH_MRS(seL4_NBSendRecvWithMRs,
                      (seL4_CPtr dest, seL4_MessageInfo_t msgInfo, seL4_CPtr src, seL4_Word *sender, seL4_Word *mr0,
                       seL4_Word *mr1, seL4_Word *mr2, seL4_Word *mr3, seL4_CPtr reply),
                      seL4_SysNBSendRecv, src, msgInfo, reply, dest, sender)
SEL4_RECEIVE_WITH_MRS(seL4_NBSendWaitWithMRs,
                      (seL4_CPtr dest, seL4_MessageInfo_t msgInfo, seL4_CPtr src, seL4_Word *sender, seL4_Word *mr0,
                       seL4_Word *mr1, seL4_Word *mr2, seL4_Word *mr3),
                      seL4_SysNBSendWait, src, msgInfo, dest, 0, sender)
SEL4_RECEIVE_WITH_MRS(seL4_WaitWithMRs,
                      (seL4_CPtr src, seL4_Word *sender, seL4_Word *mr0, seL4_Word *mr1, seL4_Word *mr2,
                       seL4_Word *mr3),
                      seL4_SysWait, src, none, 0, 0, sender)
