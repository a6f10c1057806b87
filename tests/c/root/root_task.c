/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A root task that uses nothing but libsel4's headers: looks at BootInfo, makes objects, maps a page for which there is no
 * translation table yet, and starts a thread that faults and calls it. Without a linker script, so its segments lie apart.
 */
#include <sel4/sel4.h>

seL4_IPCBuffer *__sel4_ipc_buffer;
static seL4_BootInfo *info;
static seL4_SlotPos free_slot;
static seL4_Untyped memory;
static char stack[0x4000] __attribute__((aligned(16)));
static char thread_stack[0x1000] __attribute__((aligned(16)));
static volatile unsigned long written = 7;

static void print(const char *text)
{
#ifdef CONFIG_PRINTING
    for (; *text; text++) {
        seL4_DebugPutChar(*text);
    }
#else
    (void)text;
#endif
}

static void print_number(const char *what, unsigned long value)
{
    char text[17] = {0};
    for (int i = 0; i < 16; i++) {
        text[i] = "0123456789abcdef"[value >> (60 - 4 * i) & 15];
    }
    print("TEST root task ");
    print(what);
    print(" ");
    print(text);
    print("\n");
}

static void check(int condition, const char *what)
{
    if (!condition) {
        print("TEST root task FAILED: ");
        print(what);
        print("\n");
        seL4_TCB_Suspend(seL4_CapInitThreadTCB);
    }
}

/* A new object in a free slot. */
static seL4_CPtr make(seL4_Word type, seL4_Word bits)
{
    seL4_SlotPos slot = free_slot++;
    check(!seL4_Untyped_Retype(memory, type, bits, seL4_CapInitThreadCNode, 0, 0, slot, 1), "retype");
    return slot;
}

/* Maps a page, with the translation tables that it needs. */
static void map(seL4_CPtr page, seL4_Word address)
{
    for (int tables = 0;; tables++) {
        seL4_Error error = seL4_ARM_Page_Map(page, seL4_CapInitThreadVSpace, address, seL4_ReadWrite,
                                             seL4_ARM_Default_VMAttributes | seL4_ARM_ExecuteNever);
        if (error == seL4_NoError) {
            print_number("needed translation tables:", tables);
            return;
        }
        check(error == seL4_FailedLookup && tables < 3, "map a page");
        check(!seL4_ARM_PageTable_Map(make(seL4_ARM_PageTableObject, 0), seL4_CapInitThreadVSpace, address,
                                      seL4_ARM_Default_VMAttributes),
              "map a table");
    }
}

/* Uses the FPU, then calls with what it finds at the address that it is given, and again with what comes back. */
static void thread(seL4_CPtr endpoint, volatile seL4_Word *word, seL4_IPCBuffer *buffer)
{
    (void)buffer;
    __asm__ volatile("fmov d0, #2.0" ::: "v0");
    for (seL4_Word value = *word;;) {
        seL4_MessageInfo_t message = seL4_MessageInfo_new(11, 0, 0, 1);
        seL4_CallWithMRs(endpoint, message, &value, seL4_Null, seL4_Null, seL4_Null);
    }
}

/* The device tree, if there is one, is the only chunk behind BootInfo; a machine's name is in it. */
static void look_at_extra_information(void)
{
    static const char name[] = "linux,dummy-virt";
    print_number("was given extra boot information:", info->extraLen);
    seL4_Word pages = info->extraBIPages.end - info->extraBIPages.start;
    check(pages * seL4_BootInfoFrameSize >= info->extraLen, "room for extra information");
    if (!info->extraLen) {
        return;
    }
    const seL4_BootInfoHeader *chunk = (const seL4_BootInfoHeader *)((seL4_Word)info + seL4_BootInfoFrameSize);
    const unsigned char *tree = (const unsigned char *)(chunk + 1);
    check(chunk->id == SEL4_BOOTINFO_HEADER_FDT && chunk->len == info->extraLen, "a device tree");
    check(tree[0] == 0xd0 && tree[1] == 0x0d && tree[2] == 0xfe && tree[3] == 0xed, "magic of a device tree");
    for (seL4_Word at = 0; at + sizeof(*chunk) + sizeof(name) <= chunk->len; at++) {
        seL4_Word same = 0;
        while (same < sizeof(name) && tree[at + same] == (unsigned char)name[same]) {
            same++;
        }
        if (same == sizeof(name)) {
            print("TEST root task was given a device tree of linux,dummy-virt\n");
            return;
        }
    }
}

static void look_at_boot_info(void)
{
    check(info->numNodes == 1 && info->nodeID == 0, "nodes");
    check(info->initThreadCNodeSizeBits == CONFIG_ROOT_CNODE_SIZE_BITS, "size of the CNode");
    check(info->schedcontrol.end - info->schedcontrol.start == 1, "scheduling control");
    check(info->initThreadDomain == 0, "domain");
    check(info->userImageFrames.start < info->userImageFrames.end, "frames of the image");
    check((seL4_Word)info == (seL4_Word)info->ipcBuffer + 0x1000, "BootInfo behind the IPC buffer");
    seL4_Word ram = 0;
    for (seL4_SlotPos slot = info->untyped.start; slot < info->untyped.end; slot++) {
        const seL4_UntypedDesc *untyped = &info->untypedList[slot - info->untyped.start];
        check(!(untyped->paddr & (LIBSEL4_BIT(untyped->sizeBits) - 1)), "alignment of an untyped");
        if (!untyped->isDevice) {
            ram += LIBSEL4_BIT(untyped->sizeBits);
            memory = untyped->sizeBits >= 20 ? slot : memory;
        }
    }
    look_at_extra_information();
    check(memory, "a megabyte of memory");
    print_number("has memory, MiB:", ram >> 20);
}

/* What debug libraries and tests of seL4 expect of the debug calls. */
static void look_at_debug_calls(seL4_CPtr endpoint, seL4_CPtr notification, seL4_CPtr page, seL4_TCB tcb)
{
    (void)endpoint, (void)notification, (void)page, (void)tcb;
#ifdef CONFIG_DEBUG_BUILD
    check(seL4_DebugCapIdentify(endpoint) == 4 && seL4_DebugCapIdentify(notification) == 6, "endpoint, notification");
    check(seL4_DebugCapIdentify(page) == 1 && seL4_DebugCapIdentify(seL4_CapInitThreadTCB) == 12, "frame, thread");
    check(seL4_DebugCapIdentify(free_slot) == 0, "nothing");
#endif
#ifdef CONFIG_HARDWARE_DEBUG_API
    /* One instruction, which the thread does not come to, and then none again. */
    for (seL4_Word steps = 1; steps <= 1; steps--) {
        seL4_TCB_ConfigureSingleStepping_t step = seL4_TCB_ConfigureSingleStepping(tcb, 0, steps);
        check(!step.error && (seL4_Word)step.bp_was_consumed == steps, "breakpoint of single-stepping");
    }
#endif
}

/* A thread that may not use the FPU is stopped by a virtual CPU's fault, though it is none, and goes on where it was. */
static void allow_the_fpu(seL4_TCB tcb, seL4_CPtr endpoint, seL4_CPtr reply)
{
    seL4_Word badge;
    seL4_MessageInfo_t message = seL4_Recv(endpoint, &badge, reply);
    check(badge == 99 && seL4_MessageInfo_get_label(message) == seL4_Fault_VCPUFault, "fault of the FPU's user");
    check(seL4_GetMR(seL4_VCPUFault_HSR) >> 26 == 7, "class of the fault");
    seL4_TCB_SetFlags_t flags = seL4_TCB_SetFlags(tcb, seL4_TCBFlag_fpuDisabled, 0);
    check(!flags.error && flags.flags == 0, "allow the FPU");
    seL4_Send(reply, seL4_MessageInfo_new(0, 0, 0, 0));
}

static seL4_TCB start_thread(seL4_CPtr endpoint, seL4_CPtr buffer_frame, seL4_Word buffer)
{
    seL4_CPtr tcb = make(seL4_TCBObject, 0);
    seL4_CPtr sched_context = make(seL4_SchedContextObject, seL4_MinSchedContextBits);
    check(!seL4_TCB_Configure(tcb, seL4_CapInitThreadCNode, 0, seL4_CapInitThreadVSpace, 0, buffer, buffer_frame),
          "configure the thread");
    check(!seL4_SchedControl_Configure(info->schedcontrol.start, sched_context, 10000, 10000, 0, 0),
          "configure the scheduling context");
    seL4_CPtr badged = free_slot++;
    check(!seL4_CNode_Mint(seL4_CapInitThreadCNode, badged, seL4_WordBits, seL4_CapInitThreadCNode, endpoint,
                           seL4_WordBits, seL4_AllRights, 99),
          "badge the endpoint");
    check(!seL4_TCB_SetSchedParams(tcb, seL4_CapInitThreadTCB, 200, 200, sched_context, badged), "scheduling parameters");
    check(!seL4_TCB_SetFlags(tcb, 0, seL4_TCBFlag_fpuDisabled).error, "forbid the FPU");
    seL4_UserContext context = {
        .pc = (seL4_Word)thread,
        .sp = (seL4_Word)(thread_stack + sizeof(thread_stack)),
        .x0 = badged,
        .x1 = buffer + 0x800,
    };
    check(!seL4_TCB_WriteRegisters(tcb, seL4_True, 0, sizeof(context) / sizeof(seL4_Word), &context), "start it");
    return tcb;
}

static void root(seL4_BootInfo *boot_info)
{
    info = boot_info;
    seL4_SetIPCBuffer(info->ipcBuffer);
    free_slot = info->empty.start;
    check(written == 7, "initialised data");
    look_at_boot_info();

    const seL4_Word address = 0x7000000000;
    seL4_CPtr page = make(seL4_ARM_SmallPageObject, 0);
    map(page, address);
    *(volatile seL4_Word *)(address + 0x800) = 0x1234;
    seL4_ARM_Page_GetAddress_t physical = seL4_ARM_Page_GetAddress(page);
    check(!physical.error && physical.paddr >= 0x60000000, "address of the page");

    seL4_CPtr endpoint = make(seL4_EndpointObject, 0);
    seL4_CPtr reply = make(seL4_ReplyObject, 0);
    seL4_TCB tcb = start_thread(endpoint, page, address);
    allow_the_fpu(tcb, endpoint, reply);
    seL4_Word badge;
    seL4_MessageInfo_t message = seL4_Recv(endpoint, &badge, reply);
    check(badge == 99 && seL4_MessageInfo_get_label(message) == 11, "badge and label of the call");
    print_number("was called with", seL4_GetMR(0));
    seL4_SetMR(0, seL4_GetMR(0) + 1);
    (void)seL4_ReplyRecv(endpoint, seL4_MessageInfo_new(0, 0, 0, 1), &badge, reply);
    print_number("was called with", seL4_GetMR(0));

    seL4_CPtr notification = make(seL4_NotificationObject, 0);
    look_at_debug_calls(endpoint, notification, page, tcb);
    seL4_Signal(notification);
    (void)seL4_Wait(notification, &badge);
    check(!seL4_CNode_Revoke(seL4_CapInitThreadCNode, memory, seL4_WordBits), "take everything back");
    print_number("ends with", badge);
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
