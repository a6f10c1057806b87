/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A hostile root task: makes the kernel do what takes it longest, by one operation after the other and by random calls of
 * threads that have capabilities to everything. Runs with the plugin `icount`, which looks for the longest kernel entry; what
 * is done is told it by marks. Every operation is done twice: while no interrupt comes, and while the clock interrupts all
 * the time.
 */
#include "hostile.h"
#include "hostile_random.h"

/* Threads that wait in a queue. */
#define THREADS 5000
/* Threads that wait for budget. */
#define BUDGETS 2000
/* Capabilities that are revoked or deleted. */
#define CAPS 3000

#define OPERATIONS(OPERATION)                                            \
    OPERATION(RETYPE, "retype of as many objects as a call makes")       \
    OPERATION(ZERO, "retype of all memory of a pool, which was used")    \
    OPERATION(REVOKE_OBJECTS, "revocation of an untyped with objects")   \
    OPERATION(REVOKE_COPIES, "revocation of copies")                     \
    OPERATION(REVOKE_DEEP, "revocation of memory in memory in memory")   \
    OPERATION(DELETE_CNODE, "deletion of a full CNode")                  \
    OPERATION(DELETE_NESTED, "deletion of a CNode in a CNode")           \
    OPERATION(UNMAP_TABLE, "unmapping of a page table")                  \
    OPERATION(DELETE_VSPACE, "deletion of an address space")             \
    OPERATION(REVOKE_VSPACE, "revocation of pages and tables in use")    \
    OPERATION(ASSIGN_ASID, "an ASID of a pool that is nearly full")      \
    OPERATION(DELETE_POOL, "deletion of an ASID pool")                   \
    OPERATION(REVOKE_POOLS, "revocation of ASID pools")                  \
    OPERATION(CACHE, "cache maintenance")                                \
    OPERATION(MESSAGE, "a full message with capabilities")               \
    OPERATION(REGISTERS, "registers of a thread")                        \
    OPERATION(VCPU_REGISTERS, "registers of a virtual CPU")              \
    OPERATION(QUEUE, "a thread goes past the others in a queue")         \
    OPERATION(CANCEL_BADGED, "cancelled sends of half a queue")          \
    OPERATION(CANCEL_NONE, "cancelled sends of nobody in a queue")       \
    OPERATION(DELETE_ENDPOINT, "deletion of an endpoint with a queue")   \
    OPERATION(DELETE_NOTIFICATION, "deletion of a notification, too")    \
    OPERATION(REVOKE_THREADS, "revocation of threads that wait")         \
    OPERATION(EXHAUST, "a thread that waits for budget, behind others")  \
    OPERATION(RELEASE, "budgets that all come at once")                  \
    OPERATION(REFILLS, "a scheduling context with 64 refills")           \
    OPERATION(REVOKE_CONTEXTS, "revocation of contexts that are waited for") \
    OPERATION(DOMAIN, "a change of the domain's turn")

#define NAME(name, text) name,
#define TEXT(name, text) text,
enum { BEFORE = 0x4f, OPERATIONS(NAME) AFTER };
static const char *const names[] = {OPERATIONS(TEXT)};

static char stack[0x4000] __attribute__((aligned(16)));
static char server_stack[0x1000] __attribute__((aligned(16)));

/* Does something under a mark. */
#define UNDER(name, ...)   \
    do {                   \
        mark(name);        \
        __VA_ARGS__;       \
        mark(0);           \
    } while (0)

/* Revokes the pool under a mark, and makes the slots free. */
static void revoke(seL4_Word name, seL4_SlotPos slots)
{
    UNDER(name, check(!seL4_CNode_Revoke(ROOT, pool, DEPTH), "revoke"));
    take_back(slots);
}

static void memory(void)
{
    static const struct {
        seL4_Word type, bits, count;
    } kinds[] = {
        {seL4_UntypedObject, 4, 256},       {seL4_TCBObject, 0, 256},
        {seL4_EndpointObject, 0, 256},      {seL4_NotificationObject, 0, 256},
        {seL4_CapTableObject, 1, 256},      {seL4_CapTableObject, 12, 256},
        {seL4_SchedContextObject, 12, 256}, {seL4_ReplyObject, 0, 256},
        {seL4_ARM_SmallPageObject, 0, 256}, {seL4_ARM_LargePageObject, 0, 16},
        {seL4_ARM_PageTableObject, 0, 256}, {seL4_ARM_VSpaceObject, 0, 256},
        {seL4_ARM_VCPUObject, 0, 256},      {seL4_UntypedObject, POOL_BITS - 1, 2},
    };
    seL4_SlotPos slots = free_slot;
    for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        UNDER(RETYPE, make(kinds[i].type, kinds[i].bits, kinds[i].count));
        revoke(REVOKE_OBJECTS, slots);
    }
    /* All of it used, and then made one: all of it is zeroed. */
    make(seL4_ARM_LargePageObject, 0, LIBSEL4_BIT(POOL_BITS - 21));
    take_back(slots);
    UNDER(ZERO, make(seL4_CapTableObject, 16, 1));
    take_back(slots);
    /* Each in the one before. */
    seL4_CPtr outer = pool;
    for (seL4_Word bits = POOL_BITS - 1; bits >= 4; bits--) {
        outer = make_from(outer, seL4_UntypedObject, bits, 1);
    }
    make_from(outer, seL4_EndpointObject, 0, 1);
    revoke(REVOKE_DEEP, slots);
}

static void copy(seL4_CPtr from, seL4_CPtr node, seL4_Word depth, seL4_Word at, seL4_Word badge)
{
    check(!seL4_CNode_Mint(node, at, depth, ROOT, from, DEPTH, seL4_AllRights, badge), "copy");
}

static void capabilities(void)
{
    seL4_SlotPos slots = free_slot;
    seL4_CPtr endpoint = make(seL4_EndpointObject, 0, 1), node = make(seL4_CapTableObject, 16, 1);
    for (int round = 0; round < 2; round++) {
        for (seL4_Word i = 0; i < CAPS; i++) {
            copy(endpoint, node, 16, i, i);
        }
        if (round) {
            UNDER(DELETE_CNODE, check(!seL4_CNode_Delete(ROOT, node, DEPTH), "delete a CNode"));
        } else {
            UNDER(REVOKE_COPIES, check(!seL4_CNode_Revoke(ROOT, endpoint, DEPTH), "revoke copies"));
        }
    }
    /* Each in the first slot of the next. */
    seL4_SlotPos nodes = make(seL4_CapTableObject, 1, CAPS / 3);
    for (seL4_SlotPos next = nodes + 1; next < free_slot; next++) {
        check(!seL4_CNode_Move(next, 0, 1, ROOT, next - 1, DEPTH), "move");
    }
    UNDER(DELETE_NESTED, check(!seL4_CNode_Delete(ROOT, free_slot - 1, DEPTH), "delete nested"));
    take_back(slots);
}

/* A new address space with an ASID of the first thread's pool. */
static seL4_CPtr make_space(void)
{
    seL4_CPtr space = make(seL4_ARM_VSpaceObject, 0, 1);
    check(!seL4_ARM_ASIDPool_Assign(seL4_CapInitThreadASIDPool, space), "assign an ASID");
    return space;
}

static void spaces(void)
{
    seL4_SlotPos slots = free_slot;
    for (int round = 0; round < 2; round++) {
        seL4_CPtr space = make_space();
        map(make(seL4_ARM_SmallPageObject, 0, 1), space, 0);
        seL4_CPtr table = free_slot - 1;
        seL4_SlotPos pages = make(seL4_ARM_SmallPageObject, 0, 1023);
        for (seL4_Word i = 0; i < 1023; i++) {
            map(pages + i, space, (i + 1) << seL4_PageBits);
        }
        if (round) {
            UNDER(UNMAP_TABLE, check(!seL4_ARM_PageTable_Unmap(table), "unmap a table"));
            UNDER(DELETE_VSPACE, check(!seL4_CNode_Delete(ROOT, space, DEPTH), "delete a space"));
        }
        revoke(REVOKE_VSPACE, slots);
    }
    /* Page tables alone: every one is in use. */
    seL4_CPtr space = make_space();
    map(make(seL4_ARM_SmallPageObject, 0, 1), space, 0);
    seL4_SlotPos tables = make(seL4_ARM_PageTableObject, 0, 500);
    for (seL4_Word i = 0; i < 500; i++) {
        check(!seL4_ARM_PageTable_Map(tables + i, space, (i + 1) << 21, seL4_ARM_Default_VMAttributes), "tables");
    }
    revoke(REVOKE_VSPACE, slots);
    /* Pools: one full of address spaces, and many. */
    for (seL4_Word pools = 1; pools <= 100; pools += 99) {
        seL4_SlotPos memory = make(seL4_UntypedObject, seL4_ASIDPoolBits, pools), first = free_slot;
        free_slot += pools;
        for (seL4_Word i = 0; i < pools; i++) {
            check(!seL4_ARM_ASIDControl_MakePool(seL4_CapASIDControl, memory + i, ROOT, first + i, DEPTH), "a pool");
        }
        seL4_Word each = pools == 1 ? 511 : 20;
        seL4_SlotPos some = make(seL4_ARM_VSpaceObject, 0, each * pools);
        for (seL4_Word i = 0; i < each * pools; i++) {
            UNDER(ASSIGN_ASID, check(!seL4_ARM_ASIDPool_Assign(first + i % pools, some + i), "assign"));
        }
        if (pools == 1) {
            UNDER(DELETE_POOL, check(!seL4_CNode_Delete(ROOT, first, DEPTH), "delete a pool"));
        }
        revoke(REVOKE_POOLS, slots);
    }
}

static void caches(void)
{
    seL4_SlotPos slots = free_slot;
    seL4_CPtr frame = make(seL4_ARM_LargePageObject, 0, 1);
    seL4_Word at = PAGES + 0x40000000, size = 0x200000;
    map(frame, seL4_CapInitThreadVSpace, at);
    mark(CACHE);
    seL4_Word bad = 0;
    bad |= seL4_ARM_VSpace_Clean_Data(seL4_CapInitThreadVSpace, at, at + size);
    bad |= seL4_ARM_VSpace_Invalidate_Data(seL4_CapInitThreadVSpace, at, at + size);
    bad |= seL4_ARM_VSpace_CleanInvalidate_Data(seL4_CapInitThreadVSpace, at, at + size);
    bad |= seL4_ARM_VSpace_Unify_Instruction(seL4_CapInitThreadVSpace, at, at + size);
    bad |= seL4_ARM_Page_Clean_Data(frame, 0, size);
    bad |= seL4_ARM_Page_Invalidate_Data(frame, 0, size);
    bad |= seL4_ARM_Page_CleanInvalidate_Data(frame, 0, size);
    bad |= seL4_ARM_Page_Unify_Instruction(frame, 0, size);
    mark(0);
    check(!bad, "cache maintenance");
    take_back(slots);
}

static void server(seL4_CPtr endpoint, seL4_CPtr reply, seL4_IPCBuffer *buffer, seL4_CPtr slot)
{
    seL4_Word mr[4] = {1, 2, 3, 4};
    buffer->receiveCNode = ROOT;
    buffer->receiveIndex = slot;
    buffer->receiveDepth = DEPTH;
    (void)sel4_receive(seL4_SysRecv, endpoint, seL4_MessageInfo_new(0, 0, 0, 0), mr, reply, 0, seL4_Null);
    for (;;) {
        for (int i = 0; i < seL4_MsgMaxExtraCaps; i++) {
            buffer->caps_or_badges[i] = endpoint;
        }
        (void)sel4_receive(seL4_SysReplyRecv, endpoint, seL4_MessageInfo_new(0, 0, 3, 120), mr, reply, 0, seL4_Null);
    }
}

static void messages(void)
{
    seL4_SlotPos slots = free_slot;
    seL4_CPtr endpoint = make(seL4_EndpointObject, 0, 1), reply = make(seL4_ReplyObject, 0, 1);
    seL4_CPtr buffer = make(seL4_ARM_SmallPageObject, 0, 1), other = make(seL4_EndpointObject, 0, 1);
    seL4_CPtr badged = free_slot++, received = free_slot++;
    copy(endpoint, ROOT, DEPTH, badged, 77);
    map(buffer, seL4_CapInitThreadVSpace, PAGES + 0x40000000);
    seL4_CPtr tcb = configure(make(seL4_TCBObject, 0, 1), ROOT, 200, PAGES + 0x40000000, buffer);
    seL4_CPtr context = make(seL4_SchedContextObject, 7, 1);
    give_time(context, 0, 0, 0);
    check(!seL4_SchedContext_Bind(context, tcb), "the server's time");
    seL4_UserContext registers = {
        .pc = (seL4_Word)server,
        .sp = (seL4_Word)(server_stack + sizeof(server_stack)),
        .x0 = endpoint,
        .x1 = reply,
        .x2 = PAGES + 0x40000000,
        .x3 = received,
    };
    start(tcb, &registers);
    for (int passive = 0; passive < 2; passive++) {
        if (passive) {
            check(!seL4_SchedContext_Unbind(context), "take the server's time");
        }
        for (int i = 0; i < 200; i++) {
            seL4_CPtr caps[] = {badged, badged, other};
            for (int j = 0; j < 3; j++) {
                seL4_SetCap(j, caps[(i + j) % 3]);
            }
            UNDER(MESSAGE, seL4_Call(badged, seL4_MessageInfo_new(0, 0, 3, 120)));
            seL4_CNode_Delete(ROOT, received, DEPTH);
        }
    }
    for (int i = 0; i < 20; i++) {
        UNDER(REGISTERS, seL4_TCB_ReadRegisters(tcb, seL4_True, 0, 36, &registers);
              seL4_TCB_WriteRegisters(tcb, seL4_False, 0, 36, &registers);
              seL4_TCB_CopyRegisters(tcb, tcb, 1, 0, 1, 1, 0));
    }
    seL4_CPtr vcpu = make(seL4_ARM_VCPUObject, 0, 1);
    mark(VCPU_REGISTERS);
    seL4_Word bad = seL4_ARM_VCPU_SetTCB(vcpu, tcb);
    for (int i = 0; i < seL4_VCPUReg_Num; i++) {
        bad |= seL4_ARM_VCPU_WriteRegs(vcpu, i, seL4_ARM_VCPU_ReadRegs(vcpu, i).value);
    }
    for (int i = 0; i < 4; i++) {
        bad |= seL4_ARM_VCPU_InjectIRQ(vcpu, 40 + i, 0, 1, i);
    }
    mark(0);
    check(!bad, "registers of a virtual CPU");
    take_back(slots);
}

/* A thread makes the system call that its registers hold, and has nothing to do then; another has nothing to do at all. */
__asm__(".pushsection .text\nsystem_call: svc #0\nendless: b endless\n.popsection\n");
extern const char system_call[], endless[];

/* Lets threads wait in `object`, each on a time of its own until it waits. */
static void let_wait(seL4_SlotPos tcbs, seL4_Word count, seL4_Word priority, seL4_Word call, seL4_CPtr object, seL4_CPtr context)
{
    for (seL4_Word i = 0; i < count; i++) {
        seL4_CPtr tcb = configure(tcbs + i, ROOT, priority, 0, 0);
        seL4_UserContext registers = {.pc = (seL4_Word)system_call, .x0 = object + i % 2, .x7 = call};
        start(tcb, &registers);
        check(!seL4_SchedContext_Bind(context, tcb), "a waiting thread's time");
        check(!seL4_SchedContext_Unbind(context), "take it back");
    }
}

static void queues(void)
{
    enum { ENDPOINT, BADGED, OTHER_BADGE, UNUSED_BADGE, COPY };
    seL4_SlotPos slots = free_slot;
    for (int round = 0; round < 4; round++) {
        seL4_SlotPos object = make(round < 3 ? seL4_EndpointObject : seL4_NotificationObject, 0, 1);
        free_slot += COPY;
        for (seL4_Word i = BADGED; i <= COPY; i++) {
            copy(object, ROOT, DEPTH, object + i, i);
        }
        seL4_CPtr context = make(seL4_SchedContextObject, 7, 1);
        give_time(context, 0, 0, 0);
        seL4_Word call = round < 3 ? seL4_SysSend : seL4_SysWait;
        seL4_SlotPos tcbs = make(seL4_TCBObject, 0, THREADS + 1);
        /* All of one priority, or of all those between the first thread's and the last one's. */
        for (seL4_Word i = 0; i < THREADS; i += 100) {
            let_wait(tcbs + i, 100, round % 2 ? 150 : 101 + i / 100, call, object + BADGED, context);
        }
        UNDER(QUEUE, let_wait(tcbs + THREADS, 1, 151, call, object + BADGED, context));
        if (round == 0) {
            UNDER(CANCEL_NONE, check(!seL4_CNode_CancelBadgedSends(ROOT, object + UNUSED_BADGE, DEPTH), "none"));
            UNDER(CANCEL_BADGED, check(!seL4_CNode_CancelBadgedSends(ROOT, object + BADGED, DEPTH), "half"));
        }
        if (round == 2) {
            revoke(REVOKE_THREADS, slots);
        } else {
            /* The last capability to it, after those derived from it. */
            check(!seL4_CNode_Revoke(ROOT, object, DEPTH), "revoke the object's capabilities");
            UNDER(round < 3 ? DELETE_ENDPOINT : DELETE_NOTIFICATION,
                  check(!seL4_CNode_Delete(ROOT, object, DEPTH), "delete the object"));
            take_back(slots);
        }
    }
}

/* Microseconds: what each thread may run, and when all may again. */
#define LITTLE 20
#define LATER 500000

static void budgets(void)
{
    seL4_SlotPos slots = free_slot;
    seL4_SlotPos tcbs = make(seL4_TCBObject, 0, BUDGETS), contexts = make(seL4_SchedContextObject, 7, BUDGETS);
    seL4_UserContext registers = {.pc = (seL4_Word)endless};
    for (seL4_Word i = 0; i < BUDGETS; i++) {
        start(configure(tcbs + i, ROOT, 150, 0, 0), &registers);
    }
    seL4_Word per_us = 62, from = ticks();
    for (seL4_Word i = 0; i < BUDGETS; i++) {
        /* Each has its next budget at the same time. */
        give_time(contexts + i, LITTLE, LATER - (ticks() - from) * 2 / (2 * per_us + 1), 0);
        UNDER(EXHAUST, check(!seL4_SchedContext_Bind(contexts + i, tcbs + i), "time for a thread"));
    }
    UNDER(RELEASE, while (ticks() - from < (LATER + BUDGETS * LITTLE * 2) * (per_us + 1)) {});
    revoke(REVOKE_CONTEXTS, slots);
}

static void refills(void)
{
    seL4_SlotPos slots = free_slot;
    seL4_CPtr tcb = make(seL4_TCBObject, 0, 1), notification = make(seL4_NotificationObject, 0, 1);
    seL4_CPtr context = make(seL4_SchedContextObject, 11, 1);
    give_time(context, 5000, 10000, 64);
    check(!seL4_SchedContext_Bind(context, configure(tcb, ROOT, 150, 0, 0)), "time");
    for (int i = 0; i < 400; i++) {
        /* It runs for a moment and waits; each time leaves a refill. The last ones are when all of them have come. */
        seL4_UserContext registers = {.pc = (seL4_Word)system_call, .x0 = notification, .x7 = (seL4_Word)seL4_SysWait};
        UNDER(REFILLS, start(tcb, &registers));
        for (seL4_Word from = ticks(); i % 100 > 96 && ticks() - from < 700000;) {
        }
        UNDER(REFILLS, seL4_TCB_Suspend(tcb));
    }
    take_back(slots);
}

/* A thread at every priority of domain 1, which has two short turns. */
static void domains(void)
{
    seL4_SlotPos slots = free_slot;
    seL4_SlotPos tcbs = make(seL4_TCBObject, 0, 254), contexts = make(seL4_SchedContextObject, 7, 254);
    seL4_UserContext registers = {.pc = (seL4_Word)endless};
    for (seL4_Word i = 0; i < 254; i++) {
        check(!seL4_DomainSet_Set(seL4_CapDomain, 1, tcbs + i), "a thread's domain");
        give_time(contexts + i, 0, 0, 0);
        start(configure(tcbs + i, ROOT, i, 0, 0), &registers);
        check(!seL4_SchedContext_Bind(contexts + i, tcbs + i), "its time");
    }
    const seL4_Word turn = 60000;
    for (seL4_Word i = 0; i < 4; i++) {
        check(!seL4_DomainSet_ScheduleConfigure(seL4_CapDomain, 1 + i, i % 2, turn), "a turn");
    }
    UNDER(DOMAIN, check(!seL4_DomainSet_ScheduleSetStart(seL4_CapDomain, 1), "turns");
          for (seL4_Word from = ticks(); ticks() - from < 6 * turn;) {
          });
    check(!seL4_DomainSet_ScheduleSetStart(seL4_CapDomain, 0), "the first turn");
    take_back(slots);
}

static void root(seL4_BootInfo *boot_info)
{
    info = boot_info;
    seL4_SetIPCBuffer(info->ipcBuffer);
    free_slot = info->empty.start;
    seL4_Word large = 0;
    for (seL4_SlotPos slot = info->untyped.start; slot < info->untyped.end; slot++) {
        const seL4_UntypedDesc *untyped = &info->untypedList[slot - info->untyped.start];
        if (!untyped->isDevice && untyped->sizeBits > POOL_BITS) {
            large = slot;
        }
    }
    /* What lasts is made from one pool, everything else from another. */
    pool = make_from(large, seL4_UntypedObject, POOL_BITS, 1);
    open_console();
    start_clock();
    pool = make_from(large, seL4_UntypedObject, POOL_BITS, 1);
    check(!seL4_TCB_SetPriority(seL4_CapInitThreadTCB, seL4_CapInitThreadTCB, 100), "own priority");
    for (int round = 0; round < 2; round++) {
        round ? busy() : calm();
        memory();
        capabilities();
        spaces();
        caches();
        messages();
        queues();
        budgets();
        refills();
        domains();
    }
    random_users();
    calm();
    mark(END);
    for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++) {
        print_line("operation", RETYPE + i, names[i]);
    }
    print_line("hostile root task ends", 0, "");
    seL4_TCB_Suspend(seL4_CapInitThreadTCB);
}

/* The kernel passes BootInfo's address in x0, and no stack. */
__attribute__((naked, noreturn)) void _start(void)
{
    __asm__ volatile("adrp x1, %0\n"
                     "add x1, x1, :lo12:%0\n"
                     "add sp, x1, %1\n"
                     "b %2"
                     :
                     : "S"(stack), "i"(sizeof(stack)), "S"(root));
}
