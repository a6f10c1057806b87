// SPDX-License-Identifier: BSD-2-Clause
//! The host has no seL4: these exist so that code above compiles there, and panic when reached.

use super::{Message, Registers, syscall_id};
use crate::{seL4_CPtr, seL4_MessageInfo, seL4_Word};

fn unavailable(id: syscall_id::Type) -> ! {
    panic!("seL4 system call {id} on the host")
}

/// `Send` or `NBSend`.
pub fn sys_send(id: syscall_id::Type, _dest: seL4_CPtr, _info: seL4_MessageInfo, _mrs: Registers) {
    unavailable(id)
}

/// `Send` or `NBSend` of a message without registers.
pub fn sys_send_null(id: syscall_id::Type, _dest: seL4_CPtr, _info: seL4_MessageInfo) {
    unavailable(id)
}

/// `Call` or `ReplyRecv`.
pub fn sys_send_recv(
    id: syscall_id::Type,
    _cap: seL4_CPtr,
    _info: seL4_MessageInfo,
    _mrs: Registers,
    _reply: seL4_CPtr,
) -> Message {
    unavailable(id)
}

/// `Recv` or `NBRecv`.
pub fn sys_recv(id: syscall_id::Type, _src: seL4_CPtr, _reply: seL4_CPtr) -> Message {
    unavailable(id)
}

/// `Wait` or `NBWait`.
pub fn sys_wait(id: syscall_id::Type, _src: seL4_CPtr) -> Message {
    unavailable(id)
}

/// `NBSendRecv`.
pub fn sys_nb_send_recv(
    _dest: seL4_CPtr,
    _info: seL4_MessageInfo,
    _src: seL4_CPtr,
    _mrs: Registers,
    _reply: seL4_CPtr,
) -> Message {
    unavailable(syscall_id::NBSendRecv)
}

/// `NBSendWait`.
pub fn sys_nb_send_wait(
    _dest: seL4_CPtr,
    _info: seL4_MessageInfo,
    _src: seL4_CPtr,
    _mrs: Registers,
) -> Message {
    unavailable(syscall_id::NBSendWait)
}

/// A call without arguments or results.
pub fn sys_null(id: syscall_id::Type) {
    unavailable(id)
}

/// A debug call: one word in, one word out.
pub fn sys_word(id: syscall_id::Type, _word: seL4_Word) -> seL4_Word {
    unavailable(id)
}
