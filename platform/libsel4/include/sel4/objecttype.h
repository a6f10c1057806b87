/* SPDX-License-Identifier: BSD-2-Clause */
/* Types of kernel objects, the first argument of seL4_Untyped_Retype. */
#pragma once

#include <sel4/config.h>

typedef enum api_object {
    seL4_UntypedObject = 0,
    seL4_TCBObject = 1,
    seL4_EndpointObject = 2,
    seL4_NotificationObject = 3,
    seL4_CapTableObject = 4,
    seL4_SchedContextObject = 5,
    seL4_ReplyObject = 6,
    seL4_NonArchObjectTypeCount = 7
} seL4_ObjectType;
typedef unsigned long api_object_t;

typedef enum _mode_object {
    seL4_ARM_HugePageObject = 7,
    seL4_ARM_VSpaceObject = 8,
    seL4_ModeObjectTypeCount = 9
} seL4_ModeObjectType;

typedef enum _object {
    seL4_ARM_SmallPageObject = 9,
    seL4_ARM_LargePageObject = 10,
    seL4_ARM_PageTableObject = 11,
    seL4_ARM_VCPUObject = 12,
    seL4_ObjectTypeCount = 13
} seL4_ArchObjectType;
typedef unsigned long object_t;
