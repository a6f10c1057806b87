// SPDX-License-Identifier: BSD-2-Clause
//! Untyped memory and CNodes.

use crate::{
    invocation_label, seL4_CNode, seL4_CapRights, seL4_Error, seL4_IPCBuffer, seL4_Untyped, seL4_Word,
};

impl seL4_IPCBuffer {
    /// Makes `num_objects` objects of `type_` in the slots from `node_offset` of a CNode (`root` itself when
    /// `node_depth` is 0).
    #[expect(clippy::too_many_arguments, reason = "the method's own arguments")]
    pub fn seL4_Untyped_Retype(
        &mut self,
        service: seL4_Untyped,
        type_: seL4_Word,
        size_bits: seL4_Word,
        root: seL4_CNode,
        node_index: seL4_Word,
        node_depth: seL4_Word,
        node_offset: seL4_Word,
        num_objects: seL4_Word,
    ) -> seL4_Error::Type {
        let arguments = [type_, size_bits, node_index, node_depth, node_offset, num_objects];
        self.invoke(service, invocation_label::UntypedRetype, arguments, [root]).0
    }

    /// Deletes every capability derived from the one in the slot.
    pub fn seL4_CNode_Revoke(
        &mut self,
        service: seL4_CNode,
        index: seL4_Word,
        depth: u8,
    ) -> seL4_Error::Type {
        self.invoke(service, invocation_label::CNodeRevoke, [index, depth.into()], []).0
    }

    /// Empties the slot.
    pub fn seL4_CNode_Delete(
        &mut self,
        service: seL4_CNode,
        index: seL4_Word,
        depth: u8,
    ) -> seL4_Error::Type {
        self.invoke(service, invocation_label::CNodeDelete, [index, depth.into()], []).0
    }

    /// Cancels the sends blocked on the endpoint in the slot with the capability's badge.
    pub fn seL4_CNode_CancelBadgedSends(
        &mut self,
        service: seL4_CNode,
        index: seL4_Word,
        depth: u8,
    ) -> seL4_Error::Type {
        self.invoke(service, invocation_label::CNodeCancelBadgedSends, [index, depth.into()], []).0
    }

    /// Copies a capability with rights taken away.
    #[expect(clippy::too_many_arguments, reason = "the method's own arguments")]
    pub fn seL4_CNode_Copy(
        &mut self,
        service: seL4_CNode,
        dest_index: seL4_Word,
        dest_depth: u8,
        src_root: seL4_CNode,
        src_index: seL4_Word,
        src_depth: u8,
        rights: seL4_CapRights,
    ) -> seL4_Error::Type {
        let arguments = [dest_index, dest_depth.into(), src_index, src_depth.into(), rights.into_word()];
        self.invoke(service, invocation_label::CNodeCopy, arguments, [src_root]).0
    }

    /// Copies a capability with rights taken away and a badge, or a guard, set.
    #[expect(clippy::too_many_arguments, reason = "the method's own arguments")]
    pub fn seL4_CNode_Mint(
        &mut self,
        service: seL4_CNode,
        dest_index: seL4_Word,
        dest_depth: u8,
        src_root: seL4_CNode,
        src_index: seL4_Word,
        src_depth: u8,
        rights: seL4_CapRights,
        badge: seL4_Word,
    ) -> seL4_Error::Type {
        let arguments =
            [dest_index, dest_depth.into(), src_index, src_depth.into(), rights.into_word(), badge];
        self.invoke(service, invocation_label::CNodeMint, arguments, [src_root]).0
    }

    /// Moves a capability.
    pub fn seL4_CNode_Move(
        &mut self,
        service: seL4_CNode,
        dest_index: seL4_Word,
        dest_depth: u8,
        src_root: seL4_CNode,
        src_index: seL4_Word,
        src_depth: u8,
    ) -> seL4_Error::Type {
        let arguments = [dest_index, dest_depth.into(), src_index, src_depth.into()];
        self.invoke(service, invocation_label::CNodeMove, arguments, [src_root]).0
    }

    /// Moves a capability and sets its badge or guard.
    #[expect(clippy::too_many_arguments, reason = "the method's own arguments")]
    pub fn seL4_CNode_Mutate(
        &mut self,
        service: seL4_CNode,
        dest_index: seL4_Word,
        dest_depth: u8,
        src_root: seL4_CNode,
        src_index: seL4_Word,
        src_depth: u8,
        badge: seL4_Word,
    ) -> seL4_Error::Type {
        let arguments = [dest_index, dest_depth.into(), src_index, src_depth.into(), badge];
        self.invoke(service, invocation_label::CNodeMutate, arguments, [src_root]).0
    }

    /// Moves the pivot's capability to the destination and the source's to the pivot.
    #[expect(clippy::too_many_arguments, reason = "the method's own arguments")]
    pub fn seL4_CNode_Rotate(
        &mut self,
        service: seL4_CNode,
        dest_index: seL4_Word,
        dest_depth: u8,
        dest_badge: seL4_Word,
        pivot_root: seL4_CNode,
        pivot_index: seL4_Word,
        pivot_depth: u8,
        pivot_badge: seL4_Word,
        src_root: seL4_CNode,
        src_index: seL4_Word,
        src_depth: u8,
    ) -> seL4_Error::Type {
        let arguments = [
            dest_index,
            dest_depth.into(),
            dest_badge,
            pivot_index,
            pivot_depth.into(),
            pivot_badge,
            src_index,
            src_depth.into(),
        ];
        self.invoke(service, invocation_label::CNodeRotate, arguments, [pivot_root, src_root]).0
    }
}
