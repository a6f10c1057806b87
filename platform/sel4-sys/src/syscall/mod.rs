// SPDX-License-Identifier: BSD-2-Clause
//! System calls with the fast message registers in CPU registers, and the calls that carry no message.

use crate::{seL4_CPtr, seL4_MessageInfo, seL4_Word};

#[cfg(all(target_arch = "aarch64", target_os = "none"))]
#[path = "aarch64.rs"]
mod imp;
#[cfg(not(all(target_arch = "aarch64", target_os = "none")))]
#[path = "host.rs"]
mod imp;

pub use imp::{
    sys_nb_send_recv, sys_nb_send_wait, sys_recv, sys_send, sys_send_null, sys_send_recv, sys_wait,
};
pub(crate) use imp::{sys_null, sys_word};

/// Number of message registers that travel in CPU registers.
pub const FAST_MESSAGE_REGISTERS: usize = 4;

/// The fast message registers.
pub type Registers = [seL4_Word; FAST_MESSAGE_REGISTERS];

/// What a receiving system call returns in registers.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// The tag.
    pub info: seL4_MessageInfo,
    /// The badge of the capability the sender used, or the notification word.
    pub badge: seL4_Word,
    /// Message registers 0 to 3; only the first `info.get_length()` mean something.
    pub mrs: Registers,
}

/// System call numbers. They do not depend on the configuration.
pub mod syscall_id {
    /// The type of a number.
    pub type Type = i64;
    /// Send and wait for the reply.
    pub const Call: Type = -1;
    /// Reply, then receive.
    pub const ReplyRecv: Type = -2;
    /// Send without blocking, then receive.
    pub const NBSendRecv: Type = -3;
    /// Send without blocking, then wait.
    pub const NBSendWait: Type = -4;
    /// Send.
    pub const Send: Type = -5;
    /// Send without blocking.
    pub const NBSend: Type = -6;
    /// Receive.
    pub const Recv: Type = -7;
    /// Receive without blocking.
    pub const NBRecv: Type = -8;
    /// Receive without a reply object.
    pub const Wait: Type = -9;
    /// The same without blocking.
    pub const NBWait: Type = -10;
    /// Give up the rest of the budget.
    pub const Yield: Type = -11;
    /// Print a character (kernels with printing).
    pub const DebugPutChar: Type = -12;
    /// Print the scheduler's queues (kernels with printing).
    pub const DebugDumpScheduler: Type = -13;
    /// Halt the machine (debug builds).
    pub const DebugHalt: Type = -14;
    /// Type of a capability (debug builds).
    pub const DebugCapIdentify: Type = -15;
    /// Name a thread (debug builds).
    pub const DebugNameThread: Type = -17;
}

/// Signals a notification.
#[inline(always)]
pub fn seL4_Signal(dest: seL4_CPtr) {
    sys_send_null(syscall_id::Send, dest, seL4_MessageInfo::new(0, 0, 0, 0));
}

/// Gives up the rest of the current budget.
#[inline]
pub fn seL4_Yield() {
    sys_null(syscall_id::Yield);
}
