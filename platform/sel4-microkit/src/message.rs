// SPDX-License-Identifier: BSD-2-Clause
//! Messages: tag and message registers.

use core::fmt;

pub use sel4_sys::{Fault, LookupFailure, VcpuExit};
use sel4_sys::{fault_label, seL4_MessageInfo, seL4_Word};

use crate::ipc_buffer;

/// A message's label.
pub type MessageLabel = seL4_Word;
/// A message register's contents.
pub type MessageRegisterValue = seL4_Word;

/// Number of message registers.
const REGISTERS: usize = seL4_MessageInfo::MAX_LENGTH;

/// A message's tag: label and number of message registers.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct MessageInfo(seL4_MessageInfo);

impl MessageInfo {
    /// A tag for a message of `count` message registers.
    pub const fn new(label: MessageLabel, count: usize) -> Self {
        Self(seL4_MessageInfo::new(label, 0, 0, count as seL4_Word))
    }

    /// The label.
    pub const fn label(&self) -> MessageLabel {
        self.0.get_label()
    }

    /// Bits of a label.
    pub const fn label_width() -> usize {
        seL4_MessageInfo::LABEL_WIDTH
    }

    /// The number of message registers, never more than there are.
    pub const fn count(&self) -> usize {
        let count = self.0.get_length() as usize;
        if count < REGISTERS { count } else { REGISTERS }
    }

    /// The fault that this message reports, in [`Handler::fault`](crate::Handler::fault).
    pub fn fault(&self) -> Fault {
        ipc_buffer::with(|buffer| Fault::decode(self.0, |index| buffer.msg.get(index).copied().unwrap_or(0)))
    }

    /// The exit that this message reports, if it is one told with registers, as [`fault`](Self::fault) has it too.
    #[inline(always)]
    pub fn vcpu_exit(&self) -> Option<VcpuExit> {
        let decode = || {
            ipc_buffer::with(|buffer| VcpuExit::decode(|index| buffer.msg.get(index).copied().unwrap_or(0)))
        };
        (self.label() == fault_label::VCPU_EXIT).then(decode)
    }

    #[doc(hidden)]
    pub const fn from_inner(inner: seL4_MessageInfo) -> Self {
        Self(inner)
    }

    #[doc(hidden)]
    pub const fn inner(&self) -> &seL4_MessageInfo {
        &self.0
    }

    #[doc(hidden)]
    pub const fn into_inner(self) -> seL4_MessageInfo {
        self.0
    }
}

impl Default for MessageInfo {
    fn default() -> Self {
        Self::new(0, 0)
    }
}

impl fmt::Debug for MessageInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageInfo").field("label", &self.label()).field("count", &self.count()).finish()
    }
}

/// Sets message register `i`.
///
/// # Panics
/// When there is no such register (`i >= 120`).
#[inline(always)]
pub fn set_mr(i: usize, value: MessageRegisterValue) {
    assert!(i < REGISTERS, "message register {i}");
    ipc_buffer::with(|buffer| buffer.msg[i] = value);
}

/// Message register `i`.
///
/// # Panics
/// When there is no such register (`i >= 120`).
#[inline(always)]
pub fn get_mr(i: usize) -> MessageRegisterValue {
    assert!(i < REGISTERS, "message register {i}");
    ipc_buffer::with(|buffer| buffer.msg[i])
}

/// Calls `f` with a copy of all message registers.
pub fn with_msg_regs<T>(f: impl FnOnce(&[MessageRegisterValue]) -> T) -> T {
    f(&ipc_buffer::with(|buffer| buffer.msg))
}

/// Calls `f` with a copy of all message registers and stores the copy back afterwards.
pub fn with_msg_regs_mut<T>(f: impl FnOnce(&mut [MessageRegisterValue]) -> T) -> T {
    let mut registers = ipc_buffer::with(|buffer| buffer.msg);
    let result = f(&mut registers);
    ipc_buffer::with(|buffer| buffer.msg = registers);
    result
}

/// Calls `f` with a copy of all message registers as bytes.
pub fn with_msg_bytes<T>(f: impl FnOnce(&[u8]) -> T) -> T {
    with_msg_regs(|registers| {
        // SAFETY: the bytes of the slice of words, for the duration of the call.
        f(unsafe { core::slice::from_raw_parts(registers.as_ptr().cast(), size_of_val(registers)) })
    })
}

/// Calls `f` with a copy of all message registers as bytes and stores the copy back afterwards.
pub fn with_msg_bytes_mut<T>(f: impl FnOnce(&mut [u8]) -> T) -> T {
    with_msg_regs_mut(|registers| {
        // SAFETY: the bytes of the slice of words, for the duration of the call; any bytes make valid words.
        f(unsafe { core::slice::from_raw_parts_mut(registers.as_mut_ptr().cast(), size_of_val(registers)) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_registers_are_the_same_memory() {
        with_msg_bytes_mut(|bytes| bytes[..8].copy_from_slice(&0x0102_0304_0506_0708u64.to_le_bytes()));
        assert_eq!(get_mr(0), 0x0102_0304_0506_0708);
        set_mr(1, 5);
        assert_eq!(with_msg_bytes(|bytes| bytes[8]), 5);
        assert_eq!(with_msg_regs(|registers| registers.len()), 120);
    }

    #[test]
    fn fault_is_decoded_from_the_message_registers() {
        set_mr(0, 0x9600_0046);
        assert_eq!(MessageInfo::new(8, 1).fault(), Fault::VcpuFault { hsr: 0x9600_0046 });
    }

    #[test]
    fn count_never_exceeds_the_registers() {
        assert_eq!(MessageInfo::from_inner(seL4_MessageInfo::from_word(0x7f)).count(), 120);
    }

    #[test]
    #[should_panic(expected = "message register 120")]
    fn register_past_the_last_panics() {
        set_mr(120, 0);
    }
}
