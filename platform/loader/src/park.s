// SPDX-License-Identifier: BSD-2-Clause
//
// Where cores wait for good: copied to a page of its own, so position independent. Interrupts are masked; one that is
// pending ends the sleep, which then goes on.

.section .text.park, "ax"
.global parked
.global parked_end
.balign 4
parked:
    msr     daifset, #0xf
1:  wfi
    b       1b
parked_end:
