/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls a passive server, notifies a peer at once and deferred, looks at what the tool wrote into it and at the peer's
   registers, prints by the kernel. */
#include "test.h"

uintptr_t uart;
/* Set by the tool: a region's address and the length of the file in it, the number of a channel. */
uintptr_t greeting;
uint64_t greeting_length;
/* What is in boot information. */
uintptr_t tree;
seL4_Word server_channel;
#define PEER 2

static unsigned constructed = 0;

__attribute__((constructor)) static void construct(void)
{
    constructed++;
}

static void call(void)
{
    for (seL4_Word i = 0; i < 6; i++) {
        microkit_mr_set(i, i + 10);
    }
    microkit_msginfo reply = microkit_ppcall(server_channel, microkit_msginfo_new(5, 6));
    check(microkit_msginfo_get_label(reply) == 6, "label of the reply");
    check(microkit_msginfo_get_count(reply) == 6, "length of the reply");
    for (seL4_Word i = 0; i < 6; i++) {
        check(microkit_mr_get(i) == (i + 10) * 2, "word of the reply");
    }
    report("was answered", microkit_mr_get(5));
}

/* By a capability that the system description has put beside those that every program has. */
static void look_at_the_peer(void)
{
    seL4_UserContext context = {0};
    seL4_CPtr peer = microkit_cspace_root_slot_to_cptr(5);
    check(!seL4_TCB_ReadRegisters(peer, seL4_False, 0, sizeof(context) / sizeof(seL4_Word), &context), "the peer's registers");
    check(context.pc != 0, "the peer's program counter");
    check(microkit_cspace_root_slot_to_cptr(64) == seL4_CapNull, "a slot that is not there");
}

/* Only a kernel that prints shows it. */
static void print(void)
{
    microkit_dbg_puts("client prints ");
    microkit_dbg_putc('<');
    microkit_dbg_put8(200);
    microkit_dbg_putc(' ');
    microkit_dbg_put32(4000000000u);
    microkit_dbg_puts(">\n");
}

void init(void)
{
    check(constructed == 1, "constructors run once, before init");
    look_at_the_peer();
    print();
    report("begins with", *(const char *)greeting);
    check(greeting_length == 6, "length of the prefilled file");
    check(tree == 0x20001000 && *(const uint64_t *)tree == 0, "no device tree");
    call();
    /* A channel that is not there is refused without harm. */
    microkit_notify(40);
    microkit_deferred_irq_ack(PEER);
    check(!microkit_have_signal, "nothing is deferred");
    microkit_notify(PEER);
}

void notified(microkit_channel ch)
{
    static unsigned times = 0;
    check(ch == PEER, "channel of the notification");
    if (++times < 3) {
        microkit_deferred_notify(PEER);
    } else {
        report("was notified", times);
    }
}
