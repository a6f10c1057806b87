// SPDX-License-Identifier: BSD-2-Clause
//! The IPC buffer, and the message-passing system calls that use it.
//!
//! Message registers 0 to 3 travel in CPU registers; the methods here load them from the buffer before and store them to
//! the buffer after the call, so that `msg` always is the whole message. Code that wants to avoid even that uses the
//! free functions of the `syscall` module.

use crate::syscall::{
    Message, sys_nb_send_recv, sys_nb_send_wait, sys_recv, sys_send, sys_send_recv, sys_wait, syscall_id,
};
use crate::{seL4_CPtr, seL4_MessageInfo, seL4_Word};

/// A thread's IPC buffer: 1024 bytes, 1024-aligned.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(1024))]
pub struct seL4_IPCBuffer {
    /// Message tag (unused by the kernel on AArch64).
    pub tag: seL4_Word,
    /// Message registers.
    pub msg: [seL4_Word; seL4_MessageInfo::MAX_LENGTH],
    /// Free for user level.
    pub userData: seL4_Word,
    /// Capabilities to send, or badges of received capabilities that were unwrapped.
    pub caps_or_badges: [seL4_Word; 3],
    /// CNode for a received capability.
    pub receiveCNode: seL4_CPtr,
    /// Slot for a received capability.
    pub receiveIndex: seL4_CPtr,
    /// Depth of that slot.
    pub receiveDepth: seL4_Word,
}

const _: () = {
    use core::mem::offset_of;
    assert!(offset_of!(seL4_IPCBuffer, msg) == 8);
    assert!(offset_of!(seL4_IPCBuffer, userData) == 968);
    assert!(offset_of!(seL4_IPCBuffer, caps_or_badges) == 976);
    assert!(offset_of!(seL4_IPCBuffer, receiveCNode) == 1000);
    assert!(offset_of!(seL4_IPCBuffer, receiveDepth) == 1016);
    assert!(size_of::<seL4_IPCBuffer>() == 1024);
};

impl seL4_IPCBuffer {
    /// The fast message registers, as the buffer has them.
    #[inline(always)]
    pub const fn fast_registers(&self) -> [seL4_Word; 4] {
        let [mr0, mr1, mr2, mr3, ..] = self.msg;
        [mr0, mr1, mr2, mr3]
    }

    /// Puts fast message registers into the buffer.
    #[inline(always)]
    pub const fn set_fast_registers(&mut self, mrs: [seL4_Word; 4]) {
        [self.msg[0], self.msg[1], self.msg[2], self.msg[3]] = mrs;
    }

    #[inline(always)]
    const fn keep(&mut self, message: Message) -> (seL4_MessageInfo, seL4_Word) {
        self.set_fast_registers(message.mrs);
        (message.info, message.badge)
    }

    /// Sends and waits until the message was taken.
    #[inline]
    pub fn seL4_Send(&mut self, dest: seL4_CPtr, info: seL4_MessageInfo) {
        sys_send(syscall_id::Send, dest, info, self.fast_registers());
    }

    /// Sends if somebody waits for it, otherwise does nothing.
    #[inline]
    pub fn seL4_NBSend(&mut self, dest: seL4_CPtr, info: seL4_MessageInfo) {
        sys_send(syscall_id::NBSend, dest, info, self.fast_registers());
    }

    /// Sends and waits for the reply.
    #[inline]
    pub fn seL4_Call(&mut self, dest: seL4_CPtr, info: seL4_MessageInfo) -> seL4_MessageInfo {
        let message = sys_send_recv(syscall_id::Call, dest, info, self.fast_registers(), 0);
        self.keep(message).0
    }

    /// Waits for a message or notification on `src`; a call's reply capability goes to `reply`. Gives tag and badge.
    #[inline]
    pub fn seL4_Recv(&mut self, src: seL4_CPtr, reply: seL4_CPtr) -> (seL4_MessageInfo, seL4_Word) {
        let message = sys_recv(syscall_id::Recv, src, reply);
        self.keep(message)
    }

    /// Like `seL4_Recv`, but does not wait; badge 0 when there was nothing.
    #[inline]
    pub fn seL4_NBRecv(&mut self, src: seL4_CPtr, reply: seL4_CPtr) -> (seL4_MessageInfo, seL4_Word) {
        let message = sys_recv(syscall_id::NBRecv, src, reply);
        self.keep(message)
    }

    /// Replies through `reply`, then receives on `src` as `seL4_Recv` does.
    #[inline]
    pub fn seL4_ReplyRecv(
        &mut self,
        src: seL4_CPtr,
        info: seL4_MessageInfo,
        reply: seL4_CPtr,
    ) -> (seL4_MessageInfo, seL4_Word) {
        let message = sys_send_recv(syscall_id::ReplyRecv, src, info, self.fast_registers(), reply);
        self.keep(message)
    }

    /// Sends to `dest` if it can be done at once, then receives on `src` as `seL4_Recv` does.
    #[inline]
    pub fn seL4_NBSendRecv(
        &mut self,
        dest: seL4_CPtr,
        info: seL4_MessageInfo,
        src: seL4_CPtr,
        reply: seL4_CPtr,
    ) -> (seL4_MessageInfo, seL4_Word) {
        let message = sys_nb_send_recv(dest, info, src, self.fast_registers(), reply);
        self.keep(message)
    }

    /// Sends to `dest` if it can be done at once, then waits on `src` without a reply object.
    #[inline]
    pub fn seL4_NBSendWait(
        &mut self,
        dest: seL4_CPtr,
        info: seL4_MessageInfo,
        src: seL4_CPtr,
    ) -> (seL4_MessageInfo, seL4_Word) {
        let message = sys_nb_send_wait(dest, info, src, self.fast_registers());
        self.keep(message)
    }

    /// Waits for a message or notification on `src` without a reply object.
    #[inline]
    pub fn seL4_Wait(&mut self, src: seL4_CPtr) -> (seL4_MessageInfo, seL4_Word) {
        let message = sys_wait(syscall_id::Wait, src);
        self.keep(message)
    }

    /// Like `seL4_Wait`, but does not wait; badge 0 when there was nothing.
    #[inline]
    pub fn seL4_NBWait(&mut self, src: seL4_CPtr) -> (seL4_MessageInfo, seL4_Word) {
        let message = sys_wait(syscall_id::NBWait, src);
        self.keep(message)
    }
}
