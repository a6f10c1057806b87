/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the hostile root task works with: a console, marks for the plugin `icount`, a pool of memory that is taken back
 * after every operation, threads, and a clock that interrupts at moments that have nothing to do with the others.
 */
#pragma once

#include <sel4/sel4.h>

/* The board's PL011, the interrupt of the timer that EL0 may set, and ticks a second. */
#define UART 0x09000000
#define TIMER_IRQ 30
#define POOL_BITS 26
#define DEPTH seL4_WordBits
#define ROOT seL4_CapInitThreadCNode
/* Where pages are mapped. */
#define PAGES 0x7000000000

seL4_IPCBuffer *__sel4_ipc_buffer;
static seL4_BootInfo *info;
static seL4_SlotPos free_slot;
static seL4_CPtr pool;
static volatile unsigned *uart;

static void print(const char *text)
{
    for (; *text && uart; text++) {
        *uart = (unsigned char)*text;
    }
}

static void print_line(const char *what, seL4_Word value, const char *more)
{
    char text[17] = {0};
    for (int i = 0; i < 16; i++) {
        text[i] = "0123456789abcdef"[value >> (60 - 4 * i) & 15];
    }
    print("TEST ");
    print(what);
    print(" ");
    print(text);
    print(" ");
    print(more);
    print("\r\n");
}

static void check(seL4_Word condition, const char *what)
{
    if (!condition) {
        print_line("FAILED", 0, what);
        seL4_TCB_Suspend(seL4_CapInitThreadTCB);
    }
}

/* Tells the plugin what is done from here on: any number below 0xbf, or END. */
#define END 0xbf
__asm__(".pushsection .text\n"
        "marks: .set number, 0\n"
        ".rept 192\n"
        "movz xzr, #(0xb000 + number)\n"
        "ret\n"
        ".set number, number + 1\n"
        ".endr\n"
        ".popsection\n");
extern const char marks[];

static void mark(seL4_Word number)
{
    ((void (*)(void))(marks + 8 * number))();
}

/* Pseudo-random numbers, the same in every run (splitmix64 by Sebastiano Vigna, public domain). */
static seL4_Word random_number(seL4_Word *state)
{
    seL4_Word z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static seL4_Word ticks(void)
{
    seL4_Word value;
    __asm__ volatile("isb\nmrs %0, cntpct_el0" : "=r"(value));
    return value;
}

/* New objects in free slots; the first of them. At most 256 a call. */
static seL4_SlotPos make_from(seL4_CPtr untyped, seL4_Word type, seL4_Word bits, seL4_Word count)
{
    seL4_SlotPos first = free_slot;
    free_slot += count;
    for (seL4_SlotPos slot = first; slot < free_slot; slot += 256) {
        seL4_Word some = free_slot - slot < 256 ? free_slot - slot : 256;
        check(!seL4_Untyped_Retype(untyped, type, bits, ROOT, 0, 0, slot, some), "retype");
    }
    return first;
}

static seL4_SlotPos make(seL4_Word type, seL4_Word bits, seL4_Word count)
{
    return make_from(pool, type, bits, count);
}

/* Takes everything back that was made from the pool. */
static void take_back(seL4_SlotPos slots)
{
    check(!seL4_CNode_Revoke(ROOT, pool, DEPTH), "take everything back");
    for (; free_slot > slots; free_slot--) {
        seL4_CNode_Delete(ROOT, free_slot - 1, DEPTH);
    }
}

/* Maps a frame into an address space, with the translation tables that it needs. */
static void map(seL4_CPtr frame, seL4_CPtr space, seL4_Word address)
{
    seL4_ARM_VMAttributes attributes = seL4_ARM_Default_VMAttributes | seL4_ARM_ExecuteNever;
    for (int tables = 0; seL4_ARM_Page_Map(frame, space, address, seL4_ReadWrite, attributes); tables++) {
        check(tables < 3, "map a page");
        seL4_CPtr table = make(seL4_ARM_PageTableObject, 0, 1);
        check(!seL4_ARM_PageTable_Map(table, space, address, seL4_ARM_Default_VMAttributes), "map a table");
    }
}

/* A thread of this program, without a scheduling context. */
static seL4_CPtr configure(seL4_CPtr tcb, seL4_CPtr cspace, seL4_Word priority, seL4_Word buffer, seL4_CPtr frame)
{
    check(!seL4_TCB_Configure(tcb, cspace, 0, seL4_CapInitThreadVSpace, 0, buffer, frame), "configure a thread");
    check(!seL4_TCB_SetPriority(tcb, seL4_CapInitThreadTCB, priority), "a thread's priority");
    return tcb;
}

static void start(seL4_CPtr tcb, seL4_UserContext *context)
{
    seL4_Word words = sizeof(*context) / sizeof(seL4_Word);
    check(!seL4_TCB_WriteRegisters(tcb, seL4_True, 0, words, context), "start a thread");
}

/* A scheduling context with all time there is, or (`period` not 0) with a budget, both in microseconds. */
static void give_time(seL4_CPtr context, seL4_Word budget, seL4_Word period, seL4_Word refills)
{
    if (!period) {
        budget = period = 10000;
    }
    check(!seL4_SchedControl_ConfigureFlags(info->schedcontrol.start, context, budget, period, refills, 0, 0),
          "configure a scheduling context");
}

/* Finds the console: the page at an address among device memory, which is cut in halves down to it. */
static void open_console(void)
{
    for (seL4_SlotPos slot = info->untyped.start; slot < info->untyped.end; slot++) {
        const seL4_UntypedDesc *all = &info->untypedList[slot - info->untyped.start];
        if (!all->isDevice || UART < all->paddr || UART - all->paddr >= LIBSEL4_BIT(all->sizeBits)) {
            continue;
        }
        seL4_CPtr part = slot;
        for (seL4_Word bits = all->sizeBits, base = all->paddr; bits > seL4_PageBits;) {
            bits--;
            seL4_Word upper = UART - base >= LIBSEL4_BIT(bits);
            base += upper ? LIBSEL4_BIT(bits) : 0;
            seL4_SlotPos half = make_from(part, seL4_UntypedObject, bits, 2);
            part = half + upper;
        }
        map(make_from(part, seL4_ARM_SmallPageObject, 0, 1), seL4_CapInitThreadVSpace, PAGES);
        uart = (volatile unsigned *)PAGES;
    }
}

/* ---- The clock: a thread of the highest priority that lets a timer interrupt it. ---- */

/* Ticks to the next interrupt: this, and up to so many more. */
static volatile seL4_Word interval, spread;
/* Called at every interrupt. */
static void (*volatile at_interrupt)(void);
static char clock_stack[0x1000] __attribute__((aligned(16)));

static void set_timer(seL4_Word deadline)
{
    __asm__ volatile("msr cntp_cval_el0, %0\nmsr cntp_ctl_el0, %1\nisb" ::"r"(deadline), "r"(1L));
}

static void clock(seL4_CPtr notification, seL4_CPtr interrupt)
{
    seL4_Word mr[4] = {0, 0, 0, 0}, random = 1;
    seL4_MessageInfo_t none = {{0}};
    for (;;) {
        (void)sel4_receive(seL4_SysWait, notification, none, mr, 0, 0, seL4_Null);
        if (at_interrupt) {
            at_interrupt();
        }
        set_timer(ticks() + interval + random_number(&random) % spread);
        (void)sel4_receive(seL4_SysCall, interrupt, seL4_MessageInfo_new(IRQAckIRQ, 0, 0, 0), mr, 0, 0, seL4_Null);
    }
}

/* Interrupts come seldom, or often: after some 16 instructions a tick. */
static void calm(void)
{
    interval = 2000000;
    spread = 1;
    set_timer(ticks() + interval);
}

static void busy(void)
{
    interval = 150;
    spread = 1500;
    set_timer(ticks() + interval);
}

static void start_clock(void)
{
    seL4_CPtr notification = make(seL4_NotificationObject, 0, 1);
    seL4_CPtr interrupt = free_slot++;
    check(!seL4_IRQControl_Get(seL4_CapIRQControl, TIMER_IRQ, ROOT, interrupt, DEPTH), "the timer's interrupt");
    check(!seL4_IRQHandler_SetNotification(interrupt, notification), "its notification");
    seL4_CPtr context = make(seL4_SchedContextObject, seL4_MinSchedContextBits, 1);
    give_time(context, 0, 0, 0);
    seL4_CPtr tcb = configure(make(seL4_TCBObject, 0, 1), ROOT, 255, 0, 0);
    check(!seL4_SchedContext_Bind(context, tcb), "its time");
    seL4_UserContext registers = {
        .pc = (seL4_Word)clock,
        .sp = (seL4_Word)(clock_stack + sizeof(clock_stack)),
        .x0 = notification,
        .x1 = interrupt,
    };
    calm();
    start(tcb, &registers);
}
