// SPDX-License-Identifier: BSD-2-Clause
//! The capability slots and badges of a Microkit 2.3 PD.

use sel4_sys::{seL4_CPtr, seL4_Word};

/// Where the PD receives: an endpoint, or its notification when nobody can call it.
pub(crate) const INPUT: seL4_CPtr = 1;
/// The reply object.
pub(crate) const REPLY: seL4_CPtr = 4;
/// The monitor's endpoint (passive PDs only).
pub(crate) const MONITOR: seL4_CPtr = 5;
/// The right to issue SMCs.
pub(crate) const SMC: seL4_CPtr = 7;
/// First notification to a channel's other side.
pub(crate) const OUTPUT_NOTIFICATION_BASE: seL4_CPtr = 10;
/// First endpoint of a channel's other side.
pub(crate) const OUTPUT_ENDPOINT_BASE: seL4_CPtr = 74;
/// First interrupt handler.
pub(crate) const IRQ_BASE: seL4_CPtr = 138;
/// First TCB of a child PD.
pub(crate) const CHILD_TCB_BASE: seL4_CPtr = 202;
/// First TCB of a vCPU.
pub(crate) const VCPU_TCB_BASE: seL4_CPtr = 266;
/// First vCPU.
pub(crate) const VCPU_BASE: seL4_CPtr = 330;

/// Entries of each of the tables above.
pub(crate) const TABLE_SIZE: usize = 64;

/// Badge bit of a protected call; the low bits are the channel.
pub(crate) const PROTECTED_CALL_BADGE: seL4_Word = 1 << 63;
/// Badge bit of a fault; the low byte is the child or vCPU.
pub(crate) const FAULT_BADGE: seL4_Word = 1 << 62;

/// Bits of the address below the root CNode, which has 64 slots.
const ROOT_CNODE_SHIFT: u32 = 58;

/// The capability pointer of slot `slot` of the PD's root CNode (`<cspace>` of the system description); 0, the null
/// capability, for slot 0 and from 64 on.
pub const fn cspace_slot(slot: usize) -> seL4_CPtr {
    if slot < TABLE_SIZE { (slot as seL4_CPtr) << ROOT_CNODE_SHIFT } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cspace_slot_outside_the_root_is_null() {
        assert_eq!(cspace_slot(0), 0);
        assert_eq!(cspace_slot(1), 1 << 58);
        assert_eq!(cspace_slot(63), 63 << 58);
        assert_eq!(cspace_slot(64), 0);
    }
}
