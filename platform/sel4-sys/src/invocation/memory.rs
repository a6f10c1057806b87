// SPDX-License-Identifier: BSD-2-Clause
//! Address spaces, page tables, frames and ASIDs.

use crate::{invocation_label, seL4_ARM_ASIDControl, seL4_ARM_ASIDPool, seL4_ARM_Page, seL4_ARM_PageTable};
use crate::{seL4_ARM_VMAttributes, seL4_ARM_VSpace, seL4_CNode, seL4_CapRights, seL4_Error, seL4_IPCBuffer};
use crate::{seL4_Untyped, seL4_Word};

/// Result of `seL4_ARM_Page_GetAddress`.
#[derive(Clone, Copy, Debug, Default)]
pub struct seL4_ARM_Page_GetAddress_ret {
    /// Error code.
    pub error: seL4_Error::Type,
    /// Physical address.
    pub paddr: seL4_Word,
}

macro_rules! range_operations {
    ($($(#[$doc:meta])* $name:ident $label:ident $service:ident;)*) => {
        impl seL4_IPCBuffer {
            $(
                $(#[$doc])*
                pub fn $name(&mut self, service: $service, start: seL4_Word, end: seL4_Word) -> seL4_Error::Type {
                    self.invoke(service, invocation_label::$label, [start, end], []).0
                }
            )*
        }
    };
}

range_operations! {
    /// Cleans the data cache for virtual addresses `start..end`.
    seL4_ARM_VSpace_Clean_Data ARMVSpaceClean_Data seL4_ARM_VSpace;
    /// Invalidates the data cache for virtual addresses `start..end`.
    seL4_ARM_VSpace_Invalidate_Data ARMVSpaceInvalidate_Data seL4_ARM_VSpace;
    /// Cleans and invalidates the data cache for virtual addresses `start..end`.
    seL4_ARM_VSpace_CleanInvalidate_Data ARMVSpaceCleanInvalidate_Data seL4_ARM_VSpace;
    /// Makes instructions written to virtual addresses `start..end` visible to fetches.
    seL4_ARM_VSpace_Unify_Instruction ARMVSpaceUnify_Instruction seL4_ARM_VSpace;
    /// Cleans the data cache for offsets `start..end` of the frame.
    seL4_ARM_Page_Clean_Data ARMPageClean_Data seL4_ARM_Page;
    /// Invalidates the data cache for offsets `start..end` of the frame.
    seL4_ARM_Page_Invalidate_Data ARMPageInvalidate_Data seL4_ARM_Page;
    /// Cleans and invalidates the data cache for offsets `start..end` of the frame.
    seL4_ARM_Page_CleanInvalidate_Data ARMPageCleanInvalidate_Data seL4_ARM_Page;
    /// Makes instructions written to offsets `start..end` of the frame visible to fetches.
    seL4_ARM_Page_Unify_Instruction ARMPageUnify_Instruction seL4_ARM_Page;
}

impl seL4_IPCBuffer {
    /// Maps a page table at the level the address space lacks for `vaddr`.
    pub fn seL4_ARM_PageTable_Map(
        &mut self,
        service: seL4_ARM_PageTable,
        vspace: seL4_ARM_VSpace,
        vaddr: seL4_Word,
        attr: seL4_ARM_VMAttributes::Type,
    ) -> seL4_Error::Type {
        self.invoke(service, invocation_label::ARMPageTableMap, [vaddr, attr], [vspace]).0
    }

    /// Takes a page table out of its address space.
    pub fn seL4_ARM_PageTable_Unmap(&mut self, service: seL4_ARM_PageTable) -> seL4_Error::Type {
        self.invoke(service, invocation_label::ARMPageTableUnmap, [], []).0
    }

    /// Maps a frame.
    pub fn seL4_ARM_Page_Map(
        &mut self,
        service: seL4_ARM_Page,
        vspace: seL4_ARM_VSpace,
        vaddr: seL4_Word,
        rights: seL4_CapRights,
        attr: seL4_ARM_VMAttributes::Type,
    ) -> seL4_Error::Type {
        self.invoke(service, invocation_label::ARMPageMap, [vaddr, rights.into_word(), attr], [vspace]).0
    }

    /// Takes a frame out of its address space.
    pub fn seL4_ARM_Page_Unmap(&mut self, service: seL4_ARM_Page) -> seL4_Error::Type {
        self.invoke(service, invocation_label::ARMPageUnmap, [], []).0
    }

    /// The physical address of a frame.
    pub fn seL4_ARM_Page_GetAddress(&mut self, service: seL4_ARM_Page) -> seL4_ARM_Page_GetAddress_ret {
        let (error, [paddr, ..]) = self.invoke(service, invocation_label::ARMPageGetAddress, [], []);
        seL4_ARM_Page_GetAddress_ret { error, paddr }
    }

    /// Makes an ASID pool of a 4 KiB untyped.
    pub fn seL4_ARM_ASIDControl_MakePool(
        &mut self,
        service: seL4_ARM_ASIDControl,
        untyped: seL4_Untyped,
        root: seL4_CNode,
        index: seL4_Word,
        depth: u8,
    ) -> seL4_Error::Type {
        let label = invocation_label::ARMASIDControlMakePool;
        self.invoke(service, label, [index, depth.into()], [untyped, root]).0
    }

    /// Gives an address space an ASID.
    pub fn seL4_ARM_ASIDPool_Assign(
        &mut self,
        service: seL4_ARM_ASIDPool,
        vspace: seL4_ARM_VSpace,
    ) -> seL4_Error::Type {
        self.invoke(service, invocation_label::ARMASIDPoolAssign, [], [vspace]).0
    }
}
