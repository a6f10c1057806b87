// SPDX-License-Identifier: BSD-2-Clause
//! Child PDs: their faults come to [`Handler::fault`](crate::Handler::fault), and the parent controls their thread.

use sel4_sys::{Error, seL4_CPtr, seL4_Error, seL4_UserContext, seL4_Word};

use crate::{ipc_buffer, slots};

/// A child protection domain or, as the sender of a fault, a vCPU; both share one numbering.
#[derive(Debug, Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Child {
    index: usize,
}

impl Child {
    /// The child that the system description gives id `index`.
    ///
    /// # Panics
    /// When `index` is not below 64.
    pub const fn new(index: usize) -> Self {
        assert!(index < slots::TABLE_SIZE);
        Self { index }
    }

    /// The child in the badge of a fault (the low byte; ids are below 64).
    #[inline(always)]
    pub(crate) const fn from_badge(badge: u64) -> Self {
        Self { index: (badge & 0xff) as usize }
    }

    /// The child's id.
    pub const fn index(&self) -> usize {
        self.index
    }

    #[doc(hidden)]
    pub const fn tcb(&self) -> seL4_CPtr {
        slots::CHILD_TCB_BASE + self.index as seL4_CPtr
    }

    /// Lets the child run from address `entry`, whatever it was doing. Its memory and its other registers stay as they
    /// are. From [`ENTRY`](crate::ENTRY) a PD of this crate begins anew, with fresh memory and a fresh stack.
    ///
    /// # Panics
    /// When there is no such child.
    pub fn restart(&self, entry: usize) {
        restart(self.tcb(), entry as seL4_Word);
    }

    /// Stops the child.
    ///
    /// # Panics
    /// When there is no such child.
    pub fn stop(&self) {
        expect(ipc_buffer::with(|buffer| buffer.seL4_TCB_Suspend(self.tcb())), "stop");
    }

    /// The child's registers, where it has been stopped or interrupted.
    ///
    /// # Panics
    /// When there is no such child.
    pub fn registers(&self) -> seL4_UserContext {
        let mut registers = seL4_UserContext::default();
        let count = seL4_UserContext::LEN as seL4_Word;
        let code = ipc_buffer::with(|buffer| {
            buffer.seL4_TCB_ReadRegisters(self.tcb(), false, 0, count, &mut registers)
        });
        expect(code, "registers");
        registers
    }

    /// Lets the child run on.
    ///
    /// # Panics
    /// When there is no such child.
    pub fn resume(&self) {
        expect(ipc_buffer::with(|buffer| buffer.seL4_TCB_Resume(self.tcb())), "resume");
    }
}

/// Sets a thread's program counter and lets it run.
pub(crate) fn restart(tcb: seL4_CPtr, entry: seL4_Word) {
    let registers = seL4_UserContext { pc: entry, ..Default::default() };
    expect(ipc_buffer::with(|buffer| buffer.seL4_TCB_WriteRegisters(tcb, true, 0, 1, &registers)), "restart");
}

/// For invocations that only fail when the system description lacks the child or vCPU.
#[inline]
pub(crate) fn expect(code: seL4_Error::Type, operation: &str) {
    if let Err(error) = Error::check(code) {
        panic!("{operation}: {error}");
    }
}
