/* SPDX-License-Identifier: BSD-2-Clause */
/* Restarts a child that crashes, twice, then stops it; monitors a virtual machine of four instructions. */
#include "test.h"

uintptr_t uart;
/* Set by the tool. */
uintptr_t guest_ram;
seL4_Word child_id;
#define VCPU 3
#define INTEGER 10
#define GUEST_ENTRY 0x40000000
#define CHILD_ENTRY 0x200000

static void start_guest(void)
{
    static const uint32_t program[] = {
        0xd2800540, /* mov x0, #42 */
        0xd503207f, /* wfi */
        0xd2800560, /* mov x0, #43 */
        0xd503207f, /* wfi */
    };
    volatile uint32_t *ram = (volatile uint32_t *)guest_ram;
    for (unsigned i = 0; i < sizeof(program) / sizeof(program[0]); i++) {
        ram[i] = program[i];
    }
    microkit_vcpu_arm_write_reg(VCPU, seL4_VCPUReg_VBAR, 0x40001000);
    check(microkit_vcpu_arm_read_reg(VCPU, seL4_VCPUReg_VBAR) == 0x40001000, "a vCPU's register");
    microkit_vcpu_arm_inject_irq(VCPU, 35, 0, 1, 0);
    microkit_vcpu_arm_ack_vppi(VCPU, 27);
    microkit_vcpu_restart(VCPU, GUEST_ENTRY);
}

void init(void)
{
    check(child_id == 9, "the child's number");
    /* It has not run yet, and does because it is resumed. */
    microkit_pd_stop(child_id);
    microkit_pd_resume(child_id);
    start_guest();
}

void notified(microkit_channel ch)
{
    check(0, "nobody notifies the parent");
    (void)ch;
}

static seL4_Bool guest_fault(microkit_msginfo msginfo, microkit_msginfo *reply)
{
    seL4_UserContext context;
    check(seL4_Fault_VCPUFault_get_HSR(seL4_getFault(msginfo)) >> 26 == 1, "a trapped WFI");
    check(!seL4_TCB_ReadRegisters(BASE_VM_TCB_CAP + VCPU, seL4_False, 0, sizeof(context) / sizeof(seL4_Word), &context),
          "the guest's registers");
    report("has a guest with", context.x0);
    if (context.x0 == 43) {
        microkit_vcpu_stop(VCPU);
        return seL4_False;
    }
    context.pc += 4;
    check(!seL4_TCB_WriteRegisters(BASE_VM_TCB_CAP + VCPU, seL4_False, 0, 1, &context), "the guest's program counter");
    *reply = microkit_msginfo_new(0, 0);
    return seL4_True;
}

seL4_Bool fault(microkit_child child, microkit_msginfo msginfo, microkit_msginfo *reply_msginfo)
{
    static unsigned faults = 0;
    if (child == VCPU) {
        return guest_fault(msginfo, reply_msginfo);
    }
    if (child == INTEGER) {
        /* An instruction of the FPU traps (EC 7); seL4 with hypervisor support makes that a virtual CPU's fault. */
        check(seL4_MessageInfo_get_label(msginfo) == seL4_Fault_VCPUFault, "kind of the FPU's fault");
        report("keeps a child from the FPU", seL4_Fault_VCPUFault_get_HSR(seL4_getFault(msginfo)) >> 26);
        microkit_pd_stop(child);
        return seL4_False;
    }
    check(child == child_id, "number of the child");
    check(seL4_isVMFault_tag(msginfo), "kind of the fault");
    report("saw a fault at", seL4_GetMR(seL4_VMFault_Addr));
    if (++faults < 3) {
        microkit_pd_restart(child, CHILD_ENTRY);
    } else {
        microkit_pd_stop(child);
        report("stopped the child after", faults);
    }
    return seL4_False;
}
