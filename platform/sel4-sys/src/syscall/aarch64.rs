// SPDX-License-Identifier: BSD-2-Clause
//! The `svc` instruction. Registers: x0 capability in, badge out; x1 tag; x2 to x5 message registers 0 to 3; x6 reply
//! object; x7 number; x8 where `NBSendRecv` sends to. The kernel changes only the registers named as outputs, and the
//! caller's IPC buffer (the blocks clobber memory by default).

use core::arch::asm;

use super::{Message, Registers, syscall_id};
use crate::{seL4_CPtr, seL4_MessageInfo, seL4_Word};

const fn number(id: syscall_id::Type) -> seL4_Word {
    id.cast_unsigned()
}

/// `Send` or `NBSend`.
#[inline(always)]
pub fn sys_send(id: syscall_id::Type, dest: seL4_CPtr, info: seL4_MessageInfo, mrs: Registers) {
    // SAFETY: a system call; the kernel touches nothing of ours but what the module comment says.
    unsafe {
        asm!(
            "svc #0",
            in("x7") number(id),
            in("x0") dest,
            in("x1") info.into_word(),
            in("x2") mrs[0],
            in("x3") mrs[1],
            in("x4") mrs[2],
            in("x5") mrs[3],
            options(nostack, preserves_flags),
        );
    }
}

/// `Send` or `NBSend` of a message without registers.
#[inline(always)]
pub fn sys_send_null(id: syscall_id::Type, dest: seL4_CPtr, info: seL4_MessageInfo) {
    // SAFETY: as in `sys_send`.
    unsafe {
        asm!(
            "svc #0",
            in("x7") number(id),
            in("x0") dest,
            in("x1") info.into_word(),
            options(nostack, preserves_flags),
        );
    }
}

/// `Call` (`reply` unused) or `ReplyRecv`.
#[inline(always)]
pub fn sys_send_recv(
    id: syscall_id::Type,
    cap: seL4_CPtr,
    info: seL4_MessageInfo,
    mut mrs: Registers,
    reply: seL4_CPtr,
) -> Message {
    let badge;
    let info_out;
    // SAFETY: as in `sys_send`.
    unsafe {
        asm!(
            "svc #0",
            in("x7") number(id),
            inlateout("x0") cap => badge,
            inlateout("x1") info.into_word() => info_out,
            inlateout("x2") mrs[0],
            inlateout("x3") mrs[1],
            inlateout("x4") mrs[2],
            inlateout("x5") mrs[3],
            in("x6") reply,
            options(nostack, preserves_flags),
        );
    }
    Message { info: seL4_MessageInfo::from_word(info_out), badge, mrs }
}

/// `Recv` or `NBRecv`.
#[inline(always)]
pub fn sys_recv(id: syscall_id::Type, src: seL4_CPtr, reply: seL4_CPtr) -> Message {
    let badge;
    let info_out;
    let (mr0, mr1, mr2, mr3);
    // SAFETY: as in `sys_send`.
    unsafe {
        asm!(
            "svc #0",
            in("x7") number(id),
            inlateout("x0") src => badge,
            lateout("x1") info_out,
            lateout("x2") mr0,
            lateout("x3") mr1,
            lateout("x4") mr2,
            lateout("x5") mr3,
            in("x6") reply,
            options(nostack, preserves_flags),
        );
    }
    Message { info: seL4_MessageInfo::from_word(info_out), badge, mrs: [mr0, mr1, mr2, mr3] }
}

/// `Wait` or `NBWait`.
#[inline(always)]
pub fn sys_wait(id: syscall_id::Type, src: seL4_CPtr) -> Message {
    let badge;
    let info_out;
    let (mr0, mr1, mr2, mr3);
    // SAFETY: as in `sys_send`.
    unsafe {
        asm!(
            "svc #0",
            in("x7") number(id),
            inlateout("x0") src => badge,
            lateout("x1") info_out,
            lateout("x2") mr0,
            lateout("x3") mr1,
            lateout("x4") mr2,
            lateout("x5") mr3,
            options(nostack, preserves_flags),
        );
    }
    Message { info: seL4_MessageInfo::from_word(info_out), badge, mrs: [mr0, mr1, mr2, mr3] }
}

/// `NBSendRecv`: sends to `dest`, receives on `src`.
#[inline(always)]
pub fn sys_nb_send_recv(
    dest: seL4_CPtr,
    info: seL4_MessageInfo,
    src: seL4_CPtr,
    mut mrs: Registers,
    reply: seL4_CPtr,
) -> Message {
    let badge;
    let info_out;
    // SAFETY: as in `sys_send`.
    unsafe {
        asm!(
            "svc #0",
            in("x7") number(syscall_id::NBSendRecv),
            inlateout("x0") src => badge,
            inlateout("x1") info.into_word() => info_out,
            inlateout("x2") mrs[0],
            inlateout("x3") mrs[1],
            inlateout("x4") mrs[2],
            inlateout("x5") mrs[3],
            in("x6") reply,
            in("x8") dest,
            options(nostack, preserves_flags),
        );
    }
    Message { info: seL4_MessageInfo::from_word(info_out), badge, mrs }
}

/// `NBSendWait`: sends to `dest` (in x6: there is no reply object), waits on `src`.
#[inline(always)]
pub fn sys_nb_send_wait(
    dest: seL4_CPtr,
    info: seL4_MessageInfo,
    src: seL4_CPtr,
    mut mrs: Registers,
) -> Message {
    let badge;
    let info_out;
    // SAFETY: as in `sys_send`.
    unsafe {
        asm!(
            "svc #0",
            in("x7") number(syscall_id::NBSendWait),
            inlateout("x0") src => badge,
            inlateout("x1") info.into_word() => info_out,
            inlateout("x2") mrs[0],
            inlateout("x3") mrs[1],
            inlateout("x4") mrs[2],
            inlateout("x5") mrs[3],
            in("x6") dest,
            options(nostack, preserves_flags),
        );
    }
    Message { info: seL4_MessageInfo::from_word(info_out), badge, mrs }
}

/// A call without arguments or results.
#[inline(always)]
pub fn sys_null(id: syscall_id::Type) {
    // SAFETY: as in `sys_send`.
    unsafe {
        asm!("svc #0", in("x7") number(id), options(nostack, preserves_flags));
    }
}

/// A debug call: one word in, one word out.
#[inline(always)]
pub fn sys_word(id: syscall_id::Type, word: seL4_Word) -> seL4_Word {
    let out;
    // SAFETY: as in `sys_send`. Upstream's debug calls are answered like `Call`, so the message registers count as lost.
    unsafe {
        asm!(
            "svc #0",
            in("x7") number(id),
            inlateout("x0") word => out,
            inlateout("x1") 0u64 => _,
            inlateout("x2") 0u64 => _,
            inlateout("x3") 0u64 => _,
            inlateout("x4") 0u64 => _,
            inlateout("x5") 0u64 => _,
            options(nostack, preserves_flags),
        );
    }
    out
}
