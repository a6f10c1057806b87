// SPDX-License-Identifier: BSD-2-Clause
//! Fixed places that programs and the tool agree on: slots of a CSpace, badges, object names of the Microkit 2.3 ABI.

/// log2 of the slots of a protection domain's root CNode.
pub const ROOT_CNODE_RADIX: u8 = 6;
/// log2 of the slots of a protection domain's Microkit CNode, and of the monitor's and a vCPU's CNode.
pub const CNODE_RADIX: u8 = 9;
/// Bits of a capability pointer.
pub const CPTR_BITS: u8 = 64;

/// Guard word of the Microkit CNode in slot 0 of a root CNode: all bits in between are zero.
pub const MICROKIT_CNODE_GUARD: u64 = (CPTR_BITS - CNODE_RADIX - ROOT_CNODE_RADIX) as u64;
/// Guard word of a one-level CSpace (monitor, vCPU).
pub const FLAT_CNODE_GUARD: u64 = (CPTR_BITS - CNODE_RADIX) as u64;

/// log2 of the bytes of every scheduling context.
pub const SCHED_CONTEXT_BITS: u8 = 8;
/// Badge of the scheduling context of the protection domain or vCPU with index 0.
pub const SCHED_CONTEXT_BADGE: u64 = 0x100;

/// Badge of faults: this bit and the child's or vCPU's id.
pub const FAULT_BADGE: u64 = 1 << 62;
/// Badge of protected calls: this bit and the receiver's channel id.
pub const CALL_BADGE: u64 = 1 << 63;

/// Slots of a protection domain's Microkit CNode.
pub mod pd_slot {
    /// Where it receives: its endpoint or notification.
    pub const INPUT: u32 = 1;
    /// Its own fault endpoint.
    pub const FAULT_ENDPOINT: u32 = 2;
    /// Its address space.
    pub const VSPACE: u32 = 3;
    /// Its reply object.
    pub const REPLY: u32 = 4;
    /// The monitor's endpoint (passive domains).
    pub const MONITOR_ENDPOINT: u32 = 5;
    /// Its TCB (benchmark configurations).
    pub const TCB: u32 = 6;
    /// Secure monitor calls.
    pub const SMC: u32 = 7;
    /// Notifications of channel peers.
    pub const OUTPUT_NOTIFICATION: u32 = 10;
    /// Endpoints of channel peers.
    pub const OUTPUT_ENDPOINT: u32 = 74;
    /// Interrupt handlers.
    pub const IRQ: u32 = 138;
    /// TCBs of child domains.
    pub const CHILD_TCB: u32 = 202;
    /// TCBs of vCPUs.
    pub const VCPU_TCB: u32 = 266;
    /// VCPU objects.
    pub const VCPU: u32 = 330;
}

/// Slots of the monitor's CNode.
pub mod monitor_slot {
    /// The endpoint for faults and handshakes.
    pub const FAULT_ENDPOINT: u32 = 1;
    /// Its reply object.
    pub const REPLY: u32 = 2;
    /// TCBs of protection domains.
    pub const PD_TCB: u32 = 10;
    /// TCBs of vCPUs.
    pub const VCPU_TCB: u32 = 74;
    /// Scheduling contexts of passive domains.
    pub const SCHED_CONTEXT: u32 = 138;
    /// Notifications of passive domains.
    pub const NOTIFICATION: u32 = 202;
}

/// The monitor's stack, bytes.
pub const MONITOR_STACK_SIZE: u64 = 0x4000;
/// Entries in the monitor's name tables, and bytes of each name.
pub const MONITOR_NAMES: usize = 64;
/// Bytes of a name in an image and in the monitor.
pub const NAME_BYTES: usize = 64;

/// seL4's rights words.
pub mod rights {
    /// Read and write.
    pub const READ_WRITE: u8 = 3;
    /// Read, write and grant.
    pub const READ_WRITE_GRANT: u8 = 7;
    /// Everything.
    pub const ALL: u8 = 15;
}
