/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random users of the hostile root task: threads that share a CSpace with objects of every kind and make calls of every kind
 * with arguments that mostly fit, and sometimes are anything. Their own code and threads are not in that CSpace, so that
 * they go on whatever they do; who waits or has faulted is started anew by the clock. From time to time all of it is
 * taken back and made again.
 */
#pragma once

#include "hostile.h"

#define USERS 3
#define SLOT_BITS 8
#define SLOTS (1 << SLOT_BITS)
/* Kinds of objects, and of each so many next to each other. */
#define GROUP 16
#define ROUNDS 8
#define STEPS 1500

/* In this order in the CSpace. */
enum kind { UNTYPED, TCB, ENDPOINT, NOTIFICATION, CNODE, CONTEXT, REPLY, FRAME, LARGE, TABLE, SPACE, VCPU, POOL, OTHER };

/*
 * What an invocation takes: the kind that it is made on, its words and, behind `|`, its capabilities. s slot, d depth,
 * t type, z size, n number, a address, m time, p priority, r register or small number, x anything; of capabilities
 * the kinds are u t e n c s r f l p v V a *.
 */
static const struct {
    seL4_Word label;
    enum kind kind;
    const char *takes;
} calls[] = {
    {UntypedRetype, UNTYPED, "tz00sn|c"},
    {TCBReadRegisters, TCB, "rn"},
    {TCBWriteRegisters, TCB, "rnxxxx"},
    {TCBCopyRegisters, TCB, "x|t"},
    {TCBConfigure, TCB, "xxa|cvf"},
    {TCBSetPriority, TCB, "p|t"},
    {TCBSetMCPriority, TCB, "p|t"},
    {TCBSetSchedParams, TCB, "pp|tse"},
    {TCBSetTimeoutEndpoint, TCB, "|e"},
    {TCBSetIPCBuffer, TCB, "a|f"},
    {TCBSetSpace, TCB, "xx|ecv"},
    {TCBSuspend, TCB, ""},
    {TCBResume, TCB, ""},
    {TCBBindNotification, TCB, "|n"},
    {TCBUnbindNotification, TCB, ""},
    {TCBSetTLSBase, TCB, "a"},
    {TCBSetFlags, TCB, "rr"},
    {CNodeRevoke, CNODE, "sd"},
    {CNodeDelete, CNODE, "sd"},
    {CNodeCancelBadgedSends, CNODE, "sd"},
    {CNodeCopy, CNODE, "sdsdx|c"},
    {CNodeMint, CNODE, "sdsdxr|c"},
    {CNodeMove, CNODE, "sdsd|c"},
    {CNodeMutate, CNODE, "sdsdr|c"},
    {CNodeRotate, CNODE, "sdrsdrsd|cc"},
    {SchedControlConfigureFlags, OTHER, "mmrxr|s"},
    {SchedContextBind, CONTEXT, "|*"},
    {SchedContextUnbind, CONTEXT, ""},
    {SchedContextUnbindObject, CONTEXT, "|*"},
    {SchedContextConsumed, CONTEXT, ""},
    {SchedContextYieldTo, CONTEXT, ""},
    {ARMVSpaceClean_Data, SPACE, "aa"},
    {ARMVSpaceInvalidate_Data, SPACE, "aa"},
    {ARMVSpaceCleanInvalidate_Data, SPACE, "aa"},
    {ARMVSpaceUnify_Instruction, SPACE, "aa"},
    {ARMPageTableMap, TABLE, "ax|v"},
    {ARMPageTableUnmap, TABLE, ""},
    {ARMPageMap, FRAME, "arx|v"},
    {ARMPageMap, LARGE, "arx|v"},
    {ARMPageUnmap, FRAME, ""},
    {ARMPageUnmap, LARGE, ""},
    {ARMPageClean_Data, LARGE, "rz"},
    {ARMPageCleanInvalidate_Data, LARGE, "rx"},
    {ARMPageGetAddress, FRAME, ""},
    {ARMASIDControlMakePool, OTHER, "sd|uc"},
    {ARMASIDPoolAssign, POOL, "|v"},
    {ARMVCPUSetTCB, VCPU, "|t"},
    {ARMVCPUInjectIRQ, VCPU, "x"},
    {ARMVCPUReadReg, VCPU, "r"},
    {ARMVCPUWriteReg, VCPU, "rx"},
    {ARMVCPUAckVPPI, VCPU, "n"},
};
static const char kind_letters[] = "utencsrflpvVa*";

/* Marks of what is no invocation: this and the system call's number, positive. */
#define MARK_CALLS 0x40

struct user {
    seL4_Word random, seen;
    volatile seL4_Word steps;
    seL4_CPtr tcb;
    char stack[0x1000] __attribute__((aligned(16)));
};
static struct user users[USERS];

static seL4_Word below(struct user *user, seL4_Word limit)
{
    return random_number(&user->random) % limit;
}

static seL4_Word slot_of_kind(struct user *user, enum kind kind)
{
    seL4_Word slot = kind * GROUP + below(user, GROUP);
    return below(user, 16) ? slot % SLOTS : below(user, SLOTS);
}

static seL4_Word argument(struct user *user, char what)
{
    static const seL4_Word anything[] = {0, 1, 7, 64, 255, 0x1000, 0x200000, 0x7fffffff, 1UL << 38, ~0UL};
    static const seL4_Word addresses[] = {0, 0x1000, 0x200000, 0x201000, 0x3ff000, 0x400000, 0x40000000, 0x8040000000};
    if (!below(user, 24)) {
        what = 'x';
    }
    switch (what) {
    case '0':
        return 0;
    case 's':
        return below(user, SLOTS);
    case 'd':
        return seL4_WordBits;
    case 't':
        return below(user, seL4_ObjectTypeCount);
    case 'z':
        return 4 + below(user, 12);
    case 'n':
        return 1 + below(user, 64);
    case 'a':
        return addresses[below(user, sizeof(addresses) / sizeof(*addresses))];
    case 'm':
        return 20 + below(user, 3) * below(user, 20000);
    case 'p':
        return below(user, 120);
    case 'r':
        return below(user, 40);
    default:
        return below(user, 2) ? anything[below(user, sizeof(anything) / sizeof(*anything))] : random_number(&user->random);
    }
}

/* One call. The buffer is the thread's own page of IPC buffers. */
static void step(struct user *user, seL4_IPCBuffer *buffer)
{
    seL4_Word mr[4] = {0, 0, 0, 0}, words = 0, caps = 0;
    seL4_CPtr cap = below(user, SLOTS), reply = slot_of_kind(user, REPLY), other = slot_of_kind(user, ENDPOINT);
    seL4_Word label = below(user, 80), call = 1;
    const char *takes = "xxxxx|***";
    if (below(user, 4)) {
        unsigned i = below(user, sizeof(calls) / sizeof(*calls));
        label = calls[i].label;
        takes = calls[i].takes;
        cap = slot_of_kind(user, calls[i].kind);
        mark(label);
    } else {
        call = 1 + below(user, 11);
        cap = slot_of_kind(user, below(user, 2) ? ENDPOINT : NOTIFICATION);
        mark(MARK_CALLS + call);
    }
    for (; *takes && *takes != '|'; takes++, words++) {
        seL4_Word word = argument(user, *takes);
        buffer->msg[words] = word;
        if (words < 4) {
            mr[words] = word;
        }
    }
    for (takes += *takes == '|'; *takes; takes++, caps++) {
        enum kind kind = 0;
        while (kind_letters[kind] != *takes) {
            kind++;
        }
        buffer->caps_or_badges[caps] = kind == OTHER ? below(user, SLOTS) : slot_of_kind(user, kind);
    }
    if (call != 1 && below(user, 2)) {
        words = below(user, 121);
    }
    seL4_MessageInfo_t message = seL4_MessageInfo_new(label, 0, caps, words);
    (void)sel4_receive(-call, cap, message, mr, reply, other, seL4_Null);
}

__attribute__((used)) static void user_code(struct user *user, seL4_IPCBuffer *buffer)
{
    for (;;) {
        user->steps++;
        step(user, buffer);
    }
}

/* Its arguments are on the stack: the clock, which has no IPC buffer, can set two registers. */
__asm__(".pushsection .text\nuser_entry: ldp x0, x1, [sp]\nb user_code\n.popsection\n");
extern const char user_entry[];

/* Where the users' IPC buffers are. */
#define BUFFERS (PAGES + 0x60000000)

static void start_user(seL4_Word i)
{
    seL4_Word *top = (seL4_Word *)(users[i].stack + sizeof(users[i].stack)) - 2;
    top[0] = (seL4_Word)&users[i];
    top[1] = BUFFERS + (i << seL4_PageBits);
    seL4_UserContext registers = {.pc = (seL4_Word)user_entry, .sp = (seL4_Word)top};
    (void)seL4_TCB_WriteRegisters(users[i].tcb, seL4_True, 0, 2, &registers);
}

/* At an interrupt: who has not come on since the last one waits for something, or has faulted. */
static void look_after_users(void)
{
    for (seL4_Word i = 0; i < USERS; i++) {
        if (users[i].tcb && users[i].steps == users[i].seen) {
            start_user(i);
        }
        users[i].seen = users[i].steps;
    }
}

/* Fills a CSpace: of most kinds a group, of untypeds several sizes, in the last group one of each control. */
static void fill(seL4_CPtr node)
{
    static const struct {
        seL4_Word type, bits;
    } kinds[] = {
        {seL4_UntypedObject, 16},      {seL4_TCBObject, 0},        {seL4_EndpointObject, 0},
        {seL4_NotificationObject, 0},  {seL4_CapTableObject, 5},   {seL4_SchedContextObject, 10},
        {seL4_ReplyObject, 0},         {seL4_ARM_SmallPageObject, 0}, {seL4_ARM_LargePageObject, 0},
        {seL4_ARM_PageTableObject, 0}, {seL4_ARM_VSpaceObject, 0}, {seL4_ARM_VCPUObject, 0},
    };
    for (seL4_Word kind = 0; kind < sizeof(kinds) / sizeof(*kinds); kind++) {
        seL4_Word count = kinds[kind].type == seL4_ARM_LargePageObject ? 2 : GROUP;
        seL4_Word at = kind * GROUP;
        check(!seL4_Untyped_Retype(pool, kinds[kind].type, kinds[kind].bits, ROOT, node, DEPTH, at, count), "fill");
    }
    seL4_CPtr pages = make(seL4_UntypedObject, seL4_ASIDPoolBits, 1);
    check(!seL4_ARM_ASIDControl_MakePool(seL4_CapASIDControl, pages, node, POOL * GROUP, SLOT_BITS), "a pool");
    const seL4_CPtr others[] = {seL4_CapASIDControl, info->schedcontrol.start};
    for (seL4_Word i = 0; i < GROUP; i++) {
        check(!seL4_CNode_Copy(node, OTHER * GROUP + i, SLOT_BITS, ROOT, others[i % 2], DEPTH, seL4_AllRights), "copy");
    }
    /* The CSpace itself, where CNodes are expected, with a guard so that 64 bits name a slot. */
    for (seL4_Word i = 0; i < GROUP; i += 2) {
        seL4_CNode_Delete(node, CNODE * GROUP + i, SLOT_BITS);
        seL4_Word guard = seL4_CNode_CapData_new(0, seL4_WordBits - SLOT_BITS).words[0];
        check(!seL4_CNode_Mint(node, CNODE * GROUP + i, SLOT_BITS, ROOT, node, DEPTH, seL4_AllRights, guard), "itself");
    }
    for (seL4_Word i = 0; i < GROUP; i += 2) {
        seL4_Word slot = SPACE * GROUP + i;
        seL4_CPtr space = free_slot;
        check(!seL4_CNode_Move(ROOT, space, DEPTH, node, slot, SLOT_BITS), "out");
        check(!seL4_ARM_ASIDPool_Assign(seL4_CapInitThreadASIDPool, space), "an ASID");
        check(!seL4_CNode_Move(node, slot, SLOT_BITS, ROOT, space, DEPTH), "in");
    }
}

static void random_users(void)
{
    for (seL4_Word i = 0; i < USERS; i++) {
        users[i].random = 1000 + i;
    }
    for (int round = 0; round < ROUNDS; round++) {
        seL4_SlotPos slots = free_slot;
        seL4_CPtr node = make(seL4_CapTableObject, SLOT_BITS, 1);
        fill(node);
        for (seL4_Word i = 0; i < USERS; i++) {
            seL4_CPtr buffer = make(seL4_ARM_SmallPageObject, 0, 1), context = make(seL4_SchedContextObject, 7, 1);
            map(buffer, seL4_CapInitThreadVSpace, BUFFERS + (i << seL4_PageBits));
            seL4_CPtr tcb = make(seL4_TCBObject, 0, 1);
            seL4_Word guard = seL4_CNode_CapData_new(0, seL4_WordBits - SLOT_BITS).words[0];
            check(!seL4_TCB_Configure(tcb, node, guard, seL4_CapInitThreadVSpace, 0, BUFFERS + (i << seL4_PageBits), buffer),
                  "a user");
            /* Above the first thread, which waits until they are done. */
            check(!seL4_TCB_SetPriority(tcb, seL4_CapInitThreadTCB, 120), "a user's priority");
            give_time(context, 2000, 10000, 0);
            check(!seL4_SchedContext_Bind(context, tcb), "a user's time");
            users[i].tcb = tcb;
        }
        seL4_Word until = (round + 1) * STEPS * USERS, done = 0;
        at_interrupt = look_after_users;
        do {
            done = 0;
            for (seL4_Word i = 0; i < USERS; i++) {
                done += users[i].steps;
            }
        } while (done < until);
        at_interrupt = 0;
        for (seL4_Word i = 0; i < USERS; i++) {
            seL4_TCB_Suspend(users[i].tcb);
            users[i].tcb = 0;
        }
        mark(0);
        take_back(slots);
    }
}
