/* SPDX-License-Identifier: BSD-2-Clause */
/* Everything: types, constants, system calls, invocations, BootInfo and faults. */
#pragma once

#include <sel4/config.h>
#include <sel4/types.h>
#include <sel4/constants.h>
#include <sel4/functions.h>
#include <sel4/syscalls.h>
#include <sel4/debug.h>
#include <sel4/invocation.h>
#include <interfaces/sel4_client.h>
#include <sel4/virtual_client.h>
#include <sel4/bootinfo_types.h>
#include <sel4/faults.h>
