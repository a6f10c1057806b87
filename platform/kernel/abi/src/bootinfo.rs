// SPDX-License-Identifier: BSD-2-Clause
//! BootInfo: what the root task finds at the address in x0 (`seL4_BootInfo`; byte offsets).

/// Bytes of extra chunks.
pub const EXTRA_LEN: u64 = 0;
/// Node of this root task.
pub const NODE_ID: u64 = 8;
/// Number of nodes.
pub const NUM_NODES: u64 = 16;
/// I/O page-table levels.
pub const NUM_IOPT_LEVELS: u64 = 24;
/// Address of the IPC buffer in the root task.
pub const IPC_BUFFER: u64 = 32;
/// Empty slots of the root CNode: start, end.
pub const EMPTY: u64 = 40;
/// Shared frames: start, end.
pub const SHARED_FRAMES: u64 = 56;
/// Frames of the user image: start, end.
pub const USER_IMAGE_FRAMES: u64 = 72;
/// Paging structures of the user image: start, end.
pub const USER_IMAGE_PAGING: u64 = 88;
/// I/O space capabilities: start, end.
pub const IO_SPACE_CAPS: u64 = 104;
/// Frames of extra BootInfo pages: start, end.
pub const EXTRA_BI_PAGES: u64 = 120;
/// log2 of the root CNode's slots.
pub const INIT_CNODE_SIZE_BITS: u64 = 136;
/// Domain of the root task.
pub const INIT_DOMAIN: u64 = 144;
/// Scheduling control capabilities, one a core: start, end.
pub const SCHED_CONTROL: u64 = 152;
/// Untyped capabilities: start, end.
pub const UNTYPED: u64 = 168;
/// Untyped descriptions, 16 bytes each: paddr u64, size bits u8, is device u8, padding.
pub const UNTYPED_LIST: u64 = 184;
/// Most untyped capabilities.
pub const MAX_UNTYPED: usize = 230;
/// Bytes of the structure.
pub const SIZE: u64 = 3864;

/// Bytes of a chunk's header in extra boot information (`seL4_BootInfoHeader`): id, and bytes with the header.
pub const CHUNK_HEADER: u64 = 16;
/// Id of a chunk that is a flattened device tree (`SEL4_BOOTINFO_HEADER_FDT`).
pub const CHUNK_FDT: u64 = 6;

/// Slots of the initial CNode.
pub mod slot {
    /// Own TCB.
    pub const TCB: u64 = 1;
    /// Own CNode.
    pub const CNODE: u64 = 2;
    /// Own VSpace.
    pub const VSPACE: u64 = 3;
    /// IRQ control.
    pub const IRQ_CONTROL: u64 = 4;
    /// ASID control.
    pub const ASID_CONTROL: u64 = 5;
    /// Initial ASID pool.
    pub const ASID_POOL: u64 = 6;
    /// BootInfo frame.
    pub const BOOTINFO_FRAME: u64 = 9;
    /// IPC buffer frame.
    pub const IPC_BUFFER: u64 = 10;
    /// Domain control.
    pub const DOMAIN: u64 = 11;
    /// Own scheduling context.
    pub const SCHED_CONTEXT: u64 = 14;
    /// SMC.
    pub const SMC: u64 = 15;
    /// First slot of what varies.
    pub const FIRST_DYNAMIC: u64 = 16;
}
