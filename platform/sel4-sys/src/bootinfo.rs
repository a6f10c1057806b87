// SPDX-License-Identifier: BSD-2-Clause
//! What the kernel tells the root task (seL4 manual, "Bootstrapping"). The root task gets the frame's address in x0.

use crate::{config, seL4_CPtr, seL4_IPCBuffer, seL4_Word};

/// Capability slots `start..end`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct seL4_SlotRegion {
    /// First slot.
    pub start: seL4_Word,
    /// One past the last slot.
    pub end: seL4_Word,
}

/// One untyped capability.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct seL4_UntypedDesc {
    /// Physical address.
    pub paddr: seL4_Word,
    /// log2 of the size in bytes.
    pub sizeBits: u8,
    /// 1 when the memory is not the kernel's to write (devices, memory kept aside).
    pub isDevice: u8,
    /// Zero.
    pub padding: [u8; 6],
}

/// The BootInfo frame. Only ever read, by the root task, after the kernel has written it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct seL4_BootInfo {
    /// Bytes of extra chunks, which start one page after this struct.
    pub extraLen: seL4_Word,
    /// This node.
    pub nodeID: seL4_Word,
    /// Number of nodes (cores).
    pub numNodes: seL4_Word,
    /// Levels of IO page tables (x86).
    pub numIOPTLevels: seL4_Word,
    /// The root task's IPC buffer.
    pub ipcBuffer: *mut seL4_IPCBuffer,
    /// Empty slots.
    pub empty: seL4_SlotRegion,
    /// Frames shared between nodes.
    pub sharedFrames: seL4_SlotRegion,
    /// Frames of the root task's image.
    pub userImageFrames: seL4_SlotRegion,
    /// Paging structures of the root task's image.
    pub userImagePaging: seL4_SlotRegion,
    /// IO spaces.
    pub ioSpaceCaps: seL4_SlotRegion,
    /// Frames of the extra chunks.
    pub extraBIPages: seL4_SlotRegion,
    /// log2 of the number of slots of the root CNode.
    pub initThreadCNodeSizeBits: seL4_Word,
    /// Domain of the root task.
    pub initThreadDomain: seL4_Word,
    /// SchedControl capabilities, one for each core.
    pub schedcontrol: seL4_SlotRegion,
    /// Untyped capabilities, described by `untypedList` in the same order.
    pub untyped: seL4_SlotRegion,
    /// Descriptions of the untyped capabilities.
    pub untypedList: [seL4_UntypedDesc; config::MAX_NUM_BOOTINFO_UNTYPED_CAPS],
}

const _: () = {
    use core::mem::offset_of;
    assert!(offset_of!(seL4_BootInfo, ipcBuffer) == 32);
    assert!(offset_of!(seL4_BootInfo, empty) == 40);
    assert!(offset_of!(seL4_BootInfo, extraBIPages) == 120);
    assert!(offset_of!(seL4_BootInfo, schedcontrol) == 152);
    assert!(offset_of!(seL4_BootInfo, untypedList) == 184);
    assert!(size_of::<seL4_UntypedDesc>() == 16);
};

impl seL4_BootInfo {
    /// The untyped capabilities with their slots; never more than the list has entries.
    pub fn untypeds(&self) -> impl Iterator<Item = (seL4_CPtr, &seL4_UntypedDesc)> {
        (self.untyped.start..self.untyped.end).zip(self.untypedList.iter())
    }
}

/// Header of an extra chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct seL4_BootInfoHeader {
    /// One of [`seL4_BootInfoID`].
    pub id: seL4_Word,
    /// Length including this header.
    pub len: seL4_Word,
}

/// Kinds of extra chunks.
pub mod seL4_BootInfoID {
    use crate::seL4_Word;
    /// Padding.
    pub const SEL4_BOOTINFO_HEADER_PADDING: seL4_Word = 0;
    /// Flattened device tree.
    pub const SEL4_BOOTINFO_HEADER_FDT: seL4_Word = 6;
}

/// The root task's initial capability slots.
pub mod seL4_RootCNodeCapSlots {
    use crate::seL4_CPtr;
    /// Null capability.
    pub const seL4_CapNull: seL4_CPtr = 0;
    /// Its TCB.
    pub const seL4_CapInitThreadTCB: seL4_CPtr = 1;
    /// Its root CNode.
    pub const seL4_CapInitThreadCNode: seL4_CPtr = 2;
    /// Its address space.
    pub const seL4_CapInitThreadVSpace: seL4_CPtr = 3;
    /// Interrupt control.
    pub const seL4_CapIRQControl: seL4_CPtr = 4;
    /// ASID control.
    pub const seL4_CapASIDControl: seL4_CPtr = 5;
    /// Its ASID pool.
    pub const seL4_CapInitThreadASIDPool: seL4_CPtr = 6;
    /// IO port control (x86).
    pub const seL4_CapIOPortControl: seL4_CPtr = 7;
    /// IO space (null).
    pub const seL4_CapIOSpace: seL4_CPtr = 8;
    /// BootInfo frame.
    pub const seL4_CapBootInfoFrame: seL4_CPtr = 9;
    /// Its IPC buffer frame.
    pub const seL4_CapInitThreadIPCBuffer: seL4_CPtr = 10;
    /// Domain control.
    pub const seL4_CapDomain: seL4_CPtr = 11;
    /// SMMU stream id control.
    pub const seL4_CapSMMUSIDControl: seL4_CPtr = 12;
    /// SMMU context bank control.
    pub const seL4_CapSMMUCBControl: seL4_CPtr = 13;
    /// Its scheduling context.
    pub const seL4_CapInitThreadSC: seL4_CPtr = 14;
    /// SMC.
    pub const seL4_CapSMC: seL4_CPtr = 15;
    /// First slot without a fixed meaning.
    pub const seL4_NumInitialCaps: seL4_CPtr = 16;
}
